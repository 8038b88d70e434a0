//! Verification, for the relay.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use super::{
    Capability, Claims, FallbackToken, KeyId, LEEWAY_SECS, PublicKey, TOKEN_TYPE, TokenError, TokenKind,
};

/// Verifies tokens of one issuer with any of a set of public keys, so that keys rotate with overlap.
///
/// Whether a token was used before is for the relay to remember, by [`Claims::jti`].
#[derive(Debug, Clone)]
pub struct TokenVerifier {
    keys: BTreeMap<KeyId, PublicKey>,
    validation: Validation,
}

impl TokenVerifier {
    /// Trusts `keys` of `issuer`.
    pub fn new(issuer: &str, keys: impl IntoIterator<Item = (KeyId, PublicKey)>) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&TokenKind::ALL.map(TokenKind::audience));
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["aud", "exp", "iss", "nbf", "sub"]);
        // Times are checked below against the caller's clock, so that tests and simulations can
        // step it.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self { keys: keys.into_iter().collect(), validation }
    }

    /// Returns the keys that are trusted.
    pub fn keys(&self) -> &BTreeMap<KeyId, PublicKey> {
        &self.keys
    }

    /// Checks a token that was asked for when it was needed: everything it can tell itself, type, algorithm, key, signature, issuer, audience,
    /// times with 5 s of leeway, length of life, and that it grants the fallback and opens `wanted`.
    ///
    /// # Errors
    ///
    /// [`TokenError`]; nothing a token claims is looked at before its signature holds.
    pub fn verify(
        &self,
        token: &FallbackToken,
        wanted: Capability,
        now: SystemTime,
    ) -> Result<Claims, TokenError> {
        match self.verify_any(token, wanted, now)? {
            (TokenKind::Minted, claims) => Ok(claims),
            _ => Err(TokenError::Audience),
        }
    }

    /// As [`verify`](Self::verify), for tokens of every kind: whether a spare one may be used at this moment is for the
    /// relay to find out.
    ///
    /// # Errors
    ///
    /// [`TokenError`].
    pub fn verify_any(
        &self,
        token: &FallbackToken,
        wanted: Capability,
        now: SystemTime,
    ) -> Result<(TokenKind, Claims), TokenError> {
        let token = token.expose();
        if token.len() > MAX_TOKEN_BYTES || token.bytes().filter(|byte| *byte == b'.').count() != 2 {
            return Err(TokenError::Malformed);
        }
        let header = TokenHeader::read(token)?;
        if header.alg != "EdDSA" {
            return Err(TokenError::Algorithm);
        }
        if header.typ.as_deref() != Some(TOKEN_TYPE) {
            return Err(TokenError::Type);
        }
        let key = header.kid.and_then(|id| KeyId::parse(id).ok()).ok_or(TokenError::Key)?;
        let key = DecodingKey::from_ed_der(&self.keys.get(&key).ok_or(TokenError::Key)?.0);
        // First as any JSON object, so that a missing claim is told from unreadable JSON.
        let claims = jsonwebtoken::decode::<serde_json::Value>(token, &key, &self.validation)?.claims;
        let claims: Claims = serde_json::from_value(claims).map_err(|_| TokenError::Claims)?;
        let kind = TokenKind::of(&claims.aud).ok_or(TokenError::Audience)?;
        check_times(&claims, kind, now)?;
        let opens = claims.capabilities.iter().any(|capability| capability == wanted.label());
        if !claims.feature_bits.fallback_authorized || !opens {
            return Err(TokenError::Entitlement);
        }
        Ok((kind, claims))
    }
}

/// The header, read by hand: to the library `alg: none` is unreadable JSON, to us a wrong algorithm.
/// Anything beside these three (`crit`, `jku`, `jwk`, …) is not a token of ours.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenHeader {
    alg: String,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    kid: Option<String>,
}

impl TokenHeader {
    fn read(token: &str) -> Result<Self, TokenError> {
        let (header, _) = token.split_once('.').ok_or(TokenError::Malformed)?;
        let json = URL_SAFE_NO_PAD.decode(header).map_err(|_| TokenError::Base64)?;
        serde_json::from_slice(&json).map_err(|_| TokenError::Json)
    }
}

fn check_times(claims: &Claims, kind: TokenKind, now: SystemTime) -> Result<(), TokenError> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if claims.exp.saturating_add(LEEWAY_SECS) <= now {
        return Err(TokenError::Expired);
    }
    if claims.nbf.max(claims.iat) > now.saturating_add(LEEWAY_SECS) {
        return Err(TokenError::Premature);
    }
    if claims.exp.saturating_sub(claims.iat) > kind.max_life_secs() {
        return Err(TokenError::Life);
    }
    Ok(())
}

/// Longest token in bytes. Ours are about 700.
const MAX_TOKEN_BYTES: usize = 4_096;
