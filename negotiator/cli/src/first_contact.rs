//! Where a new session meets when nobody says: the configuration file, a service of this machine, and last the
//! development service at its usual address.

use std::{
    env, fmt,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use negotiator::Fingerprint;
use serde::Deserialize;

use crate::{
    exit::Failure,
    settings::{self, Settings, below, read},
};

/// A control plane, and who named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeetingPoint {
    /// Its base URL.
    pub control_plane: String,
    /// The one certificate it shows, where nobody signed that.
    pub pin: Option<Fingerprint>,
    /// Who named it.
    pub named_by: NamedBy,
}

/// Who named a control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedBy {
    /// The person, for this run.
    Argument,
    /// The configuration file.
    Config(PathBuf),
    /// `beach-lifeguard dev`: it answers at its usual address.
    Dev,
    /// The file that `beach-lifeguard up` left on this machine.
    Up(PathBuf),
}

/// As an error names it, behind the URL; empty where the person knows.
impl fmt::Display for NamedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument => Ok(()),
            Self::Config(file) => write!(f, ", named by {}", file.display()),
            Self::Dev => f.write_str(", where `beach-lifeguard dev` listens"),
            Self::Up(file) => write!(f, ", left by `beach-lifeguard up` in {}", file.display()),
        }
    }
}

/// Looks where a control plane may be named, in this order: configuration, `up`, `dev`.
///
/// # Errors
///
/// [`Failure::NoControlPlane`] when none is, [`Failure::Usage`] for a file that cannot be read.
pub fn find() -> Result<MeetingPoint, Failure> {
    find_in(&Places::of_environment(|name| env::var_os(name).map(PathBuf::from)), DEV)
}

/// The files that may name one.
#[derive(Debug, Default)]
struct Places {
    config: Option<PathBuf>,
    up: Vec<PathBuf>,
}

impl Places {
    fn of_environment(lookup: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let runtime =
            lookup("XDG_RUNTIME_DIR").filter(|path| path.is_absolute()).map(|base| base.join(SERVICE));
        let kept = below(&lookup, "XDG_STATE_HOME", ".local/state").map(|base| base.join(SERVICE));
        let machine = Path::new("/run").join(SERVICE);
        Self {
            config: settings::place(&lookup),
            up: runtime.into_iter().chain(kept).chain([machine]).collect(),
        }
    }
}

fn find_in(places: &Places, dev: SocketAddr) -> Result<MeetingPoint, Failure> {
    if let Some(file) = &places.config
        && let Some(Settings { control_plane: Some(control_plane), pin, .. }) = read(file)?
    {
        return Ok(MeetingPoint { control_plane, pin, named_by: NamedBy::Config(file.clone()) });
    }
    for file in &places.up {
        if let Some(Named { control_plane: Some(control_plane), pin }) = read(file)? {
            return Ok(MeetingPoint { control_plane, pin, named_by: NamedBy::Up(file.clone()) });
        }
    }
    // Loopback answers at once, or refuses.
    if TcpStream::connect_timeout(&dev, ANSWER).is_ok() {
        let control_plane = format!("http://{dev}");
        return Ok(MeetingPoint { control_plane, pin: None, named_by: NamedBy::Dev });
    }
    Err(Failure::NoControlPlane)
}

/// What `beach-lifeguard up` leaves.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    control_plane: Option<String>,
    #[serde(default, deserialize_with = "settings::fingerprint")]
    pin: Option<Fingerprint>,
}

/// Where `beach-lifeguard dev` listens unless told otherwise.
const DEV: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9443);
const ANSWER: Duration = Duration::from_millis(500);
/// What `beach-lifeguard up` leaves, below the folders for such files.
const SERVICE: &str = "beach-lifeguard/service.toml";

#[cfg(test)]
mod tests {
    use std::{fs, net::TcpListener};

    use super::*;

    struct Home {
        folder: tempfile::TempDir,
        dev: TcpListener,
    }

    impl Home {
        fn new() -> Self {
            let dev = TcpListener::bind("127.0.0.1:0").unwrap();
            Self { folder: tempfile::tempdir().unwrap(), dev }
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        }

        fn find(&self) -> Result<MeetingPoint, Failure> {
            let own = |name: &str| match name {
                "HOME" => Some(self.folder.path().to_owned()),
                "XDG_RUNTIME_DIR" => Some(self.folder.path().join("run")),
                _ => None,
            };
            let mut places = Places::of_environment(own);
            // That of this machine is not the test's.
            places.up.pop();
            find_in(&places, self.dev.local_addr().unwrap())
        }
    }

    fn service(url: &str) -> String {
        format!("control_plane = \"{url}\"\npin = \"{}\"\n", "ab".repeat(32))
    }

    #[test]
    fn the_configuration_comes_before_up_and_up_before_dev() {
        let home = Home::new();
        let dev = home.find().unwrap();
        assert_eq!((dev.named_by, dev.pin), (NamedBy::Dev, None));
        let kept = home.write(".local/state/beach-lifeguard/service.toml", &service("https://kept:1"));
        assert_eq!(home.find().unwrap().named_by, NamedBy::Up(kept));
        let running = home.write("run/beach-lifeguard/service.toml", &service("https://run:1"));
        let found = home.find().unwrap();
        assert_eq!((found.control_plane.as_str(), found.named_by), ("https://run:1", NamedBy::Up(running)));
        assert!(found.pin.is_some());
        let config = home.write(".config/beach/config.toml", "control_plane = 'https://config'\n");
        let found = home.find().unwrap();
        assert_eq!((found.named_by, found.pin), (NamedBy::Config(config), None));
    }

    #[test]
    fn without_any_the_failure_says_what_to_do() {
        let home = Home::new();
        let places = Places::default();
        let gone = home.dev.local_addr().unwrap();
        drop(home);
        let words = find_in(&places, gone).unwrap_err().to_string();
        assert!(words.contains("beach-lifeguard up") && words.contains("--control-plane"), "{words}");
    }

    #[test]
    fn a_file_that_cannot_be_understood_is_named() {
        for (text, words) in [
            ("control_plane = 7", "invalid type"),
            ("controlplane = 'x'", "unknown field"),
            ("control_plane = 'https://h'\npin = 'zz'", "64 hexadecimal digits"),
            ("\u{0}", "config.toml"),
        ] {
            let home = Home::new();
            home.write(".config/beach/config.toml", text);
            let said = home.find().unwrap_err().to_string();
            assert!(said.contains(words) && said.contains("config.toml"), "{said}");
        }
        let home = Home::new();
        fs::create_dir_all(home.folder.path().join(".config/beach/config.toml")).unwrap();
        assert!(home.find().unwrap_err().to_string().contains("no plain file"));
    }
}
