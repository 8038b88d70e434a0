//! Minting: the checks in their order, each with its refusal and its metric.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
};
use beach_lifeguard_client::{
    Access, Claims, FeatureBits, Role,
    api::{GuardrailHint, TokenRequest, TokenResponse},
    membership::Purpose,
    reason::Reason,
    token::{AUDIENCE, CAPABILITY, FallbackToken},
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::time::timeout;
use uuid::Uuid;

use super::{ControlPlane, STORE_DEADLINE, refusal::Refused};
use crate::store::{Bucket, Counted, Counts};

/// What was minted.
struct Minted {
    token: FallbackToken,
    expires_at: OffsetDateTime,
    hint: GuardrailHint,
    bits: FeatureBits,
}

/// `POST /v1/fallback/token`.
pub(super) async fn mint(
    State(control): State<ControlPlane>,
    body: Result<Json<TokenRequest>, JsonRejection>,
) -> Result<Json<TokenResponse>, Refused> {
    let Json(request) = body.map_err(|_| Reason::InvalidRequest)?;
    let minted = control.mint_counted(&request, Wire::V2).await?;
    Ok(Json(TokenResponse {
        token: minted.token,
        expires_at: minted.expires_at,
        cohort: request.cohort_id,
        guardrail_hint: minted.hint,
        guardrail_ratio: minted.hint.ratio,
        guardrail_soft_breach: minted.hint.soft_breach,
        telemetry_enabled: minted.bits.telemetry_enabled,
        fallback_authorized: minted.bits.fallback_authorized,
        relay_url: control.0.config.relay_url.clone(),
    }))
}

/// `POST /fallback/token`: the deployed clients' form, which cannot prove membership; the session must be
/// known.
pub(super) async fn mint_v1(
    State(control): State<ControlPlane>,
    body: Result<Json<TokenRequest>, JsonRejection>,
) -> Result<Json<Value>, Refused> {
    let Json(request) = body.map_err(|_| Reason::InvalidRequest)?;
    let minted = control.mint_counted(&request, Wire::V1).await?;
    let at = minted.expires_at;
    let nine =
        json!([at.year(), at.ordinal(), at.hour(), at.minute(), at.second(), at.nanosecond(), 0, 0, 0]);
    Ok(Json(json!({
        "token": minted.token,
        "expires_at": nine,
        "guardrail_ratio": minted.hint.ratio,
        "guardrail_soft_breach": minted.hint.soft_breach,
        "telemetry_enabled": minted.bits.telemetry_enabled,
        "fallback_authorized": minted.bits.fallback_authorized,
    })))
}

/// Which form the client speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    V1,
    V2,
}

impl ControlPlane {
    async fn mint_counted(&self, request: &TokenRequest, wire: Wire) -> Result<Minted, Refused> {
        let minted = self.mint(request, wire).await;
        let (outcome, guardrail) = match &minted {
            Ok(minted) if minted.hint.soft_breach => ("issued", "soft_breach"),
            Ok(_) => ("issued", "within_budget"),
            Err(Reason::FallbackPaused) => ("paused", "n/a"),
            Err(Reason::EntitlementRequired) => ("entitlement_denied", "missing_proof"),
            Err(Reason::EntitlementMissing) => ("entitlement_denied", "missing_entitlement"),
            Err(Reason::EntitlementInvalid) => ("entitlement_denied", "invalid_proof"),
            Err(Reason::InvalidSessionId | Reason::UnknownSession) => ("invalid_session", "n/a"),
            Err(Reason::StoreUnavailable) => ("error", "redis"),
            Err(Reason::Internal) => ("error", "serialize"),
            Err(_) => ("error", "n/a"),
        };
        self.0.metrics.token_requested(outcome, guardrail);
        minted.map_err(Refused)
    }

