//! Spare tokens: given ahead, so everything that minting looks at is looked at when they are used
//! (`docs/adr/0026-spare-tokens.md`).

use std::{sync::Arc, time::SystemTime};

use beach_lifeguard_client::{
    Claims, Reason, Role, SessionDocument, membership::unix_seconds, token::TokenKind,
};
use tokio::time::timeout;

use super::{core::Core, hop::Way, refusal::HandshakeRefused};
use crate::{
    rules::Rules,
    store::{Counted, DEADLINE, StoreError},
};

/// Admits the holder of a spare token if a token would be minted at this moment, spends it and counts it as an activation.
/// Says where its session is.
pub(super) async fn admit(
    relay: &Core,
    kind: TokenKind,
    claims: &Claims,
) -> Result<Option<Way>, HandshakeRefused> {
    let admitted = judge(relay, claims).await;
    let outcome = match &admitted {
        Ok(_) => "used",
        Err(HandshakeRefused::Revoked(_)) => "revoked",
        Err(refused) => refused.label(),
    };
    relay.metrics.spare_token(kind.label(), outcome);
    admitted
}

/// What costs nothing first. Nothing is spent and nothing counted for a holder who is refused.
async fn judge(relay: &Core, claims: &Claims) -> Result<Option<Way>, HandshakeRefused> {
    let cohort = &*claims.cohort_id;
    if relay.admission.kill_switch.pauses_minting(cohort) {
        return Err(HandshakeRefused::Paused);
    }
    let (rules, document) = look(relay, claims).await.map_err(|_| {
        relay.metrics.store_failed("spare");
        HandshakeRefused::NotJudged
    })?;
    // A relay that shares no store with a control plane knows neither, and honours no spare token.
    let rules = rules.ok_or(HandshakeRefused::NotJudged)?;
    if !rules.is_rolled_out(cohort, claims.session_id) {
        return Err(HandshakeRefused::Disabled);
    }
    let document = document.ok_or(HandshakeRefused::NotJudged)?;
    still_belongs(&document, claims, unix_seconds(SystemTime::now())).map_err(HandshakeRefused::Revoked)?;
    // On another node it is still worth something.
    let way = relay.way_to(claims.session_id).await?;
    relay.admission.spend_spare(claims).await?;
    let counts = relay.guardrail.count(cohort, Counted::Activation(claims.session_id)).await;
    relay.guardrail.judge(rules.budget, cohort, counts).await;
    Ok(way)
}

/// The rules of the control plane and the newest document of the session.
async fn look(
    relay: &Core,
    claims: &Claims,
) -> Result<(Option<Rules>, Option<Arc<SessionDocument>>), StoreError> {
    let store = relay.admission.store();
    let both = async { tokio::try_join!(store.rules(), store.session(claims.session_id)) };
    timeout(DEADLINE, both).await.unwrap_or(Err(StoreError::Unavailable))
}

/// Whether the holder may still do what the token says: the host's newest word counts, as it does for who asks now.
fn still_belongs(document: &SessionDocument, claims: &Claims, now: u64) -> Result<(), Reason> {
    match claims.role {
        Role::Host if claims.sub.into_bytes() == document.host_key.peer_id() => Ok(()),
        Role::Host => Err(Reason::NotHost),
        Role::Viewer => {
            let link = claims.link.ok_or(Reason::LinkUnknown)?;
            document.admits(link, claims.sub, claims.access, now)
        }
    }
}
