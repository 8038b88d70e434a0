//! Signing, for the control plane and for tests.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{AlgorithmParameters, Jwk},
};
use zeroize::Zeroizing;

use super::{Claims, FallbackToken, KeyError, KeyId, PublicKey, TOKEN_TYPE};

/// Signs tokens with one Ed25519 key.
#[derive(Clone)]
pub struct TokenSigner {
    key: EncodingKey,
    public: PublicKey,
    header: Header,
    id: KeyId,
}

impl TokenSigner {
    /// Takes the 32 random bytes of a private key (RFC 8032 §5.1.5).
    ///
    /// # Errors
    ///
    /// [`KeyError::Private`] when the crypto provider refuses it.
    pub fn from_seed(id: KeyId, seed: &[u8; 32]) -> Result<Self, KeyError> {
        Self::new(id, EncodingKey::from_ed_der(&pkcs8(seed)))
    }

    /// Takes a private key in PEM (`-----BEGIN PRIVATE KEY-----`, PKCS#8 version 1).
    ///
    /// # Errors
    ///
    /// [`KeyError::Private`] for anything else.
    pub fn from_pem(id: KeyId, pem: &[u8]) -> Result<Self, KeyError> {
        Self::new(id, EncodingKey::from_ed_pem(pem).map_err(|_| KeyError::Private)?)
    }

    fn new(id: KeyId, key: EncodingKey) -> Result<Self, KeyError> {
        let jwk = Jwk::from_encoding_key(&key, Algorithm::EdDSA).map_err(|_| KeyError::Private)?;
        let AlgorithmParameters::OctetKeyPair(pair) = jwk.algorithm else { return Err(KeyError::Private) };
        let public = pair.x.parse()?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(id.as_str().to_owned());
        Ok(Self { key, public, header, id })
    }

    /// Signs. The caller fills the claims; the verifier decides what it accepts.
    ///
    /// # Errors
    ///
    /// [`KeyError::Private`] when the crypto provider refuses the key.
    pub fn sign(&self, claims: &Claims) -> Result<FallbackToken, KeyError> {
        jsonwebtoken::encode(&self.header, claims, &self.key)
            .map(FallbackToken::new)
            .map_err(|_| KeyError::Private)
    }

    /// Returns the name of the key.
    pub fn key_id(&self) -> &KeyId {
        &self.id
    }

    /// Returns the half that verifiers need.
    pub fn public_key(&self) -> PublicKey {
        self.public
    }
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSigner")
            .field("id", &self.id)
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// Writes a private key as PEM, the form [`TokenSigner::from_pem`] and OpenSSL read. Keep it secret.
pub fn private_key_pem(seed: &[u8; 32]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(&*pkcs8(seed)));
    // 48 bytes are 64 characters: exactly one line.
    Zeroizing::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", *body))
}

/// Wraps a private key as RFC 8410 §7 has it: PKCS#8 version 1, OID 1.3.101.112.
fn pkcs8(seed: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    const PREFIX: [u8; 16] =
        [0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let mut der = Zeroizing::new(Vec::with_capacity(48));
    der.extend_from_slice(&PREFIX);
    der.extend_from_slice(seed);
    der
}
