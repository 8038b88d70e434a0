//! The world that rows begin with.
//!
//! ```text
//! viewer 10.0.0.2 ── 10.0.0.1 ┐
//!        fd00::2  ── fd00::1  ├ router ┬ 10.0.2.1 ── 10.0.2.2 service
//! host   10.0.1.2 ── 10.0.1.1 ┘        └ fd02::1  ── fd02::2
//! ```
//! The viewer's names come from a name server at 10.0.0.1, the host's from its `/etc/hosts`.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use crate::{
    middlebox::{NameServer, Zone},
    program::{CONTROL, Memory, Programs, RELAY, Service, Setting, Share, Terminal},
    row::{Figure, Miss, seconds},
    topology::{Chain, End, Firewall, Lab, Space, link},
    trouble::Trouble,
};

/// A viewer, a host and the service, and a router between them. Fields are dropped in this order.
#[derive(Debug)]
pub struct World {
    /// The service's two planes.
    pub service: Service,
    /// Where the viewer is.
    pub viewer: Space,
    /// Where the host is.
    pub host: Space,
    /// What stands between them.
    pub router: Space,
    /// Where the service is.
    pub site: Space,
    /// The router's rules.
    pub wall: Firewall,
    /// Files and names of all of it.
    pub lab: Lab,
    /// What runs in it.
    pub programs: Programs,
}

impl World {
    /// Builds it with everything open, and no name server yet.
    ///
    /// # Errors
    ///
    /// [`Trouble`].
    pub fn build(programs: &Programs) -> Result<Self, Trouble> {
        Self::with(programs, Memory::Apart)
    }

    /// The same, whose planes keep what they know where `memory` says.
    ///
    /// # Errors
    ///
    /// [`Trouble`].
    pub fn with(programs: &Programs, memory: Memory) -> Result<Self, Trouble> {
        let lab = Lab::open()?;
        let (viewer, host) = (lab.space("viewer")?, lab.space("host")?);
        let (router, site) = (lab.space("router")?, lab.space("service")?);
        router.forward()?;
        let end = |space, device, addresses| End { space, device, addresses };
        let viewers = end(&router, "to-viewer", &["10.0.0.1/24", "fd00::1/64"]);
        link(end(&viewer, "eth0", &["10.0.0.2/24", "fd00::2/64"]), viewers)?;
        link(end(&host, "eth0", &["10.0.1.2/24"]), end(&router, "to-host", &["10.0.1.1/24"]))?;
        let services = end(&router, "to-service", &["10.0.2.1/24", "fd02::1/64"]);
        link(end(&site, "eth0", &["10.0.2.2/24", "fd02::2/64"]), services)?;
        for (space, gateways) in [
            (&viewer, &["10.0.0.1", "fd00::1"][..]),
            (&host, &["10.0.1.1"]),
            (&site, &["10.0.2.1", "fd02::1"]),
        ] {
            gateways.iter().try_for_each(|gateway| space.route_through(gateway))?;
        }
        viewer.etc("resolv.conf", "nameserver 10.0.0.1\n")?;
        host.etc("hosts", &Service::hosts(SITE.into()))?;
        router.etc("hosts", &Service::hosts(SITE.into()))?;
        let wall = Firewall::raise(&router)?;
        let service = Service::start(&lab, &site, programs, memory)?;
        Ok(Self { service, viewer, host, router, site, wall, lab, programs: programs.clone() })
    }

    /// The service's names at `addresses`.
    pub fn zone(addresses: &[IpAddr]) -> Zone {
        [CONTROL, RELAY].map(|name| (name.to_owned(), addresses.to_vec())).into()
    }

    /// Starts the viewer's name server, which answers after `delay`.
    ///
    /// # Errors
    ///
    /// [`Trouble::Io`].
    pub fn names(&self, zone: Zone, delay: Duration) -> Result<NameServer, Trouble> {
        NameServer::start(&self.router, NAMES.into(), zone, delay)
    }

    /// A name server that knows the service and answers at once.
    ///
    /// # Errors
    ///
    /// [`Trouble::Io`].
    pub fn usual_names(&self) -> Result<NameServer, Trouble> {
        self.names(Self::zone(&[SITE.into()]), Duration::ZERO)
    }

    /// Lets nothing pass the router from or to `device`: what is left is the router itself.
    ///
    /// # Errors
    ///
    /// [`Trouble`].
    pub fn enclose(&self, device: &str) -> Result<(), Trouble> {
        self.wall.add(Chain::Forward, &format!("iifname {device} drop"))?;
        self.wall.add(Chain::Forward, &format!("oifname {device} drop"))
    }

