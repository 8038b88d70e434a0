//! What an answer of the room, or of whatever stands before it, means: come back, or stay away. Sans-IO.

use std::borrow::Cow;

use beach_lifeguard_client::reason::{ErrorBody, Reason};
use beach_outbound::{Cause, OutboundError, login_page};
use tokio_tungstenite::tungstenite;
use transport_core::{
    CloseCode, RetryClass,
    signaling::{Obstacle, SignalingError},
};
use url::Url;

use crate::{
    clock::Skew,
    error::{ControlError, Refusal},
};

/// Why a visit ended.
#[derive(Debug)]
pub(super) enum Departure {
    /// Nobody listens to us any more.
    Dropped,
    /// Come back later.
    Lost(Absence),
    /// Do not come back.
    Refused(SignalingError),
}

/// Why the room is away.
#[derive(Debug)]
pub(super) struct Absence {
    pub(super) detail: String,
    pub(super) obstacle: Obstacle,
}

impl<T: Into<String>> From<T> for Absence {
    fn from(detail: T) -> Self {
        Self { detail: detail.into(), obstacle: Obstacle::Unknown }
    }
}

/// Reads why no connection came about.
pub(super) fn from_outbound(error: &OutboundError) -> Departure {
    let obstacle = match &error.cause {
        Cause::LoginPage { .. } => Obstacle::LoginPage,
        Cause::Untrusted { .. } => Obstacle::Untrusted,
        _ => Obstacle::Unknown,
    };
    Departure::Lost(Absence { detail: error.to_string(), obstacle })
}

/// Reads the close that the room sent.
pub(super) fn from_close(code: u16, reason: &str, skew: Option<Skew>) -> Departure {
    match CloseCode::from_wire(code) {
        // The room that closes normally restarts or drains; only refusals are final.
        Some(code) if code.retry_class() == RetryClass::Stay && code.get() >= 4000 => {
            let reason = Reason::of_label(reason);
            let label = reason.map_or(code.label(), Reason::label);
            let is_proof = reason == Some(Reason::MembershipInvalid);
            refused(label, skew.filter(|_| is_proof).map_or(String::new(), |skew| skew.to_string()))
        }
        Some(code) => Departure::Lost(format!("the room closed: {code}").into()),
        None => Departure::Lost("the room closed".into()),
    }
}

/// Reads why a session was not registered.
pub(super) fn from_control(error: ControlError) -> Departure {
    if let ControlError::Unreachable { source, .. } = &error {
        return from_outbound(source);
    }
    if error.is_passing() {
        return Departure::Lost(error.to_string().into());
    }
    let skew = match &error {
        ControlError::Refused { refusal: Refusal { skew, .. }, .. } => *skew,
        _ => None,
    };
    match error.reason() {
        Some(reason) => refused(reason.label(), skew.map_or(String::new(), |skew| skew.to_string())),
        None => refused("refused", error.to_string()),
    }
}

/// Reads an upgrade that failed.
pub(super) fn from_handshake(url: &Url, error: tungstenite::Error) -> Departure {
    let tungstenite::Error::Http(answer) = error else { return lost(error) };
    if let Some(page) = login_page(url, answer.status(), answer.headers()) {
        return from_outbound(&page);
    }
    let body = answer.body().as_deref().unwrap_or_default();
    let reason = serde_json::from_slice::<ErrorBody>(body).ok().map(|body| body.reason);
    let status = answer.status().as_u16();
    let nothing_asked = matches!(reason, None | Some(Reason::InvalidRequest | Reason::InvalidSessionId));
    if matches!(status, 400 | 404 | 426) && nothing_asked {
        // Request and session id are right when they leave here.
        let error = ControlError::UpgradeRemoved { url: url.clone(), status };
        return refused(UPGRADE_REMOVED, error.to_string());
    }
    from_control(ControlError::answered(url.clone(), answer.status(), answer.headers(), body))
}

