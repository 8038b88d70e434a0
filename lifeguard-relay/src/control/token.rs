//! Minting: the checks in their order, each with its refusal and its metric.

use std::time::SystemTime;

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
};
use beach_lifeguard_client::{
    Access, Claims, FeatureBits, Role,
    api::{DEFAULT_COHORT, GuardrailHint, TokenRequest, TokenResponse},
    membership::{LinkId, MembershipProof, Purpose, unix_seconds},
    reason::Reason,
    token::{Capability, FallbackToken, TokenKind},
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    config::Mode,
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
    relay_url: Option<String>,
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
        relay_url: minted.relay_url,
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

/// Whom a token is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holder {
    pub(super) session: Uuid,
    pub(super) peer: Uuid,
    pub(super) role: Role,
    pub(super) access: Access,
    /// What a viewer came by.
    pub(super) link: Option<LinkId>,
}

impl Holder {
    /// Whoever made a proof that holds.
    pub(super) fn of(session: Uuid, proof: &MembershipProof) -> Self {
        let MembershipProof { role, access, link, .. } = *proof;
        Self { session, peer: proof.peer_id(), role, access, link }
    }
}

/// Which form the client speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    V1,
    V2,
}

impl Wire {
    /// What a token for this client opens.
    fn capability(self) -> Capability {
        match self {
            Self::V1 => Capability::V1,
            Self::V2 => Capability::V2,
        }
    }
}

/// Why nothing was minted: what the client hears, and how it is counted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Denied {
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
    pub(super) fn reason(self) -> Reason {
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
            Self::Refused(
                Reason::AccessDenied
                | Reason::LinkExpired
                | Reason::LinkUnknown
                | Reason::MembershipInvalid
                | Reason::NotHost
                | Reason::PeerRemoved
                | Reason::SignatureInvalid,
            ) => ("membership_denied", "n/a"),
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
        let account = request.entitlement_proof.as_deref();
        let cohort = self.cohort_of(&request.cohort_id, account).await?;
        if inner.kill_switch.pauses_minting(cohort) {
            return Err(Reason::FallbackPaused.into());
        }
        if !inner.config.is_rolled_out(cohort, session) {
            return Err(Reason::FallbackDisabled.into());
        }
        let stands_alone = wire == Wire::V1 && request.proof.is_none();
        let entitled = self.entitled(account, stands_alone).await?;
        let holder = match &request.proof {
            Some(proof) => {
                self.prove(Purpose::Token, session, proof).await?;
                Holder::of(session, proof)
            }
            None if wire == Wire::V2 => return Err(Reason::MembershipInvalid.into()),
            None => {
                if !entitled {
                    self.document(session).await?;
                }
                let (peer, role, access) = (Uuid::new_v4(), Role::Viewer, Access::Full);
                Holder { session, peer, role, access, link: None }
            }
        };
        // Deployed v1 clients know one relay.
        let owner = match wire {
            Wire::V1 => None,
            Wire::V2 => inner.relays.url_for(&*inner.store, session, &inner.config.region).await?,
        };
        let relay_url = owner.or_else(|| inner.config.relay_url.clone());
        let counts = inner.guardrail.count(cohort, Counted::Activation(session)).await;
        let hint = inner.guardrail.judge(inner.config.budget(), cohort, counts).await;
        let bits = FeatureBits { telemetry_enabled: request.telemetry_opt_in, fallback_authorized: true };
        let (token, expires_at) = self.sign((TokenKind::Minted, wire.capability()), holder, cohort, bits)?;
        Ok(Minted { cohort: cohort.to_owned(), token, expires_at, hint, bits, relay_url })
    }

    /// The cohort the request belongs to: its name is worth something only with an account that is entitled to it. In
    /// development, where nobody can be, it is believed.
    pub(super) async fn cohort_of<'a>(
        &self,
        asked: &'a str,
        account: Option<&str>,
    ) -> Result<&'a str, Reason> {
        let inner = &self.0;
        let named = inner.config.cohort(asked).ok_or(Reason::InvalidRequest)?;
        let is_believed = inner.config.mode == Mode::Development && !inner.entitlements.are_configured();
        if named == DEFAULT_COHORT || is_believed {
            return Ok(named);
        }
        let wanted = format!("cohort:{named}");
        let entitled = inner.entitlements.check(account, &[&wanted]).await;
        Ok(if entitled.is_ok() { named } else { DEFAULT_COHORT })
    }

    /// Whether the account has shown that it may. Deployed v1 clients cannot prove membership, so for them
    /// the entitlement `stands_alone` and admits; in development it is enough that the session is known.
    pub(super) async fn entitled(&self, proof: Option<&str>, stands_alone: bool) -> Result<bool, Denied> {
        let entitlements = &self.0.entitlements;
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

    /// Signs a token that lives from here on, as long as its kind does.
    pub(super) fn sign(
        &self,
        (kind, opens): (TokenKind, Capability),
        holder: Holder,
        cohort: &str,
        bits: FeatureBits,
    ) -> Result<(FallbackToken, OffsetDateTime), Reason> {
        let inner = &self.0;
        let Holder { session, peer, role, access, link } = holder;
        let life = match kind {
            TokenKind::Minted => inner.config.token_ttl,
            spare => spare.max_life_secs(),
        };
        let now = unix_seconds(SystemTime::now());
        let exp = now + life;
        let claims = Claims {
            iss: inner.keys.issuer().to_owned(),
            sub: peer,
            aud: kind.audience().to_owned(),
            session_id: session,
            cohort_id: cohort.to_owned(),
            role,
            access,
            link,
            iat: now,
            nbf: now,
            exp,
            jti: Uuid::new_v4(),
            feature_bits: bits,
            capabilities: vec![opens.label().to_owned()],
        };
        let token = inner.keys.signer().sign(&claims).map_err(|_| Reason::Internal)?;
        let expires = i64::try_from(exp).ok().and_then(|exp| OffsetDateTime::from_unix_timestamp(exp).ok());
        expires.map(|expires| (token, expires)).ok_or(Reason::Internal)
    }
}