    /// The cheap checks first; nothing is counted for a request that is refused.
    async fn mint(&self, request: &TokenRequest, wire: Wire) -> Result<Minted, Reason> {
        let inner = &self.0;
        let session = Uuid::parse_str(&request.session_id).map_err(|_| Reason::InvalidSessionId)?;
        let cohort = cohort_name(&request.cohort_id).ok_or(Reason::InvalidRequest)?;
        if inner.kill_switch.pauses_minting(cohort) {
            return Err(Reason::FallbackPaused);
        }
        if !inner.config.fallback_ws_enabled {
            return Err(Reason::FallbackDisabled);
        }
        let (peer, role) = match (wire, &request.proof) {
            (_, Some(proof)) => {
                self.prove(Purpose::Token, session, proof).await?;
                (proof.peer_id, proof.role)
            }
            (Wire::V2, None) => return Err(Reason::MembershipInvalid),
            (Wire::V1, None) => {
                let known = inner.store.verifier(session, inner.config.session_life());
                match timeout(STORE_DEADLINE, known).await {
                    Ok(Ok(Some(_))) => (Uuid::new_v4(), Role::Viewer),
                    Ok(Ok(None)) => return Err(Reason::UnknownSession),
                    Ok(Err(_)) | Err(_) => return Err(Reason::StoreUnavailable),
                }
            }
        };
        let counts = self.count(cohort, Counted::Activation(session)).await;
        let hint = self.judge(counts);
        let bits = FeatureBits { telemetry_enabled: request.telemetry_opt_in, fallback_authorized: true };
        let (token, expires_at) = self.sign(session, peer, role, cohort, bits)?;
        Ok(Minted { token, expires_at, hint, bits })
    }

    fn sign(
        &self,
        session: Uuid,
        peer: Uuid,
        role: Role,
        cohort: &str,
        bits: FeatureBits,
    ) -> Result<(FallbackToken, OffsetDateTime), Reason> {
        let inner = &self.0;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| Reason::Internal)?.as_secs();
        let exp = now + inner.config.token_ttl;
        let claims = Claims {
            iss: inner.keys.issuer().to_owned(),
            sub: peer,
            aud: AUDIENCE.to_owned(),
            session_id: session,
            cohort_id: cohort.to_owned(),
            role,
            access: Access::Full,
            iat: now,
            nbf: now,
            exp,
            jti: Uuid::new_v4(),
            feature_bits: bits,
            capabilities: vec![CAPABILITY.to_owned()],
        };
        let token = inner.keys.signer().sign(&claims).map_err(|_| Reason::Internal)?;
        let expires = i64::try_from(exp).ok().and_then(|exp| OffsetDateTime::from_unix_timestamp(exp).ok());
        expires.map(|expires| (token, expires)).ok_or(Reason::Internal)
    }

    /// Adds to this hour's bucket. A store that does not answer costs the figure, never the exit.
    pub(super) async fn count(&self, cohort: &str, what: Counted) -> Counts {
        let bucket = Bucket::of(OffsetDateTime::now_utc());
        match timeout(STORE_DEADLINE, self.0.store.count(cohort, &bucket, what)).await {
            Ok(Ok(counts)) => counts,
            Ok(Err(_)) | Err(_) => {
                self.0.metrics.store_failed("guardrail");
                Counts::default()
            }
        }
    }

    /// Soft: over the threshold the token is tagged and the operator alerted, and minting goes on.
    fn judge(&self, counts: Counts) -> GuardrailHint {
        let threshold = self.0.config.guardrail_threshold;
        let ratio = counts.activations as f64 / counts.sessions.max(counts.activations).max(1) as f64;
        let soft_breach = ratio > threshold && counts.sessions >= MEANINGFUL;
        self.0.metrics.guardrail_ratio(ratio);
        if soft_breach {
            tracing::warn!(ratio, threshold, "guardrail_soft_breach");
        }
        GuardrailHint { ratio, threshold, soft_breach }
    }
}

/// A cohort's name: 1 to 64 of `a-z A-Z 0-9 . _ -`. Anything else would be somebody's key in the store.
fn cohort_name(text: &str) -> Option<&str> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (matches!(text.len(), 1..=64) && text.bytes().all(legal)).then_some(text)
}

/// Sessions in an hour below which a share says nothing.
const MEANINGFUL: u64 = 200;
