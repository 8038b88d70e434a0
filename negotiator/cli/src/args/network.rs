//! Where a session meets and which paths it may take.

use std::time::Duration;

use clap::Args;
use negotiator::{CertificatePin, FallbackMode, Fingerprint, HostConfig, NetworkConfig};
use transport_webrtc::{IceServer, WebRtcConfig, config::IceUrl};

use crate::{
    exit::Failure,
    first_contact::{self, MeetingPoint, NamedBy},
    reach::ReachArgs,
};

/// Where a new session meets.
#[derive(Debug, Args)]
#[command(next_help_heading = "Meeting point")]
pub struct MeetingArgs {
    /// The control plane. Default: what ~/.config/beach/config.toml says (control_plane = "URL", pin = "FINGERPRINT"),
    /// else the `beach-lifeguard up` of this machine, else its `beach-lifeguard dev`.
    #[arg(long, value_name = "URL", env = "BEACH_CONTROL_PLANE")]
    pub control_plane: Option<String>,
    /// The SHA-256 fingerprint of its certificate, where nobody signed that: `beach-lifeguard up` prints it, and so does
    /// `openssl x509 -fingerprint -sha256`. No other certificate is accepted then, here and by who joins: the link says it.
    #[arg(long, value_name = "FINGERPRINT", env = "BEACH_PIN")]
    pub pin: Option<Fingerprint>,
}

impl MeetingArgs {
    /// Finds where that is.
    ///
    /// # Errors
    ///
    /// [`Failure::NoControlPlane`] when nobody says, [`Failure::Usage`] for a file that cannot be read.
    pub fn find(&self) -> Result<MeetingPoint, Failure> {
        let mut found = match &self.control_plane {
            Some(named) => {
                MeetingPoint { control_plane: named.clone(), pin: None, named_by: NamedBy::Argument }
            }
            None => first_contact::find()?,
        };
        found.pin = self.pin.or(found.pin);
        Ok(found)
    }
}

impl MeetingPoint {
    /// How a session that meets there is shared.
    pub fn host_config(&self, network: NetworkConfig) -> HostConfig {
        let mut config = HostConfig::new(&self.control_plane);
        config.certificate_pin = self.pin.map(|pin| CertificatePin::of_fingerprint(pin.as_bytes()));
        config.network = network;
        config
    }
}

/// Which paths a session may take.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Paths")]
pub struct NetworkArgs {
    /// Directly or not at all: neither TURN nor the relay.
    #[arg(long, conflicts_with_all = ["relay_only", "no_relay"])]
    pub direct_only: bool,
    /// Through the relay at once.
    #[arg(long, conflicts_with = "no_relay")]
    pub relay_only: bool,
    /// Directly or through TURN, never through the relay.
    #[arg(long)]
    pub no_relay: bool,
    /// Offer loopback addresses too: for two ends on one machine without a network.
    #[arg(long)]
    pub loopback: bool,
    /// A STUN server, as stun:HOST or stun:HOST:PORT. May be repeated. TURN servers, which need credentials, come from
    /// the environment: BEACH_ICE_SERVERS='[{"urls":…,"username":…,"credential":…}]'.
    #[arg(long, value_name = "URL")]
    pub ice_server: Vec<String>,
    /// How long to look for a path before giving up. Without any direct path the relay takes about 5 s.
    #[arg(long, value_name = "SECONDS", default_value = "45", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub connect_timeout: u64,
    /// How long a session lives while no path is found; of the two ends' the shorter counts [default: a day for share and
    /// join, else what the library waits].
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
    pub resume_window: Option<Duration>,
    /// The cohort this client belongs to.
    #[arg(long, value_name = "NAME", env = "BEACH_FALLBACK_COHORT", default_value = "public")]
    pub fallback_cohort: String,
    /// Proof that you may use the relay: a token from your account.
    #[arg(long, value_name = "TOKEN", env = "BEACH_ENTITLEMENT_PROOF", hide_env_values = true)]
    pub fallback_entitlement_proof: Option<String>,
    /// Let the relay count this session in its per-session figures.
    #[arg(
        long,
        value_name = "BOOL",
        env = "BEACH_FALLBACK_TELEMETRY_OPT_IN",
        value_parser = boolean,
        default_value = "false",
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true
    )]
    pub fallback_telemetry_opt_in: bool,
    /// How the service is reached.
    #[command(flatten)]
    pub reach: ReachArgs,
}

