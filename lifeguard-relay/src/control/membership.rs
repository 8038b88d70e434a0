//! Who belongs to a session: its host registers a verifier, everybody else proves to know the secret.

use std::time::SystemTime;

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
};
use beach_lifeguard_client::{
    api::{DEFAULT_COHORT, RegisterSession},
    membership::{FRESHNESS, MembershipProof, Purpose, Verifier},
    reason::Reason,
};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;

use super::{config::STORE_DEADLINE, plane::ControlPlane, refusal::Refused};
use crate::store::{Counted, Registration, StoreError};

/// `POST /v1/sessions`.
pub(super) async fn register(
    State(control): State<ControlPlane>,
    body: Result<Json<RegisterSession>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let Json(body) = body.map_err(|_| Reason::InvalidRequest)?;
    let cohort = body.cohort_id.as_deref().unwrap_or(DEFAULT_COHORT);
    let inner = &control.0;
    let cohort = inner.config.cohort(cohort).ok_or(Reason::InvalidRequest)?;
    let life = inner.config.session_life();
    let registered = inner.store.register_session(body.session_id, &body.verifier, life);
    match timeout(STORE_DEADLINE, registered).await.unwrap_or(Err(StoreError::Unavailable)) {
        Ok(Registration::Created) => {
            inner.metrics.session_registered("created");
            inner.guardrail.count(cohort, Counted::Session).await;
            Ok((StatusCode::CREATED, Json(json!({ "success": true }))))
        }
        Ok(Registration::Known) => {
            inner.metrics.session_registered("known");
            Ok((StatusCode::OK, Json(json!({ "success": true }))))
        }
        Ok(Registration::Conflict) => {
            inner.metrics.session_registered("conflict");
            Err(Reason::SessionExists.into())
        }
        Err(_) => {
            inner.metrics.session_registered("error");
            inner.metrics.store_failed("session");
            Err(Reason::StoreUnavailable.into())
        }
    }
}

impl ControlPlane {
    /// Checks that `proof` was made by somebody who knows the session's secret, for this purpose, just now,
    /// for the first time. Returns the session's verifier.
    pub(super) async fn prove(
        &self,
        purpose: Purpose,
        session: Uuid,
        proof: &MembershipProof,
    ) -> Result<Verifier, Reason> {
        let inner = &self.0;
        let known = inner.store.verifier(session, inner.config.session_life());
        let verifier = match timeout(STORE_DEADLINE, known).await {
            Ok(Ok(Some(verifier))) => verifier,
            Ok(Ok(None)) => {
                // A store that lost its memory: whose host is in its room is known from there.
                let verifier = inner.rooms.verifier(session).ok_or(Reason::UnknownSession)?;
                self.renew(session, &verifier).await;
                verifier
            }
            Ok(Err(_)) | Err(_) => {
                inner.metrics.store_failed("session");
                return Err(Reason::StoreUnavailable);
            }
        };
        verifier.check(purpose, session, proof, SystemTime::now()).map_err(|_| Reason::MembershipInvalid)?;
        match timeout(STORE_DEADLINE, inner.store.spend_nonce(proof.nonce, FRESHNESS * 2)).await {
            Ok(Ok(true)) => Ok(verifier),
            Ok(Ok(false)) => Err(Reason::MembershipInvalid),
            Ok(Err(_)) | Err(_) => {
                inner.metrics.store_failed("nonce");
                Err(Reason::StoreUnavailable)
            }
        }
    }

    /// Keeps a session known that is in use. A store that lost its memory learns it again from whoever is
    /// connected; one that does not answer is asked again later.
    pub(super) async fn renew(&self, session: Uuid, verifier: &Verifier) {
        let inner = &self.0;
        let renewed = inner.store.register_session(session, verifier, inner.config.session_life());
        if !matches!(timeout(STORE_DEADLINE, renewed).await, Ok(Ok(_))) {
            inner.metrics.store_failed("session");
        }
    }
}
