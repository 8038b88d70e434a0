//! The library's peer connection: made from our configuration, observed through one channel of events,
//! closed whatever happens.

mod addresses;
mod exhausted;
mod observe;
mod setup;

use std::{
    net::{Ipv4Addr, SocketAddr},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::FutureExt;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use transport_core::{DialRole, Lane};
use webrtc::{
    api::APIBuilder,
    dtls_transport::dtls_transport_state::RTCDtlsTransportState,
    ice::{
        network_type::NetworkType,
        udp_mux::{UDPMux, UDPMuxDefault, UDPMuxParams},
        udp_network::UDPNetwork,
    },
    ice_transport::{
        ice_candidate::RTCIceCandidateInit, ice_candidate_type::RTCIceCandidateType,
        ice_gathering_state::RTCIceGatheringState,
    },
    peer_connection::{
        RTCPeerConnection, configuration::RTCConfiguration, offer_answer_options::RTCOfferOptions,
        policy::ice_transport_policy::RTCIceTransportPolicy, sdp::sdp_type::RTCSdpType,
    },
};

use self::{
    addresses::outbound_ip,
    observe::{observe, observe_channel},
    setup::{engine, ice_servers, misuse},
};
use crate::{
    channel,
    config::{IcePolicy, WebRtcConfig},
    error::Failure,
    peer_event::PeerEvent,
    remote::RemoteCandidates,
    runtime::now,
    turn_shim::TurnShim,
    wire::WireConn,
};

pub(crate) use self::{addresses::local_addresses, exhausted::exhausted};

/// A peer connection. Dropping it closes it in the background.
pub(crate) struct Peer {
    pub(crate) events: mpsc::Receiver<PeerEvent>,
    sender: mpsc::Sender<PeerEvent>,
    remote: Mutex<RemoteCandidates>,
    live: Option<Live>,
}

struct Live {
    pc: Arc<RTCPeerConnection>,
    mux: Option<Arc<UDPMuxDefault>>,
    _shims: Vec<TurnShim>,
}

impl Peer {
    pub(crate) async fn open(config: &WebRtcConfig) -> Result<Self, Failure> {
        let (servers, shims) = ice_servers(config).await?;
        let mut engine = engine(config).await?;
        let mut mux = None;
        if let Some(wire) = &config.udp {
            let ip = if config.loopback { Ipv4Addr::LOCALHOST.into() } else { outbound_ip().await };
            let port = config.ports.as_ref().map_or(0, |ports| *ports.start());
            let conn = wire.bind(SocketAddr::new(ip, port)).await.map_err(Failure::no_socket)?;
            let muxed = UDPMuxDefault::new(UDPMuxParams::new(WireConn(conn)));
            engine.set_udp_network(UDPNetwork::Muxed(muxed.clone()));
            // Candidates on one multiplexed socket share a reader, so there may be only one.
            engine.set_ip_filter(Box::new(move |candidate| candidate == ip));
            engine.set_network_types(vec![NetworkType::Udp4]);
            mux = Some(muxed);
        }
        let api = APIBuilder::new().with_setting_engine(engine).build();
        let policy = match config.policy {
            IcePolicy::All => RTCIceTransportPolicy::All,
            IcePolicy::RelayOnly => RTCIceTransportPolicy::Relay,
        };
        let configuration =
            RTCConfiguration { ice_servers: servers, ice_transport_policy: policy, ..Default::default() };
        let pc = api.new_peer_connection(configuration).await.map_err(misuse)?;
        let (sender, events) = mpsc::channel(EVENTS);
        observe(&pc, &sender);
        let remote = Mutex::new(RemoteCandidates::new(config));
        Ok(Self { events, sender, remote, live: Some(Live { pc: Arc::new(pc), mux, _shims: shims }) })
    }

    /// Makes the channels and the offer, and begins to gather.
    pub(crate) async fn offer(&self, config: &WebRtcConfig) -> Result<String, webrtc::Error> {
        let pc = self.pc()?;
        for lane in [Lane::Reliable, Lane::Datagram] {
            if lane == Lane::Datagram && !config.datagram_channel {
                continue;
            }
            let label = if lane == Lane::Reliable { &config.labels.ctrl } else { &config.labels.term };
            let channel = pc.create_data_channel(label, Some(channel::parameters(lane))).await?;
            observe_channel(&channel, &self.sender);
        }
        let offer = pc.create_offer(None).await?;
        let sdp = offer.sdp.clone();
        pc.set_local_description(offer).await?;
        Ok(sdp)
    }

    /// Takes an offer, makes the answer, and begins to gather.
    pub(crate) async fn answer(&self, offer: String) -> Result<String, webrtc::Error> {
        let pc = self.pc()?;
        let offer = self.remote.lock().describe(RTCSdpType::Offer, offer, now())?;
        unless_it_panics(pc.set_remote_description(offer)).await?;
        let answer = pc.create_answer(None).await?;
        let sdp = answer.sdp.clone();
        pc.set_local_description(answer).await?;
        Ok(sdp)
    }

    pub(crate) async fn accept(&self, answer: String) -> Result<(), webrtc::Error> {
        let answer = self.remote.lock().describe(RTCSdpType::Answer, answer, now())?;
        unless_it_panics(self.pc()?.set_remote_description(answer)).await
    }

    /// Tries one more candidate of the peer, unless it is [refused](RemoteCandidates).
    pub(crate) async fn add_candidate(&self, candidate: String) -> Result<(), webrtc::Error> {
        if self.remote.lock().admit(&candidate).is_err() {
            return Ok(());
        }
        let candidate = RTCIceCandidateInit { candidate, ..RTCIceCandidateInit::default() };
        unless_it_panics(self.pc()?.add_ice_candidate(candidate)).await
    }

    /// Gives the path up and makes an offer for another one.
    pub(crate) async fn restart(&self) -> Result<String, webrtc::Error> {
        let pc = self.pc()?;
        let options = RTCOfferOptions { ice_restart: true, ..RTCOfferOptions::default() };
        let offer = pc.create_offer(Some(options)).await?;
        let sdp = offer.sdp.clone();
        pc.set_local_description(offer).await?;
        Ok(sdp)
    }

    /// Describes the path in words, without addresses.
    pub(crate) async fn path(&self) -> Option<&'static str> {
        let dtls = self.pc().ok()?.dtls_transport();
        let pair = dtls.ice_transport().get_selected_candidate_pair().await?;
        let relayed = [pair.local.typ, pair.remote.typ].contains(&RTCIceCandidateType::Relay);
        Some(if relayed { "through a TURN server" } else { "udp, direct" })
    }

    /// SHA-256 of the two certificates that DTLS runs between, the offerer's first: 64 bytes. `None` before the
    /// handshake.
    pub(crate) async fn channel_binding(&self, role: DialRole) -> Option<Bytes> {
        let dtls = self.pc().ok()?.dtls_transport();
        let certificate = dtls.get_remote_certificate().await;
        let theirs = (!certificate.is_empty()).then(|| Sha256::digest(&certificate).to_vec())?;
        let ours = dtls.get_local_parameters().ok()?.fingerprints.into_iter().next()?;
        let ours: Option<Vec<u8>> =
            ours.value.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
        Some(match role {
            DialRole::Offerer => [ours?, theirs].concat().into(),
            DialRole::Answerer => [theirs, ours?].concat().into(),
        })
    }

    pub(crate) async fn close(mut self) {
        if let Some(live) = self.live.take() {
            // Nobody takes events any more; a handler must not wait for somebody who does.
            self.events.close();
            live.close().await;
        }
    }

    fn pc(&self) -> Result<&Arc<RTCPeerConnection>, webrtc::Error> {
        self.live.as_ref().map(|live| &live.pc).ok_or(webrtc::Error::ErrConnectionClosed)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.events.close();
        if let (Some(live), Ok(runtime)) = (self.live.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(live.close());
        }
    }
}