impl NetworkArgs {
    /// Turns the arguments, and the environment names of WebRTC, into the library's configuration.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] naming what cannot be.
    pub fn config(&self) -> Result<NetworkConfig, Failure> {
        let mut config = NetworkConfig::default();
        config.mode = self.mode();
        config.connect_timeout = Duration::from_secs(self.connect_timeout);
        if let Some(window) = self.resume_window {
            config.resume_window = window;
        }
        config.cohort.clone_from(&self.fallback_cohort);
        config.entitlement_proof.clone_from(&self.fallback_entitlement_proof);
        config.telemetry_opt_in = self.fallback_telemetry_opt_in;
        config.outbound = self.reach.config()?;
        config.webrtc = WebRtcConfig::from_env().map_err(|error| Failure::Usage(error.to_string()))?;
        config.webrtc.loopback = self.loopback;
        for url in &self.ice_server {
            let url: IceUrl =
                url.parse().map_err(|error| Failure::Usage(format!("--ice-server {url}: {error}")))?;
            config.webrtc.ice_servers.push(IceServer::new([url]));
        }
        Ok(config)
    }

    /// As [`config`](Self::config), for a terminal: a lid may be closed until the next day.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] naming what cannot be.
    pub fn terminal(&self) -> Result<NetworkConfig, Failure> {
        let mut config = self.config()?;
        config.resume_window = self.resume_window.unwrap_or(DAY);
        Ok(config)
    }

    fn mode(&self) -> FallbackMode {
        match self {
            Self { direct_only: true, .. } => FallbackMode::DirectOnly,
            Self { relay_only: true, .. } => FallbackMode::RelayOnly,
            Self { no_relay: true, .. } => FallbackMode::NoRelay,
            _ => FallbackMode::Auto,
        }
    }
}

/// How long a shared terminal waits for a path.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// As generous as the environment names that other clients read.
fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" | "" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn network(arguments: &[&str]) -> Result<NetworkArgs, clap::Error> {
        let base = ["beach-link", "join", "http://h/s#x"];
        match Cli::try_parse_from(base.iter().chain(arguments))?.command {
            Command::Join(join) => Ok(join.network),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_terminal_waits_a_day_for_a_path_unless_told_otherwise() {
        let windows = |arguments: &[&str]| {
            let network = network(arguments).unwrap();
            [network.config(), network.terminal()].map(|config| config.unwrap().resume_window)
        };
        assert_eq!(windows(&[]), [NetworkConfig::default().resume_window, DAY]);
        assert_eq!(windows(&["--resume-window", "600"]), [Duration::from_secs(600); 2]);
        assert!(network(&["--resume-window", "0"]).is_err());
    }

    #[test]
    fn the_telemetry_flag_takes_an_optional_value() {
        let opted = |arguments: &[&str]| network(arguments).map(|args| args.fallback_telemetry_opt_in).ok();
        assert_eq!(opted(&["--fallback-telemetry-opt-in=false"]), Some(false));
        assert_eq!(opted(&["--fallback-telemetry-opt-in=on"]), Some(true));
        assert_eq!(opted(&["--fallback-telemetry-opt-in"]), Some(true));
        assert_eq!(opted(&["--fallback-telemetry-opt-in=maybe"]), None);
    }

    #[test]
    fn path_flags_exclude_one_another() {
        for (arguments, mode) in [
            (&[][..], FallbackMode::Auto),
            (&["--direct-only"], FallbackMode::DirectOnly),
            (&["--relay-only"], FallbackMode::RelayOnly),
            (&["--no-relay"], FallbackMode::NoRelay),
        ] {
            assert_eq!(network(arguments).unwrap().mode(), mode);
        }
        assert!(network(&["--direct-only", "--relay-only"]).is_err());
        assert!(network(&["--relay-only", "--no-relay"]).is_err());
    }

    #[test]
    fn a_bad_ice_server_is_named() {
        let failure = network(&["--ice-server", "http://x"]).unwrap().config().unwrap_err();
        assert!(failure.to_string().contains("http://x"), "{failure}");
    }
}
