//! `serve`, `control-plane` and `dev`.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use beach_lifeguard_client::CloseCode;
use clap::Args;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    arguments::SettingsArgs,
    failure::Failure,
    output,
    parts::{self, conflict, unserved},
    reload::{ENDING, Reload, pair},
};
use crate::{
    admin::Admin,
    app::{self, Readiness},
    config::{ADMIN_ADDR, LISTEN_ADDR, Settings},
    control::ControlPlane,
    dev::{Dev, DevConfig, DevError},
    kill_switch::KillSwitch,
    listen::{self, Caps, Connections},
    relay::{Admission, Rate, Relay},
    service::{self, Handed, Notify, Place, Watch},
    shutdown::Signals,
    store::{Flusher, Store},
    stun,
    telemetry::metrics::Metrics,
};

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Where clients connect: relay, tokens and signaling on one port.
    #[arg(long, default_value_t = LISTEN_ADDR, env = "BEACH_LIFEGUARD_LISTEN_ADDR")]
    listen_addr: SocketAddr,
    /// Where the operator connects.
    #[arg(long, default_value_t = ADMIN_ADDR, env = "BEACH_LIFEGUARD_ADMIN_ADDR")]
    admin_addr: SocketAddr,
    /// Where to answer STUN by UDP; the address and port of the control plane when not set.
    #[arg(long, env = "BEACH_LIFEGUARD_STUN_LISTEN_ADDR")]
    stun_listen_addr: Option<SocketAddr>,
    /// No limits on bytes and messages of connections and sessions: for measuring what the machine carries.
    #[arg(long)]
    unlimited: bool,
    /// Serve TLS with a certificate made at start; its PEM is printed.
    #[arg(long)]
    tls: bool,
}

/// What both planes of production share: store, metrics, kill switch, the operator's address.
struct Base {
    settings: Settings,
    /// Until reloading begins.
    watch: Option<Watch>,
    handed: Handed,
    notify: Notify,
    signals: Signals,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    kill_switch: KillSwitch,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Base {
    async fn start(args: &SettingsArgs) -> Result<Self, Failure> {
        let signals = Signals::new()?;
        // A file that is replaced while it is read is read again: each is looked at before.
        let mut watch = Watch::new(args.files());
        let (settings, values) = args.load()?;
        watch.add(pair(settings.tls_certificate.as_ref(), settings.tls_key.as_ref()));
        for file in parts::exposed(&settings, &values) {
            tracing::warn!(file = %file.display(), "{}", parts::EXPOSED);
        }
        let handed = Handed::from_environment()?;
        let store = parts::store(&settings)?;
        let metrics = Arc::new(Metrics::new());
        let kill_switch = KillSwitch::new(Some(store.clone()));
        let kill_switch = if settings.fallback_paused {
            kill_switch.initially_paused("FALLBACK_WS_PAUSED")
        } else {
            kill_switch
        };
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(kill_switch.clone().follow(metrics.clone(), stop.clone()));
        let notify = Notify::from_environment();
        let watch = Some(watch);
        Ok(Self { settings, watch, handed, notify, signals, store, metrics, kill_switch, stop, tasks })
    }

    /// Opens both addresses and serves until SIGTERM or Ctrl-C.
    async fn serve(
        &mut self,
        routes: axum::Router,
        relay: Option<Relay>,
        ready: Readiness,
        renew: impl Fn() -> Result<(), Failure> + Send + 'static,
    ) -> Result<(), Failure> {
        let settings = &self.settings;
        let certificates = parts::certificates(settings)?;
        let page = parts::page(settings, relay.is_none())?;
        let handed = &mut self.handed;
        let public = bind(handed, Place::Public, settings.listen_addr, "listen-addr")?;
        let operator = bind(handed, Place::Admin, settings.admin_addr, "admin-addr")?;
        let internal = match (&relay, settings.internal_listen_addr) {
            (Some(relay), Some(address)) => {
                let flag = "pool-internal-listen-addr";
                Some((relay.clone(), bind(handed, Place::Internal, address, flag)?))
            }
            _ => None,
        };
        handed.check();
        service::raise(settings.max_connections);
        if let Some(watch) = self.watch.take() {
            let reload = Reload {
                certificates: certificates.clone(),
                renew: Box::new(renew),
                metrics: self.metrics.clone(),
                notify: self.notify.clone(),
            };
            self.tasks.spawn(reload.begin(watch, self.stop.clone())?);
        }
        let admin = Admin::new(
            relay,
            self.kill_switch.clone(),
            self.metrics.clone(),
            ready.clone(),
            settings.admin_token.clone(),
            settings.admin_hosts.clone(),
        );
        // The one line on stdout: with port 0 nobody could know otherwise.
        warn_unless(output::line(format!("listening on {}", public.local_addr()?)));
        tracing::info!(listen = %public.local_addr()?, admin = %operator.local_addr()?, "serving");
        let spawn = |listener, certificates, app, connections| {
            let config = settings.listen();
            let (stop, tasks) = (self.stop.clone(), self.tasks.clone());
            self.tasks.spawn(listen::serve(listener, certificates, app, config, connections, stop, tasks));
        };
        let connections = Connections::counting(settings.caps(), self.metrics.clone());
        if let Some((relay, listener)) = internal {
            tracing::info!(listen = %listener.local_addr()?, "takes in what other nodes pass on");
            // Its own places: strangers at the public address must not keep nodes out.
            let connections = Connections::counting(settings.caps(), self.metrics.clone());
            self.tasks.spawn(async move { relay.serve_internal(listener, connections).await });
        }
        spawn(public, certificates, app::public(routes.merge(page.router()), ready), connections);
        spawn(operator, None, admin.router(), Connections::new(Caps::default()));
        self.notify.ready();
        self.notify.keep_alive();
        self.signals.next().await;
        Ok(())
    }

    /// Ends what still runs; at once at another signal.
    async fn end(mut self) {
        self.stop.cancel();
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => {}
            () = self.signals.next() => tracing::warn!("another signal: ends at once"),
        }
    }
}