impl Live {
    async fn close(self) {
        // A candidate that is gathered after the close is never closed itself: its socket and its
        // tasks would stay for good.
        if self.pc.ice_gathering_state() == RTCIceGatheringState::Gathering {
            let mut gathered = self.pc.gathering_complete_promise().await;
            let _ = timeout(GATHER, gathered.recv()).await;
        }
        // The library cannot cancel a handshake that waits for the client's first flight. Where both
        // sides gave up at once, the client waits here too, and it ends.
        let dtls = self.pc.dtls_transport();
        let shaken = async {
            while dtls.state() == RTCDtlsTransportState::Connecting {
                sleep(HANDSHAKE_POLL).await;
            }
        };
        if timeout(HANDSHAKE, shaken).await.is_err() {
            tracing::warn!(target: "transport_webrtc", "a DTLS handshake without a peer stays behind");
        }
        if timeout(CLOSE, self.pc.close()).await.is_err() {
            tracing::warn!(target: "transport_webrtc", "a peer connection did not close in time");
        }
        if let Some(mux) = &self.mux {
            let _ = mux.close().await;
        }
    }
}

/// The library parses what the peer wrote; should it panic on that, only the call fails.
async fn unless_it_panics(
    call: impl Future<Output = Result<(), webrtc::Error>>,
) -> Result<(), webrtc::Error> {
    let panicked = || webrtc::Error::new("the peer's description or candidate cannot be used".to_owned());
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|_| Err(panicked()))
}

/// Events that may wait; beyond it the library's handlers do.
const EVENTS: usize = 64;

/// Time for closing a peer connection. It takes a few milliseconds.
const CLOSE: Duration = Duration::from_secs(5);

/// Time for a handshake that is under way when its connection is given up. It takes some milliseconds.
const HANDSHAKE: Duration = Duration::from_secs(5);

const HANDSHAKE_POLL: Duration = Duration::from_millis(10);

/// Longest time that gathering goes on with servers that do not answer: two TURN transactions of seven
/// transmissions each.
const GATHER: Duration = Duration::from_secs(16);
