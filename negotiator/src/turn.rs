//! STUN and TURN servers of the control plane: fetched when a session negotiates, credentials kept while they hold
//! and fetched anew for a later dial. Nothing is fetched while nobody dials.
//!
//! The direct rung asks all of them for this machine's address behind NAT, which needs no credentials; the rung through
//! TURN relays.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;
use beach_control_client::{ControlError, ControlPlane, Credentials};
use beach_lifeguard_client::{
    api::{TurnCredentials, TurnRequest},
    membership::Purpose,
    reason::Reason,
};
use tokio::sync::Mutex;
use transport_core::{ConnectError, ConnectErrorKind, Connector, Target, Transport, TransportId};
use transport_webrtc::{ID, IceServer, IceUrl, TURN_ID, WebRtcConfig, WebRtcConnector};

use crate::runtime::{Duration, Instant, now, timeout};

/// Asks the control plane for TURN servers on behalf of one peer of one session.
pub(crate) struct TurnSource {
    control: ControlPlane,
    credentials: Credentials,
    entitlement_proof: Option<String>,
    kept: Mutex<Option<Kept>>,
    /// What can be asked for an address, as the newest answer has it; unset while there was none.
    stun: RwLock<Option<Vec<IceUrl>>>,
}

/// Servers, and until when a dial may begin with them.
struct Kept {
    server: IceServer,
    until: Instant,
}

/// No TURN servers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoTurn {
    /// There are none for this session, and asking again would not help.
    #[error("{0}")]
    Absent(String),
    /// The question was not answered; the next dial asks again.
    #[error("the control plane did not hand out TURN credentials: {0}")]
    Unreachable(String),
}

impl TurnSource {
    /// Makes a source; opens nothing.
    pub(crate) fn new(
        control: ControlPlane,
        credentials: Credentials,
        entitlement_proof: Option<String>,
    ) -> Self {
        Self { control, credentials, entitlement_proof, kept: Mutex::new(None), stun: RwLock::new(None) }
    }

    /// Looks whether there is TURN for this session. A control plane that does not answer leaves that open.
    ///
    /// # Errors
    ///
    /// [`NoTurn::Absent`] only.
    pub(crate) async fn look(&self) -> Result<(), NoTurn> {
        match timeout(LOOK, self.server()).await {
            Ok(Err(absent @ NoTurn::Absent(_))) => Err(absent),
            Ok(Err(NoTurn::Unreachable(why))) => {
                tracing::info!(why, "TURN credentials are asked for again when they are needed");
                Ok(())
            }
            Ok(Ok(_)) | Err(_) => Ok(()),
        }
    }

    /// Returns servers whose credentials hold for the length of a dial.
    ///
    /// # Errors
    ///
    /// [`NoTurn`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; dials that race wait for one answer.
    async fn server(&self) -> Result<IceServer, NoTurn> {
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| now() < kept.until) {
            return Ok(kept.server.clone());
        }
        let asked = now();
        let answer = match self.ask().await.map_err(NoTurn::from) {
            Err(absent @ NoTurn::Absent(_)) => {
                self.learn(Vec::new());
                return Err(absent);
            }
            answer => answer?,
        };
        self.learn(stun_servers(&answer));
        let (server, ttl) = servers(answer)?;
        *kept = Some(Kept { server: server.clone(), until: asked + worth(ttl) });
        Ok(server)
    }

    /// Returns whom a dial asks for this machine's address. Waits for an answer of the control plane where there was
    /// none at all yet, but not long: a dial without is better than none.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    async fn stun(&self) -> Option<IceServer> {
        if self.known().is_none() {
            let _ = timeout(FETCH_STUN, self.server()).await;
        }
        self.known().filter(|urls| !urls.is_empty()).map(IceServer::new)
    }

    /// Whether there is anybody to ask for an address, or that is not known yet.
    pub(crate) fn may_have_stun(&self) -> bool {
        self.known().is_none_or(|urls| !urls.is_empty())
    }

    fn known(&self) -> Option<Vec<IceUrl>> {
        self.stun.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn learn(&self, urls: Vec<IceUrl>) {
        *self.stun.write().unwrap_or_else(PoisonError::into_inner) = Some(urls);
    }

    async fn ask(&self) -> Result<TurnCredentials, ControlError> {
        let request = TurnRequest {
            session_id: self.credentials.session_id(),
            proof: self.control.prove(&self.credentials, Purpose::Turn),
            entitlement_proof: self.entitlement_proof.clone(),
        };
        self.control.turn(&request).await
    }
}

