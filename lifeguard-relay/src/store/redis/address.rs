//! Where a Redis is: one server, what Sentinels say, or a Cluster.

use std::{fmt, str::FromStr};

use ::redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, io::tcp::TcpSettings};
use url::{Url, form_urlencoded};

/// What a store URL says. `Debug` shows no password.
pub(super) enum Address {
    /// `redis://[user:password@]host[:port][/db]`
    One(ConnectionInfo),
    /// `redis+sentinel://[user:password@]host[:port],…/MASTER[/db]`
    Sentinel(Sentinels),
    /// `redis+cluster://[user:password@]host[:port],…`
    Cluster(Vec<ConnectionInfo>),
}

/// Who knows where the master is.
pub(super) struct Sentinels {
    pub(super) addresses: Vec<ConnectionAddr>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// The name under which they watch the master.
    pub(super) master: String,
    /// How the master itself is entered; the address in it means nothing.
    pub(super) entry: ConnectionInfo,
}

impl Address {
    /// Whether what goes there is encrypted.
    pub(super) fn is_tls(&self) -> bool {
        let addr = match self {
            Self::One(info) => info.addr(),
            Self::Sentinel(sentinels) => sentinels.entry.addr(),
            Self::Cluster(seeds) => match seeds.first() {
                Some(seed) => seed.addr(),
                None => return false,
            },
        };
        matches!(addr, ConnectionAddr::TcpTls { .. })
    }
}

impl FromStr for Address {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::Form)?;
        match scheme {
            "redis+sentinel" => sentinels("redis", rest).map(Self::Sentinel),
            "rediss+sentinel" => sentinels("rediss", rest).map(Self::Sentinel),
            "redis+cluster" => seeds("redis", rest).map(Self::Cluster),
            "rediss+cluster" => seeds("rediss", rest).map(Self::Cluster),
            "redis" | "rediss" => {
                let info = url.into_connection_info().map_err(|_| UrlError::Form)?;
                Ok(Self::One(info.set_tcp_settings(tcp())))
            }
            _ => Err(UrlError::Form),
        }
    }
}

/// Without it one small write waits 40 ms for the acknowledgement of another.
pub(super) fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn seeds(scheme: &str, rest: &str) -> Result<Vec<ConnectionInfo>, UrlError> {
    let List { entry, hosts, path, query } = List::read(rest)?;
    // A Cluster has one database, and nothing else stands there.
    if !matches!(path, "" | "0") || !query.is_empty() {
        return Err(UrlError::Form);
    }
    hosts.iter().map(|host| server(scheme, entry, host, REDIS_PORT)).collect()
}

fn sentinels(scheme: &str, rest: &str) -> Result<Sentinels, UrlError> {
    let List { entry, hosts, path, query } = List::read(rest)?;
    let (master, db) = path.split_once('/').unwrap_or((path, "0"));
    let db: i64 = db.parse().map_err(|_| UrlError::Form)?;
    // Sentinel takes no other names.
    let named = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    if master.is_empty() || !named(master) || db < 0 {
        return Err(UrlError::Form);
    }
    let (mut user, mut password) = (None, None);
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "sentinel_user" => user = Some(value.into_owned()),
            "sentinel_password" => password = Some(value.into_owned()),
            _ => return Err(UrlError::Form),
        }
    }
    let address = |host: &&str| server(scheme, "", host, SENTINEL_PORT).map(|info| info.addr().clone());
    let addresses = hosts.iter().map(address).collect::<Result<_, _>>()?;
    let entry = server(scheme, entry, "master", REDIS_PORT)?;
    let settings = entry.redis_settings().clone().set_db(db);
    let master = master.to_owned();
    Ok(Sentinels { addresses, user, password, master, entry: entry.set_redis_settings(settings) })
}

/// One server of a list.
fn server(scheme: &str, entry: &str, host: &str, port: u16) -> Result<ConnectionInfo, UrlError> {
    let mut url = Url::parse(&format!("{scheme}://{entry}{host}")).map_err(|_| UrlError::Form)?;
    // Nothing but a host and a port: a path or a second user would be somebody's mistake.
    if host.contains(['@', '/', '?', '#']) || url.host_str().is_none_or(str::is_empty) {
        return Err(UrlError::Form);
    }
    if url.port().is_none() {
        url.set_port(Some(port)).map_err(|()| UrlError::Form)?;
    }
    let info = url.into_connection_info().map_err(|_| UrlError::Form)?;
    Ok(info.set_tcp_settings(tcp()))
}

