//! The default rendezvous: a beach control plane for meeting, WebRTC and its relay for connecting.

use std::sync::Arc;

use async_trait::async_trait;
use beach_control_client::{ControlError, ControlPlane, Credentials, protocol};
use beach_lifeguard_client::{SignedDocument, membership::Verifier};
use beach_outbound::{ConfigError, Outbound};
use tokio::sync::watch;
use transport_core::{
    PeerId,
    signaling::{Obstacle, Signaling, SignalingError},
};
use url::Url;

use crate::{
    config::{HostConfig, NetworkConfig},
    endpoint::Way,
    error::ShareError,
    link::JoinLink,
    rendezvous::{Membership, Missing, Rendezvous, SessionDocument},
    runtime::SystemTime,
};

/// Meets through a control plane, and connects by WebRTC first and the relay when it must be.
///
/// An application that wants another room, another ladder or a word in between wraps it:
///
/// ```
/// use std::sync::Arc;
/// use negotiator::{ControlPlaneRendezvous, Rendezvous, Membership, SignalingError, Way};
/// use transport_core::signaling::Signaling;
///
/// /// Never asks anybody's relay, and says so.
/// #[derive(Debug)]
/// struct AtHome(ControlPlaneRendezvous);
///
/// #[async_trait::async_trait]
/// impl Rendezvous for AtHome {
///     fn wrapped(&self) -> Option<&dyn Rendezvous> {
///         Some(&self.0)
///     }
///
///     async fn enter(&self, membership: &Membership) -> Result<Arc<dyn Signaling>, SignalingError> {
///         self.0.enter(membership).await
///     }
///
///     fn ways(&self, membership: &Membership) -> Result<Vec<Way>, String> {
///         let direct = |way: &Way| way.rung.transport.as_str() == "webrtc";
///         Ok(self.0.ways(membership)?.into_iter().filter(direct).collect())
///     }
/// }
///
/// # fn wrap() -> Result<(), Box<dyn std::error::Error>> {
/// let standard = ControlPlaneRendezvous::new("https://beach.example".parse()?, Default::default())?;
/// let rendezvous = Arc::new(AtHome(standard)); // for `Host::meeting_at` and `Negotiator::meeting_at`
/// # let _ = rendezvous;
/// # Ok(()) }
/// # wrap().unwrap();
/// ```
#[derive(Debug)]
pub struct ControlPlaneRendezvous {
    control: ControlPlane,
    #[cfg(feature = "ws-fallback")]
    address: Url,
    #[cfg(any(feature = "webrtc", feature = "ws-fallback"))]
    outbound: Outbound,
    config: NetworkConfig,
    /// The host's newest document: each entry into the room publishes it again.
    document: std::sync::OnceLock<watch::Sender<SignedDocument>>,
    /// What passes on, where this side shows somebody out.
    #[cfg(feature = "ws-fallback")]
    relay: std::sync::OnceLock<Arc<transport_ws_fallback::WsFallbackConnector>>,
    /// The grants that the room gives, for when the control plane cannot be asked.
    #[cfg(feature = "ws-fallback")]
    rescue: std::sync::OnceLock<beach_control_client::Rescue>,
    /// Set once the control plane has not said that there is no STUN.
    #[cfg(feature = "webrtc")]
    stun: std::sync::OnceLock<Arc<crate::turn::TurnSource>>,
    /// Set once it has not said that there is no TURN.
    #[cfg(feature = "webrtc")]
    turn: std::sync::OnceLock<Arc<crate::turn::TurnSource>>,
}

impl ControlPlaneRendezvous {
    /// Meets where `link` leads, and keeps to the certificate it names. Opens nothing.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn of_link(link: &JoinLink, mut config: NetworkConfig) -> Result<Self, ConfigError> {
        config.keep_pin(link.control_plane(), link.certificate_pin());
        Self::new(link.control_plane().clone(), config)
    }

    /// Meets where a session of `config` is shared, and keeps to the certificate it names. Opens nothing.
    ///
    /// # Errors
    ///
    /// [`ShareError`] for an address or a configuration that cannot work.
    pub fn of_host(config: &HostConfig) -> Result<Self, ShareError> {
        let (address, mut network) = (config.address()?, config.network.clone());
        network.keep_pin(&address, config.certificate_pin);
        Self::new(address, network).map_err(|error| ShareError::Misconfigured(error.to_string()))
    }

    /// Meets through the control plane at `address` (`https://…`, or `http://` on loopback). Opens nothing.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when [`NetworkConfig::outbound`] cannot work.
    pub fn new(address: Url, config: NetworkConfig) -> Result<Self, ConfigError> {
        let outbound = Outbound::new(config.outbound.clone())?;
        Ok(Self {
            control: ControlPlane::new(address.clone(), outbound.clone()),
            #[cfg(feature = "ws-fallback")]
            address,
            #[cfg(any(feature = "webrtc", feature = "ws-fallback"))]
            outbound,
            config,
            document: std::sync::OnceLock::new(),
            #[cfg(feature = "ws-fallback")]
            relay: std::sync::OnceLock::new(),
            #[cfg(feature = "ws-fallback")]
            rescue: std::sync::OnceLock::new(),
            #[cfg(feature = "webrtc")]
            stun: std::sync::OnceLock::new(),
            #[cfg(feature = "webrtc")]
            turn: std::sync::OnceLock::new(),
        })
    }
}

