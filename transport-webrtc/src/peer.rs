//! The library's peer connection: made from our configuration, observed through one channel of events,
//! closed whatever happens.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use rustls::ClientConfig;
use tokio::{net::lookup_host, sync::mpsc, time::timeout};
use transport_core::{ConnectErrorKind, Lane};
use webrtc::{
    api::{APIBuilder, setting_engine::SettingEngine},
    data::data_channel::DataChannel,
    data_channel::RTCDataChannel,
    ice::{
        mdns::MulticastDnsMode,
        network_type::NetworkType,
        udp_mux::{UDPMux, UDPMuxDefault, UDPMuxParams},
        udp_network::{EphemeralUDP, UDPNetwork},
    },
    ice_transport::{
        ice_candidate::RTCIceCandidateInit, ice_candidate_type::RTCIceCandidateType,
        ice_connection_state::RTCIceConnectionState, ice_gathering_state::RTCIceGatheringState,
        ice_server::RTCIceServer,
    },
    peer_connection::{
        RTCPeerConnection, configuration::RTCConfiguration, offer_answer_options::RTCOfferOptions,
        peer_connection_state::RTCPeerConnectionState, policy::ice_transport_policy::RTCIceTransportPolicy,
        sdp::session_description::RTCSessionDescription,
    },
    util::ifaces::ifaces,
};

use crate::{
    channel,
    config::{IcePolicy, Scheme, Upstream, WebRtcConfig},
    error::{Failure, Stage},
    turn_shim::TurnShim,
    wire::WireConn,
};

