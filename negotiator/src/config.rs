//! What an application can set. Every field has a default that suits a laptop on any network.

use std::{fmt, sync::Arc, time::Duration};

use transport_core::{
    policy::{Override, PolicyConfig},
    resume::ResumeConfig,
    secure::CertificatePin,
};

use crate::{
    endpoint::Way,
    gate::FallbackGate,
    host::{Approval, LinkOptions},
    link::{BadJoinLink, check_pin, parse_control_plane},
};

/// Which paths a session may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum FallbackMode {
    /// The policy decides: direct first, the relay when it must be.
    #[default]
    Auto,
    /// Only from endpoint to endpoint: neither TURN nor the relay.
    DirectOnly,
    /// WebRTC direct or through TURN, never the relay.
    NoRelay,
    /// The relay at once: for networks known to block everything else, for whoever hides the address, and for
    /// tests. A host that shares so offers its viewers nothing else.
    RelayOnly,
}

impl From<FallbackMode> for Override {
    fn from(mode: FallbackMode) -> Self {
        match mode {
            FallbackMode::Auto => Self::Auto,
            FallbackMode::DirectOnly => Self::DirectOnly,
            FallbackMode::NoRelay => Self::NoRelay,
            FallbackMode::RelayOnly => Self::RelayOnly,
        }
    }
}

/// Says whether a message only asks to be shown something. It must be quick, and is called for every message of a viewer.
pub type Questions = fn(&[u8]) -> bool;

/// How one side reaches the other.
///
/// # Defaults
///
/// `Auto`, cohort `public`, no entitlement proof, telemetry off, 45 s to connect, 10 s for the host to answer, and the
/// defaults of the policy and the transports.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use negotiator::{FallbackMode, NetworkConfig, TunePolicy};
///
/// let mut network = NetworkConfig::default();
/// network.mode = FallbackMode::NoRelay;
/// network.connect_timeout = Duration::from_secs(20);
/// let dwell = Duration::from_secs(30); // how long a path is watched before a session returns to it
/// network.tune_policy = Some(TunePolicy::new(move |policy| policy.restore.dwell = dwell));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NetworkConfig {
    /// Which paths are allowed.
    pub mode: FallbackMode,
    /// The cohort this side belongs to, for roll-out and guardrails.
    pub cohort: String,
    /// Proof that the user may use the fallback: a JWT from the account service.
    pub entitlement_proof: Option<String>,
    /// Whether the relay may count this session in its per-session figures.
    pub telemetry_opt_in: bool,
    /// How long [`Negotiator::connect`](crate::Negotiator::connect) tries. The ladder's worst case is 30 s.
    pub connect_timeout: Duration,
    /// How long the host may say nothing until it is called absent, from the knock on and while its person decides.
    /// [`connect_timeout`](Self::connect_timeout) counts too; the shorter one ends it. Default 10 s.
    pub answer_timeout: Duration,
    /// Adjusts the policy after its rungs and gates are filled in.
    pub tune_policy: Option<TunePolicy>,
    /// The application's own say over the fallback: feature flag, entitlement, budget.
    pub gate: Option<Arc<dyn FallbackGate>>,
    /// How long a session lives without any path. Each side has its own, and the shorter one ends it: a host
    /// that lets its viewers sleep through a night sets ten hours. Each waits with up to 2 MiB at either side, whatever
    /// the window. Default 10 min.
    pub resume_window: Duration,
    /// The longest an acknowledgement waits for a message to ride on. A peer that paces what it sends by how long
    /// they take needs them soon; each costs a small frame. Default 200 ms.
    pub ack_delay: Duration,
    /// Whether a session notices by itself that the machine moved to another network. Default: yes. A program
    /// that is told by its system says [`Session::network_changed`](crate::Session::network_changed).
    pub watch_network: bool,
    /// Which messages of a viewer who may only look reach the host all the same: questions, which change nothing. Of the
    /// host's side only; its application answers for what it lets pass. Default: none.
    pub questions: Option<Questions>,
    /// Transports beside the in-tree ones, tried after WebRTC and before the relay.
    pub extra_ways: Vec<Way>,
    /// WebRTC: ICE servers, ports, deadlines. Its `outbound` is made from the one here.
    #[cfg(feature = "webrtc")]
    pub webrtc: transport_webrtc::WebRtcConfig,
    /// The relay, `wss://…/v2/ws`, in place of the one the control plane names. Default: what it names.
    #[cfg(feature = "ws-fallback")]
    pub relay_url: Option<url::Url>,
    /// How everything is dialled, the control plane, TURN and the relay alike: whose certificates are
    /// trusted, through which proxy. Default: as the machine is set up.
    #[cfg(feature = "control-plane")]
    pub outbound: beach_outbound::OutboundConfig,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            mode: FallbackMode::default(),
            cohort: "public".to_owned(),
            entitlement_proof: None,
            telemetry_opt_in: false,
            connect_timeout: Duration::from_secs(45),
            answer_timeout: Duration::from_secs(10),
            tune_policy: None,
            gate: None,
            resume_window: ResumeConfig::default().resume_window,
            ack_delay: ResumeConfig::default().ack_delay,
            watch_network: true,
            questions: None,
            extra_ways: Vec::new(),
            #[cfg(feature = "webrtc")]
            webrtc: transport_webrtc::WebRtcConfig::default(),
            #[cfg(feature = "ws-fallback")]
            relay_url: None,
            #[cfg(feature = "control-plane")]
            outbound: beach_outbound::OutboundConfig::default(),
        }
    }
}

