//! How others reach this machine.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    str::FromStr,
    time::Duration,
};

use tokio::{net::lookup_host, time::timeout};
use url::Host;

use super::PORT;
use crate::cli::failure::Failure;

/// A host and a port, as they stand in links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Public {
    host: Host<String>,
    port: u16,
    chosen: Chosen,
}

/// Who chose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chosen {
    /// The system: it is the address of the way out.
    BySystem,
    /// Whoever started this.
    Named,
}

impl Public {
    /// Takes the address by which this machine reaches others.
    ///
    /// # Errors
    ///
    /// [`Failure::Public`] when it reaches nobody.
    pub(super) fn outward() -> Result<Self, Failure> {
        let found = [(Ipv4Addr::UNSPECIFIED.into(), V4), (Ipv6Addr::UNSPECIFIED.into(), V6)];
        let found = found.into_iter().find_map(|(from, to)| way_out(from, to));
        let host = match found {
            Some(IpAddr::V4(address)) => Host::Ipv4(address),
            Some(IpAddr::V6(address)) => Host::Ipv6(address),
            None => {
                let words = "this machine has no address that others reach, as it has no way out\n  \
                             name one with --public HOST";
                return Err(Failure::Public(words.to_owned()));
            }
        };
        Ok(Self { host, port: PORT, chosen: Chosen::BySystem })
    }

    /// Checks that the name has an address: links with one that has none lead nowhere.
    ///
    /// # Errors
    ///
    /// [`Failure::Public`].
    pub(super) async fn resolved(self) -> Result<Self, Failure> {
        if let Host::Domain(name) = &self.host {
            let looked = timeout(RESOLVE, lookup_host((name.as_str(), self.port))).await;
            let why = match looked {
                Ok(Ok(mut found)) => found.next().is_none().then(|| "it has no address".to_owned()),
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no answer within {RESOLVE:?}")),
            };
            if let Some(why) = why {
                return Err(Failure::Public(format!(
                    "the public name {name} resolves to nothing: {why}\n  \
                     set its address at your name service, or give an address with --public"
                )));
            }
        }
        Ok(self)
    }

    /// The host alone, for a certificate: without brackets.
    pub(super) fn host(&self) -> String {
        match &self.host {
            Host::Ipv6(address) => address.to_string(),
            host => host.to_string(),
        }
    }

    pub(super) fn chosen(&self) -> Chosen {
        self.chosen
    }

    /// Every address of this machine, at the same port.
    pub(super) fn everywhere(&self) -> SocketAddr {
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, self.port))
    }

    /// Where STUN is answered beside `listen`. From a socket for all addresses the system would answer from that of its
    /// way out, which may be another than the one that was asked: so it is one address, where that is this machine's.
    pub(super) fn answers_from(&self, listen: SocketAddr) -> SocketAddr {
        let own = match self.address() {
            Some(address) if listen.ip().is_unspecified() => {
                UdpSocket::bind((address, 0)).is_ok().then_some(address)
            }
            _ => None,
        };
        SocketAddr::from((own.unwrap_or(listen.ip()), listen.port()))
    }

    /// Whether only those see it who are in the same network.
    pub(super) fn is_private(&self) -> bool {
        match self.address() {
            Some(IpAddr::V4(address)) => {
                address.is_private() || address.is_link_local() || is_shared(address)
            }
            Some(IpAddr::V6(address)) => address.is_unique_local() || address.is_unicast_link_local(),
            None => false,
        }
    }

    /// Whether nobody but this machine sees it.
    pub(super) fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
            _ => self.address().is_some_and(|address| address.is_loopback()),
        }
    }

    fn address(&self) -> Option<IpAddr> {
        match self.host {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
            Host::Domain(_) => None,
        }
    }
}

/// `HOST:PORT`, as in a URL.
impl fmt::Display for Public {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl FromStr for Public {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const BAD: &str = "write it as HOST or HOST:PORT, an IPv6 address in brackets";
        let bare: Option<Ipv6Addr> = text.parse().ok();
        let (host, port) = match text.rsplit_once(':') {
            _ if bare.is_some() => (format!("[{text}]"), PORT),
            Some((host, port)) if !port.ends_with(']') => {
                (host.to_owned(), port.parse().ok().filter(|&port| port > 0).ok_or(BAD)?)
            }
            _ => (text.to_owned(), PORT),
        };
        let host = Host::parse(&host).map_err(|_| BAD)?;
        let nobodys = match &host {
            Host::Domain(name) => name.is_empty(),
            Host::Ipv4(address) => address.is_unspecified(),
            Host::Ipv6(address) => address.is_unspecified(),
        };
        if nobodys {
            return Err("that is everybody's address and nobody's: name the one that others use");
        }
        Ok(Self { host, port, chosen: Chosen::Named })
    }
}

/// The address from which a datagram to `to` would leave. Sends nothing.
fn way_out(from: IpAddr, to: SocketAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((from, 0)).ok()?;
    socket.connect(to).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified() && !address.is_loopback()).then_some(address)
}

/// Addresses that providers share among their customers (RFC 6598).
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0xC0 == 64
}

/// How long a name may take: as long as clients give it.
const RESOLVE: Duration = Duration::from_secs(10);
/// Addresses for documentation (RFC 5737, RFC 3849): nobody's, and beyond every network that one is in.
const V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);
const V6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, 1)), 9);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_is_read_as_people_write_it() {
        for (text, shown) in [
            ("beach.example", "beach.example:7443"),
            ("Beach.Example:443", "beach.example:443"),
            ("203.0.113.9", "203.0.113.9:7443"),
            ("2001:db8::9", "[2001:db8::9]:7443"),
            ("[2001:db8::9]", "[2001:db8::9]:7443"),
            ("[2001:db8::9]:443", "[2001:db8::9]:443"),
        ] {
            assert_eq!(
                text.parse::<Public>().map(|public| public.to_string()).as_deref(),
                Ok(shown),
                "{text}"
            );
        }
        for bad in ["", ":443", "a b", "h:0", "h:99999", "h:", "https://h", "0.0.0.0", "::", "[::]:7443"] {
            assert!(bad.parse::<Public>().is_err(), "{bad}");
        }
    }

    #[test]
    fn stun_answers_from_the_named_address_where_it_is_this_machines() {
        let everywhere = "[::]:7443".parse().unwrap();
        let from = |text: &str| text.parse::<Public>().unwrap().answers_from(everywhere).to_string();
        assert_eq!(from("127.0.0.1"), "127.0.0.1:7443");
        assert_eq!(from("203.0.113.9"), "[::]:7443", "an address in front of this machine");
        assert_eq!(from("beach.example"), "[::]:7443");
        let one: Public = "127.0.0.1".parse().unwrap();
        assert_eq!(
            one.answers_from("127.0.0.2:9".parse().unwrap()).to_string(),
            "127.0.0.2:9",
            "as was said"
        );
    }

    #[test]
    fn an_address_tells_who_sees_it() {
        for (text, private, loopback) in [
            ("192.168.1.5", true, false),
            ("100.64.0.1", true, false),
            ("100.128.0.1", false, false),
            ("fd00::1", true, false),
            ("127.0.0.1", false, true),
            ("localhost", false, true),
            ("beach.example", false, false),
        ] {
            let public: Public = text.parse().unwrap();
            assert_eq!((public.is_private(), public.is_loopback()), (private, loopback), "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_nowhere_is_told() {
        let public: Public = "nowhere.invalid".parse().unwrap();
        let Err(Failure::Public(words)) = public.resolved().await else { panic!("it resolves") };
        assert!(words.contains("nowhere.invalid resolves to nothing"), "{words}");
    }
}
