//! `up`: relay, control plane and STUN for friends, in one process, on one port.
//!
//! What makes it the same after a restart is in the state directory ([`state`]); the certificate in there is signed by
//! nobody, and its fingerprint in the links is what it is known by.

mod notice;
mod public;
mod state;
mod unit;
mod welcome;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use beach_outbound::Fingerprint;
use clap::Args;
use tokio_util::sync::CancellationToken;

use self::{notice::Notice, public::Public, state::State};
use super::{
    failure::Failure,
    output,
    reload::{ENDING, Reload, pair},
    run::{not_started, until_told},
};
use crate::{
    config::ADMIN_ADDR,
    control::{ControlConfig, DEFAULT_ISSUER, TokenKeys},
    dev::{Dev, DevConfig},
    listen::{Caps, Certificates},
    relay::{LimitsConfig, RelayConfig},
    service::{self, Handed, Notify, Watch},
    shutdown::Signals,
    store::MemoryStore,
};

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// How others reach this machine: HOST or HOST:PORT, a name or an address. Default: the address of its way out.
    #[arg(long, value_name = "HOST[:PORT]")]
    public: Option<Public>,
    /// Where keys and certificate are kept. Default: $STATE_DIRECTORY, then beach-lifeguard in $XDG_STATE_HOME or
    /// ~/.local/state.
    #[arg(long, value_name = "DIR", env = "BEACH_LIFEGUARD_STATE")]
    state: Option<PathBuf>,
    /// Where to listen, by TCP and, for STUN, by UDP. Default: the port of --public, at every address.
    #[arg(long, value_name = "ADDRESS")]
    listen_addr: Option<SocketAddr>,
    /// Where the operator connects.
    #[arg(long, value_name = "ADDRESS", default_value_t = ADMIN_ADDR, env = "BEACH_LIFEGUARD_ADMIN_ADDR")]
    admin_addr: SocketAddr,
    /// The certificate to show, PEM, where an authority has signed one: links need no fingerprint then. SIGHUP reads it
    /// again.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its key, PEM.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Print a systemd unit that runs this, or `=socket`: one that holds its address open while it restarts, and end.
    #[arg(long, value_enum, value_name = "KIND", num_args = 0..=1, require_equals = true, default_missing_value = "service")]
    print_unit: Option<unit::Kind>,
}

pub(super) async fn up(args: UpArgs) -> Result<(), Failure> {
    if let Some(kind) = args.print_unit {
        return output::print(&unit::unit(&args, kind)?);
    }
    let signals = Signals::new()?;
    let mut handed = Handed::from_environment()?;
    if !args.admin_addr.ip().is_loopback() {
        return Err(Failure::Public(
            "--admin-addr has no password here: it is a loopback address".to_owned(),
        ));
    }
    let public = match &args.public {
        Some(public) => public.clone().resolved().await?,
        None => Public::outward()?,
    };
    let state = State::open(args.state.clone())?;
    let watch = Watch::new(pair(args.cert.as_ref(), args.key.as_ref()));
    let (certificates, fingerprint) = match (&args.cert, &args.key) {
        (Some(certificate), Some(key)) => (Certificates::from_files(certificate, key)?, None),
        _ => {
            let (certificates, fingerprint) = state.certificate(public.host())?;
            (certificates, Some(fingerprint))
        }
    };
    let certificates = Arc::new(certificates);
    let listen = args.listen_addr.unwrap_or_else(|| public.everywhere());
    let keys = TokenKeys::new(DEFAULT_ISSUER, state.signer()?);
    let dev = match start(listen, &args, &public, certificates.clone(), &keys, &mut handed).await {
        // A machine without IPv6.
        Err(Failure::Bind { address, .. }) if args.listen_addr.is_none() && no_ipv6(address) => {
            let listen = SocketAddr::from(([0, 0, 0, 0], address.port()));
            start(listen, &args, &public, certificates.clone(), &keys, &mut handed).await?
        }
        started => started?,
    };
    handed.check();
    let notice = Notice { control_plane: dev.public_url(), pin: fingerprint };
    let left = notice.leave(&state);
    let notify = Notify::from_environment();
    let reload = Reload {
        certificates: Some(certificates),
        renew: Box::new(|| Ok(())),
        metrics: dev.shared_metrics(),
        notify: notify.clone(),
    };
    let reloading = reload.begin(watch, CancellationToken::new())?;
    let welcome = |dev: &Dev| welcome::welcome(dev, &public, &notice, &left);
    let drain = RelayConfig::default().drain;
    tokio::select! {
        () = reloading => Ok(()),
        ended = until_told(dev, signals, notify, drain.grace + drain.spread + ENDING, welcome) => ended,
    }
}

async fn start(
    listen: SocketAddr,
    args: &UpArgs,
    public: &Public,
    certificates: Arc<Certificates>,
    keys: &TokenKeys,
    handed: &mut Handed,
) -> Result<Dev, Failure> {
    let mut relay = RelayConfig::default();
    relay.limits.session_bytes = LimitsConfig::session(16 << 20);
    relay.limits.egress_bytes = LimitsConfig::egress(12_500_000);
    let config = DevConfig {
        public: listen,
        admin: args.admin_addr,
        stun: Some(public.answers_from(listen)),
        certificates: Some(certificates),
        advertised: Some(public.to_string()),
        caps: Caps { connections: 2_000, per_address: 128, strangers: 256, ..Caps::default() },
        relay,
        control: ControlConfig { fallback_ws_enabled: true, ..ControlConfig::default() },
        ..DevConfig::default()
    };
    let store = Arc::new(MemoryStore::new());
    service::raise(config.caps.connections);
    let started = Dev::start_on(config, store, keys.clone(), handed).await;
    started.map_err(|error| not_started(error, listen, "listen-addr"))
}

/// Whether a socket for every address of both families could not be made for want of one of them.
fn no_ipv6(address: SocketAddr) -> bool {
    address.ip().is_unspecified() && address.is_ipv6() && std::net::UdpSocket::bind("[::]:0").is_err()
}

/// The port where nothing else is said.
const PORT: u16 = 7443;

/// One line about whose certificate it is.
fn short(fingerprint: Option<&Fingerprint>) -> String {
    fingerprint.map_or_else(|| "signed by an authority".to_owned(), |print| format!("sha256:{print}"))
}