impl From<ControlError> for NoTurn {
    fn from(error: ControlError) -> Self {
        match &error {
            ControlError::Malformed { status: 404 | 405, .. } => {
                Self::Absent("this control plane hands out no TURN credentials".to_owned())
            }
            ControlError::Refused { refusal, .. }
                if matches!(
                    refusal.reason,
                    Reason::TurnUnconfigured
                        | Reason::TurnUnentitled
                        | Reason::EntitlementInvalid
                        | Reason::EntitlementRequired
                ) =>
            {
                Self::Absent(refusal.to_string())
            }
            error => Self::Unreachable(error.to_string()),
        }
    }
}

/// Whom the answer names for asking an address: the STUN servers, then the TURN servers over UDP.
fn stun_servers(answer: &TurnCredentials) -> Vec<IceUrl> {
    let named = answer.stun_urls.iter().chain(&answer.urls).filter_map(|url| url.parse::<IceUrl>().ok());
    named.filter_map(|url| url.as_stun()).collect()
}

/// Reads the TURN servers; a URL of a kind that is not known here leaves the others.
fn servers(answer: TurnCredentials) -> Result<(IceServer, Duration), NoTurn> {
    let TurnCredentials { username, credential, ttl, urls, withheld, .. } = answer;
    if let Some(reason) = withheld {
        return Err(NoTurn::Absent(reason.message().to_owned()));
    }
    let known = urls.iter().filter_map(|url| url.parse().ok());
    let server = IceServer::new(known).with_credentials(username, credential);
    if server.urls.is_empty() || server.username.is_empty() || server.credential.is_empty() {
        return Err(NoTurn::Absent("the control plane names no TURN server that can be used".to_owned()));
    }
    Ok((server, Duration::from_secs(ttl)))
}

/// How long fresh credentials may begin dials: they must outlive the dial, on a server whose clock runs ahead.
fn worth(ttl: Duration) -> Duration {
    ttl.saturating_sub(MARGIN.min(ttl / 2)).min(LONGEST)
}

impl fmt::Debug for TurnSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnSource").field("session", &self.credentials.session_id()).finish_non_exhaustive()
    }
}

/// Dials from endpoint to endpoint, and has the servers of a [`TurnSource`] say how this machine looks from outside.
#[derive(Debug)]
pub(crate) struct DirectConnector {
    source: Arc<TurnSource>,
    config: WebRtcConfig,
}

impl DirectConnector {
    pub(crate) fn new(source: Arc<TurnSource>, config: WebRtcConfig) -> Self {
        Self { source, config: config.direct() }
    }
}

