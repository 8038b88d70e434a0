//! Which proxy a connection goes through, if any.

mod tunnel;
mod url;

use std::{ffi::OsString, fmt};

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

pub use self::url::ProxyUrl;
pub(crate) use self::{tunnel::open, url::Unusable};
use crate::native::{
    address::Address,
    cause::{Cause, ProxyFault},
    config::ProxyMode,
};

/// A proxy as errors name it: `10.0.0.1:3128 (from HTTPS_PROXY)`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyName {
    /// Host and port; empty when the setting is no URL.
    pub address: String,
    /// The variable that names it, or `the settings`.
    pub source: &'static str,
}

impl fmt::Display for ProxyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address.as_str() {
            "" => write!(f, "from {}", self.source),
            address => write!(f, "{address} (from {})", self.source),
        }
    }
}

/// A proxy and who chose it.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    pub(crate) url: ProxyUrl,
    pub(crate) source: &'static str,
}

impl Proxy {
    pub(crate) fn fault(&self, fault: ProxyFault) -> Cause {
        Cause::Proxy { proxy: ProxyName { address: self.url.to_string(), source: self.source }, fault }
    }
}

/// The rule by which the environment tells proxies apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `http` and `ws`.
    Plain,
    /// `https`, `wss` and everything that is not HTTP.
    Tunnel,
}

/// All that was set, read once.
#[derive(Debug)]
pub(crate) enum Proxies {
    Always(Proxy),
    Environment(Box<Environment>),
    Never,
}

/// What the variables say.
#[derive(Debug)]
pub(crate) struct Environment {
    plain: Option<Setting>,
    tunnel: Option<Setting>,
    exempt: Matcher,
}

