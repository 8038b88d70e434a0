//! Where log lines go: stderr, as text or JSON, without anything a client said.

use tracing_subscriber::{EnvFilter, filter::Directive};

/// Starts logging. `RUST_LOG` chooses the level, `BEACH_LIFEGUARD_LOG=json` the form.
pub(super) fn start() {
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).from_env_lossy();
    let filter = SILENT
        .iter()
        .filter_map(|name| name.parse::<Directive>().ok())
        .fold(filter, EnvFilter::add_directive);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let json = std::env::var("BEACH_LIFEGUARD_LOG").is_ok_and(|form| form == "json");
    // Fails only when logging was started before, and then it is.
    let _ = if json { log.json().try_init() } else { log.try_init() };
}

/// At TRACE the WebSocket library logs whole messages, a hello with its token among them.
const SILENT: [&str; 2] = ["tungstenite=off", "tokio_tungstenite=off"];
