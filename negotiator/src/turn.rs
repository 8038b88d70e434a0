//! The TURN rung with credentials of the control plane: fetched when a session negotiates, kept while they
//! hold, fetched anew for a later dial. Nothing is fetched while nobody dials.

use std::time::SystemTime;
use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use beach_lifeguard_client::{
    api::{TURN_PATH, TurnCredentials, TurnRequest},
    membership::{Member, Purpose, Verifier},
    reason::{ErrorBody, Reason},
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::CertificateDer;
use serde::Serialize;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use transport_core::{ConnectError, ConnectErrorKind, Connector, Target, Transport, TransportId};
use transport_webrtc::{IceServer, TURN_ID, WebRtcConfig, WebRtcConnector};
use url::Url;
use uuid::Uuid;

use crate::{config::NetworkConfig, rendezvous::Seat};

/// Asks the control plane for TURN servers on behalf of one peer of one session.
pub(crate) struct TurnSource {
    client: reqwest::Client,
    url: Url,
    verifier: Verifier,
    session: Uuid,
    member: Member,
    entitlement_proof: Option<String>,
    kept: Mutex<Option<Kept>>,
}

/// Servers, and until when a dial may begin with them.
struct Kept {
    server: IceServer,
    until: Instant,
}

/// The body of `POST /turn/credentials`.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(flatten)]
    request: TurnRequest,
    #[serde(skip_serializing_if = "Option::is_none")]
    entitlement_proof: Option<&'a str>,
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
    ///
    /// # Errors
    ///
    /// A sentence for a person when a root certificate cannot be used.
    pub(crate) fn new(
        control_plane: &Url,
        seat: &Seat,
        member: Member,
        config: &NetworkConfig,
        roots: &[CertificateDer<'static>],
    ) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(roots).map_err(|error| error.to_string())?)
            // A redirect could carry the proof elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| error.to_string())?;
        let mut url = control_plane.clone();
        url.set_path(&format!("{}{TURN_PATH}", url.path().trim_end_matches('/')));
        Ok(Self {
            client,
            url,
            verifier: Verifier::from_bytes(*seat.verifier),
            session: Uuid::from_bytes(*seat.session.as_bytes()),
            member,
            entitlement_proof: config.entitlement_proof.clone(),
            kept: Mutex::new(None),
        })
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
        if let Some(kept) = kept.as_ref().filter(|kept| Instant::now() < kept.until) {
            return Ok(kept.server.clone());
        }
        let asked = Instant::now();
        let (server, ttl) = servers(self.ask().await?)?;
        *kept = Some(Kept { server: server.clone(), until: asked + worth(ttl) });
        Ok(server)
    }

    async fn ask(&self) -> Result<TurnCredentials, NoTurn> {
        let proof =
            self.verifier.prove(Purpose::Token, self.session, self.member, SystemTime::now(), rand::random());
        let body = Body {
            request: TurnRequest { session_id: self.session, proof },
            entitlement_proof: self.entitlement_proof.as_deref(),
        };
        let unreachable = |error: reqwest::Error| NoTurn::Unreachable(error.without_url().to_string());
        let mut answer = self.client.post(self.url.clone()).json(&body).send().await.map_err(unreachable)?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(NoTurn::Unreachable("an answer of absurd size".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        read_answer(status, &body)
    }
}

fn read_answer(status: u16, body: &[u8]) -> Result<TurnCredentials, NoTurn> {
    if status == 200 {
        let read = serde_json::from_slice(body);
        return read.map_err(|_| NoTurn::Unreachable("its answer cannot be read".to_owned()));
    }
    let reason = serde_json::from_slice::<ErrorBody>(body).ok().map(|refusal| refusal.reason);
    Err(match reason {
        Some(
            reason @ (Reason::TurnUnconfigured
            | Reason::TurnUnentitled
            | Reason::EntitlementInvalid
            | Reason::EntitlementRequired),
        ) => NoTurn::Absent(reason.message().to_owned()),
        Some(reason) => NoTurn::Unreachable(reason.message().to_owned()),
        None if matches!(status, 404 | 405) => {
            NoTurn::Absent("this control plane hands out no TURN credentials".to_owned())
        }
        None => NoTurn::Unreachable(format!("HTTP {status} without a reason")),
    })
}

/// Reads the servers; a URL of a kind that is not known here leaves the others.
fn servers(answer: TurnCredentials) -> Result<(IceServer, Duration), NoTurn> {
    let TurnCredentials { username, credential, ttl, urls } = answer;
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

/// Trusts the web's roots and `extra`. The provider is named: with two in the process, rustls's bare
/// builder panics.
fn tls(extra: &[CertificateDer<'static>]) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for root in extra {
        roots.add(root.clone())?;
    }
    Ok(ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

impl fmt::Debug for TurnSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnSource").field("session", &self.session).finish_non_exhaustive()
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
/// How long a dial waits for credentials.
const FETCH: Duration = Duration::from_secs(3);
/// How long before their end credentials are not used any more: a dial takes 10 s.
const MARGIN: Duration = Duration::from_secs(30);
/// Credentials are not kept longer, whatever the answer says: the operator may have replaced the servers.
const LONGEST: Duration = Duration::from_secs(3_600);
/// Largest answer read, in bytes. Credentials are about 300 bytes.
const MAX_ANSWER_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &str) -> NoTurn {
        read_answer(status, body.as_bytes()).unwrap_err()
    }

    #[test]
    fn what_is_not_offered_and_what_does_not_answer_are_told_apart() {
        for (status, body, words) in [
            (503, r#"{"success":false,"reason":"turn_unconfigured"}"#, "no TURN server is configured"),
            (
                403,
                r#"{"success":false,"reason":"turn_unentitled"}"#,
                "this account is not entitled to TURN servers",
            ),
            (404, "", "this control plane hands out no TURN credentials"),
            (405, "not here", "this control plane hands out no TURN credentials"),
        ] {
            let none = refusal(status, body);
            assert!(matches!(none, NoTurn::Absent(_)), "{status} {body}");
            assert_eq!(none.to_string(), words);
        }
        for (status, body) in [
            (503, r#"{"success":false,"reason":"store_unavailable"}"#),
            (404, r#"{"success":false,"reason":"unknown_session"}"#),
            (429, r#"{"success":false,"reason":"rate_limited"}"#),
            (500, r#"{"success":false,"reason":"something_new"}"#),
            (502, "<html>bad gateway</html>"),
            (200, "<html>please log in to this hotel</html>"),
        ] {
            assert!(matches!(refusal(status, body), NoTurn::Unreachable(_)), "{status} {body}");
        }
    }

    #[test]
    fn urls_of_another_kind_leave_the_others_and_none_is_no_turn() {
        let answer = |urls: &[&str]| TurnCredentials {
            username: "1:a".to_owned(),
            credential: "c".to_owned(),
            ttl: 120,
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
        };
        let (server, ttl) = servers(answer(&["turn:a", "quic:b", "turns:c"])).unwrap();
        assert_eq!((server.urls.len(), ttl), (2, Duration::from_secs(120)));
        assert!(matches!(servers(answer(&["quic:b"])), Err(NoTurn::Absent(_))));
    }

    #[test]
    fn credentials_begin_no_dial_that_they_may_not_outlive() {
        for (ttl, kept) in [(0, 0), (30, 15), (60, 30), (120, 90), (3_600, 3_570), (1_000_000, 3_600)] {
            assert_eq!(worth(Duration::from_secs(ttl)), Duration::from_secs(kept), "{ttl}");
        }
    }
}