    /// Proves that the proxy at `url` leads from `space` to the control plane: what fails then is the product.
    ///
    /// # Errors
    ///
    /// [`Trouble::Command`].
    pub fn leads(&self, space: &Space, url: &str) -> Result<(), Trouble> {
        let authority = self.service.authority.certificate.display().to_string();
        let quiet = ["-sS", "-m", "5", "-o", "/dev/null", "--cacert", &authority, "-x", url];
        space.run("curl", &[&quiet[..], &[&Service::control_plane()]].concat()).map(drop)
    }

    /// Setting that trusts the service's authority, and nothing else.
    pub fn usual(&self) -> Setting {
        Setting::default().trusting(&self.service.authority.certificate)
    }

    /// Shares from the host's network.
    ///
    /// # Errors
    ///
    /// [`Miss::Due`] with what `share` said in place of a link.
    pub fn share(&self, setting: &Setting) -> Result<(Share, String), Miss> {
        self.share_from(&self.host, setting)
    }

    /// Shares from `space`.
    ///
    /// # Errors
    ///
    /// [`Miss::Due`] with what `share` said in place of a link.
    pub fn share_from(&self, space: &Space, setting: &Setting) -> Result<(Share, String), Miss> {
        let mut share = Share::start(space, &self.programs, setting)?;
        match share.link(PATIENCE) {
            Some(link) => Ok((share, link)),
            None => Err(Miss::Due(format!("share has no link: {}", share.said()))),
        }
    }

    /// Shares from `space` where that must fail; returns what it said.
    ///
    /// # Errors
    ///
    /// [`Miss::Due`] when it succeeds.
    pub fn share_in_vain(&self, space: &Space, setting: &Setting) -> Result<String, Miss> {
        let mut share = Share::start(space, &self.programs, setting)?;
        match share.link(PATIENCE) {
            Some(_) => Err(Miss::Due("share has a link although it cannot reach the service".to_owned())),
            None => Ok(share.last_words(PATIENCE)),
        }
    }

    /// Joins from the viewer's network.
    ///
    /// # Errors
    ///
    /// [`Trouble::Io`].
    pub fn join(&self, link: &str, setting: &Setting) -> Result<Terminal, Trouble> {
        Terminal::join(&self.viewer, &self.programs, link, setting)
    }

    /// Joins and types: the time from the start of `join` until the first key came back, and the path.
    ///
    /// # Errors
    ///
    /// [`Miss::Due`] with what `join` said in place of a session.
    pub fn session(&self, link: &str, setting: &Setting) -> Result<Session, Miss> {
        let mut terminal = self.join(link, setting)?;
        first_key(&mut terminal).map(|took| Session { took, path: terminal.path() })
    }
}

/// A session that came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// From the start of `join` until the first key came back.
    pub took: Duration,
    /// The path it was on then.
    pub path: String,
}

impl Session {
    /// As a figure.
    pub fn figure(&self) -> Figure {
        Figure::of(self.took).and(format!("on {}", self.path))
    }
}

/// Waits for the terminal and types a key; returns the time from the program's start.
///
/// # Errors
///
/// [`Miss::Due`] with what `join` said instead.
pub fn first_key(terminal: &mut Terminal) -> Result<Duration, Miss> {
    let Some(opened) = terminal.opened(PATIENCE) else {
        let words = match terminal.said() {
            words if words.is_empty() => "nothing".to_owned(),
            words => format!("{words:?}"),
        };
        let when = match terminal.ends(Duration::from_millis(1)) {
            Some(status) => format!("no session, exit {status}"),
            None => format!("no session within {}", seconds(PATIENCE)),
        };
        return Err(Miss::Due(format!("{when}; join said {words}")));
    };
    match terminal.key(PATIENCE) {
        Some(echo) => Ok(opened + echo),
        None => Err(Miss::Due(format!("a session after {}, but a key never came back", seconds(opened)))),
    }
}

/// How long anything is waited for. Every due is shorter.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The service.
pub const SITE: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// The service over IPv6.
pub const SITE_V6: Ipv6Addr = Ipv6Addr::new(0xFD02, 0, 0, 0, 0, 0, 0, 2);
/// The router as the viewer sees it: name server, and proxy where there is one.
pub const NAMES: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
