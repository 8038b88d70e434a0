//! A proxy's address and password.

use std::{fmt, str::FromStr};

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;

use crate::native::{address::Address, config::ConfigError};

/// A proxy's address: `[http://][user:password@]host[:port]`, or `https://…`. `Debug` and `Display` show
/// host and port only.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    pub(crate) address: Address,
    /// Whether the proxy itself is spoken to over TLS.
    pub(crate) tls: bool,
    /// The value of `Proxy-Authorization`.
    pub(crate) authorization: Option<HeaderValue>,
}

/// Why a text is no [`ProxyUrl`]. Holds no password.
pub(crate) struct Unusable {
    /// Host and port, where the text names them.
    pub(crate) address: String,
    pub(crate) why: &'static str,
}

impl ProxyUrl {
    pub(crate) fn parse(text: &str) -> Result<Self, Unusable> {
        let no_url = || Unusable { address: String::new(), why: "it is no URL of a proxy" };
        let proxy = Matcher::builder().all(text).build().intercept(&Uri::from_static(ANYWHERE));
        let proxy = proxy.ok_or_else(no_url)?;
        let (uri, host) = (proxy.uri(), proxy.uri().host().ok_or_else(no_url)?);
        let (tls, default) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => {
                let address = uri.authority().map(ToString::to_string).unwrap_or_default();
                return Err(Unusable { address, why: "only http:// and https:// are spoken" });
            }
        };
        let port = match uri.port_u16() {
            Some(port) => port,
            None if uri.authority().is_some_and(|authority| authority.as_str() == host) => default,
            // What stands there is no port.
            None => return Err(no_url()),
        };
        let address = Address::new(host, port);
        Ok(Self { address, tls, authorization: proxy.basic_auth().cloned() })
    }
}

impl FromStr for ProxyUrl {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).map_err(|Unusable { why, .. }| ConfigError::Proxy { why })
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address.authority())
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({self})")
    }
}

/// Stands for any target where only the proxy's address is asked for.
const ANYWHERE: &str = "http://target";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_and_without_its_parts() {
        for (text, address, tls) in [
            ("http://10.0.0.1:3128", "10.0.0.1:3128", false),
            ("proxy.example", "proxy.example:80", false),
            ("https://proxy.example/", "proxy.example:443", true),
            ("http://[::1]:8080", "[::1]:8080", false),
        ] {
            let url: ProxyUrl = text.parse().unwrap();
            assert_eq!((url.to_string().as_str(), url.tls), (address, tls), "{text}");
            assert_eq!(url.authorization, None);
        }
    }

    #[test]
    fn the_password_is_decoded_and_never_shown() {
        let url: ProxyUrl = "http://ann:s3%40cret@proxy.example:1".parse().unwrap();
        let wanted = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, "ann:s3@cret");
        assert_eq!(url.authorization.as_ref().unwrap(), &format!("Basic {wanted}"));
        let shown = format!("{url} {url:?} {:?}", url.authorization);
        assert!(!shown.contains("cret") && !shown.contains(&wanted), "{shown}");
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_repeating_it() {
        let said = |text: &str| text.parse::<ProxyUrl>().unwrap_err().to_string();
        assert_eq!(
            said("socks5://ann:s3cret@p:1"),
            "the proxy cannot be used: only http:// and https:// are spoken"
        );
        for text in ["", "http://", "ftp://p:1", "http://ann:s3cret@p:99999", "http://a b"] {
            let said = said(text);
            assert_eq!(said, "the proxy cannot be used: it is no URL of a proxy", "{text}");
        }
    }
}
