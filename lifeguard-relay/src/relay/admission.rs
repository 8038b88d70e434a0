//! Who may come in: a token that verifies, is spent here for the first time, while the kill switch is off.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use beach_lifeguard_client::{
    Claims,
    membership::unix_seconds,
    token::{Capability, FallbackToken, LEEWAY_SECS, TokenError, TokenKind, TokenVerifier},
};
use parking_lot::{Mutex, RwLock};
use tokio::time::timeout;
use uuid::Uuid;

use super::refusal::HandshakeRefused;
use crate::{
    kill_switch::KillSwitch,
    store::{DEADLINE, Store},
};

/// Everything a token is checked against.
#[derive(Debug)]
pub struct Admission {
    verifier: RwLock<Arc<TokenVerifier>>,
    store: Arc<dyn Store>,
    pub(super) kill_switch: KillSwitch,
    /// Tokens spent on this node and when they expire: what stands when the store does not answer.
    spent: Mutex<HashMap<Uuid, u64>>,
}

impl Admission {
    /// Admits by `verifier`, remembering spent tokens in `store`, as far as `kill_switch` lets anybody in.
    pub fn new(verifier: TokenVerifier, store: Arc<dyn Store>, kill_switch: KillSwitch) -> Self {
        Self { verifier: RwLock::new(Arc::new(verifier)), store, kill_switch, spent: Mutex::default() }
    }

    pub(super) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Trusts other keys from here on: rotation, with whatever overlap the new set has.
    pub(super) fn trust(&self, verifier: TokenVerifier) {
        *self.verifier.write() = Arc::new(verifier);
    }

    /// Checks a token of any kind for a socket of version 2. Nothing is spent yet.
    pub(super) fn verify(&self, token: &FallbackToken) -> Result<(TokenKind, Claims), HandshakeRefused> {
        let verifier = self.verifier.read().clone();
        let (kind, claims) = verifier.verify_any(token, Capability::V2, SystemTime::now())?;
        if kind == TokenKind::Rejoin {
            // Relays give those, and no control plane.
            return Err(TokenError::Audience.into());
        }
        if self.kill_switch.refuses_new(&claims.cohort_id) {
            return Err(HandshakeRefused::Paused);
        }
        Ok((kind, claims))
    }

    /// Spends a token that was asked for when it was needed.
    pub(super) async fn spend(&self, claims: &Claims) -> Result<(), HandshakeRefused> {
        if self.is_first(claims).await.unwrap_or(true) { Ok(()) } else { Err(TokenError::Spent.into()) }
    }

    /// Spends a spare token, which lives long: without the store nobody knows whether another node has seen it.
    pub(super) async fn spend_spare(&self, claims: &Claims) -> Result<(), HandshakeRefused> {
        match self.is_first(claims).await {
            Some(true) => Ok(()),
            Some(false) => Err(TokenError::Spent.into()),
            None => {
                // It is as good as before once the store is back.
                self.spent.lock().remove(&claims.jti);
                Err(HandshakeRefused::NotJudged)
            }
        }
    }

    /// Checks a token that was asked for when it was needed, for a socket of the wanted wire, and spends it.
    pub(super) async fn admit(
        &self,
        token: &FallbackToken,
        wanted: Capability,
    ) -> Result<Claims, HandshakeRefused> {
        let verifier = self.verifier.read().clone();
        let now = SystemTime::now();
        let claims = verifier.verify(token, wanted, now)?;
        if self.kill_switch.refuses_new(&claims.cohort_id) {
            return Err(HandshakeRefused::Paused);
        }
        self.spend(&claims).await?;
        Ok(claims)
    }

    /// Whether this is the token's first use. The store knows what other nodes have seen; `None` when it does not answer
    /// in time and this node has not seen it.
    async fn is_first(&self, claims: &Claims) -> Option<bool> {
        let now = SystemTime::now();
        let expires = claims.exp + LEEWAY_SECS;
        {
            let mut spent = self.spent.lock();
            if spent.len() >= MAX_REMEMBERED {
                forget_expired(&mut spent, now);
            }
            if spent.insert(claims.jti, expires).is_some() {
                return Some(false);
            }
        }
        let life = Duration::from_secs(expires.saturating_sub(unix_seconds(now)).max(1));
        match timeout(DEADLINE, self.store.spend_jti(claims.jti, life)).await {
            Ok(Ok(first)) => Some(first),
            Ok(Err(_)) | Err(_) => {
                tracing::warn!("the store does not answer; one use of a token is enforced on this node only");
                None
            }
        }
    }

    /// Forgets what has expired.
    pub(super) fn forget(&self) {
        forget_expired(&mut self.spent.lock(), SystemTime::now());
    }
}

fn forget_expired(spent: &mut HashMap<Uuid, u64>, now: SystemTime) {
    let now = unix_seconds(now);
    spent.retain(|_, expires| *expires > now);
    spent.shrink_to(spent.len() * 2);
}

/// Expired ones are forgotten at the latest when there are this many.
const MAX_REMEMBERED: usize = 100_000;
