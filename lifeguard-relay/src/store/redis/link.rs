//! What leads to the Redis of the moment.

use std::time::Duration;

use ::redis::{
    Client, Cmd, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError, RedisFuture, RedisResult,
    TlsCertificates, TlsMode, Value,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, PubSub},
    cluster::{ClusterClient, ClusterConfig},
    cluster_async::ClusterConnection,
    cluster_routing::{Route, SingleNodeRoutingInfo, SlotAddr},
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use futures::future::try_join_all;
use rand::seq::IndexedRandom as _;
use tokio::sync::Mutex;

use super::address::{Address, Sentinels, UrlError, tcp};
use crate::store::DEADLINE;

/// Where links are made.
pub(super) enum Origin {
    One(Box<Client>),
    /// One at a time asks: it keeps its connections to the Sentinels.
    Sentinel(Box<Mutex<SentinelClient>>),
    Cluster {
        client: Box<ClusterClient>,
        /// Each hears what is said on any: who listens needs one that lives.
        seeds: Vec<Client>,
    },
}

/// A link. Clones share it.
#[derive(Clone)]
pub(super) enum Link {
    One(ConnectionManager),
    Cluster(ClusterConnection),
}

impl Origin {
    pub(super) fn new(address: Address, authority: Option<&[u8]>) -> Result<Self, UrlError> {
        if authority.is_some() && !address.is_tls() {
            return Err(UrlError::AuthorityWithoutTls);
        }
        if address.is_tls() {
            // The library takes what the process chose. Where nobody has, two providers in a program's graph are a panic.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let certificates =
            authority.map(|pem| TlsCertificates { client_tls: None, root_cert: Some(pem.to_vec()) });
        let wrong = if authority.is_some() { UrlError::Authority } else { UrlError::Form };
        let made = match address {
            Address::One(info) => client(info, certificates).map(|client| Self::One(Box::new(client))),
            Address::Sentinel(sentinels) => {
                sentinel(sentinels, certificates).map(|client| Self::Sentinel(Box::new(Mutex::new(client))))
            }
            Address::Cluster(seeds) => cluster(seeds, certificates),
        };
        made.map_err(|_| wrong)
    }

    /// Prepares a link; where nobody need be asked for the address, the first command connects.
    pub(super) async fn link(&self) -> RedisResult<Link> {
        Ok(match self {
            Self::One(client) => Link::One(manager(client)?),
            Self::Sentinel(sentinel) => {
                let master = sentinel.lock().await.async_get_client().await?;
                Link::One(manager(&master)?)
            }
            Self::Cluster { client, .. } => {
                let config = ClusterConfig::new()
                    .set_connection_timeout(CLUSTER_CONNECT)
                    .set_response_timeout(DEADLINE);
                Link::Cluster(client.get_pending_async_connection_with_config(config))
            }
        })
    }

    /// Opens a connection on which others are heard.
    pub(super) async fn listen(&self) -> RedisResult<PubSub> {
        match self {
            Self::One(client) => client.get_async_pubsub().await,
            Self::Sentinel(sentinel) => {
                let master = sentinel.lock().await.async_get_client().await?;
                master.get_async_pubsub().await
            }
            Self::Cluster { seeds, .. } => {
                let seed = seeds.choose(&mut rand::rng());
                let seed = seed.ok_or((::redis::ErrorKind::InvalidClientConfig, "a cluster without seeds"));
                seed.map_err(RedisError::from)?.get_async_pubsub().await
            }
        }
    }

    /// Whether a link is to be left after every failure: only a server of its own address connects anew by itself.
    pub(super) const fn moves(&self) -> bool {
        !matches!(self, Self::One(_))
    }

    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster { .. })
    }
}

impl Link {
    /// Does many things that need no order, in one round trip where they are for one server.
    pub(super) async fn all<T: FromRedisValue>(&mut self, commands: &Pipeline) -> RedisResult<Vec<T>> {
        match self {
            Self::One(connection) => commands.query_async(connection).await,
            Self::Cluster(connection) => {
                let each = commands.cmd_iter().map(|command| {
                    let mut connection = connection.clone();
                    async move { command.query_async(&mut connection).await }
                });
                try_join_all(each).await
            }
        }
    }

    /// Says many things in their order. In a cluster all of them go through one server, that of `slot`: whichever hears,
    /// hears what one server was told in the order it was told.
    pub(super) async fn publish(&mut self, words: &Pipeline, slot: u16) -> RedisResult<Vec<u64>> {
        match self {
            Self::One(connection) => words.query_async(connection).await,
            Self::Cluster(connection) => {
                let through = SingleNodeRoutingInfo::SpecificNode(Route::new(slot, SlotAddr::Master));
                let answers =
                    connection.route_pipeline(words.clone(), 0, words.cmd_iter().count(), through).await?;
                let answers =
                    answers.into_iter().map(Value::extract_error).collect::<RedisResult<Vec<_>>>()?;
                answers.into_iter().map(|answer| Ok(u64::from_redis_value(answer)?)).collect()
            }
        }
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(commands, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(commands, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

fn client(info: impl IntoConnectionInfo, certificates: Option<TlsCertificates>) -> RedisResult<Client> {
    match certificates {
        Some(certificates) => Client::build_with_tls(info, certificates),
        None => Client::open(info),
    }
}

/// Prepares a connection; it is made by the first command.
fn manager(client: &Client) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(DEADLINE))
        .set_response_timeout(Some(DEADLINE))
        .set_number_of_retries(1)
        .set_max_delay(Duration::from_millis(500));
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

fn sentinel(sentinels: Sentinels, certificates: Option<TlsCertificates>) -> RedisResult<SentinelClient> {
    let Sentinels { addresses, user, password, master, entry } = sentinels;
    let tls = matches!(entry.addr(), ::redis::ConnectionAddr::TcpTls { .. });
    let settings = entry.redis_settings();
    let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?
        .set_client_to_redis_tcp_settings(tcp())
        .set_client_to_sentinel_tcp_settings(tcp())
        .set_client_to_redis_db(settings.db());
    if tls {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(TlsMode::Secure);
    }
    if let Some(certificates) = certificates {
        builder = builder
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_certificates(certificates);
    }
    if let Some(user) = settings.username() {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = settings.password() {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some(user) = user {
        builder = builder.set_client_to_sentinel_username(user);
    }
    if let Some(password) = password {
        builder = builder.set_client_to_sentinel_password(password);
    }
    builder.build()
}

fn cluster(
    seeds: Vec<::redis::ConnectionInfo>,
    certificates: Option<TlsCertificates>,
) -> RedisResult<Origin> {
    let mut builder = ClusterClient::builder(seeds.clone()).tcp_settings(tcp()).retries(CLUSTER_RETRIES);
    if let Some(certificates) = &certificates {
        builder = builder.certs(certificates.clone());
    }
    let seeds =
        seeds.into_iter().map(|seed| client(seed, certificates.clone())).collect::<RedisResult<_>>()?;
    Ok(Origin::Cluster { client: Box::new(builder.build()?), seeds })
}

/// Shorter than the deadline of what waits for it: a seed that is away must not hide those that live.
const CLUSTER_CONNECT: Duration = Duration::from_millis(500);
/// A redirection is a retry, and one may lead to the next.
const CLUSTER_RETRIES: u32 = 3;
