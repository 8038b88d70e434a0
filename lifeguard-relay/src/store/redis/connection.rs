//! One connection that all operations share, replaced when it leads nowhere.

use std::{fmt, time::Duration};

use ::redis::{
    Client, ErrorKind, IntoConnectionInfo, RedisError, ServerErrorKind,
    aio::{ConnectionManager, ConnectionManagerConfig, PubSub},
    io::tcp::TcpSettings,
};
use parking_lot::RwLock;
use tokio::time::timeout;

use super::breaker::Breaker;
use crate::store::{DEADLINE, StoreError};

/// A Redis, and how to ask it something.
pub(super) struct Redis {
    client: Client,
    /// Replaced when what it leads to is no master any more.
    connection: RwLock<ConnectionManager>,
    breaker: Breaker,
    /// Host and port, for logs: the URL has a password in it.
    address: String,
}

impl Redis {
    pub(super) fn open(url: &str) -> Result<Self, UrlError> {
        let info = url.into_connection_info().map_err(|_| UrlError)?;
        let address = info.addr().to_string();
        // Without it one small write waits 40 ms for the acknowledgement of another.
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = Client::open(info).map_err(|_| UrlError)?;
        let connection = RwLock::new(connect(&client).map_err(|_| UrlError)?);
        Ok(Self { client, connection, breaker: Breaker::default(), address })
    }

    pub(super) fn connection(&self) -> ConnectionManager {
        self.connection.read().clone()
    }

    /// Opens a connection of its own on which others are heard.
    pub(super) async fn listen(&self) -> Result<PubSub, StoreError> {
        match timeout(DEADLINE, self.client.get_async_pubsub()).await {
            Ok(Ok(listening)) => Ok(listening),
            Ok(Err(_)) | Err(_) => Err(StoreError::Unavailable),
        }
    }

    /// Leaves the connection for a fresh one. After a failover the old one leads to a replica that will never take
    /// a write, and lives; the address leads to the new master.
    fn reconnect(&self) {
        if let Ok(fresh) = connect(&self.client) {
            *self.connection.write() = fresh;
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
        let failed = match timeout(DEADLINE, work).await {
            Ok(Ok(answer)) => {
                if self.breaker.close() {
                    tracing::info!(store = self.address, "the store answers again");
                }
                return Ok(answer);
            }
            Ok(Err(error)) if error.code() == Some("OOM") => return Err(StoreError::Full),
            // A script that was not there is loaded by the library; this is something we said wrongly.
            Ok(Err(error)) if error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError) => {
                tracing::error!(store = self.address, "the store refuses what it was asked");
                return Err(StoreError::Unavailable);
            }
            Ok(Err(error)) => {
                if is_no_master(&error) {
                    self.reconnect();
                }
                error.category().to_owned()
            }
            Err(_) => "no answer in time".to_owned(),
        };
        if self.breaker.open() {
            tracing::warn!(store = self.address, why = failed, "the store does not answer");
        }
        Err(StoreError::Unavailable)
    }
}

/// Prepares a connection; it is made by the first command.
fn connect(client: &Client) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(DEADLINE))
        .set_response_timeout(Some(DEADLINE))
        .set_number_of_retries(1)
        .set_max_delay(Duration::from_millis(500));
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

/// Whether the other end answers, and says that it is not the one to ask: demoted, loading, or a replica whose master
/// is away.
fn is_no_master(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, MasterDown, ReadOnly};
    matches!(error.kind(), ErrorKind::Server(ReadOnly | BusyLoading | MasterDown))
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Not a URL of a Redis. Does not show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a Redis URL: expected redis://[user:password@]host[:port][/db], or rediss:// for TLS")]
pub struct UrlError;
