//! The store that replicas share. Keys and their lives:
//!
//! | key | value | life |
//! |---|---|---|
//! | `lifeguard:session:{id}` | revision, 20 digits, then the document, JSON | 10 min, a day from when its host was last seen |
//! | `lifeguard:sessions` | ids of sessions by the end of their life | as long as the longest of theirs |
//! | `lifeguard:nonce:{hex}`, `lifeguard:jti:{id}` | 1 | until a second use is refused anyway |
//! | `fallback:cohort:{cohort}:{yyyy-mm-dd-hh}:fallback`, `…:total` | counters | 90 min |
//! | `fallback:cohort:{cohort}:{yyyy-mm-dd-hh}:seen` | set of 8-byte hashes | 90 min |
//! | `fallback:switch` | the kill switch, JSON | for ever |
//! | `fallback:metrics:connections_total`, `…:messages_forwarded_total`, `…:bytes_forwarded_total` | sums | for ever |
//! | `fallback:session:{id}:connections_active`, `…:messages_forwarded` | figures, by consent | an hour |
//! | `fallback:batch:{id}` | 1 | 10 min |
//!
//! | `lifeguard:room:{id}` | who sits in a signaling room, and on which node: hash of peer to seat | an hour, renewed each minute |
//! | `lifeguard:relays` | relay nodes, and what each says of itself | a minute, renewed every second |
//! | `lifeguard:owner:{{id}}` | the relay node on which a session's peers meet | 90 s, renewed every 30 s |
//! | `lifeguard:nodes` | nodes by when they were last heard of | a minute, renewed every 2 s |
//!
//! Nodes speak to each other on the channels `lifeguard:node:{node}` and `lifeguard:all`.
//!
//! Each operation is one command or one script, but for what stands in the next paragraph. The store is one Redis, the
//! master that Sentinels name, or a Cluster.
//!
//! In a Cluster a script touches keys of one hash tag. A cohort's hour is one, so its keys are
//! `fallback:cohort:{{cohort}:{yyyy-mm-dd-hh}}:…` there; sums and figures are one, `fallback:{totals}:metrics:…`,
//! `…:session:…`, `…:batch:…`; a session and the list of all sessions are asked one after the other. All else has one key.

mod address;
mod breaker;
mod connection;
mod link;
mod pool;
mod relays;
mod script;

use std::{fmt, sync::Arc, time::Duration};

use ::redis::Cmd;
use async_trait::async_trait;
use beach_lifeguard_client::session::SessionDocument;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

pub use self::{address::UrlError, pool::Pool};
use self::{connection::Redis, relays::Relays, script::Scripts};
use super::{
    BUCKET_LIFE, Bucket, Counted, Counts, MOST_SESSIONS, Published, Seed, Store, StoreError, Totals,
    pool::{Heard, NodeId},
    pseudonym,
    relays::{OtherOwner, RelayNode},
};
use crate::{
    kill_switch::state::SwitchState,
    rules::{self, Rules},
};

/// See the module.
pub struct RedisStore {
    redis: Arc<Redis>,
    scripts: Scripts,
    relays: Relays,
}

impl RedisStore {
    /// Prepares a connection to one Redis, `redis://[user:password@]host[:port][/db]`; to the master of Sentinels,
    /// `redis+sentinel://[user:password@]host[:port],host[:port]/MASTER[/db][?sentinel_user=…&sentinel_password=…]`; or
    /// to a Cluster, `redis+cluster://[user:password@]host[:port],host[:port]`. With `rediss` in place of `redis` all of
    /// it goes by TLS. Nothing is sent before the first operation; a connection that breaks is made anew by itself.
    ///
    /// # Errors
    ///
    /// [`UrlError`].
    pub fn open(url: &str) -> Result<Self, UrlError> {
        Self::open_trusting(url, None)
    }

    /// As [`open`](Self::open), for servers whose certificates a private authority signed: its own, in PEM.
    ///
    /// # Errors
    ///
    /// [`UrlError`].
    pub fn open_trusting(url: &str, authority: Option<&[u8]>) -> Result<Self, UrlError> {
        let redis = Arc::new(Redis::open(url, authority)?);
        Ok(Self { redis, scripts: Scripts::new(), relays: Relays::new() })
    }

    /// Takes a place among all sessions, where that is a step of its own; `false` when there is none.
    async fn place(&self, session: Uuid, life: Duration) -> Result<bool, StoreError> {
        if !self.redis.is_cluster() {
            return Ok(true);
        }
        let mut connection = self.redis.connection();
        let mut call = self.scripts.place.prepare_invoke();
        call.key(SESSIONS).arg(millis(life)).arg(MOST_SESSIONS).arg(session.to_string());
        let answer: u8 = self.redis.ask(call.invoke_async(&mut connection)).await?;
        Ok(answer == 1)
    }