#[cfg(feature = "control-plane")]
impl NetworkConfig {
    /// Accepts from the host of `address` no other certificate than the pinned one, at every port: control plane, room,
    /// relay and TURN. Other hosts, such as a relay elsewhere, are judged as [`outbound`](Self::outbound) says.
    pub(crate) fn keep_pin(&mut self, address: &url::Url, pin: Option<CertificatePin>) {
        // A browser lets no page decide about certificates.
        #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
        if let (Some(host), Some(CertificatePin(start))) = (address.host_str(), pin) {
            self.outbound.trust.pin_host(host, start);
        }
        #[cfg(all(target_family = "wasm", target_os = "unknown"))]
        let _ = (address, pin);
    }
}

/// What adjusts the policy of each session: a closure, called once when the session's judge is made.
#[derive(Clone)]
pub struct TunePolicy(Arc<dyn Fn(&mut PolicyConfig) + Send + Sync>);

impl TunePolicy {
    /// Has `tune` adjust the policy: `TunePolicy::new(|policy| policy.attempts = 5)`.
    pub fn new(tune: impl Fn(&mut PolicyConfig) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tune))
    }

    pub(crate) fn tune(&self, policy: &mut PolicyConfig) {
        (self.0)(policy);
    }
}

impl fmt::Debug for TunePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunePolicy").finish_non_exhaustive()
    }
}

/// How a session is shared.
///
/// # Examples
///
/// ```
/// use negotiator::{FallbackMode, HostConfig, LinkOptions};
///
/// let mut config = HostConfig::new("https://beach.example");
/// config.max_viewers = 8;
/// config.links = vec![LinkOptions::read_only()];
/// config.network.mode = FallbackMode::NoRelay;
/// assert!(config.address().is_ok());
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HostConfig {
    /// Base URL of the control plane: `https://beach.example`.
    pub control_plane: String,
    /// The one certificate that the control plane shows, for one that nobody signed. It goes into the links, so that viewers
    /// need no setting, and holds for this side too; a rendezvous of one's own keeps to it by
    /// `ControlPlaneRendezvous::of_host`. Default: whatever the machine trusts.
    pub certificate_pin: Option<CertificatePin>,
    /// How this side reaches its viewers.
    pub network: NetworkConfig,
    /// Viewers at one time; further ones are told that the session is full. With several links in force one link fills at
    /// most three quarters. Default 32.
    pub max_viewers: usize,
    /// The links that it begins with, at least one. Default: one for whoever may do everything. More are made and taken
    /// back by [`Host::links`](crate::Host::links).
    pub links: Vec<LinkOptions>,
    /// Who decides about each viewer before its session is handed out. Default: nobody, a link is enough.
    pub approval: Option<Arc<dyn Approval>>,
}

impl HostConfig {
    /// Shares through `control_plane`, with defaults for the rest.
    pub fn new(control_plane: impl Into<String>) -> Self {
        Self {
            control_plane: control_plane.into(),
            certificate_pin: None,
            network: NetworkConfig::default(),
            max_viewers: 32,
            links: vec![LinkOptions::full()],
            approval: None,
        }
    }

    /// Reads the control plane's address.
    ///
    /// # Errors
    ///
    /// [`BadJoinLink`] for one that no link can hold.
    pub fn address(&self) -> Result<url::Url, BadJoinLink> {
        let address = parse_control_plane(&self.control_plane)?;
        check_pin(&address, self.certificate_pin)?;
        Ok(address)
    }
}
