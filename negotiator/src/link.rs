//! The join link: where the control plane is, and the secret that only its fragment carries.

use std::{fmt, str::FromStr};

use transport_core::{
    SessionId,
    secure::{
        Access, BadJoinFragment, CertificatePin, JoinFragment as Fragment, LinkId, LinkSecret, PublicKey,
    },
};
use url::Url;

/// A link that lets its holder join a session: `https://control.plane/s#fragment`.
///
/// The part before `#` is the control plane; the fragment, which browsers never send, is
/// [`transport_core::secure::JoinFragment`]. There is no `Display`: [`reveal`](JoinLink::reveal) says what it does.
///
/// # Examples
///
/// ```no_run
/// use negotiator::{JoinLink, NetworkConfig, Negotiator};
///
/// async fn join(pasted: &str) -> Result<(), Box<dyn std::error::Error>> {
///     let link: JoinLink = pasted.trim().parse()?;
///     println!("asking {}", link.control_plane());
///     let session = Negotiator::new(link, NetworkConfig::default()).connect().await?;
///     session.close().await;
///     Ok(())
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct JoinLink {
    control_plane: Url,
    fragment: Fragment,
}

impl JoinLink {
    /// Makes a link from its parts.
    pub(crate) fn new(control_plane: Url, fragment: Fragment) -> Self {
        Self { control_plane, fragment }
    }

    /// Returns the whole link. Whoever holds it can join: treat it as a password.
    pub fn reveal(&self) -> String {
        let base = self.control_plane.as_str().trim_end_matches('/');
        format!("{base}{PATH}#{}", *self.fragment.to_fragment())
    }

    /// Returns the control plane's base URL.
    pub fn control_plane(&self) -> &Url {
        &self.control_plane
    }

    /// Returns the session.
    pub fn session(&self) -> SessionId {
        self.fragment.session()
    }

    /// Returns the link's name: among the host's links, and in what is told to whoever admits.
    pub fn id(&self) -> LinkId {
        self.fragment.secret.id()
    }

    /// Returns what the link says its holders may do. The host decides by its own list.
    pub fn access(&self) -> Access {
        self.fragment.access
    }

    /// Returns when the link stops letting new viewers in, in Unix seconds, as far as it says.
    pub fn expires_at(&self) -> Option<u64> {
        self.fragment.expires_at
    }

    /// Returns which certificate the control plane shows, if the link says so: no other is accepted from its host then,
    /// whatever the machine trusts. A browser goes by its own trust.
    pub fn certificate_pin(&self) -> Option<CertificatePin> {
        self.fragment.certificate
    }

    /// Says whether the link leads to the machine it is used on: nobody else can join by it.
    pub fn is_local(&self) -> bool {
        match self.control_plane.host() {
            Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.to_canonical().is_loopback(),
            None => false,
        }
    }

    /// Returns the link that is valid until `unix_seconds`, and not after.
    #[must_use]
    pub fn expiring_at(mut self, unix_seconds: u64) -> Self {
        self.fragment.expires_at = Some(unix_seconds);
        self
    }

    /// Checks the expiry.
    ///
    /// # Errors
    ///
    /// [`BadJoinFragment::Expired`].
    pub fn check_expiry(&self, unix_now: u64) -> Result<(), BadJoinFragment> {
        self.fragment.check_expiry(unix_now)
    }

    pub(crate) fn secret(&self) -> &LinkSecret {
        &self.fragment.secret
    }

    pub(crate) fn host_key(&self) -> PublicKey {
        self.fragment.host
    }
}

impl FromStr for JoinLink {
    type Err = BadJoinLink;

    fn from_str(text: &str) -> Result<Self, BadJoinLink> {
        let (address, fragment) = text.trim().split_once('#').ok_or(BadJoinLink::NoFragment)?;
        let base = address.strip_suffix(PATH).unwrap_or(address);
        let control_plane = parse_control_plane(base)?;
        let fragment = Fragment::parse(fragment)?;
        check_pin(&control_plane, fragment.certificate)?;
        Ok(Self { control_plane, fragment })
    }
}

impl fmt::Debug for JoinLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinLink({}{PATH}#…)", self.control_plane.as_str().trim_end_matches('/'))
    }
}

/// Why a text is not a join link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadJoinLink {
    /// The part before `#` is not an `http` or `https` URL.
    #[error("a join link begins with http:// or https:// and a host")]
    Address,
    /// The fragment is damaged, expired or of another version.
    #[error(transparent)]
    Fragment(#[from] BadJoinFragment),
    /// No `#`: shells and chat programs cut there.
    #[error("the part behind # is missing: copy the whole link, and quote it in a shell")]
    NoFragment,
    /// Where there is no TLS there is no certificate.
    #[error("a certificate is pinned, and the address has none: it begins with https://")]
    NoTls,
}

