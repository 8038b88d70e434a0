//! One link that all operations share, replaced when it leads nowhere.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use ::redis::{
    Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisFuture, RedisResult, ServerErrorKind, Value,
    aio::{ConnectionLike, PubSub},
};
use parking_lot::RwLock;
use tokio::time::timeout;

use super::{
    address::{Address, UrlError},
    breaker::{Breaker, Episode},
    link::{Link, Origin},
};
use crate::store::{DEADLINE, StoreError};

/// A Redis, and how to ask it something.
pub(super) struct Redis {
    origin: Origin,
    /// None until something is asked, and again when it led nowhere.
    link: RwLock<Option<Link>>,
    /// How many links were left.
    left: AtomicU64,
    breaker: Breaker,
    /// Writes that found no memory.
    full: Episode,
    /// Hosts and ports, for logs: the URL has a password in it.
    address: String,
}

impl Redis {
    /// `authority`: who signed its certificate, in PEM, where it is not one the system trusts.
    pub(super) fn open(url: &str, authority: Option<&[u8]>) -> Result<Self, UrlError> {
        let address: Address = url.parse()?;
        let shown = address.to_string();
        Ok(Self {
            origin: Origin::new(address, authority)?,
            link: RwLock::default(),
            left: AtomicU64::new(0),
            breaker: Breaker::default(),
            full: Episode::default(),
            address: shown,
        })
    }

    /// What leads to whoever is master when something is asked.
    pub(super) const fn connection(&self) -> Connection<'_> {
        Connection(self)
    }

    /// Whether it is a Cluster: keys that one script touches must say so in their names.
    pub(super) const fn is_cluster(&self) -> bool {
        self.origin.is_cluster()
    }

    /// Opens a connection of its own on which others are heard.
    pub(super) async fn listen(&self) -> Result<PubSub, StoreError> {
        match timeout(DEADLINE, self.origin.listen()).await {
            Ok(Ok(listening)) => Ok(listening),
            Ok(Err(_)) | Err(_) => Err(StoreError::Unavailable),
        }
    }

    async fn link(&self) -> RedisResult<Link> {
        let known = self.link.read().clone();
        match known {
            Some(known) => Ok(known),
            None => {
                let fresh = self.origin.link().await?;
                // Of two who made one, both use the first.
                Ok(self.link.write().get_or_insert(fresh).clone())
            }
        }
    }

    /// Leaves the link, unless somebody left it already since `left` was read. After a failover it leads to a replica
    /// that will never take a write, and lives; whoever is asked for the address names the new master.
    fn leave(&self, left: u64) {
        let mut link = self.link.write();
        if self.left.load(Relaxed) == left {
            self.left.store(left + 1, Relaxed);
            *link = None;
        }
    }

    /// Does one thing within the deadline; fails at once while the store is known to be away.
    pub(super) async fn ask<T>(
        &self,
        work: impl Future<Output = Result<T, RedisError>> + Send,
    ) -> Result<T, StoreError> {
        if self.breaker.is_open() {
            return Err(StoreError::Unavailable);
        }
        let left = self.left.load(Relaxed);
        let failed = match timeout(DEADLINE, work).await {
            Ok(Ok(answer)) => {
                if self.breaker.close() {
                    tracing::info!(store = self.address, "the store answers again");
                }
                return Ok(answer);
            }
            Ok(Err(error)) if error.code() == Some("OOM") => {
                if self.full.note() {
                    tracing::error!(
                        store = self.address,
                        "the store has no memory left for what it is told: raise its maxmemory"
                    );
                }
                return Err(StoreError::Full);
            }
            Ok(Err(error)) if error.kind() == ErrorKind::Server(ServerErrorKind::Moved) => {
                self.leave(left);
                let hint = if self.is_cluster() { "" } else { ": a Cluster is asked by redis+cluster://" };
                format!("what is asked for is elsewhere{hint}")
            }
            // A script that was not there is loaded by the library; this is something we said wrongly.
            Ok(Err(error)) if error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError) => {
                tracing::error!(store = self.address, "the store refuses what it was asked");
                return Err(StoreError::Unavailable);
            }
            Ok(Err(error)) => {
                if self.origin.moves() || is_no_master(&error) {
                    self.leave(left);
                }
                error.category().to_owned()
            }
            Err(_) => {
                if self.origin.moves() {
                    self.leave(left);
                }
                "no answer in time".to_owned()
            }
        };
        if self.breaker.open() {
            tracing::warn!(store = self.address, why = failed, "the store does not answer");
        }
        Err(StoreError::Unavailable)
    }
}

/// Whether the other end answers, and says that it is not the one to ask: demoted, loading, or a replica whose master
/// is away.
fn is_no_master(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, MasterDown, ReadOnly};
    matches!(error.kind(), ErrorKind::Server(ReadOnly | BusyLoading | MasterDown))
}

/// What a command is sent by. It finds its link when it is sent.
#[derive(Clone, Copy)]
pub(super) struct Connection<'r>(&'r Redis);

impl Connection<'_> {
    /// Does many things that need no order.
    pub(super) async fn all<T: FromRedisValue>(self, commands: &Pipeline) -> RedisResult<Vec<T>> {
        self.0.link().await?.all(commands).await
    }

    /// Says many things in order. What is said with the same `voice` keeps its order.
    pub(super) async fn publish(self, words: &Pipeline, voice: u64) -> RedisResult<Vec<u64>> {
        let slot = u16::try_from(voice % SLOTS).unwrap_or_default();
        self.0.link().await?.publish(words, slot).await
    }
}

impl ConnectionLike for Connection<'_> {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move { self.0.link().await?.req_packed_command(cmd).await })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move { self.0.link().await?.req_packed_commands(commands, offset, count).await })
    }

    fn get_db(&self) -> i64 {
        0
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Of a Redis Cluster.
const SLOTS: u64 = 16_384;
