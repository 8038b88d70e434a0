//! What the manager of services is told, by systemd's protocol (`NOTIFY_SOCKET`): serving, reading anew, ending, alive.

use std::{
    ffi::OsStr,
    io,
    os::unix::{
        ffi::OsStrExt,
        net::{SocketAddr, UnixDatagram},
    },
    sync::Arc,
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// Tells the manager, where there is one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notify {
    manager: Option<Arc<(UnixDatagram, SocketAddr)>>,
    /// Silence after which the manager takes this process for hung.
    watchdog: Option<Duration>,
}

impl Notify {
    /// Finds the manager in the environment. One that cannot be reached is a warning: the service goes on.
    pub(crate) fn from_environment() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        match reach(&name) {
            Ok(manager) => {
                let words = |name: &str| std::env::var(name).ok();
                Self { manager: Some(Arc::new(manager)), watchdog: watchdog(words, std::process::id()) }
            }
            Err(error) => {
                tracing::warn!(%error, "the manager of services cannot be told anything");
                Self::default()
            }
        }
    }

    /// Connections are served, for the first time or again.
    pub(crate) fn ready(&self) {
        self.say("READY=1");
    }

    /// Files are being read again. [`ready`](Self::ready) ends it.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The end has begun and takes at most `time`.
    pub(crate) fn stopping(&self, time: Duration) {
        self.say(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}", time.as_micros()));
    }

    /// Says that this process is alive, as often as the manager asks. Ends with the runtime, behind a drain.
    pub(crate) fn keep_alive(&self) {
        let Some(silence) = self.watchdog.filter(|_| self.manager.is_some()) else { return };
        let notify = self.clone();
        tokio::spawn(async move {
            let mut beat = tokio::time::interval(silence / 2);
            loop {
                beat.tick().await;
                notify.say("WATCHDOG=1");
            }
        });
    }

    fn say(&self, words: &str) {
        let Some(manager) = &self.manager else { return };
        let (socket, address) = &**manager;
        if let Err(error) = socket.send_to_addr(words.as_bytes(), address) {
            tracing::warn!(%error, words, "the manager of services was not told");
        }
    }
}

/// A name that begins with `@` is of the abstract namespace.
fn reach(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        #[cfg(target_os = "linux")]
        Some(name) => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that reads nothing must not hold up a service.
    socket.set_write_timeout(Some(Duration::from_secs(1)))?;
    Ok((socket, address))
}

/// The silence that `WATCHDOG_USEC` names, where it is meant for the process `id`.
fn watchdog(words: impl Fn(&str) -> Option<String>, id: u32) -> Option<Duration> {
    if words("WATCHDOG_PID").is_some_and(|meant| meant != id.to_string()) {
        return None;
    }
    let micros = words("WATCHDOG_USEC")?.parse().ok()?;
    Some(Duration::from_micros(micros)).filter(|silence| *silence >= Duration::from_millis(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_kept_for_the_process_it_is_meant_for() {
        let asked = |usec: &'static str, pid: Option<&'static str>| {
            let words = move |name: &str| match name {
                "WATCHDOG_USEC" => Some(usec.to_owned()),
                _ => pid.map(str::to_owned),
            };
            watchdog(words, 7)
        };
        assert_eq!(asked("30000000", None), Some(Duration::from_secs(30)));
        assert_eq!(asked("30000000", Some("7")), Some(Duration::from_secs(30)));
        assert_eq!(asked("30000000", Some("8")), None);
        assert_eq!((asked("0", None), asked("soon", None)), (None, None));
    }
}