/// What a peer connection tells.
#[derive(Debug)]
pub(crate) enum PeerEvent {
    /// A local candidate, as an RFC 8839 line.
    Candidate(String),
    /// No more local candidates.
    Gathered,
    Ice(IceState),
    /// DTLS is up.
    Secured,
    /// DTLS failed.
    Insecure,
    /// A data channel is open on this side.
    Opened {
        label: String,
        raw: Arc<DataChannel>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IceState {
    /// Looking for a path; after a restart, again.
    Checking,
    Connected,
    Disconnected,
    Failed,
}

/// A peer connection. Dropping it closes it in the background.
pub(crate) struct Peer {
    pub(crate) events: mpsc::Receiver<PeerEvent>,
    sender: mpsc::Sender<PeerEvent>,
    live: Option<Live>,
}

struct Live {
    pc: Arc<RTCPeerConnection>,
    mux: Option<Arc<UDPMuxDefault>>,
    _shims: Vec<TurnShim>,
}

impl Peer {
    pub(crate) async fn open(config: &WebRtcConfig, tls: &Arc<ClientConfig>) -> Result<Self, Failure> {
        let (servers, shims) = ice_servers(config, tls).await?;
        let mut engine = engine(config).await?;
        let mut mux = None;
        if let Some(wire) = &config.udp {
            let ip = if config.loopback { Ipv4Addr::LOCALHOST.into() } else { outbound_ip().await };
            let port = config.ports.as_ref().map_or(0, |ports| *ports.start());
            let conn = wire.bind(SocketAddr::new(ip, port)).await.map_err(no_udp)?;
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
        Ok(Self { events, sender, live: Some(Live { pc: Arc::new(pc), mux, _shims: shims }) })
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
        let offer = RTCSessionDescription::offer(offer)?;
        unless_it_panics(pc.set_remote_description(offer)).await?;
        let answer = pc.create_answer(None).await?;
        let sdp = answer.sdp.clone();
        pc.set_local_description(answer).await?;
        Ok(sdp)
    }

    pub(crate) async fn accept(&self, answer: String) -> Result<(), webrtc::Error> {
        let answer = RTCSessionDescription::answer(answer)?;
        unless_it_panics(self.pc()?.set_remote_description(answer)).await
    }

    pub(crate) async fn add_candidate(&self, candidate: String) -> Result<(), webrtc::Error> {
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
        if timeout(CLOSE, self.pc.close()).await.is_err() {
            tracing::warn!(target: "transport_webrtc", "a peer connection did not close in time");
        }
        if let Some(mux) = &self.mux {
            let _ = mux.close().await;
        }
    }
}

/// Sets every handler, before anything can happen that they would miss.
fn observe(pc: &RTCPeerConnection, events: &mpsc::Sender<PeerEvent>) {
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

fn observe_channel(channel: &Arc<RTCDataChannel>, events: &mpsc::Sender<PeerEvent>) {
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

async fn engine(config: &WebRtcConfig) -> Result<SettingEngine, Failure> {
    let mut engine = SettingEngine::default();
    engine.detach_data_channels();
    engine.set_ice_multicast_dns_mode(MulticastDnsMode::Disabled);
    engine.set_include_loopback_candidate(config.loopback);
    let ice = config.ice_timeouts;
    engine.set_ice_timeouts(Some(ice.disconnected), Some(ice.failed), Some(ice.keepalive));
    // The library waits this long for something better than each kind; its defaults (0.5, 1 and 2 s)
    // are longer than a whole dial takes here.
    let relay = if config.policy == IcePolicy::RelayOnly { Duration::ZERO } else { ACCEPT_RELAY_AFTER };
    engine.set_srflx_acceptance_min_wait(Some(ACCEPT_NAT_AFTER));
    engine.set_prflx_acceptance_min_wait(Some(ACCEPT_NAT_AFTER));
    engine.set_relay_acceptance_min_wait(Some(relay));
    if let Some(ports) = &config.ports {
        let range = EphemeralUDP::new(*ports.start(), *ports.end()).map_err(misuse)?;
        engine.set_udp_network(UDPNetwork::Ephemeral(range));
    }
    if let (Some(host), IcePolicy::All) = (&config.public_host, config.policy) {
        let address = lookup_host((host.as_str(), 0)).await.ok().and_then(|mut found| found.next());
        let Some(address) = address else {
            return Err(Failure::new(
                Stage::Gathering,
                ConnectErrorKind::Misuse,
                "the public address cannot be resolved",
            ));
        };
        engine.set_nat_1to1_ips(vec![address.ip().to_string()], RTCIceCandidateType::Host);
    }
    Ok(engine)
}

/// Translates the servers for the library, with a shim before each that it cannot reach itself.
async fn ice_servers(
    config: &WebRtcConfig,
    tls: &Arc<ClientConfig>,
) -> Result<(Vec<RTCIceServer>, Vec<TurnShim>), Failure> {
    let (mut servers, mut shims) = (Vec::new(), Vec::new());
    for server in &config.ice_servers {
        let mut urls = Vec::new();
        for url in &server.urls {
            match (url.scheme, url.upstream) {
                (Scheme::Stun, Upstream::Udp) => urls.push(url.to_string()),
                // A reflexive address seen over TCP says nothing about UDP.
                (Scheme::Stun | Scheme::Stuns, _) => {}
                (Scheme::Turn, Upstream::Udp) if config.udp.is_none() => urls.push(url.to_string()),
                (Scheme::Turn | Scheme::Turns, _) => {
                    let shim = TurnShim::open(url.clone(), tls.clone(), config.udp.clone());
                    let shim = shim.await.map_err(no_udp)?;
                    urls.push(shim.url());
                    shims.push(shim);
                }
            }
        }
        if !urls.is_empty() {
            let credential = server.credential.reveal().to_owned();
            servers.push(RTCIceServer { urls, username: server.username.clone(), credential });
        }
    }
    Ok((servers, shims))
}

/// Returns this machine's addresses: when they change, it moved to another network.
pub(crate) fn local_addresses() -> BTreeSet<IpAddr> {
    let interfaces = ifaces().unwrap_or_default();
    let addresses = interfaces.into_iter().filter_map(|interface| interface.addr.map(|address| address.ip()));
    addresses.filter(|ip| !ip.is_loopback()).collect()
}

/// Asks the kernel which of our addresses it would send from; nothing is sent.
async fn outbound_ip() -> IpAddr {
    let ask = async {
        let socket = tokio::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        // TEST-NET-1 (RFC 5737): takes the default route, belongs to nobody.
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).await?;
        socket.local_addr()
    };
    ask.await.map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
}

/// The library parses what the peer wrote; should it panic on that, only the call fails.
async fn unless_it_panics(
    call: impl Future<Output = Result<(), webrtc::Error>>,
) -> Result<(), webrtc::Error> {
    let panicked = || webrtc::Error::new("the peer's description or candidate cannot be used".to_owned());
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|_| Err(panicked()))
}

fn no_udp(error: std::io::Error) -> Failure {
    Failure::new(Stage::Gathering, ConnectErrorKind::Incompatible, error)
}

fn misuse(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::new(Stage::Gathering, ConnectErrorKind::Misuse, error)
}

/// Events that may wait; beyond it the library's handlers do.
const EVENTS: usize = 64;

/// Time for closing a peer connection. It takes a few milliseconds.
const CLOSE: Duration = Duration::from_secs(5);

/// Longest time that gathering goes on with servers that do not answer: two TURN transactions of seven
/// transmissions each.
const GATHER: Duration = Duration::from_secs(16);

const ACCEPT_NAT_AFTER: Duration = Duration::from_millis(100);

const ACCEPT_RELAY_AFTER: Duration = Duration::from_millis(500);
