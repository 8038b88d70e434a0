//! The names and public halves of signing keys.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// The name of a signing key: the `kid` of a token's header. 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl KeyId {
    /// Reads a name.
    ///
    /// # Errors
    ///
    /// [`KeyError::Name`].
    pub fn parse(name: impl Into<String>) -> Result<Self, KeyError> {
        let name = name.into();
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if matches!(name.len(), 1..=64) && name.bytes().all(legal) {
            Ok(Self(name))
        } else {
            Err(KeyError::Name)
        }
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyError;

    fn try_from(name: String) -> Result<Self, KeyError> {
        Self::parse(name)
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

/// The public half of a signing key: 32 bytes, Ed25519. Written as unpadded base64url, like the `x`
/// of a JWK (RFC 8037 §2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(pub [u8; 32]);

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| KeyError::Public)?;
        bytes.try_into().map(Self).map_err(|_| KeyError::Public)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

/// A key that cannot be used. Shows nothing of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a key name.
    #[error("a key's name is 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'")]
    Name,
    /// Not an Ed25519 private key in PKCS#8.
    #[error("not an Ed25519 private key in PKCS#8")]
    Private,
    /// Not an Ed25519 public key.
    #[error("not an Ed25519 public key: 32 bytes of unpadded base64url")]
    Public,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_to_sixty_four_plain_characters() {
        for good in ["k", "2026-01_A.b", &"k".repeat(64)] {
            assert_eq!(KeyId::parse(good).unwrap().as_str(), good);
            assert_eq!(serde_json::from_str::<KeyId>(&format!("{good:?}")).unwrap().as_str(), good);
        }
        for bad in ["", &"k".repeat(65), "a b", "a/b", "é"] {
            assert_eq!(KeyId::parse(bad), Err(KeyError::Name), "{bad:?}");
            assert!(serde_json::from_str::<KeyId>(&format!("{bad:?}")).is_err(), "{bad:?}");
        }
        assert_eq!(serde_json::to_string(&KeyId("k1".into())).unwrap(), r#""k1""#);
    }

    #[test]
    fn a_public_key_is_thirty_two_bytes_of_unpadded_base64url() {
        let text = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let key: PublicKey = format!(" {text}\n").parse().unwrap();
        assert_eq!((key.0[0], key.0[31], key.to_string()), (0xD7, 0x1A, text.to_owned()));
        assert_eq!(serde_json::from_str::<PublicKey>(&serde_json::to_string(&key).unwrap()).unwrap(), key);
        for bad in [&text[1..], &format!("{text}A"), &format!("{text}="), &text.replace('_', "/")] {
            assert_eq!(bad.parse::<PublicKey>(), Err(KeyError::Public), "{bad}");
        }
    }
}