#[async_trait]
impl Connector for DirectConnector {
    fn id(&self) -> TransportId {
        ID
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Transport>, ConnectError> {
        let mut config = self.config.clone();
        config.ice_servers.extend(self.source.stun().await);
        let misuse = |error| ConnectError::new(ID, "settings", ConnectErrorKind::Misuse).because(error);
        WebRtcConnector::new(config.direct()).map_err(misuse)?.connect(target).await
    }
}

/// Dials through TURN servers of a [`TurnSource`].
#[derive(Debug)]
pub(crate) struct TurnConnector {
    source: Arc<TurnSource>,
    config: WebRtcConfig,
}

impl TurnConnector {
    pub(crate) fn new(source: Arc<TurnSource>, config: WebRtcConfig) -> Self {
        Self { source, config: config.relayed() }
    }
}

#[async_trait]
impl Connector for TurnConnector {
    fn id(&self) -> TransportId {
        TURN_ID
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Transport>, ConnectError> {
        let failed = |kind| ConnectError::new(TURN_ID, "credentials", kind);
        let server = match timeout(FETCH, self.source.server()).await {
            Ok(Ok(server)) => server,
            // No evidence about the network, but the rung is not to be had: the next one must not wait for it.
            Ok(Err(absent @ NoTurn::Absent(_))) => {
                return Err(failed(ConnectErrorKind::Incompatible).because(absent));
            }
            Ok(Err(error)) => return Err(failed(ConnectErrorKind::Unreachable).because(error)),
            Err(_) => return Err(failed(ConnectErrorKind::TimedOut)),
        };
        let mut config = self.config.clone();
        config.ice_servers = vec![server];
        let connector =
            WebRtcConnector::new(config).map_err(|error| failed(ConnectErrorKind::Misuse).because(error))?;
        connector.connect(target).await
    }
}

/// How long the first look may hold a session up. Later dials wait for the answer.
const LOOK: Duration = Duration::from_secs(2);
/// How long a direct dial waits to hear of STUN servers: less than the patience of the rung below it.
const FETCH_STUN: Duration = Duration::from_millis(500);
/// How long a dial waits for credentials.
const FETCH: Duration = Duration::from_secs(3);
/// How long before their end credentials are not used any more: a dial takes 10 s.
const MARGIN: Duration = Duration::from_secs(30);
/// Credentials are not kept longer, whatever the answer says: the operator may have replaced the servers.
const LONGEST: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_offered_and_what_does_not_answer_are_told_apart() {
        let url = || "https://control.example/turn/credentials".parse().unwrap();
        let refused = |reason: Reason| ControlError::Refused { url: url(), refusal: reason.into() };
        let malformed = |status| ControlError::Malformed { url: url(), status };
        for (error, words) in [
            (refused(Reason::TurnUnconfigured), "no TURN server is configured"),
            (refused(Reason::TurnUnentitled), "this account is not entitled to TURN servers"),
            (malformed(404), "this control plane hands out no TURN credentials"),
            (malformed(405), "this control plane hands out no TURN credentials"),
        ] {
            let none = NoTurn::from(error);
            assert!(matches!(none, NoTurn::Absent(_)), "{none:?}");
            assert_eq!(none.to_string(), words);
        }
        for error in [
            refused(Reason::StoreUnavailable),
            refused(Reason::UnknownSession),
            refused(Reason::RateLimited),
            refused(Reason::Unknown),
            malformed(502),
            malformed(200),
        ] {
            let none = NoTurn::from(error);
            assert!(matches!(none, NoTurn::Unreachable(_)), "{none:?}");
        }
    }

    #[test]
    fn urls_of_another_kind_leave_the_others_and_none_is_no_turn() {
        let answer = |urls: &[&str]| TurnCredentials {
            username: "1:a".to_owned(),
            credential: "c".to_owned(),
            ttl: 120,
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            ..TurnCredentials::default()
        };
        let (server, ttl) = servers(answer(&["turn:a", "quic:b", "turns:c"])).unwrap();
        assert_eq!((server.urls.len(), ttl), (2, Duration::from_secs(120)));
        assert!(matches!(servers(answer(&["quic:b"])), Err(NoTurn::Absent(_))));
    }

    #[test]
    fn turn_servers_over_udp_are_asked_for_an_address_beside_the_stun_servers() {
        let text = |urls: &[&str]| urls.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>();
        let answer = TurnCredentials {
            urls: text(&["turn:a:1?transport=udp", "turn:a:2?transport=tcp", "turns:a:3", "quic:a"]),
            stun_urls: text(&["stun:b:4", "quic:b"]),
            withheld: Some(Reason::TurnUnentitled),
            ..TurnCredentials::default()
        };
        let urls: Vec<String> = stun_servers(&answer).iter().map(ToString::to_string).collect();
        assert_eq!(urls, ["stun:b:4", "stun:a:1"]);
        let none = servers(answer).unwrap_err();
        assert!(matches!(&none, NoTurn::Absent(why) if why == Reason::TurnUnentitled.message()), "{none:?}");
    }

    #[test]
    fn credentials_begin_no_dial_that_they_may_not_outlive() {
        for (ttl, kept) in [(0, 0), (30, 15), (60, 30), (120, 90), (3_600, 3_570), (1_000_000, 3_600)] {
            assert_eq!(worth(Duration::from_secs(ttl)), Duration::from_secs(kept), "{ttl}");
        }
    }
}
