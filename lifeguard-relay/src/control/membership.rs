//! Who belongs to a session: its host publishes a signed document, and whoever asks for something proves which key
//! and which link they hold.

use std::{sync::Arc, time::SystemTime};

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
};
use beach_lifeguard_client::{
    Role,
    api::DEFAULT_COHORT,
    membership::{FRESHNESS, MembershipProof, Purpose, unix_seconds},
    reason::Reason,
    session::{DocumentLink, SessionDocument, SignedDocument},
};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;

use super::{config::UNENTERED_LIFE, plane::ControlPlane, refusal::Refused};
use crate::store::{Counted, PATIENCE, Published, StoreError};

/// `POST /v1/sessions`.
pub(super) async fn publish(
    State(control): State<ControlPlane>,
    body: Result<Json<SignedDocument>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let published = control.publish(body.map(|Json(body)| body)).await;
    control.0.metrics.session_published(match &published {
        Ok(Published::Created) => "created",
        Ok(Published::Updated) => "updated",
        Ok(_) => "known",
        Err(reason) => reason.label(),
    });
    let status = if published? == Published::Created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(json!({ "success": true }))))
}

impl ControlPlane {
    /// Keeps a document, and shows those out of the session's room whom it does not let in any more.
    async fn publish(&self, body: Result<SignedDocument, JsonRejection>) -> Result<Published, Reason> {
        let inner = &self.0;
        let document = body.map_err(|_| Reason::InvalidRequest)?.open().map_err(|error| error.reason())?;
        let cohort = document.cohort_id.as_deref().unwrap_or(DEFAULT_COHORT);
        let cohort = inner.config.cohort(cohort).ok_or(Reason::InvalidRequest)?.to_owned();
        let document = Arc::new(document);
        let life = UNENTERED_LIFE.min(inner.config.session_life());
        let stored = timeout(PATIENCE, inner.store.publish(&document, life)).await;
        match stored.unwrap_or(Err(StoreError::Unavailable)) {
            Ok(Published::Stale) => Err(Reason::RevisionStale),
            Ok(published) => {
                inner.rooms.apply(&document);
                if published == Published::Updated {
                    inner.rooms.changed(document.session_id);
                }
                if published == Published::Created {
                    inner.guardrail.count(&cohort, Counted::Session).await;
                }
                Ok(published)
            }
            Err(_) => {
                inner.metrics.store_failed("session");
                Err(Reason::StoreUnavailable)
            }
        }
    }

    /// Checks that whoever made `proof` holds its key and the link it names, and made it for this purpose, just now,
    /// for the first time; and that the session lets them do what they ask for. Returns the session's document.
    pub(super) async fn prove(
        &self,
        purpose: Purpose,
        session: Uuid,
        proof: &MembershipProof,
    ) -> Result<Arc<SessionDocument>, Reason> {
        let proven = self.check(purpose, session, proof).await;
        if let Err(reason) = proven {
            self.0.metrics.proof_refused(reason.label());
        }
        proven
    }

    /// What costs nothing first; whoever is refused has spent at most a nonce of their own.
    async fn check(
        &self,
        purpose: Purpose,
        session: Uuid,
        proof: &MembershipProof,
    ) -> Result<Arc<SessionDocument>, Reason> {
        if !proof.is_signed(purpose, session) {
            return Err(Reason::SignatureInvalid);
        }
        let document = self.document(session).await?;
        let link = link_of(proof, &document)?;
        let now = SystemTime::now();
        let verifier = link.map(|link| &link.verifier);
        proof.check(verifier, purpose, session, now).map_err(|_| Reason::MembershipInvalid)?;
        self.spend(proof.nonce).await?;
        if let Some(link) = link {
            document.admits(link.id, proof.peer_id(), proof.access, unix_seconds(now))?;
        }
        Ok(document)
    }

    async fn spend(&self, nonce: [u8; 16]) -> Result<(), Reason> {
        match timeout(PATIENCE, self.0.store.spend_nonce(nonce, FRESHNESS * 2)).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(Reason::MembershipInvalid),
            Ok(Err(_)) | Err(_) => {
                self.0.metrics.store_failed("nonce");
                Err(Reason::StoreUnavailable)
            }
        }
    }

    /// Finds the newest document of a session.
    pub(super) async fn document(&self, session: Uuid) -> Result<Arc<SessionDocument>, Reason> {
        let inner = &self.0;
        match timeout(PATIENCE, inner.store.session(session)).await {
            Ok(Ok(Some(document))) => Ok(document),
            Ok(Ok(None)) => {
                // A store that lost its memory: whose host is in its room is known from there.
                let document = inner.rooms.document(session).ok_or(Reason::UnknownSession)?;
                self.renew(&document).await;
                Ok(document)
            }
            Ok(Err(_)) | Err(_) => {
                inner.metrics.store_failed("session");
                Err(Reason::StoreUnavailable)
            }
        }
    }

    /// Keeps a session known whose host is in its room. A store that lost its memory learns it again from there; one
    /// that does not answer is asked again later. Another node may have heard of something newer: it counts here too.
    pub(super) async fn renew(&self, document: &Arc<SessionDocument>) {
        let inner = &self.0;
        let renewed = inner.store.publish(document, inner.config.session_life());
        match timeout(PATIENCE, renewed).await {
            Ok(Ok(Published::Stale)) => self.refresh(document.session_id).await,
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => inner.metrics.store_failed("session"),
        }
    }

    /// Lets the session's room know the newest document.
    pub(super) async fn refresh(&self, session: Uuid) {
        match timeout(PATIENCE, self.0.store.session(session)).await {
            Ok(Ok(Some(document))) => self.0.rooms.apply(&document),
            Ok(Ok(None)) => {}
            Ok(Err(_)) | Err(_) => self.0.metrics.store_failed("session"),
        }
    }
}

/// The link a viewer names; none for the host, who needs no other proof than its key.
fn link_of<'a>(
    proof: &MembershipProof,
    document: &'a SessionDocument,
) -> Result<Option<&'a DocumentLink>, Reason> {
    match proof.role {
        Role::Host if proof.key == document.host_key => Ok(None),
        Role::Host => Err(Reason::NotHost),
        Role::Viewer => proof.link.and_then(|link| document.link(link)).map(Some).ok_or(Reason::LinkUnknown),
    }
}
