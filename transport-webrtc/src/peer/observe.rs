//! The library's handlers, all of them: each only passes on what it hears.

use std::sync::Arc;

use tokio::sync::mpsc;
use webrtc::{
    data_channel::RTCDataChannel,
    ice_transport::ice_connection_state::RTCIceConnectionState,
    peer_connection::{RTCPeerConnection, peer_connection_state::RTCPeerConnectionState},
};

use crate::peer_event::{IceState, PeerEvent};

/// Sets every handler, before anything can happen that they would miss.
pub(super) fn observe(pc: &RTCPeerConnection, events: &mpsc::Sender<PeerEvent>) {
    let tell = events.clone();
    pc.on_ice_candidate(Box::new(move |candidate| {
        let event = match candidate.map(|candidate| candidate.to_json()) {
            None => Some(PeerEvent::Gathered),
            Some(Ok(candidate)) => Some(PeerEvent::Candidate(candidate.candidate)),
            Some(Err(_)) => None,
        };
        let tell = tell.clone();
        Box::pin(async move {
            if let Some(event) = event {
                let _ = tell.send(event).await;
            }
        })
    }));
    let tell = events.clone();
    pc.on_ice_connection_state_change(Box::new(move |state| {
        let state = match state {
            RTCIceConnectionState::Connected | RTCIceConnectionState::Completed => Some(IceState::Connected),
            RTCIceConnectionState::Disconnected => Some(IceState::Disconnected),
            RTCIceConnectionState::Failed | RTCIceConnectionState::Closed => Some(IceState::Failed),
            RTCIceConnectionState::Checking => Some(IceState::Checking),
            _ => None,
        };
        let tell = tell.clone();
        Box::pin(async move {
            if let Some(state) = state {
                let _ = tell.send(PeerEvent::Ice(state)).await;
            }
        })
    }));
    let tell = events.clone();
    pc.on_peer_connection_state_change(Box::new(move |state| {
        let event = match state {
            RTCPeerConnectionState::Connected => Some(PeerEvent::Secured),
            RTCPeerConnectionState::Failed => Some(PeerEvent::Insecure),
            _ => None,
        };
        let tell = tell.clone();
        Box::pin(async move {
            if let Some(event) = event {
                let _ = tell.send(event).await;
            }
        })
    }));
    let tell = events.clone();
    pc.on_data_channel(Box::new(move |channel| {
        observe_channel(&channel, &tell);
        Box::pin(async {})
    }));
}

pub(super) fn observe_channel(channel: &Arc<RTCDataChannel>, events: &mpsc::Sender<PeerEvent>) {
    let (label, tell) = (channel.label().to_owned(), events.clone());
    // Weak: the handler is stored in the channel itself, for good if it never opens.
    let weak = Arc::downgrade(channel);
    channel.on_open(Box::new(move || {
        Box::pin(async move {
            let Some(channel) = weak.upgrade() else { return };
            if let Ok(raw) = channel.detach().await {
                let _ = tell.send(PeerEvent::Opened { label, raw }).await;
            }
        })
    }));
}
