//! The wire of clients already deployed, protocol version 1.
//!
//! A token in the URL of `GET /ws?token=…`, a JSON hello each way, then messages that the relay
//! broadcasts unchanged to all other v1 peers of the session. No heartbeat, no addresses, no
//! end-to-end seal of ours.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    hello::{HelloError, MAX_HELLO_BYTES},
    token::{FallbackToken, FeatureBits},
};

/// The protocol version these messages belong to.
pub const PROTOCOL_VERSION: u16 = 1;

/// The path of the WebSocket endpoint.
pub const RELAY_PATH: &str = "/ws";

/// The path of the token endpoint.
pub const TOKEN_PATH: &str = "/fallback/token";

/// The first message of a client, text or binary, within 5 s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientHello {
    /// The session; the token names the same.
    pub session_id: Uuid,
    /// [`PROTOCOL_VERSION`].
    pub protocol_version: u16,
    /// What the client would accept.
    pub compression: Compression,
    /// Whether the person agreed to telemetry.
    pub telemetry: Telemetry,
}

impl ClientHello {
    /// Reads a client's first message.
    ///
    /// # Errors
    ///
    /// [`HelloError`].
    pub fn decode(json: &[u8]) -> Result<Self, HelloError> {
        if json.len() > MAX_HELLO_BYTES {
            return Err(HelloError::TooLarge);
        }
        let hello: Self = serde_json::from_slice(json).map_err(|_| HelloError::InvalidPayload)?;
        if hello.protocol_version != PROTOCOL_VERSION {
            return Err(HelloError::UnsupportedVersion(hello.protocol_version));
        }
        Ok(hello)
    }
}

/// The relay's answer, as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerHello {
    /// Always [`Compression::None`]: v1 never compressed.
    pub accepted_compression: Compression,
    /// What the token allowed.
    pub feature_bits: FeatureBits,
}

impl ServerHello {
    /// Writes the text message.
    pub fn encode(&self) -> String {
        // Two unit variants and two bools: serde_json has nothing to refuse.
        serde_json::to_string(self).expect("a hello is plain data")
    }
}

/// What a v1 client names as compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    /// Payloads travel as they are.
    None,
    /// Offered by some clients, never used.
    Brotli,
}

/// What a v1 client says about telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Telemetry {
    /// The person agreed.
    Enabled,
    /// The person did not.
    Disabled,
}

/// The answer of `POST /fallback/token`. The request is [`api::TokenRequest`](crate::api::TokenRequest)
/// without a proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenResponse {
    /// The token.
    pub token: FallbackToken,
    /// Until when it admits, as nine numbers: year, day of the year, hour, minute, second,
    /// nanosecond, and the offset from UTC in hours, minutes and seconds.
    pub expires_at: OffsetDateTime,
    /// Activations as a share of all sessions of this hour, 0 to 1.
    pub guardrail_ratio: f64,
    /// Whether that share is over the soft threshold.
    pub guardrail_soft_breach: bool,
    /// What the person agreed to, repeated.
    pub telemetry_enabled: bool,
    /// Whether the token grants the fallback.
    pub fallback_authorized: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_hellos_read_and_write_byte_for_byte() {
        let hello = ClientHello::decode(
            br#"{"session_id":"6f9a2f0e-4f0b-4a5d-9d0a-2f1f0f3c9b11","protocol_version":1,"compression":"Brotli","telemetry":"Disabled"}"#,
        )
        .unwrap();
        assert_eq!((hello.compression, hello.telemetry), (Compression::Brotli, Telemetry::Disabled));
        let answer = ServerHello {
            accepted_compression: Compression::None,
            feature_bits: FeatureBits { telemetry_enabled: false, fallback_authorized: true },
        };
        assert_eq!(
            answer.encode(),
            r#"{"accepted_compression":"None","feature_bits":{"telemetry_enabled":false,"fallback_authorized":true}}"#
        );
    }

    #[test]
    fn a_token_expires_at_nine_numbers() {
        let response = TokenResponse {
            token: FallbackToken::new("t"),
            expires_at: OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap(),
            guardrail_ratio: 0.25,
            guardrail_soft_breach: false,
            telemetry_enabled: false,
            fallback_authorized: true,
        };
        let json = serde_json::to_value(&response).unwrap();
        assert_eq!(json["expires_at"], serde_json::json!([2023, 318, 22, 13, 20, 0, 0, 0, 0]));
    }

    #[test]
    fn a_hello_may_be_as_large_as_its_limit_and_no_larger() {
        let json = r#"{"session_id":"6f9a2f0e-4f0b-4a5d-9d0a-2f1f0f3c9b11","protocol_version":1,"compression":"None","telemetry":"Enabled"}"#;
        let of_len = |len: usize| ClientHello::decode(format!("{json:len$}").as_bytes());
        assert!(of_len(MAX_HELLO_BYTES).is_ok());
        assert_eq!(of_len(MAX_HELLO_BYTES + 1), Err(HelloError::TooLarge));
    }

    #[test]
    fn version_2_is_refused_by_name() {
        let json = br#"{"session_id":"6f9a2f0e-4f0b-4a5d-9d0a-2f1f0f3c9b11","protocol_version":2,"compression":"None","telemetry":"Enabled"}"#;
        assert_eq!(ClientHello::decode(json), Err(HelloError::UnsupportedVersion(2)));
    }
}