#[async_trait]
impl Rendezvous for ControlPlaneRendezvous {
    async fn enter(&self, membership: &Membership) -> Result<Arc<dyn Signaling>, SignalingError> {
        let documents = membership.document.as_ref().map(|document| {
            let newest = self.signed(membership, document);
            self.document.get_or_init(|| watch::Sender::new(newest)).subscribe()
        });
        #[cfg(feature = "ws-fallback")]
        let room = {
            let rescue = self.rescue.get_or_init(|| self.ask_for_rescue()).clone();
            self.control.room_with_rescue(credentials(membership), documents, rescue)
        };
        #[cfg(not(feature = "ws-fallback"))]
        let room = self.control.room(credentials(membership), documents);
        let room = room.map_err(unreachable)?;
        Ok(Arc::new(room))
    }

    async fn publish(
        &self,
        membership: &Membership,
        document: &SessionDocument,
    ) -> Result<(), SignalingError> {
        let signed = self.signed(membership, document);
        if let Some(newest) = self.document.get() {
            // The room need not publish it once more, but must not come back with an older one.
            newest.send_if_modified(|newest| {
                *newest = signed.clone();
                false
            });
        }
        let Err(error) = self.control.publish(&signed).await else { return Ok(()) };
        match error.reason().filter(|_| !error.is_passing()) {
            // A newer one was published meanwhile.
            Some(protocol::Reason::RevisionStale) => Ok(()),
            Some(reason) => Err(SignalingError::refused(reason.label())),
            None => Err(unreachable(error)),
        }
    }

    async fn evict(&self, peer: PeerId) {
        #[cfg(feature = "ws-fallback")]
        if let Some(relay) = self.relay.get() {
            relay.evict(peer).await;
        }
        #[cfg(not(feature = "ws-fallback"))]
        let _ = peer;
    }

    fn wall_clock(&self) -> SystemTime {
        self.control.now()
    }

    async fn prepare(&self, membership: &Membership) -> Vec<Missing> {
        #[cfg(feature = "webrtc")]
        return self.look_for_turn(membership).await;
        #[cfg(not(feature = "webrtc"))]
        {
            let _ = membership;
            Vec::new()
        }
    }

    fn ways(&self, membership: &Membership) -> Result<Vec<Way>, String> {
        let _ = membership;
        let mut ways = Vec::new();
        #[cfg(feature = "webrtc")]
        ways.extend(self.webrtc()?);
        ways.extend(self.config.extra_ways.iter().cloned());
        #[cfg(feature = "ws-fallback")]
        ways.push(self.fallback(membership)?);
        Ok(ways)
    }
}

impl ControlPlaneRendezvous {
    fn signed(&self, membership: &Membership, document: &SessionDocument) -> SignedDocument {
        let mut wire = protocol::SessionDocument::new(membership.host, document.revision);
        let uuid = |peer: &PeerId| uuid::Uuid::from_bytes(*peer.as_bytes());
        wire.links = document
            .links
            .iter()
            .map(|link| protocol::session::DocumentLink {
                id: link.id,
                verifier: Verifier::from_bytes(*link.verifier),
                access: link.access,
                expires_at: link.expires_at,
                kept: link.kept.iter().map(uuid).collect(),
            })
            .collect();
        wire.removed = document.removed.iter().map(uuid).collect();
        wire.sign(&membership.identity)
    }
}

