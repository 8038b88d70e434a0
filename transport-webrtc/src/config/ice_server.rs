//! STUN and TURN servers and their URLs (RFC 7064, RFC 7065).

use std::{fmt, str::FromStr};

use super::Credential;

/// STUN or TURN URLs that share one pair of credentials.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IceServer {
    /// Where.
    pub urls: Vec<IceUrl>,
    /// TURN user name; empty for STUN.
    pub username: String,
    /// TURN credential; empty for STUN.
    pub credential: Credential,
}

impl IceServer {
    /// Names a server that needs no credentials.
    pub fn new(urls: impl IntoIterator<Item = IceUrl>) -> Self {
        Self { urls: urls.into_iter().collect(), ..Self::default() }
    }

    /// Adds the credentials that TURN needs.
    #[must_use]
    pub fn with_credentials(mut self, username: impl Into<String>, credential: impl Into<String>) -> Self {
        self.username = username.into();
        self.credential = Credential::new(credential);
        self
    }
}

/// A STUN or TURN URL: `scheme:host[:port][?transport=udp|tcp]`, IPv6 hosts in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IceUrl {
    /// What is spoken there, and whether inside TLS.
    pub scheme: Scheme,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port; 3478 by default, 5349 for the TLS schemes.
    pub port: u16,
    /// What carries it; UDP by default, TCP for the TLS schemes.
    pub upstream: Upstream,
}

/// The scheme of an [`IceUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// STUN.
    Stun,
    /// STUN inside TLS.
    Stuns,
    /// TURN.
    Turn,
    /// TURN inside TLS.
    Turns,
}

/// What carries an [`IceUrl`]'s messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Upstream {
    /// A TCP stream, with TLS when the scheme says so.
    Tcp,
    /// UDP datagrams.
    Udp,
}

impl Scheme {
    const ALL: [Scheme; 4] = [Scheme::Stun, Scheme::Stuns, Scheme::Turn, Scheme::Turns];

    const fn name(self) -> &'static str {
        match self {
            Self::Stun => "stun",
            Self::Stuns => "stuns",
            Self::Turn => "turn",
            Self::Turns => "turns",
        }
    }

    /// Says whether it speaks inside TLS.
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Stuns | Self::Turns)
    }
}

impl IceUrl {
    /// Returns the STUN server at this address, if there is one: a TURN server over UDP is one too. An address seen over
    /// TCP says nothing about UDP.
    pub fn as_stun(&self) -> Option<Self> {
        let answers = matches!(self.scheme, Scheme::Stun | Scheme::Turn) && self.upstream == Upstream::Udp;
        answers.then(|| Self { scheme: Scheme::Stun, ..self.clone() })
    }
}

impl FromStr for IceUrl {
    type Err = IceUrlError;

    fn from_str(text: &str) -> Result<Self, IceUrlError> {
        let (scheme, rest) = text.split_once(':').ok_or(IceUrlError::Scheme)?;
        let scheme = Scheme::ALL.into_iter().find(|s| s.name() == scheme).ok_or(IceUrlError::Scheme)?;
        let (address, query) = rest.split_once('?').map_or((rest, None), |(a, q)| (a, Some(q)));
        let upstream = match query {
            None if scheme.is_secure() => Upstream::Tcp,
            None | Some("transport=udp") => Upstream::Udp,
            Some("transport=tcp") => Upstream::Tcp,
            Some(_) => return Err(IceUrlError::Transport),
        };
        if scheme.is_secure() && upstream == Upstream::Udp {
            return Err(IceUrlError::Transport);
        }
        let (host, port) = match address.strip_prefix('[') {
            Some(v6) => {
                let (host, rest) = v6.split_once(']').ok_or(IceUrlError::Host)?;
                (host, rest.strip_prefix(':'))
            }
            None => address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || host.len() > 255 || !host.chars().all(legal) {
            return Err(IceUrlError::Host);
        }
        let port = match port {
            Some(port) => port.parse().ok().filter(|&port| port != 0).ok_or(IceUrlError::Port)?,
            None if scheme.is_secure() => 5349,
            None => 3478,
        };
        Ok(Self { scheme, host: host.to_owned(), port, upstream })
    }
}

impl fmt::Display for IceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port, upstream } = self;
        let scheme = scheme.name();
        if host.contains(':') {
            write!(f, "{scheme}:[{host}]:{port}")?
        } else {
            write!(f, "{scheme}:{host}:{port}")?
        }
        match (scheme, upstream) {
            ("stun" | "stuns", _) => Ok(()),
            (_, Upstream::Tcp) => f.write_str("?transport=tcp"),
            (_, Upstream::Udp) => f.write_str("?transport=udp"),
        }
    }
}

/// Why a string is not a STUN or TURN URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IceUrlError {
    /// The host is missing or not a host.
    #[error("a STUN or TURN URL needs a host")]
    Host,
    /// The port is not a number from 1 to 65,535.
    #[error("the port of a STUN or TURN URL is 1 to 65535")]
    Port,
    /// The scheme is another.
    #[error("a STUN or TURN URL starts with stun:, stuns:, turn: or turns:")]
    Scheme,
    /// The transport is neither `udp` nor `tcp`, or UDP inside TLS.
    #[error("the transport of a STUN or TURN URL is udp or tcp, and tcp inside TLS")]
    Transport,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_get_their_defaults_and_print_in_full() {
        for (text, full) in [
            ("stun:stun.example.org", "stun:stun.example.org:3478"),
            ("turn:10.0.0.1:99", "turn:10.0.0.1:99?transport=udp"),
            ("turn:[2001:db8::1]?transport=tcp", "turn:[2001:db8::1]:3478?transport=tcp"),
            ("turns:example.org", "turns:example.org:5349?transport=tcp"),
        ] {
            assert_eq!(text.parse::<IceUrl>().unwrap().to_string(), full);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, error) in [
            ("http://example.org", IceUrlError::Scheme),
            ("example.org", IceUrlError::Scheme),
            ("turn:", IceUrlError::Host),
            ("turn://example.org", IceUrlError::Host),
            ("turn:[::1", IceUrlError::Host),
            ("turn:a b", IceUrlError::Host),
            ("turn:host:0", IceUrlError::Port),
            ("turn:host:65536", IceUrlError::Port),
            ("turn:host?transport=sctp", IceUrlError::Transport),
            ("turns:host?transport=udp", IceUrlError::Transport),
        ] {
            assert_eq!(text.parse::<IceUrl>(), Err(error), "{text}");
        }
    }
}