/// What one variable says.
type Setting = Result<Proxy, (ProxyName, &'static str)>;

impl Proxies {
    pub(crate) fn new(mode: &ProxyMode, lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        match mode {
            ProxyMode::Direct => Self::Never,
            ProxyMode::Explicit(url) => Self::Always(Proxy { url: url.clone(), source: "the settings" }),
            // A CGI program's environment belongs to whoever sends the request.
            ProxyMode::Environment if lookup("REQUEST_METHOD").is_some() => Self::Never,
            ProxyMode::Environment => {
                let first = |names: &[&'static str]| {
                    let set = names.iter().filter_map(|&name| Some((name, lookup(name)?)));
                    let text = set.map(|(name, value)| (name, value.to_string_lossy().trim().to_owned()));
                    text.into_iter().find(|(_, value)| !value.is_empty())
                };
                let proxy = |names: &[&'static str]| first(names).map(|(name, value)| setting(name, &value));
                let exempt = first(&["NO_PROXY", "no_proxy"]).map(|(_, hosts)| hosts).unwrap_or_default();
                Self::Environment(Box::new(Environment {
                    plain: proxy(&["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]),
                    tunnel: proxy(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]),
                    exempt: Matcher::builder().all(ANY).no(exempt).build(),
                }))
            }
        }
    }

    /// Returns the proxy that `target` is reached through.
    ///
    /// # Errors
    ///
    /// The proxy that was chosen cannot be used. Going without it would ignore the setting.
    pub(crate) fn of(&self, target: &Address, kind: Kind) -> Result<Option<&Proxy>, Cause> {
        let Environment { plain, tunnel, exempt } = match self {
            Self::Never => return Ok(None),
            Self::Always(proxy) => return Ok(Some(proxy)),
            Self::Environment(environment) => &**environment,
        };
        if target.is_loopback() || is_exempt(exempt, target) {
            return Ok(None);
        }
        let chosen = if kind == Kind::Plain { plain } else { tunnel };
        match chosen {
            None => Ok(None),
            Some(Ok(proxy)) => Ok(Some(proxy)),
            Some(Err((proxy, why))) => {
                Err(Cause::Proxy { proxy: proxy.clone(), fault: ProxyFault::Unusable(why) })
            }
        }
    }
}

fn setting(source: &'static str, text: &str) -> Setting {
    match ProxyUrl::parse(text) {
        Ok(url) => Ok(Proxy { url, source }),
        Err(Unusable { address, why }) => Err((ProxyName { address, source }, why)),
    }
}

fn is_exempt(exempt: &Matcher, target: &Address) -> bool {
    let target = format!("http://{}", target.authority()).parse::<Uri>();
    target.is_ok_and(|target| exempt.intercept(&target).is_none())
}

/// Stands for any proxy where only the exemptions are asked for.
const ANY: &str = "http://proxy";

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(environment: &[(&str, &str)], host: &str, kind: Kind) -> Option<String> {
        let lookup = |name: &str| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        let proxies = Proxies::new(&ProxyMode::Environment, lookup);
        match proxies.of(&Address::new(host, 443), kind) {
            Ok(proxy) => proxy.map(|proxy| format!("{} {}", proxy.source, proxy.url)),
            Err(cause) => Some(cause.to_string()),
        }
    }

    #[test]
    fn each_kind_has_its_variable_and_all_proxy_stands_in() {
        let tunnel = |environment: &[_]| chosen(environment, "control.example", Kind::Tunnel);
        let plain = |environment: &[_]| chosen(environment, "control.example", Kind::Plain);
        let both = [("HTTPS_PROXY", "http://a:1"), ("http_proxy", "b:2")];
        assert_eq!(tunnel(&both).unwrap(), "HTTPS_PROXY a:1");
        assert_eq!(plain(&both).unwrap(), "http_proxy b:2");
        assert_eq!(tunnel(&[("HTTP_PROXY", "b:2")]), None);
        let all = [("all_proxy", "c:3"), ("HTTPS_PROXY", "")];
        assert_eq!(tunnel(&all).unwrap(), "all_proxy c:3");
        assert_eq!(plain(&all).unwrap(), "all_proxy c:3");
        assert_eq!(tunnel(&[]), None);
        assert_eq!(plain(&[("HTTP_PROXY", "b:2"), ("REQUEST_METHOD", "GET")]), None, "a CGI program");
    }

    #[test]
    fn no_proxy_exempts_names_addresses_and_networks() {
        let exempts = |no: &str, host: &str| {
            chosen(&[("ALL_PROXY", "c:3"), ("no_proxy", no)], host, Kind::Tunnel).is_none()
        };
        assert!(exempts("example", "control.example") && exempts(".example", "control.example"));
        assert!(exempts("a, control.example", "control.example") && exempts("*", "control.example"));
        assert!(exempts("10.0.0.0/8", "10.1.2.3") && exempts("2001:db8::/32", "[2001:db8::1]"));
        assert!(!exempts("rol.example", "control.example") && !exempts("10.0.0.0/8", "11.0.0.1"));
    }

    #[test]
    fn loopback_never_goes_through_a_proxy_from_the_environment() {
        for here in ["localhost", "127.0.0.1", "[::1]"] {
            assert_eq!(chosen(&[("ALL_PROXY", "c:3")], here, Kind::Plain), None, "{here}");
        }
        let explicit = ProxyMode::Explicit("http://10.0.0.1:3128".parse().unwrap());
        let proxies = Proxies::new(&explicit, |_| Some("*".into()));
        let target = Address::new("127.0.0.1", 1);
        let proxy = proxies.of(&target, Kind::Plain).unwrap().unwrap();
        assert_eq!(
            proxy.fault(ProxyFault::NoAnswer).to_string(),
            "the proxy 10.0.0.1:3128 (from the settings) does not answer"
        );
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_not_ignored() {
        let said = |value| chosen(&[("ALL_PROXY", value)], "control.example", Kind::Tunnel).unwrap();
        assert_eq!(
            said("socks5://user:s3cret@10.0.0.1:1080"),
            "the proxy 10.0.0.1:1080 (from ALL_PROXY) cannot be used: only http:// and https:// are spoken"
        );
        assert_eq!(
            said("http://user:s3cret/@x y"),
            "the proxy from ALL_PROXY cannot be used: it is no URL of a proxy"
        );
        assert_eq!(chosen(&[("ALL_PROXY", "socks5://x")], "localhost", Kind::Tunnel), None);
    }
}
