//! Names and numbers that must not be swapped for one another.

use std::{borrow::Cow, fmt, str::FromStr};

use beach_identity::PublicKey;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A session: one shared terminal, for as long as anybody can resume it. Derived from its host's key, so nobody else can
/// be its host.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(Uuid);

/// One endpoint of a session. Derived from its key: whoever claims it must hold the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PeerId(Uuid);

macro_rules! uuid_newtype {
    ($name:ident) => {
        impl $name {
            /// Draws a fresh random id (UUID version 4), where no key stands behind it: in tests and for
            /// transports without a seal.
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// Takes the 16 bytes of a UUID, big-endian as in RFC 9562.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// Returns the 16 bytes of the UUID, big-endian as in RFC 9562.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        /// The first eight digits: enough to tell two apart, too few to look a person up by.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:.8})"), self.0.simple().to_string())
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                Uuid::parse_str(text).map(Self).map_err(|_| BadId)
            }
        }
    };
}

uuid_newtype!(SessionId);
uuid_newtype!(PeerId);

impl SessionId {
    /// Names the session of the host that holds `key`.
    pub fn of_host(key: &PublicKey) -> Self {
        Self::from_bytes(key.session_id())
    }
}

impl PeerId {
    /// Names the endpoint that holds `key`.
    pub fn of(key: &PublicKey) -> Self {
        Self::from_bytes(key.peer_id())
    }
}

/// A string that is not a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID")]
pub struct BadId;

/// The registered name of a transport: `webrtc`, `webrtc-turn`, `ws-fallback`, …
///
/// An open set: third parties register a name in `docs/TRANSPORTS.md` and use it here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TransportId(Cow<'static, str>);

impl TransportId {
    /// Names an in-tree transport at compile time.
    ///
    /// # Panics
    ///
    /// If the name breaks the rule of [`TransportId::parse`]; in a `const` that is a build error.
    pub const fn from_static(name: &'static str) -> Self {
        assert!(is_transport_name(name.as_bytes()), "1 to 32 of a-z, 0-9 and '-'");
        Self(Cow::Borrowed(name))
    }

    /// Reads a name: 1 to 32 characters, lower-case ASCII letters, digits and `-`.
    ///
    /// # Errors
    ///
    /// [`BadTransportId`] for anything else.
    pub fn parse(name: impl Into<String>) -> Result<Self, BadTransportId> {
        let name = name.into();
        if is_transport_name(name.as_bytes()) { Ok(Self(Cow::Owned(name))) } else { Err(BadTransportId) }
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_transport_name(name: &[u8]) -> bool {
    let mut i = 0;
    while i < name.len() {
        if !matches!(name[i], b'a'..=b'z' | b'0'..=b'9' | b'-') {
            return false;
        }
        i += 1;
    }
    matches!(name.len(), 1..=32)
}

impl fmt::Display for TransportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for TransportId {
    type Error = BadTransportId;

    fn try_from(name: String) -> Result<Self, BadTransportId> {
        Self::parse(name)
    }
}

impl From<TransportId> for String {
    fn from(id: TransportId) -> String {
        id.0.into_owned()
    }
}

/// A string that cannot name a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a transport's name is 1 to 32 of a-z, 0-9 and '-'")]
pub struct BadTransportId;

/// The number of one attachment of a transport to a session. The leading side counts them up
/// from 1; 0 means "never attached".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u32);

impl Generation {
    /// Returns the number after this one, or `None` after four billion switches.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transport_names_are_short_lower_case_words() {
        for good in ["webrtc", "ws-fallback", "x", "quic2"] {
            assert_eq!(TransportId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "WebRTC", "a b", "a_b", "ü", &"x".repeat(33)] {
            assert_eq!(TransportId::parse(bad), Err(BadTransportId), "{bad:?}");
        }
    }

    #[test]
    fn debug_of_an_id_shows_eight_digits_only() {
        let id = SessionId::from_bytes([0xAB; 16]);
        assert_eq!(format!("{id:?}"), "SessionId(abababab)");
        assert_eq!(id.to_string().parse::<SessionId>(), Ok(id));
    }
}
