//! The two JSON text messages that open a relay socket, version 2.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    control::Presence,
    encoding::{base64_array, millis},
    frame::PeerAddr,
    token::{Access, FallbackToken, FeatureBits, Role},
};

/// The protocol version these messages belong to.
pub const PROTOCOL_VERSION: u16 = 2;

/// Largest hello of either side, in bytes. A token is about 700.
pub const MAX_HELLO_BYTES: usize = 8_192;

/// How long a relay waits for a client's hello.
pub const HELLO_DEADLINE: Duration = Duration::from_secs(5);

/// The first message of a client, within 5 s of the upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientHello {
    /// [`PROTOCOL_VERSION`].
    pub protocol_version: u16,
    /// The session to join; the token names the same.
    pub session_id: Uuid,
    /// This endpoint; the token's `sub` is the same.
    pub peer_id: Uuid,
    /// Host or viewer; the token says the same.
    pub role: Role,
    /// What it may do; never more than the token grants.
    pub access: Access,
    /// What admits it.
    pub token: FallbackToken,
    /// 16 fresh bytes, base64; the answer repeats them.
    #[serde(with = "base64_array")]
    pub client_nonce: [u8; 16],
    /// Name and version of the software, at most 64 bytes. For operators.
    pub client_version: String,
    /// Always [`Compression::None`]: frames are sealed before the relay sees them.
    #[serde(default)]
    pub compression: Compression,
    /// Whether the person agreed to per-session telemetry.
    #[serde(default)]
    pub telemetry: bool,
}

impl ClientHello {
    /// Reads a client's first message.
    ///
    /// # Errors
    ///
    /// [`HelloError`]; the version is looked at before anything else, so that a later client is told
    /// so and not that its JSON is wrong.
    pub fn decode(json: &[u8]) -> Result<Self, HelloError> {
        let hello: Self = decode(json)?;
        if hello.client_version.len() > MAX_CLIENT_VERSION_BYTES {
            return Err(HelloError::InvalidPayload);
        }
        Ok(hello)
    }

    /// Writes the text message. It contains the token: never log it.
    pub fn encode(&self) -> String {
        encode(self)
    }
}

/// Longest `client_version` in bytes.
pub const MAX_CLIENT_VERSION_BYTES: usize = 64;

/// The relay's answer, before the client is visible to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerHello {
    /// [`PROTOCOL_VERSION`].
    pub protocol_version: u16,
    /// The client's nonce, repeated: this answer belongs to that hello.
    #[serde(with = "base64_array")]
    pub client_nonce: [u8; 16],
    /// 16 fresh bytes of the relay, base64.
    #[serde(with = "base64_array")]
    pub server_nonce: [u8; 16],
    /// The address of the client itself.
    pub peer: PeerAddr,
    /// Who is already there.
    pub peers: Vec<Presence>,
    /// What the relay holds for this client.
    pub limits: Limits,
    /// How often the client sends a heartbeat, in milliseconds on the wire.
    #[serde(rename = "heartbeat_ms", with = "millis")]
    pub heartbeat: Duration,
    /// What the token allowed.
    pub feature_bits: FeatureBits,
    /// Always [`Compression::None`].
    #[serde(default)]
    pub compression: Compression,
}

impl ServerHello {
    /// Reads the relay's answer.
    ///
    /// # Errors
    ///
    /// [`HelloError`]. The caller compares `client_nonce` with its own.
    pub fn decode(json: &[u8]) -> Result<Self, HelloError> {
        // Peers of a large session do not fit the hello limit: the relay is trusted with more.
        decode_within(json, MAX_SERVER_HELLO_BYTES)
    }

    /// Writes the text message.
    pub fn encode(&self) -> String {
        encode(self)
    }
}

/// Largest answer in bytes: about 600 peers. A relay lists the rest as they join: `peer_joined`.
pub const MAX_SERVER_HELLO_BYTES: usize = 65_536;

/// What a relay holds for one client, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest frame, header included.
    pub frame_bytes: u32,
    /// Reliable frames waiting for the client; beyond it the client is closed as slow.
    pub reliable_bytes: u32,
    /// Datagram frames waiting for the client; beyond it the oldest is dropped.
    pub datagram_bytes: u32,
    /// Unacknowledged reliable bytes a sender should have under way to one peer, so that the
    /// receiver is never cut as slow.
    pub in_flight_bytes: u32,
}

