//! Fixed-size bytes as unpadded base64url (RFC 4648 §5), as they travel in JSON.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::{BadPublicKey, LinkId, PublicKey, Signature};

pub(crate) struct Bytes<const N: usize>([u8; N]);

impl<const N: usize> Serialize for Bytes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(&*text).map_err(|_| D::Error::custom("not base64url"))?;
        bytes.try_into().map(Self).map_err(|_| D::Error::custom("not the right length"))
    }
}

impl TryFrom<Bytes<32>> for PublicKey {
    type Error = BadPublicKey;

    fn try_from(bytes: Bytes<32>) -> Result<Self, BadPublicKey> {
        Self::from_bytes(bytes.0)
    }
}

impl From<PublicKey> for Bytes<32> {
    fn from(key: PublicKey) -> Self {
        Self(*key.as_bytes())
    }
}

impl From<Bytes<64>> for Signature {
    fn from(bytes: Bytes<64>) -> Self {
        Self(bytes.0)
    }
}

impl From<Signature> for Bytes<64> {
    fn from(signature: Signature) -> Self {
        Self(signature.0)
    }
}

impl From<Bytes<8>> for LinkId {
    fn from(bytes: Bytes<8>) -> Self {
        Self(bytes.0)
    }
}

impl From<LinkId> for Bytes<8> {
    fn from(id: LinkId) -> Self {
        Self(id.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;

    #[test]
    fn keys_signatures_and_link_ids_survive_the_round_trip() {
        let identity = Identity::from_seed(&[3; 32]);
        let (key, signature, link) = (identity.public(), identity.sign(b"x"), LinkId([7; 8]));
        let json = serde_json::to_string(&(key, signature, link)).unwrap();
        assert_eq!(
            serde_json::from_str::<(PublicKey, Signature, LinkId)>(&json).unwrap(),
            (key, signature, link)
        );
    }

    #[test]
    fn nonsense_is_an_error() {
        for text in ["\"\"", "\"AA\"", "\"!!!!!!!!!!!\"", "7", &format!("\"{}\"", "A".repeat(10_000))] {
            assert!(serde_json::from_str::<LinkId>(text).is_err(), "{text:.20}");
        }
        let weak = URL_SAFE_NO_PAD.encode([0; 32]);
        assert!(serde_json::from_str::<PublicKey>(&format!("\"{weak}\"")).is_err());
    }
}
