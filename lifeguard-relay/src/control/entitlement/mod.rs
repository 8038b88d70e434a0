//! Whether an account may use what it asks for: a JWT of the identity provider, checked with its published
//! keys. Fails closed: without keys nobody is let in.

mod jwks;

use std::{sync::Arc, time::Duration};

use beach_lifeguard_client::reason::Reason;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;

use self::jwks::Jwks;
use super::config::EntitlementConfig;
use crate::telemetry::metrics::Metrics;

/// Checks proofs.
#[derive(Debug)]
pub(super) struct Entitlements {
    config: EntitlementConfig,
    /// None: nobody said where the keys are.
    keys: Option<Arc<Jwks>>,
}

/// Why an account is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unentitled {
    /// Proofs are required and nobody said where the provider's keys are.
    Config,
    /// The keys cannot be fetched.
    Http,
    /// The proof does not verify, or says something else.
    Invalid,
    /// What was fetched are no keys.
    Jwks,
    /// It verifies and lacks the entitlement.
    Missing,
    /// There is none.
    MissingProof,
}

impl Unentitled {
    /// Every one, for tests.
    #[cfg(test)]
    pub(super) const ALL: [Self; 6] =
        [Self::Config, Self::Http, Self::Invalid, Self::Jwks, Self::Missing, Self::MissingProof];

    /// What the client hears.
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::Config | Self::Http | Self::Jwks => Reason::EntitlementUnavailable,
            Self::Invalid => Reason::EntitlementInvalid,
            Self::Missing => Reason::EntitlementMissing,
            Self::MissingProof => Reason::EntitlementRequired,
        }
    }

    /// The `outcome` and `guardrail` labels of `beach_fallback_token_requests_total`.
    pub(super) fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::Config => ("error", "entitlement_config"),
            Self::Http => ("error", "entitlement_http"),
            Self::Invalid => ("entitlement_denied", "invalid_proof"),
            Self::Jwks => ("error", "entitlement_jwks"),
            Self::Missing => ("entitlement_denied", "missing_entitlement"),
            Self::MissingProof => ("entitlement_denied", "missing_proof"),
        }
    }
}

/// What we read of a proof; the library checks the rest.
#[derive(Deserialize)]
struct Proof {
    #[serde(default)]
    entitlements: Vec<String>,
}

impl Entitlements {
    pub(super) fn new(config: EntitlementConfig, metrics: Arc<Metrics>) -> Self {
        let fresh = Duration::from_secs(config.jwks_cache_ttl);
        let keys = config.jwks_url.clone().map(|url| Jwks::new(url, fresh, metrics));
        Self { config, keys }
    }

    /// Whether every token needs a proof.
    pub(super) fn are_required(&self) -> bool {
        self.config.required
    }

    /// Whether proofs can be checked.
    pub(super) fn are_configured(&self) -> bool {
        self.keys.is_some()
    }

    /// What a fallback token needs.
    pub(super) fn fallback(&self) -> &str {
        &self.config.entitlement
    }

    /// Checks a proof: signature, issuer, audience, times, subject, and all of `wanted`.
    pub(super) async fn check(&self, proof: Option<&str>, wanted: &[&str]) -> Result<(), Unentitled> {
        let keys = self.keys.as_ref().ok_or(Unentitled::Config)?;
        let proof = proof.map(str::trim).filter(|proof| !proof.is_empty()).ok_or(Unentitled::MissingProof)?;
        if proof.len() > MAX_PROOF_BYTES {
            return Err(Unentitled::Invalid);
        }
        let header = decode_header(proof).map_err(|_| Unentitled::Invalid)?;
        // Pinned before a key is looked for: a proof does not choose how it is checked. Critical
        // extensions are by definition what we do not understand (RFC 7515 §4.1.11).
        if header.alg != Algorithm::ES256 || header.crit.is_some() {
            return Err(Unentitled::Invalid);
        }
        let kid = header.kid.as_deref().ok_or(Unentitled::Invalid)?;
        let key = keys.find(kid).await?.ok_or(Unentitled::Invalid)?;
        let verified = decode::<Proof>(proof, &key, &self.rules()).map_err(|_| Unentitled::Invalid)?;
        let has =
            |wanted: &&str| verified.claims.entitlements.iter().any(|entitlement| entitlement == wanted);
        if wanted.iter().all(has) { Ok(()) } else { Err(Unentitled::Missing) }
    }

    /// The library checks claims only if they are present, unless they are required.
    fn rules(&self) -> Validation {
        let mut rules = Validation::new(Algorithm::ES256);
        rules.set_issuer(&[&self.config.issuer]);
        rules.set_audience(&[&self.config.audience]);
        rules.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        rules.validate_nbf = true;
        rules.leeway = LEEWAY_SECS;
        rules
    }
}

/// A proof is under 2 KiB; beyond this it is something else.
const MAX_PROOF_BYTES: usize = 8 * 1024;

/// Between our clock and the provider's.
const LEEWAY_SECS: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_keys_nobody_passes() {
        let entitlements = Entitlements::new(EntitlementConfig::default(), Arc::new(Metrics::new()));
        assert_eq!(entitlements.check(Some("x.y.z"), &[]).await, Err(Unentitled::Config));
        assert_eq!(entitlements.check(None, &[]).await, Err(Unentitled::Config));
    }

    #[test]
    fn every_denial_has_a_series_of_its_own() {
        let metrics = Metrics::new();
        for denial in Unentitled::ALL {
            let (outcome, guardrail) = denial.labels();
            metrics.token_requested(outcome, guardrail);
            assert_eq!(metrics.read("beach_fallback_token_requests", &[outcome, guardrail]), 1, "{denial:?}");
        }
    }
}
