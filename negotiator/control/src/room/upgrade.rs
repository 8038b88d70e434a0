//! What an upgrade that failed means. Sans-IO. A browser says nothing of it.

use beach_lifeguard_client::reason::{ErrorBody, Reason};
use beach_outbound::login_page;
use tokio_tungstenite::tungstenite;
use url::Url;

use super::answer::{Departure, UPGRADE_REMOVED, from_control, from_outbound, refused};
use crate::error::ControlError;

/// Reads an upgrade that failed.
pub(super) fn from_handshake(url: &Url, error: tungstenite::Error) -> Departure {
    let tungstenite::Error::Http(answer) = error else { return Departure::Lost(error.to_string().into()) };
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

#[cfg(test)]
mod tests {
    use transport_core::signaling::{Obstacle, SignalingError};
    use tungstenite::http;

    use super::{super::answer::UNKNOWN, *};

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
}
