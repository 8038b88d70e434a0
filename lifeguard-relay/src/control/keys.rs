//! The keys that sign tokens, and those that are still trusted while they rotate out.

use beach_lifeguard_client::token::{KeyError, KeyId, PublicKey, TokenSigner, TokenVerifier};

/// One key that signs, and every key that relays trust.
#[derive(Debug, Clone)]
pub struct TokenKeys {
    issuer: String,
    signer: TokenSigner,
    /// Retired keys whose tokens may still live.
    retired: Vec<(KeyId, PublicKey)>,
}

impl TokenKeys {
    /// Signs with `signer` in the name of `issuer`.
    pub fn new(issuer: impl Into<String>, signer: TokenSigner) -> Self {
        Self { issuer: issuer.into(), signer, retired: Vec::new() }
    }

    /// Draws a fresh key: for `dev` and for tests.
    ///
    /// # Errors
    ///
    /// [`KeyError::Private`] when the crypto provider refuses it.
    pub fn generate(issuer: impl Into<String>) -> Result<Self, KeyError> {
        let name = KeyId::parse(format!("dev-{:08x}", rand::random::<u32>()))?;
        Ok(Self::new(issuer, TokenSigner::from_seed(name, &rand::random())?))
    }

    /// Signs with `signer` from here on and trusts the old key for as long as its tokens live.
    #[must_use]
    pub fn rotated(mut self, signer: TokenSigner) -> Self {
        self.retired.push((self.signer.key_id().clone(), self.signer.public_key()));
        self.signer = signer;
        self
    }

    /// Returns what a relay verifies with.
    pub fn verifier(&self) -> TokenVerifier {
        let current = (self.signer.key_id().clone(), self.signer.public_key());
        TokenVerifier::new(&self.issuer, self.retired.iter().cloned().chain([current]))
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(super) fn signer(&self) -> &TokenSigner {
        &self.signer
    }
}
