//! The signals an operator sends.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for SIGTERM or Ctrl-C: both mean "finish what you have and go", and a second one "go at once".
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

/// Calls `reload` at each SIGHUP.
///
/// # Errors
///
/// The operating system refused a signal handler.
pub async fn on_hangup(reload: impl Fn()) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    while hangup.recv().await.is_some() {
        reload();
    }
    Ok(())
}
