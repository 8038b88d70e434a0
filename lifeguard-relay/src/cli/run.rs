//! `serve`, `control-plane` and `dev`.

use std::{net::SocketAddr, sync::Arc};

use beach_lifeguard_client::{
    CloseCode,
    token::{KeyId, TokenSigner, TokenVerifier},
};
use clap::Args;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{arguments::SettingsArgs, failure::Failure, keys::parse_public, output};
use crate::{
    admin::Admin,
    app::{self, Readiness},
    config::{ADMIN_ADDR, ConfigError, LISTEN_ADDR, Settings},
    control::{ControlPlane, TokenKeys},
    dev::{Dev, DevConfig, DevError},
    kill_switch::KillSwitch,
    listen::{self, Caps, Certificates, Connections},
    page::{Page, PageError},
    relay::{Admission, Rate, Relay},
    shutdown,
    store::{self, Flusher, Store},
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
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    kill_switch: KillSwitch,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Base {
    async fn start(args: &SettingsArgs) -> Result<Self, Failure> {
        let (settings, _) = args.load()?;
        let authority = settings.store_authority()?;
        let store = store::open(settings.redis_url.as_deref(), authority.as_deref())
            .map_err(|error| conflict(&format!("`store.redis_url`: {error}")))?;
        let metrics = Arc::new(Metrics::new());
        let kill_switch = KillSwitch::new(Some(store.clone()));
        let kill_switch = if settings.fallback_paused {
            kill_switch.initially_paused("FALLBACK_WS_PAUSED")
        } else {
            kill_switch
        };
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(kill_switch.clone().follow(metrics.clone(), stop.clone()));
        Ok(Self { settings, store, metrics, kill_switch, stop, tasks })
    }

    /// Opens both addresses and serves until SIGTERM or Ctrl-C.
    async fn serve(
        &self,
        routes: axum::Router,
        relay: Option<Relay>,
        ready: Readiness,
        renew: impl Fn() -> Result<(), Failure> + Send + 'static,
    ) -> Result<(), Failure> {
        let settings = &self.settings;
        let certificates = certificates(settings)?;
        let page = Page::new(&settings.page(relay.is_none())).map_err(unserved)?;
        let public = bind(settings.listen_addr, "listen-addr")?;
        let operator = bind(settings.admin_addr, "admin-addr")?;
        let internal = match (&relay, settings.internal_listen_addr) {
            (Some(relay), Some(address)) => {
                Some((relay.clone(), bind(address, "pool-internal-listen-addr")?))
            }
            _ => None,
        };
        let reload = reload(certificates.clone(), self.metrics.clone(), renew);
        reload();
        let on_hangup = move || {
            if reload() {
                tracing::info!("certificates and keys were read again");
            }
        };
        let (reloading, stop) = (shutdown::on_hangup(on_hangup), self.stop.clone());
        self.tasks.spawn(async move {
            tokio::select! { _ = reloading => {}, () = stop.cancelled() => {} }
        });
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
        shutdown::requested().await?;
        Ok(())
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

pub(super) async fn serve(args: SettingsArgs) -> Result<(), Failure> {
    let base = Base::start(&args).await?;
    let settings = &base.settings;
    let admission = Admission::new(verifier(settings)?, base.store.clone(), base.kill_switch.clone());
    let relay = Relay::new(settings.relay(), admission, base.metrics.clone());
    let ready = app::relay_readiness(&relay);
    let flusher = Flusher::new(base.store.clone(), base.metrics.clone());
    let counted = relay.clone();
    base.tasks.spawn(flusher.run(move || counted.session_totals(), base.stop.clone()));
    let renew = {
        let (relay, args) = (relay.clone(), args.clone());
        move || {
            args.load().map_err(Failure::from).and_then(|(new, _)| {
                relay.trust(verifier(&new)?);
                Ok(())
            })
        }
    };
    base.serve(relay.router(), Some(relay.clone()), ready, renew).await?;
    let left = relay.live_sockets();
    tracing::info!(peers = left, "draining; a second signal ends it at once");
    let forced = tokio::select! {
        forced = relay.drain(CloseCode::RESTART) => forced,
        again = shutdown::requested() => {
            again?;
            tracing::warn!("a second signal: everybody is closed now");
            relay.live_sockets()
        }
    };
    relay.shutdown(CloseCode::RESTART).await;
    base.end().await;
    if forced == 0 { Ok(()) } else { Err(Failure::Forced(forced)) }
}

pub(super) async fn control_plane(args: SettingsArgs) -> Result<(), Failure> {
    let base = Base::start(&args).await?;
    let settings = &base.settings;
    let Some(pem) = &settings.signing_key else {
        return Err(conflict(
            "`tokens.signing_key` is not set: make one with `keys generate`, give it as a file",
        ));
    };
    let unusable = |error: beach_lifeguard_client::token::KeyError| Failure::Input(error.to_string());
    let id = KeyId::parse(settings.key_id.as_str()).map_err(unusable)?;
    let keys = TokenKeys::new(&settings.issuer, TokenSigner::from_pem(id, pem.as_bytes()).map_err(unusable)?);
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
    base.serve(control.router(), None, Arc::new(|| Ok(())), || Ok(())).await?;
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
    let dev =
        Dev::start(config).await.map_err(|error| not_started(error, args.listen_addr, "stun-listen-addr"))?;
    until_told(dev, welcome).await
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

/// Says that it runs, runs until SIGTERM or Ctrl-C, and lets everybody go.
pub(super) async fn until_told(dev: Dev, welcome: impl FnOnce(&Dev) -> String) -> Result<(), Failure> {
    let announced = async {
        warn_unless(output::print(&welcome(&dev)));
        std::future::pending::<()>().await;
    };
    tokio::select! {
        // Whoever reads that it runs may stop it at once: the signals are listened for first.
        biased;
        requested = shutdown::requested() => requested?,
        () = announced => {}
    }
    output::note("\nlets everybody go; they come back to the next one. Ctrl-C again ends at once");
    tokio::select! {
        _ = dev.drain() => Ok(()),
        again = shutdown::requested() => Ok(again?),
    }
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

fn verifier(settings: &Settings) -> Result<TokenVerifier, Failure> {
    if settings.public_keys.is_empty() {
        return Err(conflict(
            "`tokens.public_keys` is empty: name the key that signs tokens (`keys generate`)",
        ));
    }
    let keys = settings.public_keys.iter().map(|entry| parse_public(entry)).collect::<Result<Vec<_>, _>>()?;
    Ok(TokenVerifier::new(&settings.issuer, keys))
}

/// What SIGHUP does: the certificate and the trusted keys are read again. What cannot be read stays as it
/// was, and is reported. Says whether everything was read.
fn reload(
    certificates: Option<Arc<Certificates>>,
    metrics: Arc<Metrics>,
    renew: impl Fn() -> Result<(), Failure> + Send + 'static,
) -> impl Fn() -> bool + Send + 'static {
    move || {
        let certificate = certificates.as_ref().map_or(Ok(()), |c| c.reload().map_err(Failure::from));
        metrics.certificate_expires(certificates.as_ref().map_or(0, |certificates| certificates.expires()));
        let outcomes = [certificate, renew()];
        let all = outcomes.iter().all(Result::is_ok);
        for error in outcomes.into_iter().filter_map(Result::err) {
            tracing::error!(%error, "could not be read again; what was read before stays");
        }
        all
    }
}

fn certificates(settings: &Settings) -> Result<Option<Arc<Certificates>>, Failure> {
    match (&settings.tls_certificate, &settings.tls_key) {
        (Some(certificate), Some(key)) => Ok(Some(Arc::new(Certificates::from_files(certificate, key)?))),
        _ => Ok(None),
    }
}

fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, Failure> {
    listen::bind(address).map_err(|source| Failure::Bind { address, flag, source })
}

fn unserved(error: PageError) -> Failure {
    conflict(&format!("`page.folder`: {error}"))
}

fn conflict(words: &str) -> Failure {
    ConfigError::Conflict(words.to_owned()).into()
}