impl Default for Limits {
    /// 64 KiB frames, 512 KiB reliable, 64 KiB datagram, 384 KiB in flight (`docs/defaults.md`).
    fn default() -> Self {
        Self {
            frame_bytes: 65_536,
            reliable_bytes: 524_288,
            datagram_bytes: 65_536,
            in_flight_bytes: 393_216,
        }
    }
}

/// Compression of payloads. Only ever none: compressing secrets beside text an attacker chose leaks
/// them, and sealed bytes do not shrink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Payloads travel as they are.
    #[default]
    None,
    /// An algorithm of a later revision.
    #[serde(other)]
    Unknown,
}

/// A hello that cannot be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// Not the JSON it should be.
    #[error("unreadable hello")]
    InvalidPayload,
    /// Larger than [`MAX_HELLO_BYTES`].
    #[error("hello larger than its limit")]
    TooLarge,
    /// Another protocol version.
    #[error("protocol version {0} is not spoken here")]
    UnsupportedVersion(u16),
}

impl HelloError {
    /// Returns its name in metrics, logs and close reasons: a closed set.
    pub const fn label(self) -> &'static str {
        match self {
            Self::InvalidPayload => "invalid_payload",
            Self::TooLarge => "hello_too_large",
            Self::UnsupportedVersion(_) => "unsupported_version",
        }
    }
}

fn decode<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, HelloError> {
    decode_within(json, MAX_HELLO_BYTES)
}

fn decode_within<T: serde::de::DeserializeOwned>(json: &[u8], limit: usize) -> Result<T, HelloError> {
    #[derive(Deserialize)]
    struct Version {
        protocol_version: u16,
    }
    if json.len() > limit {
        return Err(HelloError::TooLarge);
    }
    let Version { protocol_version } =
        serde_json::from_slice(json).map_err(|_| HelloError::InvalidPayload)?;
    if protocol_version != PROTOCOL_VERSION {
        return Err(HelloError::UnsupportedVersion(protocol_version));
    }
    serde_json::from_slice(json).map_err(|_| HelloError::InvalidPayload)
}

fn encode<T: Serialize>(hello: &T) -> String {
    // Plain structs with string keys: serde_json has nothing to refuse.
    serde_json::to_string(hello).expect("a hello is plain data")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hello of exactly `len` bytes: JSON may end in blanks.
    fn hello(client_version: usize, len: usize) -> Result<ClientHello, HelloError> {
        let hello = ClientHello {
            protocol_version: PROTOCOL_VERSION,
            session_id: Uuid::nil(),
            peer_id: Uuid::nil(),
            role: Role::Viewer,
            access: Access::Full,
            token: FallbackToken::new("a.b.c"),
            client_nonce: [7; 16],
            client_version: "v".repeat(client_version),
            compression: Compression::None,
            telemetry: true,
        };
        let read = ClientHello::decode(format!("{:len$}", hello.encode()).as_bytes())?;
        assert_eq!(read, hello);
        Ok(read)
    }

    #[test]
    fn a_hello_may_be_as_large_as_its_limit_and_no_larger() {
        assert!(hello(9, MAX_HELLO_BYTES).is_ok());
        assert_eq!(hello(9, MAX_HELLO_BYTES + 1), Err(HelloError::TooLarge));
        assert!(hello(MAX_CLIENT_VERSION_BYTES, 0).is_ok());
        assert_eq!(hello(MAX_CLIENT_VERSION_BYTES + 1, 0), Err(HelloError::InvalidPayload));
    }

    #[test]
    fn an_answer_may_name_more_peers_than_fit_a_hello() {
        let hello = ServerHello {
            protocol_version: PROTOCOL_VERSION,
            client_nonce: [1; 16],
            server_nonce: [2; 16],
            peer: PeerAddr::new(1, 0),
            peers: vec![Presence { peer: PeerAddr::new(1, 1), peer_id: Uuid::nil(), role: Role::Host }; 300],
            limits: Limits::default(),
            heartbeat: Duration::from_secs(15),
            feature_bits: FeatureBits::default(),
            compression: Compression::None,
        };
        let json = hello.encode();
        assert!(json.len() > MAX_HELLO_BYTES);
        let of_len =
            |len: usize| ServerHello::decode((json.clone() + &" ".repeat(len - json.len())).as_bytes());
        assert_eq!(of_len(MAX_SERVER_HELLO_BYTES), Ok(hello));
        assert_eq!(of_len(MAX_SERVER_HELLO_BYTES + 1), Err(HelloError::TooLarge));
    }
}
