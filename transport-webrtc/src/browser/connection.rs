//! An `RTCPeerConnection` of the browser, on its thread.

use std::cell::RefCell;

use js_sys::{Array, Promise, Reflect};
use tokio::sync::{mpsc, watch};
use transport_core::{ConnectErrorKind, Lane};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    RtcConfiguration, RtcDataChannelEvent, RtcIceCandidateInit, RtcIceConnectionState, RtcIceServer,
    RtcIceTransportPolicy, RtcOfferOptions, RtcPeerConnection, RtcPeerConnectionIceEvent,
    RtcPeerConnectionState, RtcSdpType, RtcSessionDescriptionInit,
};

use super::{error::BrowserError, stats, wire};
use crate::{
    config::{IcePolicy, Scheme, Upstream, WebRtcConfig},
    error::{Failure, Stage},
    peer_event::{IceState, PeerEvent},
    remote::RemoteCandidates,
    runtime::now,
};

/// A connection, and what it calls. It closes, and nothing is called, once this is dropped.
pub(super) struct Connection {
    pc: RtcPeerConnection,
    remote: RefCell<RemoteCandidates>,
    events: mpsc::Sender<PeerEvent>,
    /// Ends the tasks of its channels when it is dropped.
    alive: watch::Sender<()>,
    _on_candidate: Closure<dyn FnMut(RtcPeerConnectionIceEvent)>,
    _on_ice: Closure<dyn FnMut()>,
    _on_state: Closure<dyn FnMut()>,
    _on_channel: Closure<dyn FnMut(RtcDataChannelEvent)>,
}

impl Connection {
    pub(super) fn open(config: &WebRtcConfig, events: mpsc::Sender<PeerEvent>) -> Result<Self, Failure> {
        if !Reflect::has(&js_sys::global(), &"RTCPeerConnection".into()).unwrap_or(false) {
            let why = "this browser has no WebRTC here";
            return Err(Failure::new(Stage::Gathering, ConnectErrorKind::Incompatible, why));
        }
        let pc = RtcPeerConnection::new_with_configuration(&configuration(config))
            .map_err(|thrown| Failure::new(Stage::Gathering, blame(&thrown), BrowserError::from(thrown)))?;
        let tell = |events: &mpsc::Sender<PeerEvent>, event| {
            // Closed: nobody listens any more.
            let _ = events.try_send(event);
        };
        let told = events.clone();
        let on_candidate = Closure::<dyn FnMut(_)>::new(move |event: RtcPeerConnectionIceEvent| {
            match event.candidate().map(|candidate| candidate.candidate()) {
                None => tell(&told, PeerEvent::Gathered),
                // Over TCP a page can only dial, and nobody listens. An empty line ends a part of the gathering.
                Some(line) if is_udp(&line) => tell(&told, PeerEvent::Candidate(line)),
                Some(_) => {}
            }
        });
        let (told, of) = (events.clone(), pc.clone());
        let on_ice = Closure::<dyn FnMut()>::new(move || {
            if let Some(state) = ice_state(of.ice_connection_state()) {
                tell(&told, PeerEvent::Ice(state));
            }
        });
        let (told, of) = (events.clone(), pc.clone());
        let on_state = Closure::<dyn FnMut()>::new(move || match of.connection_state() {
            RtcPeerConnectionState::Connected => tell(&told, PeerEvent::Secured),
            RtcPeerConnectionState::Failed => tell(&told, PeerEvent::Insecure),
            _ => {}
        });
        let (alive, gone) = watch::channel(());
        let told = events.clone();
        let on_channel = Closure::<dyn FnMut(_)>::new(move |event: RtcDataChannelEvent| {
            wire::keep(event.channel(), told.clone(), gone.clone());
        });
        pc.set_onicecandidate(Some(on_candidate.as_ref().unchecked_ref()));
        pc.set_oniceconnectionstatechange(Some(on_ice.as_ref().unchecked_ref()));
        pc.set_onconnectionstatechange(Some(on_state.as_ref().unchecked_ref()));
        pc.set_ondatachannel(Some(on_channel.as_ref().unchecked_ref()));
        Ok(Self {
            pc,
            remote: RefCell::new(RemoteCandidates::new(config)),
            events,
            alive,
            _on_candidate: on_candidate,
            _on_ice: on_ice,
            _on_state: on_state,
            _on_channel: on_channel,
        })
    }

    pub(super) async fn offer(&self, channels: Vec<(Lane, String)>) -> Result<String, BrowserError> {
        for (lane, label) in channels {
            let channel = self.pc.create_data_channel_with_data_channel_dict(&label, &wire::parameters(lane));
            wire::keep(channel, self.events.clone(), self.alive.subscribe());
        }
        self.describe(self.pc.create_offer()).await
    }

