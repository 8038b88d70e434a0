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

use super::{
    config::{Mode, STORE_DEADLINE},
    entitlement::Unentitled,
    plane::ControlPlane,
    refusal::{Refused, RefusedV1},
};
use crate::store::Counted;

/// What was minted.
struct Minted {
    cohort: String,
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
    let minted = control.mint_counted(body, Wire::V2).await?;
    Ok(Json(TokenResponse {
        token: minted.token,
        expires_at: minted.expires_at,
        cohort: minted.cohort,
        guardrail_hint: minted.hint,
        guardrail_ratio: minted.hint.ratio,
        guardrail_soft_breach: minted.hint.soft_breach,
        telemetry_enabled: minted.bits.telemetry_enabled,
        fallback_authorized: minted.bits.fallback_authorized,
        relay_url: control.0.config.relay_url.clone(),
    }))
}

/// `POST /fallback/token`: the deployed clients' form. They cannot prove membership.
pub(super) async fn mint_v1(
    State(control): State<ControlPlane>,
    body: Result<Json<TokenRequest>, JsonRejection>,
) -> Result<Json<Value>, RefusedV1> {
    let minted = control.mint_counted(body, Wire::V1).await?;
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

/// Why nothing was minted: what the client hears, and how it is counted.
#[derive(Debug, Clone, Copy)]
enum Denied {
    Refused(Reason),
    Unentitled(Unentitled),
}

impl From<Reason> for Denied {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

impl From<Unentitled> for Denied {
    fn from(unentitled: Unentitled) -> Self {
        Self::Unentitled(unentitled)
    }
}

impl Denied {
    fn reason(self) -> Reason {
        match self {
            Self::Refused(reason) => reason,
            Self::Unentitled(unentitled) => unentitled.reason(),
        }
    }

    /// The `outcome` and `guardrail` labels of `beach_fallback_token_requests_total`.
    fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::Unentitled(unentitled) => unentitled.labels(),
            Self::Refused(Reason::FallbackPaused) => ("paused", "n/a"),
            Self::Refused(Reason::InvalidSessionId | Reason::UnknownSession) => ("invalid_session", "n/a"),
            Self::Refused(Reason::StoreUnavailable) => ("error", "redis"),
            Self::Refused(Reason::Internal) => ("error", "serialize"),
            Self::Refused(_) => ("error", "n/a"),
        }
    }
}

impl ControlPlane {
    async fn mint_counted(
        &self,
        body: Result<Json<TokenRequest>, JsonRejection>,
        wire: Wire,
    ) -> Result<Minted, Refused> {
        let minted = match body {
            Ok(Json(body)) => self.mint(body, wire).await,
            Err(_) => Err(Reason::InvalidRequest.into()),
        };
        let (outcome, guardrail) = match &minted {
            Ok(minted) if minted.hint.soft_breach => ("issued", "soft_breach"),
            Ok(_) => ("issued", "within_budget"),
            Err(denied) => denied.labels(),
        };
        self.0.metrics.token_requested(outcome, guardrail);
        minted.map_err(|denied| Refused(denied.reason()))
    }

    /// The cheap checks first, those that ask somebody else last; nothing is counted for a request that is
    /// refused.
    async fn mint(&self, request: TokenRequest, wire: Wire) -> Result<Minted, Denied> {
        let inner = &self.0;
        let session = Uuid::parse_str(&request.session_id).map_err(|_| Reason::InvalidSessionId)?;
        let cohort = inner.config.cohort(&request.cohort_id).ok_or(Reason::InvalidRequest)?;
        if inner.kill_switch.pauses_minting(cohort) {
            return Err(Reason::FallbackPaused.into());
        }
        if !inner.config.is_rolled_out(cohort, session) {
            return Err(Reason::FallbackDisabled.into());
        }
        let entitled = self.entitled(&request, wire).await?;
        let (peer, role) = match &request.proof {
            Some(proof) => {
                self.prove(Purpose::Token, session, proof).await?;
                (proof.peer_id, proof.role)
            }
            None if wire == Wire::V2 => return Err(Reason::MembershipInvalid.into()),
            None if entitled => (Uuid::new_v4(), Role::Viewer),
            None => {
                self.known(session).await?;
                (Uuid::new_v4(), Role::Viewer)
            }
        };
        let counts = inner.guardrail.count(cohort, Counted::Activation(session)).await;
        let hint = inner.guardrail.judge(cohort, counts).await;
        let bits = FeatureBits { telemetry_enabled: request.telemetry_opt_in, fallback_authorized: true };
        let (token, expires_at) = self.sign(session, peer, role, request.access, cohort, bits)?;
        Ok(Minted { cohort: cohort.to_owned(), token, expires_at, hint, bits })
    }

    /// Whether the account has shown that it may. Deployed v1 clients cannot prove membership, so for them
    /// the entitlement is what admits; in development it is enough that the session is known.
    async fn entitled(&self, request: &TokenRequest, wire: Wire) -> Result<bool, Denied> {
        let entitlements = &self.0.entitlements;
        let proof = request.entitlement_proof.as_deref();
        let stands_alone = wire == Wire::V1 && request.proof.is_none();
        let lenient =
            self.0.config.mode == Mode::Development && (proof.is_none() || !entitlements.are_configured());
        if !entitlements.are_required() && (!stands_alone || lenient) {
            return Ok(false);
        }
        if proof.is_none() {
            return Err(Unentitled::MissingProof.into());
        }
        entitlements.check(proof, &[entitlements.fallback()]).await?;
        Ok(true)
    }

    async fn known(&self, session: Uuid) -> Result<(), Reason> {
        let known = self.0.store.verifier(session, self.0.config.session_life());
        match timeout(STORE_DEADLINE, known).await {
            Ok(Ok(Some(_))) => Ok(()),
            Ok(Ok(None)) => Err(Reason::UnknownSession),
            Ok(Err(_)) | Err(_) => {
                self.0.metrics.store_failed("session");
                Err(Reason::StoreUnavailable)
            }
        }
    }

    fn sign(
        &self,
        session: Uuid,
        peer: Uuid,
        role: Role,
        access: Access,
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
            access,
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
}