    async fn spend(&self, key: String, life: Duration) -> Result<bool, StoreError> {
        let mut connection = self.redis.connection();
        let mut command = Cmd::new();
        command.arg("SET").arg(key).arg(1).arg("NX").arg("PX").arg(millis(life));
        let set: Option<String> = self.redis.ask(command.query_async(&mut connection)).await?;
        Ok(set.is_some())
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn publish(
        &self,
        document: &Arc<SessionDocument>,
        life: Duration,
    ) -> Result<Published, StoreError> {
        let json = serde_json::to_string(&**document).map_err(|_| StoreError::Unavailable)?;
        if !self.place(document.session_id, life).await? {
            return Err(StoreError::Full);
        }
        let mut connection = self.redis.connection();
        let mut call = self.scripts.publish.prepare_invoke();
        call.key(session_key(document.session_id));
        if !self.redis.is_cluster() {
            call.key(SESSIONS);
        }
        call.arg(format!("{:0REVISION_DIGITS$}{json}", document.revision)).arg(millis(life));
        call.arg(MOST_SESSIONS).arg(document.session_id.to_string());
        Ok(match self.redis.ask(call.invoke_async(&mut connection)).await? {
            0 => Published::Created,
            1 => Published::Known,
            2 => Published::Updated,
            3 => Published::Stale,
            _ => return Err(StoreError::Full),
        })
    }

    async fn session(&self, session: Uuid) -> Result<Option<Arc<SessionDocument>>, StoreError> {
        let mut connection = self.redis.connection();
        let value: Option<Vec<u8>> =
            self.redis.ask(Cmd::get(session_key(session)).query_async(&mut connection)).await?;
        // Anything that is no document of this session is not ours: the session is unknown.
        let document = value.and_then(|value| serde_json::from_slice(value.get(REVISION_DIGITS..)?).ok());
        Ok(document.filter(|document: &SessionDocument| document.session_id == session).map(Arc::new))
    }

    async fn spend_nonce(&self, nonce: [u8; 16], life: Duration) -> Result<bool, StoreError> {
        self.spend(format!("lifeguard:nonce:{:032x}", u128::from_be_bytes(nonce)), life).await
    }

    async fn spend_jti(&self, jti: Uuid, life: Duration) -> Result<bool, StoreError> {
        self.spend(format!("lifeguard:jti:{jti}"), life).await
    }

    async fn count(&self, cohort: &str, bucket: &Bucket, what: Counted) -> Result<Counts, StoreError> {
        let mut connection = self.redis.connection();
        let hour = if self.redis.is_cluster() {
            format!("fallback:cohort:{{{cohort}:{}}}", bucket.0)
        } else {
            format!("fallback:cohort:{cohort}:{}", bucket.0)
        };
        let mut call = self.scripts.count.prepare_invoke();
        call.key(format!("{hour}:fallback")).key(format!("{hour}:total")).key(format!("{hour}:seen"));
        call.arg(BUCKET_LIFE.as_secs());
        if let Counted::Activation(session) = what {
            call.arg(pseudonym(session).as_slice());
        }
        let (activations, sessions) = self.redis.ask(call.invoke_async(&mut connection)).await?;
        Ok(Counts { activations, sessions })
    }

    async fn switch(&self) -> Result<SwitchState, StoreError> {
        let mut connection = self.redis.connection();
        let command = Cmd::get(SWITCH);
        let json: Option<String> = self.redis.ask(command.query_async(&mut connection)).await?;
        json.map_or_else(|| Ok(SwitchState::default()), |json| parse(&json))
    }

    async fn set_switch(&self, state: &SwitchState) -> Result<SwitchState, StoreError> {
        let json = serde_json::to_string(state).map_err(|_| StoreError::Unavailable)?;
        let mut connection = self.redis.connection();
        let mut call = self.scripts.switch.prepare_invoke();
        call.key(SWITCH).arg(json).arg(state.revision);
        let stands: String = self.redis.ask(call.invoke_async(&mut connection)).await?;
        parse(&stands)
    }

    async fn set_rules(&self, rules: &Rules) -> Result<(), StoreError> {
        let json = serde_json::to_string(rules).map_err(|_| StoreError::Unavailable)?;
        let mut connection = self.redis.connection();
        let mut command = Cmd::new();
        command.arg("SET").arg(RULES).arg(json).arg("PX").arg(millis(rules::LIFE));
        self.redis.ask(command.query_async(&mut connection)).await
    }

    async fn rules(&self) -> Result<Option<Rules>, StoreError> {
        let mut connection = self.redis.connection();
        let command = Cmd::get(RULES);
        let json: Option<String> = self.redis.ask(command.query_async(&mut connection)).await?;
        // What a later release wrote and this one cannot read is as good as none.
        Ok(json.and_then(|json| serde_json::from_str(&json).ok()))
    }

    async fn ticket_seed(&self, fresh: &Seed) -> Result<Seed, StoreError> {
        let mut connection = self.redis.connection();
        let mut steps = ::redis::pipe();
        let life = millis(rules::LIFE);
        steps
            .cmd("SET")
            .arg(TICKET_SEED)
            .arg(fresh.expose().as_slice())
            .arg("NX")
            .arg("PX")
            .arg(life)
            .ignore();
        steps.cmd("PEXPIRE").arg(TICKET_SEED).arg(life).ignore();
        steps.get(TICKET_SEED);
        let (seed,): (Vec<u8>,) = self.redis.ask(steps.query_async(&mut connection)).await?;
        <[u8; 32]>::try_from(&seed[..]).map(Seed::new).map_err(|_| StoreError::Unavailable)
    }

    fn join_pool(
        &self,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Option<(Pool, mpsc::Receiver<Heard>)> {
        Some(Pool::join(self.redis.clone(), stop, tasks))
    }

    async fn beat_relay(&self, node: &RelayNode) -> Result<(), StoreError> {
        self.relays.beat(&self.redis, node).await
    }

    async fn relays(&self) -> Result<Vec<RelayNode>, StoreError> {
        self.relays.living(&self.redis).await
    }

    async fn own_session(
        &self,
        session: Uuid,
        candidates: &[NodeId],
        lease: Duration,
        other: OtherOwner,
    ) -> Result<Option<NodeId>, StoreError> {
        self.relays.own(&self.redis, session, candidates, lease, other).await
    }

    async fn hold_sessions(
        &self,
        node: NodeId,
        sessions: &[Uuid],
        lease: Duration,
    ) -> Result<Vec<Option<NodeId>>, StoreError> {
        self.relays.hold(&self.redis, node, sessions, lease).await
    }

    async fn release_sessions(&self, node: NodeId, sessions: &[Uuid]) -> Result<(), StoreError> {
        self.relays.release(&self.redis, node, sessions).await
    }

    async fn add_totals(&self, batch: Uuid, totals: &Totals) -> Result<(), StoreError> {
        let mut connection = self.redis.connection();
        let mut call = self.scripts.totals.prepare_invoke();
        let prefix = if self.redis.is_cluster() { "fallback:{totals}:" } else { "fallback:" };
        call.key(format!("{prefix}batch:{batch}")).arg(prefix);
        call.arg(totals.connections).arg(totals.messages).arg(totals.bytes);
        call.arg(Totals::SESSION_LIFE.as_secs());
        for figures in &totals.sessions {
            call.arg(figures.session.to_string())
                .arg(figures.connections_active)
                .arg(figures.messages_forwarded);
        }
        self.redis.ask(call.invoke_async(&mut connection)).await
    }
}

fn session_key(session: Uuid) -> String {
    format!("lifeguard:session:{session}")
}

/// Redis refuses a life of zero.
fn millis(life: Duration) -> u64 {
    u64::try_from(life.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// What a later release wrote and this one cannot read is as good as no answer: the last state stands.
fn parse(json: &str) -> Result<SwitchState, StoreError> {
    serde_json::from_str(json).map_err(|_| {
        tracing::error!(key = SWITCH, "the kill switch in the store cannot be read");
        StoreError::Unavailable
    })
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("redis", &self.redis).finish_non_exhaustive()
    }
}

const SWITCH: &str = "fallback:switch";
const RULES: &str = "fallback:rules";
const TICKET_SEED: &str = "fallback:ticket-seed";
const SESSIONS: &str = "lifeguard:sessions";

/// Enough for any u64: what is compared as text compares as a number.
const REVISION_DIGITS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_never_shown() {
        let store = RedisStore::open("redis://user:s3cret@127.0.0.1:1/0").unwrap();
        assert_eq!(format!("{store:?}"), r#"RedisStore { redis: Redis { address: "127.0.0.1:1", .. }, .. }"#);
        let error = RedisStore::open("rediz://user:s3cret@host").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
}