pub(super) async fn serve(args: SettingsArgs) -> Result<(), Failure> {
    let mut base = Base::start(&args).await?;
    let settings = &base.settings;
    let admission = Admission::new(parts::verifier(settings)?, base.store.clone(), base.kill_switch.clone());
    let config = settings.relay();
    let ending = config.drain.grace + config.drain.spread + ENDING;
    let relay = Relay::new(config, admission, base.metrics.clone());
    let ready = app::relay_readiness(&relay);
    let flusher = Flusher::new(base.store.clone(), base.metrics.clone());
    let counted = relay.clone();
    base.tasks.spawn(flusher.run(move || counted.session_totals(), base.stop.clone()));
    let renew = {
        let (relay, args) = (relay.clone(), args.clone());
        move || {
            args.load().map_err(Failure::from).and_then(|(new, _)| {
                relay.trust(parts::verifier(&new)?);
                Ok(())
            })
        }
    };
    base.serve(relay.router(), Some(relay.clone()), ready, renew).await?;
    base.notify.stopping(ending);
    let left = relay.live_sockets();
    tracing::info!(peers = left, "draining; a second signal ends it at once");
    let forced = tokio::select! {
        forced = relay.drain(CloseCode::RESTART) => forced,
        () = base.signals.next() => {
            tracing::warn!("a second signal: everybody is closed now");
            relay.live_sockets()
        }
    };
    relay.shutdown(CloseCode::RESTART).await;
    base.end().await;
    if forced == 0 { Ok(()) } else { Err(Failure::Forced(forced)) }
}

pub(super) async fn control_plane(args: SettingsArgs) -> Result<(), Failure> {
    let mut base = Base::start(&args).await?;
    let settings = &base.settings;
    let keys = parts::signer(settings)?;
    let config = settings.control()?;
    if let Some(address) = config.stun.listen_addr {
        let failed = |source| Failure::Bind { address, flag: "stun-listen-addr", source };
        let socket = stun::bind(address).map_err(failed)?;
        tracing::info!(listen = %socket.local_addr()?, "answers STUN");
        let (metrics, stop) = (base.metrics.clone(), base.stop.clone());
        base.tasks.spawn(stun::serve(socket, config.stun.clone(), metrics, stop));
    }
    let control = ControlPlane::new(
        config,
        base.store.clone(),
        keys,
        base.metrics.clone(),
        base.kill_switch.clone(),
        base.stop.clone(),
    );
    // The key that signs changes with its name, at a restart; what is watched for is a configuration that cannot be read.
    let renew = move || {
        let (new, _) = args.load()?;
        parts::signer(&new).map(drop)
    };
    base.serve(control.router(), None, Arc::new(|| Ok(())), renew).await?;
    base.notify.stopping(ENDING);
    base.end().await;
    Ok(())
}

