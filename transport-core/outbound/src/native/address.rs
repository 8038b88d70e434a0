//! Whom a connection is for.

use std::net::IpAddr;

use url::{Host, Url};

use crate::{
    error::{OutboundError, Stage},
    native::cause::Cause,
};

/// A host, as a name or an address without brackets, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    pub(crate) fn new(host: &str, port: u16) -> Self {
        Self { host: host.trim_matches(['[', ']']).to_owned(), port }
    }

    /// Reads host and port, and whether the scheme asks for TLS.
    pub(crate) fn of(url: &Url) -> Result<(Self, bool), OutboundError> {
        let bad = |why| OutboundError::new(Stage::Resolve, url.host_str().unwrap_or("?"), Cause::Url(why));
        let tls = match url.scheme() {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return Err(bad("the scheme is none of http, https, ws, wss")),
        };
        let host = url.host_str().ok_or_else(|| bad("the URL names no host"))?;
        let port = url.port_or_known_default().ok_or_else(|| bad("the URL names no port"))?;
        Ok((Self::new(host, port), tls))
    }

    /// Says whether a name server must be asked.
    pub(crate) fn is_name(&self) -> bool {
        self.host.parse::<IpAddr>().is_err()
    }

    /// Says whether the target is this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => {
                let name = self.host.trim_end_matches('.').to_ascii_lowercase();
                name == "localhost" || name.ends_with(".localhost")
            }
        }
    }

    /// Returns `host:port` with the brackets that an IPv6 address needs.
    pub(crate) fn authority(&self) -> String {
        match self.host.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]:{}", self.port),
            _ => format!("{}:{}", self.host, self.port),
        }
    }
}

/// Says whether two URLs name the same host.
pub(crate) fn same_host(one: &Url, other: &Url) -> bool {
    let host = |url: &Url| url.host().map(|host: Host<&str>| host.to_owned());
    host(one) == host(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_by_name_and_by_address() {
        for here in ["localhost", "a.LOCALHOST", "localhost.", "127.8.0.1", "[::1]", "::ffff:127.0.0.1"] {
            assert!(Address::new(here, 1).is_loopback(), "{here}");
        }
        for elsewhere in ["localhost.example", "10.0.0.1", "[::2]", "control.example"] {
            assert!(!Address::new(elsewhere, 1).is_loopback(), "{elsewhere}");
        }
    }

    #[test]
    fn an_authority_has_the_brackets_it_needs() {
        assert_eq!(Address::new("[2001:db8::1]", 443).authority(), "[2001:db8::1]:443");
        assert_eq!(Address::new("control.example", 1).authority(), "control.example:1");
    }

    #[test]
    fn only_four_schemes_are_dialled() {
        let of = |url: &str| Address::of(&url.parse().unwrap());
        let (address, tls) = of("wss://[::1]/v2/ws").unwrap();
        assert_eq!((address, tls), (Address { host: "::1".to_owned(), port: 443 }, true));
        assert_eq!(
            of("ftp://files.example/").unwrap_err().to_string(),
            "files.example: resolve: the scheme is none of http, https, ws, wss"
        );
    }
}
