//! A peer that speaks WebRTC correctly and everything above it as the test pleases.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet};
use transport_core::signaling::LinkChannel;
use webrtc::{
    api::{APIBuilder, setting_engine::SettingEngine},
    data::data_channel::DataChannel,
    ice_transport::ice_candidate::RTCIceCandidateInit,
    peer_connection::{
        RTCPeerConnection, configuration::RTCConfiguration, sdp::session_description::RTCSessionDescription,
    },
};

/// An answerer.
pub(crate) struct RawPeer {
    pub(crate) pc: Arc<RTCPeerConnection>,
    pub(crate) ctrl: Arc<DataChannel>,
    pub(crate) term: Arc<DataChannel>,
    _trickle: JoinSet<()>,
}

impl RawPeer {
    /// Answers the offer that comes over `link`, and waits for both channels.
    pub(crate) async fn answer(link: Arc<LinkChannel>) -> Self {
        let link = Arc::new(link);
        let mut engine = SettingEngine::default();
        engine.detach_data_channels();
        engine.set_include_loopback_candidate(true);
        let api = APIBuilder::new().with_setting_engine(engine).build();
        let pc = Arc::new(api.new_peer_connection(RTCConfiguration::default()).await.unwrap());
        let (opened, mut channels) = mpsc::channel(8);
        pc.on_data_channel(Box::new(move |channel| {
            let (opened, inner) = (opened.clone(), channel.clone());
            channel.on_open(Box::new(move || {
                Box::pin(async move {
                    let raw = inner.detach().await.unwrap();
                    let _ = opened.send((inner.label().to_owned(), raw)).await;
                })
            }));
            Box::pin(async {})
        }));
        let said = link.clone();
        pc.on_ice_candidate(Box::new(move |candidate| {
            let said = said.clone();
            Box::pin(async move {
                if let Some(candidate) = candidate {
                    let candidate = candidate.to_json().unwrap().candidate;
                    let message = json!({"type": "candidate", "candidate": candidate});
                    let _ = said.send(message.to_string()).await;
                }
            })
        }));
        let offer: Value = serde_json::from_str(&link.recv().await.unwrap()).unwrap();
        let sdp = offer["sdp"].as_str().unwrap().to_owned();
        pc.set_remote_description(RTCSessionDescription::offer(sdp).unwrap()).await.unwrap();
        let answer = pc.create_answer(None).await.unwrap();
        let message = json!({"type": "answer", "sdp": answer.sdp, "term": offer["term"]});
        link.send(message.to_string()).await.unwrap();
        pc.set_local_description(answer).await.unwrap();
        let mut trickle = JoinSet::new();
        let remote = pc.clone();
        trickle.spawn(async move {
            while let Ok(body) = link.recv().await {
                let message: Value = serde_json::from_str(&body).unwrap();
                if let Some(candidate) = message["candidate"].as_str() {
                    let candidate =
                        RTCIceCandidateInit { candidate: candidate.to_owned(), ..Default::default() };
                    let _ = remote.add_ice_candidate(candidate).await;
                }
            }
        });
        let (mut ctrl, mut term) = (None, None);
        while ctrl.is_none() || term.is_none() {
            let (label, raw) = channels.recv().await.unwrap();
            *if label == "beach/ctrl/1" { &mut ctrl } else { &mut term } = Some(raw);
        }
        Self { pc, ctrl: ctrl.unwrap(), term: term.unwrap(), _trickle: trickle }
    }

    /// Says one pong on `channel`, as a sign of life.
    pub(crate) async fn show_life(channel: &DataChannel) {
        channel.write(&vec![2, 0, 0, 0, 0].into()).await.unwrap();
    }
}
