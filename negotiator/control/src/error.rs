//! Why the control plane did not do what it was asked.

use std::fmt;

use beach_lifeguard_client::reason::{ErrorBody, Reason};
use beach_outbound::OutboundError;
use http::{HeaderMap, StatusCode};
use url::Url;

use crate::clock::Skew;

/// A question to the control plane that was not answered as hoped. `Display` is fit for a person and names
/// the URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Something answers that is no control plane of this version, or is not done with starting.
    #[error("{url} answered with HTTP {status} and no reason: {}", guess(*status))]
    Malformed {
        /// What was asked.
        url: Url,
        /// The HTTP status.
        status: u16,
    },
    /// The address cannot be asked.
    #[error("{url} cannot be asked: a control plane's address begins with https:// or http:// and a host")]
    Misuse {
        /// The address.
        url: Url,
    },
    /// What would be said could be read and used by others on the way.
    #[error(
        "{url} is not asked: what a session's members prove would cross the network in clear; use https://"
    )]
    PlainText {
        /// The address.
        url: Url,
    },
    /// The control plane said no.
    #[error("{url} refused: {refusal}")]
    Refused {
        /// What was asked.
        url: Url,
        /// Why not.
        refusal: Refusal,
    },
    /// The control plane was not reached: says at which stage, for which host, and why.
    #[error("{url} cannot be reached: {source}")]
    Unreachable {
        /// What was asked.
        url: Url,
        /// How far it came. A login page in the way is told apart here.
        source: Box<OutboundError>,
    },
    /// A WebSocket was asked for, and what arrived there asked for none.
    #[error(
        "{url} answered a WebSocket upgrade with HTTP {status}: a proxy in between removed the upgrade \
         headers, or this is not the control plane's address"
    )]
    UpgradeRemoved {
        /// What was asked.
        url: Url,
        /// The HTTP status.
        status: u16,
    },
}

/// What the control plane said no for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The reason it gave.
    pub reason: Reason,
    /// How far this machine's clock is off, where that explains a proof that was not accepted.
    pub skew: Option<Skew>,
}

impl Refusal {
    /// Explains `reason` with the answer's headers.
    pub(crate) fn new(reason: Reason, headers: &HeaderMap) -> Self {
        let is_proof = reason == Reason::MembershipInvalid;
        Self { reason, skew: Skew::between(crate::runtime::wall_clock(), headers).filter(|_| is_proof) }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, skew: None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.skew {
            Some(skew) => write!(f, "the proof of membership was not accepted: {skew}"),
            None => f.write_str(self.reason.message()),
        }
    }
}

impl ControlError {
    /// Reads an answer that is not the one hoped for.
    pub(crate) fn answered(url: Url, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(body) => Self::Refused { url, refusal: Refusal::new(body.reason, headers) },
            Err(_) => Self::Malformed { url, status: status.as_u16() },
        }
    }

    /// Returns the reason, when the control plane gave one.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal.reason),
            _ => None,
        }
    }

    /// Says whether asking again later may help: nothing answered, or what answered is not well.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Malformed { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            Self::Refused { refusal, .. } => matches!(refusal.reason.status(), 429 | 500..=599),
            Self::Unreachable { .. } => true,
            Self::Misuse { .. } | Self::PlainText { .. } | Self::UpgradeRemoved { .. } => false,
        }
    }
}

fn guess(status: u16) -> &'static str {
    match status {
        502..=504 => "a proxy stands before it and does not reach it",
        _ => "this is not a control plane's answer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> ControlError {
        let url = "https://control.example/v1/sessions".parse().unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        ControlError::answered(url, status, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn a_refusal_says_at_which_url_and_why() {
        let error = answered(409, r#"{"success":false,"reason":"revision_stale"}"#);
        assert_eq!(
            error.to_string(),
            "https://control.example/v1/sessions refused: the control plane knows a newer state of this session"
        );
        assert_eq!((error.reason(), error.is_passing()), (Some(Reason::RevisionStale), false));
    }

    #[test]
    fn what_may_pass_and_what_will_not_are_told_apart() {
        for (status, body, passing) in [
            (503, r#"{"success":false,"reason":"store_unavailable"}"#, true),
            (429, r#"{"success":false,"reason":"rate_limited"}"#, true),
            (500, r#"{"success":false,"reason":"something_new"}"#, true),
            (400, r#"{"success":false,"reason":"invalid_request"}"#, false),
            (502, "<html>bad gateway</html>", true),
            (404, "", false),
            (302, "", false),
        ] {
            assert_eq!(answered(status, body).is_passing(), passing, "{status} {body}");
        }
    }

    #[test]
    fn a_proof_that_was_not_accepted_blames_the_clock_where_it_is_off() {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::DATE, "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        let off = Refusal::new(Reason::MembershipInvalid, &headers);
        assert!(off.to_string().contains("this machine's clock is"), "{off}");
        assert_eq!(Refusal::new(Reason::RateLimited, &headers).skew, None);
    }
}
