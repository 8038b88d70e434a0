//! The room's messages: JSON text, one object per WebSocket message.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use transport_core::{PeerId, signaling::SignalingEvent};

/// From the client.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ToRoom {
    /// The first message, within five seconds.
    Hello { proof: serde_json::Value },
    /// An envelope for one peer, base64.
    Send { to: PeerId, data: String },
}

impl ToRoom {
    pub(super) fn send(to: PeerId, envelope: &Bytes) -> Self {
        Self::Send { to, data: STANDARD.encode(envelope) }
    }

    pub(super) fn encode(&self) -> String {
        // Ids, strings and a JSON value cannot fail to serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// From the room.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum FromRoom {
    Welcome {
        peers: Vec<Present>,
    },
    Envelope {
        from: PeerId,
        data: String,
    },
    PeerJoined {
        peer_id: PeerId,
    },
    PeerLeft {
        peer_id: PeerId,
    },
    Undelivered {
        to: PeerId,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Present {
    pub(super) peer_id: PeerId,
}

impl FromRoom {
    pub(super) fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Translates what concerns the application.
    pub(super) fn event(self) -> Option<SignalingEvent> {
        match self {
            Self::Envelope { from, data } => {
                let envelope = STANDARD.decode(data).ok()?.into();
                Some(SignalingEvent::Envelope { from, envelope })
            }
            Self::PeerJoined { peer_id } => Some(SignalingEvent::Joined { peer: peer_id }),
            Self::PeerLeft { peer_id } => Some(SignalingEvent::Left { peer: peer_id }),
            Self::Undelivered { .. } => {
                tracing::debug!(target: "transport_webrtc::signaling", "an envelope was not delivered");
                None
            }
            Self::Welcome { .. } | Self::Other => None,
        }
    }
}

/// Narrows a reason of the control plane to the closed set of those it documents, fit for a label.
pub(super) fn reason_label(reason: &str, otherwise: &'static str) -> Cow<'static, str> {
    const KNOWN: [&str; 6] = [
        "invalid_request",
        "invalid_session_id",
        "membership_invalid",
        "rate_limited",
        "session_exists",
        "unknown_session",
    ];
    KNOWN.into_iter().find(|known| *known == reason).unwrap_or(otherwise).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_have_their_documented_form() {
        let peer = PeerId::from_bytes([1; 16]);
        let send = ToRoom::send(peer, &Bytes::from_static(b"\x00\xffhi"));
        assert_eq!(
            send.encode(),
            r#"{"type":"send","to":"01010101-0101-0101-0101-010101010101","data":"AP9oaQ=="}"#
        );
        let hello = ToRoom::Hello { proof: serde_json::json!({"mac": "x"}) };
        assert_eq!(hello.encode(), r#"{"type":"hello","proof":{"mac":"x"}}"#);
        let envelope = FromRoom::decode(
            r#"{"type":"envelope","from":"01010101-0101-0101-0101-010101010101","data":"AP9oaQ=="}"#,
        );
        let event = SignalingEvent::Envelope { from: peer, envelope: Bytes::from_static(b"\x00\xffhi") };
        assert_eq!(envelope.unwrap().event(), Some(event));
        let joined =
            r#"{"type":"peer_joined","peer_id":"01010101-0101-0101-0101-010101010101","role":"viewer"}"#;
        assert_eq!(FromRoom::decode(joined).unwrap().event(), Some(SignalingEvent::Joined { peer }));
        assert_eq!(FromRoom::decode(r#"{"type":"weather","x":1}"#), Some(FromRoom::Other));
        assert_eq!(FromRoom::decode("{"), None);
    }

    #[test]
    fn refusals_are_a_closed_set() {
        assert_eq!(reason_label("unknown_session", "bad_token"), "unknown_session");
        assert_eq!(reason_label("<script>", "bad_token"), "bad_token");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".{0,200}") {
            let _ = FromRoom::decode(&text).and_then(FromRoom::event);
        }
    }
}