pub(super) fn lost(error: tungstenite::Error) -> Departure {
    Departure::Lost(error.to_string().into())
}

fn refused(label: impl Into<Cow<'static, str>>, detail: String) -> Departure {
    Departure::Refused(SignalingError::Refused { label: label.into(), detail })
}

/// What the control plane calls a session that nobody registered.
pub(super) const UNKNOWN: &str = Reason::UnknownSession.label();

/// What is said of a proxy that speaks no WebSocket.
pub(super) const UPGRADE_REMOVED: &str = "upgrade_removed";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tungstenite::http;

    use super::*;

    fn answered(status: u16, headers: &[(&str, &str)], body: &str) -> Departure {
        let url: Url = "wss://control.example/v1/signaling/x".parse().unwrap();
        let mut answer = http::Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        let answer = answer.body(Some(body.as_bytes().to_vec())).unwrap();
        from_handshake(&url, tungstenite::Error::Http(answer.into()))
    }

    #[test]
    fn a_proxy_that_removes_the_upgrade_is_told_from_a_session_that_is_unknown() {
        for (status, body) in [
            (400, "<html>nginx</html>"),
            (400, r#"{"success":false,"reason":"invalid_request"}"#),
            (400, r#"{"success":false,"reason":"invalid_session_id"}"#),
            (404, ""),
            (426, "Upgrade Required"),
        ] {
            let Departure::Refused(SignalingError::Refused { label, detail }) = answered(status, &[], body)
            else {
                panic!("{status} {body}")
            };
            assert_eq!(label, UPGRADE_REMOVED, "{status} {body}");
            let told = format!(
                "wss://control.example/v1/signaling/x answered a WebSocket upgrade with HTTP {status}: a proxy"
            );
            assert!(detail.starts_with(&told), "{detail}");
        }
        let unknown = answered(404, &[], r#"{"success":false,"reason":"unknown_session"}"#);
        let Departure::Refused(error) = unknown else { panic!("{unknown:?}") };
        assert_eq!(error, SignalingError::refused(UNKNOWN));
    }

    #[test]
    fn a_login_page_and_a_service_that_is_not_well_are_waited_out() {
        let lost = |departure| match departure {
            Departure::Lost(absence) => (absence.detail, absence.obstacle),
            other => panic!("{other:?}"),
        };
        let (portal, login) = lost(answered(302, &[("location", "http://portal.hotel.example/")], ""));
        assert!(portal.contains("a login page answers at portal.hotel.example"), "{portal}");
        let (page, html) = lost(answered(200, &[("content-type", "text/html")], "<html>"));
        assert!(page.contains("a login page"), "{page}");
        let (gateway, other) = lost(answered(502, &[], "<html>bad gateway</html>"));
        assert!(gateway.contains("HTTP 502") && gateway.contains("a proxy stands before it"), "{gateway}");
        assert_eq!([login, html, other], [Obstacle::LoginPage, Obstacle::LoginPage, Obstacle::Unknown]);
        lost(answered(503, &[], r#"{"success":false,"reason":"store_unavailable"}"#));
    }

    #[test]
    fn a_clock_that_is_off_is_told_where_it_explains_the_refusal() {
        let skew = Some(Skew { by: Duration::from_secs(3_600), ahead: true });
        let Departure::Refused(error) = from_close(4500, "membership_invalid", skew) else { panic!() };
        assert_eq!(
            error.to_string(),
            "the signaling service refused: membership_invalid: \
             this machine's clock is 60 minutes ahead of the server's; set it right"
        );
        let Departure::Refused(error) = from_close(4500, "unknown_session", skew) else { panic!() };
        assert_eq!(error, SignalingError::refused("unknown_session"));
        let Departure::Refused(error) = from_close(4503, "<b>", None) else { panic!() };
        assert_eq!(error, SignalingError::refused("paused"));
    }
}