    pub(super) async fn answer(&self, offer: &str) -> Result<String, BrowserError> {
        self.take(RtcSdpType::Offer, offer).await?;
        self.describe(self.pc.create_answer()).await
    }

    pub(super) async fn accept(&self, answer: &str) -> Result<(), BrowserError> {
        self.take(RtcSdpType::Answer, answer).await
    }

    pub(super) async fn restart(&self) -> Result<String, BrowserError> {
        let options = RtcOfferOptions::new();
        options.set_ice_restart(true);
        self.describe(self.pc.create_offer_with_rtc_offer_options(&options)).await
    }

    pub(super) async fn add_candidate(&self, candidate: &str) -> Result<(), BrowserError> {
        if self.remote.borrow_mut().admit(candidate).is_err() {
            return Ok(());
        }
        let init = RtcIceCandidateInit::new(candidate);
        // There is one section in our descriptions.
        init.set_sdp_m_line_index(Some(0));
        let added = self.pc.add_ice_candidate_with_opt_rtc_ice_candidate_init(Some(&init));
        JsFuture::from(added).await?;
        Ok(())
    }

    pub(super) async fn is_relayed(&self) -> Result<Option<bool>, BrowserError> {
        let report = JsFuture::from(self.pc.get_stats()).await?;
        Ok(stats::is_relayed(report.unchecked_ref()))
    }

    /// Ours and the peer's.
    pub(super) fn descriptions(&self) -> [Option<String>; 2] {
        [self.pc.local_description(), self.pc.remote_description()]
            .map(|given| given.map(|given| given.sdp()))
    }

    /// Makes what is promised the local description, and returns its text.
    async fn describe(&self, made: Promise) -> Result<String, BrowserError> {
        let made: RtcSessionDescriptionInit = JsFuture::from(made).await?.unchecked_into();
        JsFuture::from(self.pc.set_local_description(&made)).await?;
        Ok(made.get_sdp().unwrap_or_default())
    }

    async fn take(&self, kind: RtcSdpType, sdp: &str) -> Result<(), BrowserError> {
        let description = RtcSessionDescriptionInit::new(kind);
        description.set_sdp(&self.remote.borrow_mut().without_refused(sdp, now()));
        JsFuture::from(self.pc.set_remote_description(&description)).await?;
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.pc.set_onicecandidate(None);
        self.pc.set_oniceconnectionstatechange(None);
        self.pc.set_onconnectionstatechange(None);
        self.pc.set_ondatachannel(None);
        self.pc.close();
    }
}

fn configuration(config: &WebRtcConfig) -> RtcConfiguration {
    let servers = Array::new();
    for server in &config.ice_servers {
        let urls = Array::new();
        for url in &server.urls {
            let wanted = match (url.scheme, url.upstream) {
                (Scheme::Stun, Upstream::Udp) => config.stun,
                // A reflexive address seen over TCP says nothing about UDP.
                (Scheme::Stun | Scheme::Stuns, _) => false,
                (Scheme::Turn | Scheme::Turns, _) => true,
            };
            if wanted {
                urls.push(&url.to_string().into());
            }
        }
        if urls.length() > 0 {
            let entry = RtcIceServer::new();
            entry.set_urls(&urls);
            entry.set_username(&server.username);
            entry.set_credential(server.credential.reveal());
            servers.push(&entry);
        }
    }
    let configuration = RtcConfiguration::new();
    configuration.set_ice_servers(&servers);
    configuration.set_ice_transport_policy(match config.policy {
        IcePolicy::All => RtcIceTransportPolicy::All,
        IcePolicy::RelayOnly => RtcIceTransportPolicy::Relay,
    });
    configuration
}

/// Whose fault it is that there is no connection.
fn blame(thrown: &JsValue) -> ConnectErrorKind {
    let name = Reflect::get(thrown, &"name".into()).ok().and_then(|name| name.as_string());
    match name.as_deref() {
        Some("InvalidAccessError" | "SyntaxError" | "TypeError") => ConnectErrorKind::Misuse,
        // An extension or a policy refuses it.
        Some("NotAllowedError" | "NotSupportedError") => ConnectErrorKind::Incompatible,
        // There are too many for now.
        _ => ConnectErrorKind::Unreachable,
    }
}

fn is_udp(candidate: &str) -> bool {
    candidate.split_whitespace().nth(2).is_some_and(|over| over.eq_ignore_ascii_case("udp"))
}

fn ice_state(state: RtcIceConnectionState) -> Option<IceState> {
    match state {
        RtcIceConnectionState::Checking => Some(IceState::Checking),
        RtcIceConnectionState::Connected | RtcIceConnectionState::Completed => Some(IceState::Connected),
        RtcIceConnectionState::Disconnected => Some(IceState::Disconnected),
        RtcIceConnectionState::Failed | RtcIceConnectionState::Closed => Some(IceState::Failed),
        _ => None,
    }
}
