//! The signals an operator sends.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use crate::listen::Certificates;

/// Waits for SIGTERM or Ctrl-C: both mean "finish what you have and go".
///
/// # Errors
///
/// The operating system refused a signal handler.
pub async fn requested() -> std::io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Reads the certificate again at each SIGHUP. A bad one is reported and the old one stays.
///
/// # Errors
///
/// The operating system refused a signal handler.
pub async fn reload_on_hangup(certificates: Arc<Certificates>) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    while hangup.recv().await.is_some() {
        match certificates.reload() {
            Ok(()) => tracing::info!("certificate reloaded"),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::error!(%error, cause, "certificate not reloaded; the previous one stays");
            }
        }
    }
    Ok(())
}