#[cfg(feature = "webrtc")]
impl ControlPlaneRendezvous {
    async fn look_for_turn(&self, membership: &Membership) -> Vec<Missing> {
        if self.config.webrtc.has_turn() {
            return Vec::new();
        }
        let proof = self.config.entitlement_proof.clone();
        let source = crate::turn::TurnSource::new(self.control.clone(), credentials(membership), proof);
        let source = Arc::new(source);
        let looked = source.look().await;
        // A second membership of the same session would bring the same source.
        if source.may_have_stun() {
            let _ = self.stun.set(source.clone());
        }
        let Err(none) = looked else {
            let _ = self.turn.set(source);
            return Vec::new();
        };
        let missing = none.to_string();
        tracing::info!(why = missing, "no TURN on the ladder");
        vec![Missing::new(transport_webrtc::TURN_ID, missing)]
    }

    /// WebRTC, direct and through TURN where there is any.
    fn webrtc(&self) -> Result<Vec<Way>, String> {
        let mut webrtc = self.config.webrtc.clone();
        webrtc.outbound = self.outbound.clone();
        let connector =
            |config| transport_webrtc::WebRtcConnector::new(config).map_err(|error| error.to_string());
        // Also where another one dials in its place: settings that cannot work are found here.
        let mut direct: Arc<dyn transport_core::Connector> = Arc::new(connector(webrtc.clone().direct())?);
        if let Some(source) = self.stun.get().filter(|_| webrtc.stun) {
            direct = Arc::new(crate::turn::DirectConnector::new(source.clone(), webrtc.clone()));
        }
        let mut ways = vec![Way::direct(direct)];
        if webrtc.has_turn() {
            ways.push(Way::turn(Arc::new(connector(webrtc.relayed())?)));
        } else if let Some(source) = self.turn.get() {
            ways.push(Way::turn(Arc::new(crate::turn::TurnConnector::new(source.clone(), webrtc))));
        }
        Ok(ways)
    }
}

#[cfg(feature = "ws-fallback")]
impl ControlPlaneRendezvous {
    fn ask_for_rescue(&self) -> beach_control_client::Rescue {
        beach_control_client::Rescue::new(protocol::signaling::RescueRequest {
            cohort_id: self.config.cohort.clone(),
            entitlement_proof: self.config.entitlement_proof.clone(),
            telemetry_opt_in: self.config.telemetry_opt_in,
        })
    }

    /// The relay. Its socket is opened by its first dial and by nothing else.
    fn fallback(&self, membership: &Membership) -> Result<Way, String> {
        use transport_ws_fallback::{EntitlementProof, WsConfig, WsFallbackConnector};

        let mut config = WsConfig::new(self.address.clone(), credentials(membership));
        config.outbound = self.outbound.clone();
        config.relay_url.clone_from(&self.config.relay_url);
        config.cohort.clone_from(&self.config.cohort);
        config.entitlement_proof = self.config.entitlement_proof.clone().map(EntitlementProof::new);
        config.telemetry_opt_in = self.config.telemetry_opt_in;
        let tokens = crate::relay_tokens::RelayTokens::new(config.clone());
        let tokens = Arc::new(tokens.through(self.control.clone()).with_rescue(self.rescue.get().cloned()));
        let connector = WsFallbackConnector::new(config, tokens).map_err(|error| error.to_string())?;
        let connector = Arc::new(connector);
        // A second membership of the same session would bring the same one.
        let _ = self.relay.set(connector.clone());
        let (session, local) = (membership.session, membership.local);
        let prefetch = Arc::new(Token { connector: connector.clone(), session, local });
        Ok(Way { prefetch: Some(prefetch), ..Way::fallback(connector) })
    }
}

/// Fetches the relay's token ahead. Opens no relay socket.
#[cfg(feature = "ws-fallback")]
#[derive(Debug)]
struct Token {
    connector: Arc<transport_ws_fallback::WsFallbackConnector>,
    session: transport_core::SessionId,
    local: transport_core::PeerId,
}

#[cfg(feature = "ws-fallback")]
#[async_trait]
impl crate::endpoint::Prefetch for Token {
    async fn prefetch(&self) -> Result<(), transport_core::ConnectError> {
        self.connector.prefetch(self.session, self.local).await
    }
}

fn credentials(membership: &Membership) -> Credentials {
    let identity = membership.identity.clone();
    match &membership.link {
        Some(link) => Credentials::viewer(membership.host, identity, link.clone(), membership.access),
        None => Credentials::host(identity),
    }
}

fn unreachable(error: ControlError) -> SignalingError {
    SignalingError::Unreachable { detail: error.to_string(), obstacle: Obstacle::Unknown }
}