/// Reads the base URL of a control plane.
///
/// # Errors
///
/// [`BadJoinLink::Address`] unless it is `http` or `https` with a host.
pub(crate) fn parse_control_plane(text: &str) -> Result<Url, BadJoinLink> {
    let url = Url::parse(text).map_err(|_| BadJoinLink::Address)?;
    let usable = matches!(url.scheme(), "http" | "https") && url.has_host();
    if usable { Ok(url) } else { Err(BadJoinLink::Address) }
}

/// Checks that a pin can be kept.
///
/// # Errors
///
/// [`BadJoinLink::NoTls`].
pub(crate) fn check_pin(control_plane: &Url, pin: Option<CertificatePin>) -> Result<(), BadJoinLink> {
    if pin.is_some() && control_plane.scheme() != "https" { Err(BadJoinLink::NoTls) } else { Ok(()) }
}

const PATH: &str = "/s";

#[cfg(test)]
mod tests {
    use transport_core::secure::Identity;

    use super::*;

    fn link() -> JoinLink {
        let host = Identity::from_seed(&[3; 32]).public();
        let fragment = Fragment::new(host, LinkSecret::from_bytes([2; 16]), Access::Full);
        JoinLink::new(parse_control_plane("https://beach.example/base").unwrap(), fragment)
    }

    #[test]
    fn a_link_survives_being_printed_and_read() {
        let text = link().reveal();
        assert!(text.starts_with("https://beach.example/base/s#"), "{text}");
        assert_eq!(text.parse(), Ok(link()));
        assert_eq!(format!("  {text}\n").parse(), Ok(link()));
    }

    #[test]
    fn a_pin_travels_in_the_fragment_and_needs_tls() {
        let pin = CertificatePin([7; 16]);
        let mut pinned = link();
        pinned.fragment.certificate = Some(pin);
        let text = pinned.reveal();
        assert_eq!(text.parse::<JoinLink>().map(|link| link.certificate_pin()), Ok(Some(pin)));
        assert_eq!(text.replace("https:", "http:").parse::<JoinLink>(), Err(BadJoinLink::NoTls));
        assert_eq!(link().certificate_pin(), None);
    }

    #[test]
    fn a_link_to_this_machine_is_known_by_its_host() {
        let fragment = link().fragment;
        let local = |base: &str| JoinLink::new(base.parse().unwrap(), fragment.clone()).is_local();
        for here in ["http://127.0.0.1:9443", "https://localhost", "https://[::1]", "https://a.localhost:1"] {
            assert!(local(here), "{here}");
        }
        for elsewhere in ["https://10.0.0.1", "https://localhost.example", "https://[fd00::1]:7443"] {
            assert!(!local(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn a_link_says_what_it_is_for() {
        let link = link();
        let host = Identity::from_seed(&[3; 32]).public();
        assert_eq!(link.control_plane().as_str(), "https://beach.example/base");
        assert_eq!((link.session(), link.host_key()), (SessionId::of_host(&host), host));
        assert_eq!(link.secret(), &LinkSecret::from_bytes([2; 16]));
        assert_eq!(link.id(), link.secret().id());
        assert_eq!((link.access(), link.expires_at()), (Access::Full, None));
        assert_eq!(link.check_expiry(u64::MAX), Ok(()));
        let expiring = link.clone().expiring_at(100);
        assert_eq!(expiring.expires_at(), Some(100));
        assert_eq!(expiring.check_expiry(99), Ok(()));
        assert_eq!(expiring.check_expiry(101), Err(BadJoinFragment::Expired));
        assert_ne!(expiring, link);
    }

    #[test]
    fn a_control_plane_has_a_scheme_of_the_web_and_a_host() {
        for (text, usable) in [
            ("http://127.0.0.1:9", true),
            ("https://[::1]/x", true),
            ("ws://beach.example", false),
            ("file:///etc", false),
            ("beach.example", false),
        ] {
            assert_eq!(parse_control_plane(text).is_ok(), usable, "{text}");
        }
    }

    #[test]
    fn the_secret_is_not_in_debug() {
        assert_eq!(format!("{:?}", link()), "JoinLink(https://beach.example/base/s#…)");
    }

    #[test]
    fn bad_links_say_what_is_wrong() {
        for (text, why) in [
            ("https://beach.example/s", BadJoinLink::NoFragment),
            ("ftp://beach.example/s#x", BadJoinLink::Address),
            ("#AQ", BadJoinLink::Address),
            ("https://beach.example/s#IA", BadJoinLink::Fragment(BadJoinFragment::Length)),
        ] {
            assert_eq!(text.parse::<JoinLink>(), Err(why), "{text}");
        }
    }
}
