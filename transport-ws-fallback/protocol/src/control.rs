//! What the relay and its clients tell each other: the JSON payload of control frames.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    encoding::millis,
    frame::{Header, Kind, PeerAddr},
    token::{FallbackToken, Role},
};

/// A control message: from the relay to one client, but for [`Evict`](Self::Evict).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Control {
    /// The relay drains: it closes with 4001 `after` from now; come back within `spread` after that.
    Drain {
        /// Time until the close, in milliseconds on the wire.
        #[serde(rename = "after_ms", with = "millis")]
        after: Duration,
        /// Clients spread their return evenly over this time, in milliseconds on the wire.
        #[serde(rename = "spread_ms", with = "millis")]
        spread: Duration,
    },
    /// From a host to the relay: this peer goes now, and does not come back in this session.
    Evict {
        /// Who.
        peer_id: Uuid,
    },
    /// Another peer of the session connected.
    PeerJoined(Presence),
    /// A peer's socket ended. Its address is not used again soon.
    PeerLeft {
        /// The address it had.
        peer: PeerAddr,
    },
    /// The client sends too fast; the socket is cut if it goes on.
    RateLimited {
        /// How long to pause, in milliseconds on the wire.
        #[serde(rename = "retry_after_ms", with = "millis")]
        retry_after: Duration,
    },
    /// A rejoin ticket: keep it instead of the one before, for when this socket ends and nobody can be asked for a token.
    Ticket {
        /// The token; of kind [`Rejoin`](crate::token::TokenKind::Rejoin).
        token: FallbackToken,
        /// How long it admits from here on, in milliseconds on the wire.
        #[serde(rename = "life_ms", with = "millis")]
        life: Duration,
    },
    /// A message of a later revision; ignored.
    #[serde(other)]
    Unknown,
}

/// A peer that is connected to the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Where frames reach it.
    pub peer: PeerAddr,
    /// Who it says it is; its token said the same.
    pub peer_id: Uuid,
    /// Host or viewer.
    pub role: Role,
}

impl Control {
    /// Joins header and JSON into one frame.
    pub fn frame(&self) -> Bytes {
        // Plain structs of numbers, uuids and unit variants: serde_json has nothing to refuse.
        let json = serde_json::to_vec(self).expect("control messages are plain data");
        Header::relay(Kind::Control).frame(&json)
    }

    /// Reads the payload of a control frame.
    ///
    /// # Errors
    ///
    /// The JSON error; an unknown `type` is none.
    pub fn decode(payload: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shapes_are_those_of_the_wire_document() {
        let drain = Control::Drain { after: Duration::from_secs(2), spread: Duration::from_millis(500) };
        assert_eq!(
            serde_json::to_string(&drain).unwrap(),
            r#"{"type":"drain","after_ms":2000,"spread_ms":500}"#
        );
        let joined = Control::PeerJoined(Presence {
            peer: PeerAddr::new(1, 2),
            peer_id: Uuid::nil(),
            role: Role::Host,
        });
        assert_eq!(
            serde_json::to_string(&joined).unwrap(),
            r#"{"type":"peer_joined","peer":65538,"peer_id":"00000000-0000-0000-0000-000000000000","role":"host"}"#
        );
        let left = Control::PeerLeft { peer: PeerAddr::new(1, 2) };
        assert_eq!(serde_json::to_string(&left).unwrap(), r#"{"type":"peer_left","peer":65538}"#);
        let limited = Control::RateLimited { retry_after: Duration::from_secs(1) };
        assert_eq!(
            serde_json::to_string(&limited).unwrap(),
            r#"{"type":"rate_limited","retry_after_ms":1000}"#
        );
        let evict = Control::Evict { peer_id: Uuid::nil() };
        assert_eq!(
            serde_json::to_string(&evict).unwrap(),
            r#"{"type":"evict","peer_id":"00000000-0000-0000-0000-000000000000"}"#
        );
        let ticket = Control::Ticket { token: FallbackToken::new("a.b.c"), life: Duration::from_secs(900) };
        assert_eq!(
            serde_json::to_string(&ticket).unwrap(),
            r#"{"type":"ticket","token":"a.b.c","life_ms":900000}"#
        );
        for message in [drain, joined, left, limited, evict, ticket] {
            assert_eq!(Control::decode(&message.frame()[12..]).unwrap(), message);
        }
    }

    #[test]
    fn a_message_of_a_later_revision_is_unknown_and_not_an_error() {
        assert_eq!(Control::decode(br#"{"type":"weather","sunny":true}"#).unwrap(), Control::Unknown);
        assert!(Control::decode(b"{}").is_err());
    }
}