pub(super) async fn dev(args: DevArgs) -> Result<(), Failure> {
    let addresses = [Some(args.listen_addr), Some(args.admin_addr), args.stun_listen_addr];
    if !addresses.into_iter().flatten().all(|address| address.ip().is_loopback()) {
        return Err(conflict(
            "`dev` makes its own keys and pauses nothing: it listens on loopback addresses only",
        ));
    }
    let mut config =
        DevConfig { public: args.listen_addr, admin: args.admin_addr, tls: args.tls, ..DevConfig::default() };
    config.stun = Some(args.stun_listen_addr.unwrap_or(args.listen_addr));
    let limits = &mut config.relay.limits;
    // The cap on what leaves in all protects a bill, and loopback costs nothing.
    limits.egress_bytes = Rate::UNLIMITED;
    if args.unlimited {
        for limit in [&mut limits.connection_bytes, &mut limits.connection_frames, &mut limits.session_bytes]
        {
            *limit = Rate::UNLIMITED;
        }
    }
    let signals = Signals::new()?;
    service::raise(config.caps.connections);
    let ending = config.relay.drain.grace + config.relay.drain.spread + ENDING;
    let dev =
        Dev::start(config).await.map_err(|error| not_started(error, args.listen_addr, "stun-listen-addr"))?;
    until_told(dev, signals, Notify::from_environment(), ending, welcome).await
}

/// Says why relay and control plane did not start, where clients were to connect at `public`.
pub(super) fn not_started(error: DevError, public: SocketAddr, stun_flag: &'static str) -> Failure {
    match error {
        DevError::Bind { address, source } => {
            let flag = if address == public { "listen-addr" } else { "admin-addr" };
            Failure::Bind { address, flag, source }
        }
        DevError::BindStun { address, source } => Failure::Bind { address, flag: stun_flag, source },
        DevError::Tls(error) => Failure::Tls(error),
        DevError::Page(error) => unserved(error),
        DevError::Listener(error) => Failure::Io(error),
        DevError::Key(error) => Failure::Input(error.to_string()),
    }
}

/// Says that it runs, runs until SIGTERM or Ctrl-C, and lets everybody go, for which it may take the time `ending`.
pub(super) async fn until_told(
    dev: Dev,
    mut signals: Signals,
    notify: Notify,
    ending: Duration,
    welcome: impl FnOnce(&Dev) -> String,
) -> Result<(), Failure> {
    warn_unless(output::print(&welcome(&dev)));
    notify.ready();
    notify.keep_alive();
    signals.next().await;
    notify.stopping(ending);
    output::note("\nlets everybody go; they come back to the next one. Ctrl-C again ends at once");
    tokio::select! {
        _ = dev.drain() => {}
        () = signals.next() => {}
    }
    Ok(())
}

/// A service does not end because nobody reads what it says.
fn warn_unless(printed: Result<(), Failure>) {
    if let Err(failure) = printed {
        tracing::warn!(%failure, "the service goes on");
    }
}

fn welcome(dev: &Dev) -> String {
    let (public, admin) = (dev.public_url(), dev.admin_url());
    let certificate =
        dev.certificate_pem().map(|pem| format!("\n  certificate to trust:\n{pem}")).unwrap_or_default();
    let stun = dev.stun_addr().map(|address| format!("stun:{address}")).unwrap_or_default();
    format!(
        "beach-lifeguard dev: relay and control plane, memory store, keys made at start

  control plane   {public}
  relay           {}
  STUN            {stun}
  debug page      {admin}/debug
  metrics         {admin}/metrics

  share a terminal:   beach-link share --control-plane {public}
  pause it all:       beach-lifeguard pause --admin {admin} --reason \"trying the kill switch\"
  stop:               Ctrl-C
{certificate}",
        dev.relay_ws_url()
    )
}

fn bind(
    handed: &mut Handed,
    place: Place,
    address: SocketAddr,
    flag: &'static str,
) -> Result<TcpListener, Failure> {
    handed.listen(place, address).map_err(|source| Failure::Bind { address, flag, source })
}
