//! Rejoin tickets: spare tokens that a relay gives to whoever is connected, so that neither its restart nor a control plane that
//! is away ends a session (`docs/adr/0026-spare-tokens.md`).

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use beach_lifeguard_client::{
    Claims, FallbackToken, Lane, Role,
    control::Control,
    membership::unix_seconds,
    token::{Capability, KeyError, KeyId, TokenError, TokenKind, TokenSigner, TokenVerifier},
};
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use tokio::time::sleep;
use uuid::Uuid;

use super::{core::Core, handle::PeerHandle, outbound::Outgoing};
use crate::store::{Seed, StoreError};

/// The key that the relays of a deployment share for it, as soon as it is known.
#[derive(Debug, Default)]
pub(super) struct Tickets(RwLock<Option<Arc<Key>>>);

#[derive(Debug)]
struct Key {
    seed: Seed,
    signer: TokenSigner,
    verifier: TokenVerifier,
}

impl Key {
    fn new(seed: Seed) -> Result<Self, KeyError> {
        let unnamed = TokenSigner::from_seed(KeyId::parse("unnamed")?, seed.expose())?;
        let hash = Sha256::digest(unnamed.public_key().0);
        let name = hash.iter().take(8).fold("rejoin-".to_owned(), |name, byte| format!("{name}{byte:02x}"));
        let signer = TokenSigner::from_seed(KeyId::parse(name)?, seed.expose())?;
        let verifier = TokenVerifier::new(ISSUER, [(signer.key_id().clone(), signer.public_key())]);
        Ok(Self { seed, signer, verifier })
    }
}

impl Tickets {
    /// Checks a ticket of this or another relay of the deployment.
    pub(super) fn verify(&self, token: &FallbackToken) -> Result<(TokenKind, Claims), TokenError> {
        let key = self.0.read().clone().ok_or(TokenError::Key)?;
        match key.verifier.verify_any(token, Capability::V2, SystemTime::now())? {
            (TokenKind::Rejoin, claims) => Ok((TokenKind::Rejoin, claims)),
            _ => Err(TokenError::Audience),
        }
    }

    /// Gives the holder of `claims` a ticket for the same. None before the key is known, and none for a viewer whose token
    /// names no link: nobody could tell whether it was taken back.
    pub(super) fn give(&self, claims: &Claims) -> Option<Outgoing> {
        if claims.role == Role::Viewer && claims.link.is_none() {
            return None;
        }
        let key = self.0.read().clone()?;
        let now = unix_seconds(SystemTime::now());
        let ticket = Claims {
            iss: ISSUER.to_owned(),
            aud: TokenKind::Rejoin.audience().to_owned(),
            iat: now,
            nbf: now,
            exp: now + LIFE.as_secs(),
            jti: Uuid::new_v4(),
            ..claims.clone()
        };
        let token = key.signer.sign(&ticket).ok()?;
        Some(Outgoing::Binary(Control::Ticket { token, life: LIFE }.frame()))
    }

    /// Agrees with the other relays on a key. The store may have lost it: then one of those who know it brings it back.
    /// Says whether it is another one now.
    async fn agree(&self, relay: &Core) -> Result<bool, StoreError> {
        let store = relay.admission.store();
        if store.rules().await?.is_none() {
            // No control plane shares this store: nobody could honour a ticket.
            return Ok(false);
        }
        let known = self.0.read().as_ref().map(|key| key.seed.clone());
        let mine = known.unwrap_or_else(|| Seed::new(rand::random()));
        let agreed = store.ticket_seed(&mine).await?;
        let is_known = self.0.read().as_ref().is_some_and(|key| key.seed == agreed);
        if !is_known && let Ok(key) = Key::new(agreed) {
            *self.0.write() = Some(Arc::new(key));
        }
        Ok(!is_known)
    }

    fn are_given(&self) -> bool {
        self.0.read().is_some()
    }
}

/// Agrees on the key again and again, until the relay stops.
pub(super) async fn run(relay: Arc<Core>) {
    loop {
        match relay.tickets.agree(&relay).await {
            Ok(true) => renew(&relay, |_| true),
            Ok(false) => {}
            Err(_) => relay.metrics.store_failed("spare"),
        }
        let pause = if relay.tickets.are_given() { AGAIN } else { SOON };
        tokio::select! {
            () = relay.stop.cancelled() => return,
            () = sleep(pause) => {}
        }
    }
}

/// Renews the tickets of those whose turn it is at `second`: everybody once in [`RENEWAL`], spread evenly.
pub(super) fn renew_some(relay: &Core, second: u64) {
    let turn = |peer: &PeerHandle| u64::from(peer.address.to_wire()) % RENEWAL.as_secs();
    if relay.tickets.are_given() {
        renew(relay, |peer| turn(peer) == second % RENEWAL.as_secs());
    }
}

fn renew(relay: &Core, chosen: impl Fn(&PeerHandle) -> bool) {
    relay.for_each_peer(|peer| {
        if chosen(peer)
            && let Some(claims) = &peer.claims
            && let Some(ticket) = relay.tickets.give(claims)
        {
            peer.push(Lane::Reliable, ticket);
        }
    });
}

/// Who signs tickets: no control plane, so none of its keys can be taken for one of these.
const ISSUER: &str = "beach-lifeguard-relay";
/// A restart and a control plane's repair fit in.
const LIFE: Duration = Duration::from_secs(TokenKind::Rejoin.max_life_secs());
/// Whoever is connected has a ticket with most of its life left.
const RENEWAL: Duration = Duration::from_secs(240);
/// Between two looks at the key.
const AGAIN: Duration = Duration::from_secs(30);
/// The same before there is one.
const SOON: Duration = Duration::from_secs(1);
