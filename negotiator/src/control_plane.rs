//! The default rendezvous: a beach control plane for meeting, WebRTC and its relay for connecting.

use std::{
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use async_trait::async_trait;
use beach_lifeguard_client::{
    membership::{Member, Purpose, Verifier},
    token::Role,
};
use beach_outbound::{Outbound, OutboundConfig};
use transport_core::signaling::{Signaling, SignalingError};
use transport_webrtc::{
    TURN_ID, WebRtcConnector,
    signaling_ws::{WsSignaling, WsSignalingConfig},
};
use url::Url;
use uuid::Uuid;

use crate::{
    config::NetworkConfig,
    endpoint::Way,
    rendezvous::{Missing, Rendezvous, Seat, Side},
    turn::{TurnConnector, TurnSource},
};

/// Meets through a control plane, and connects by WebRTC first and the relay when it must be.
///
/// An application that wants another room, another ladder or a word in between wraps it:
///
/// ```
/// use std::sync::Arc;
/// use negotiator::{ControlPlaneRendezvous, Missing, Rendezvous, Seat, SignalingError, Way};
/// use transport_core::signaling::Signaling;
///
/// /// Never asks anybody's relay, and says so.
/// #[derive(Debug)]
/// struct AtHome(ControlPlaneRendezvous);
///
/// #[async_trait::async_trait]
/// impl Rendezvous for AtHome {
///     async fn enter(&self, seat: &Seat) -> Result<Arc<dyn Signaling>, SignalingError> {
///         self.0.enter(seat).await
///     }
///
///     async fn prepare(&self, _: &Seat) -> Vec<Missing> {
///         Vec::new()
///     }
///
///     fn ways(&self, seat: &Seat) -> Result<Vec<Way>, String> {
///         let direct = |way: &Way| way.rung.transport.as_str() == "webrtc";
///         Ok(self.0.ways(seat)?.into_iter().filter(direct).collect())
///     }
/// }
///
/// # fn wrap() -> Result<(), Box<dyn std::error::Error>> {
/// let standard = ControlPlaneRendezvous::new("https://beach.example".parse()?, Default::default());
/// let rendezvous = Arc::new(AtHome(standard)); // for `Host::meeting_at` and `Negotiator::meeting_at`
/// # let _ = rendezvous;
/// # Ok(()) }
/// # wrap().unwrap();
/// ```
#[derive(Debug)]
pub struct ControlPlaneRendezvous {
    address: Url,
    config: NetworkConfig,
    /// Set once the control plane has not said that there is no TURN.
    turn: OnceLock<Arc<TurnSource>>,
}

impl ControlPlaneRendezvous {
    /// Meets through the control plane at `address` (`https://…`, or `http://` on loopback). Opens nothing.
    pub fn new(address: Url, config: NetworkConfig) -> Self {
        Self { address, config, turn: OnceLock::new() }
    }

    fn outbound(&self) -> Result<Outbound, String> {
        let mut config = OutboundConfig::default();
        for root in &self.config.extra_roots {
            config.trust.add_roots("extra_roots", root).map_err(|error| error.to_string())?;
        }
        Outbound::new(config).map_err(|error| error.to_string())
    }

    fn roots(&self) -> Vec<rustls_pki_types::CertificateDer<'static>> {
        self.config.extra_roots.iter().cloned().map(Into::into).collect()
    }
}

#[async_trait]
impl Rendezvous for ControlPlaneRendezvous {
    async fn enter(&self, seat: &Seat) -> Result<Arc<dyn Signaling>, SignalingError> {
        let (verifier, session) =
            (Verifier::from_bytes(*seat.verifier), Uuid::from_bytes(*seat.session.as_bytes()));
        let member = member(seat);
        let prove = move || {
            let nonce = rand::random();
            let proof = verifier.prove(Purpose::Signaling, session, member, SystemTime::now(), nonce);
            serde_json::to_value(proof).unwrap_or_default()
        };
        let mut config =
            WsSignalingConfig::new(self.address.clone(), seat.session, seat.local, Arc::new(prove));
        config.register = (seat.side == Side::Host).then(|| seat.verifier.clone());
        config.extra_roots = self.roots();
        Ok(Arc::new(WsSignaling::join(config)?))
    }

    async fn prepare(&self, seat: &Seat) -> Vec<Missing> {
        if self.config.webrtc.has_turn() {
            return Vec::new();
        }
        let source = TurnSource::new(&self.address, seat, member(seat), &self.config, &self.roots());
        let missing = match source {
            Ok(source) => match source.look().await {
                Ok(()) => {
                    // A second seat of the same session would bring the same source.
                    let _ = self.turn.set(Arc::new(source));
                    return Vec::new();
                }
                Err(none) => none.to_string(),
            },
            Err(broken) => broken,
        };
        tracing::info!(why = missing, "no TURN on the ladder");
        vec![Missing::new(TURN_ID, missing)]
    }

    fn ways(&self, seat: &Seat) -> Result<Vec<Way>, String> {
        let mut webrtc = self.config.webrtc.clone();
        webrtc.outbound = self.outbound()?;
        let connector = |config| WebRtcConnector::new(config).map_err(|error| error.to_string());
        let mut ways = vec![Way::direct(Arc::new(connector(webrtc.clone().direct())?))];
        if webrtc.has_turn() {
            ways.push(Way::turn(Arc::new(connector(webrtc.relayed())?)));
        } else if let Some(source) = self.turn.get() {
            ways.push(Way::turn(Arc::new(TurnConnector::new(source.clone(), webrtc))));
        }
        ways.extend(self.config.extra_ways.iter().cloned());
        #[cfg(feature = "ws-fallback")]
        ways.push(self.fallback(seat)?);
        #[cfg(not(feature = "ws-fallback"))]
        let _ = seat;
        Ok(ways)
    }
}

#[cfg(feature = "ws-fallback")]
impl ControlPlaneRendezvous {
    /// The relay. Its socket is opened by its first dial and by nothing else.
    fn fallback(&self, seat: &Seat) -> Result<Way, String> {
        use beach_lifeguard_client::token::Access as Wire;
        use transport_core::secure::Access;
        use transport_ws_fallback::{EntitlementProof, Membership, WsConfig, WsFallbackConnector};

        let membership = Membership {
            verifier: Verifier::from_bytes(*seat.verifier),
            role: member(seat).role,
            // A host is never restricted; what it grants is between the two sides.
            access: match (seat.side, seat.access) {
                (Side::Viewer, Access::ReadOnly) => Wire::ReadOnly,
                _ => Wire::Full,
            },
        };
        let mut config = WsConfig::new(self.address.clone(), membership);
        config.outbound = self.outbound()?;
        config.relay_url.clone_from(&self.config.relay_url);
        config.cohort.clone_from(&self.config.cohort);
        config.entitlement_proof = self.config.entitlement_proof.clone().map(EntitlementProof::new);
        config.telemetry_opt_in = self.config.telemetry_opt_in;
        let connector = Arc::new(WsFallbackConnector::new(config).map_err(|error| error.to_string())?);
        let (session, local) = (seat.session, seat.local);
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

fn member(seat: &Seat) -> Member {
    let role = match seat.side {
        Side::Host => Role::Host,
        Side::Viewer => Role::Viewer,
    };
    Member { peer_id: Uuid::from_bytes(*seat.local.as_bytes()), role }
}