/// `[user:password@]host,host[/path][?query]`
struct List<'a> {
    /// With its `@`, or empty.
    entry: &'a str,
    hosts: Vec<&'a str>,
    path: &'a str,
    query: &'a str,
}

impl<'a> List<'a> {
    fn read(rest: &'a str) -> Result<Self, UrlError> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (entry, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        let hosts: Vec<_> = hosts.split(',').collect();
        if hosts.contains(&"") { Err(UrlError::Form) } else { Ok(Self { entry, hosts, path, query }) }
    }
}

/// For logs: hosts and ports, and no password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |addresses: Vec<String>| addresses.join(",");
        match self {
            Self::One(info) => write!(f, "{}", info.addr()),
            Self::Sentinel(Sentinels { addresses, master, .. }) => {
                let addresses = list(addresses.iter().map(ToString::to_string).collect());
                write!(f, "{master} of the sentinels {addresses}")
            }
            Self::Cluster(seeds) => {
                write!(f, "cluster {}", list(seeds.iter().map(|seed| seed.addr().to_string()).collect()))
            }
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is wrong with the store's settings. Does not show the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Not a URL of a Redis.
    #[error(
        "not a Redis URL: expected redis://[user:password@]host[:port][/db], \
         redis+sentinel://[user:password@]host[:port],host[:port]/MASTER[/db] or \
         redis+cluster://[user:password@]host[:port],host[:port]; rediss… for TLS"
    )]
    Form,
    /// The authority's certificate is no PEM.
    #[error("the authority of its certificate cannot be read: expected a certificate in PEM")]
    Authority,
    /// An authority for a connection that shows no certificate.
    #[error("an authority is for TLS: expected rediss://, rediss+sentinel:// or rediss+cluster://")]
    AuthorityWithoutTls,
}

const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_says_where_the_redis_is() {
        for (url, shown, tls) in [
            ("redis://10.0.0.1", "10.0.0.1:6379", false),
            ("rediss://user:s3cret@redis.example:7000/2", "redis.example:7000", true),
            (
                "redis+sentinel://user:s3cret@a,b:7000,[::1]/beach/3?sentinel_password=s3cret",
                "beach of the sentinels a:26379,b:7000,::1:26379",
                false,
            ),
            ("rediss+sentinel://a/master", "master of the sentinels a:26379", true),
            ("redis+cluster://:s3cret@a:1,b", "cluster a:1,b:6379", false),
            ("rediss+cluster://a,b/0", "cluster a:6379,b:6379", true),
        ] {
            let address: Address = url.parse().unwrap();
            assert_eq!(format!("{address:?}"), shown, "{url}");
            assert_eq!(address.is_tls(), tls, "{url}");
        }
    }

    #[test]
    fn passwords_reach_whom_they_are_for() {
        let url = "redis+sentinel://user:p%40ss@a,b/beach/3?sentinel_user=watch&sentinel_password=m%2Be";
        let Address::Sentinel(sentinels) = url.parse().unwrap() else { panic!("{url}") };
        assert_eq!((sentinels.user.as_deref(), sentinels.password.as_deref()), (Some("watch"), Some("m+e")));
        let settings = sentinels.entry.redis_settings();
        assert_eq!(
            (settings.username(), settings.password(), settings.db()),
            (Some("user"), Some("p@ss"), 3)
        );

        let Address::Cluster(seeds) = "redis+cluster://:s3cret@a:1,b".parse().unwrap() else { panic!() };
        assert!(seeds.iter().all(|seed| seed.redis_settings().password() == Some("s3cret")));
    }

    #[test]
    fn anything_else_is_refused_and_not_shown() {
        for url in [
            "",
            "redis",
            "redis://",
            "http://s3cret@a",
            "redis+unix:///s3cret",
            "redis+sentinel://s3cret@a",
            "redis+sentinel://a,/s3cret",
            "redis+sentinel://a/m/s3cret",
            "redis+sentinel://a/m/-1",
            "redis+sentinel://a/s3%20cret",
            "redis+sentinel://a/m?password=s3cret",
            "redis+sentinel:///m",
            "redis+sentinel://a:s3cret/m",
            "redis+cluster://",
            "redis+cluster://s3cret@",
            "redis+cluster://a,,b",
            "redis+cluster://a/1",
            "redis+cluster://a:99999",
            "redis+cluster://a?db=s3cret",
            "redis+cluster://a b",
        ] {
            let error = url.parse::<Address>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{url}");
        }
    }
}
