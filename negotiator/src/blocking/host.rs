//! The sharing side for synchronous callers.

use std::sync::Arc;

use tokio::runtime::{Handle, Runtime};

use super::BlockingSession;
#[cfg(feature = "control-plane")]
use crate::{config::HostConfig, error::ShareError};
use crate::{
    host::Host,
    link::JoinLink,
    runtime::{self, Duration},
};

/// A [`Host`] without `async`. Must not be called from inside an asynchronous task: it blocks.
///
/// Dropping it ends the session for every viewer.
///
/// # Examples
///
/// ```no_run
/// use std::{thread, time::Duration};
/// use negotiator::{HostConfig, blocking::BlockingHost};
///
/// # #[cfg(feature = "control-plane")]
/// fn echo() -> Result<(), Box<dyn std::error::Error>> {
///     let host = BlockingHost::share(HostConfig::new("https://beach.example"))?;
///     println!("join with {}", host.link().reveal());
///     while let Some(viewer) = host.accept() {
///         thread::spawn(move || {
///             while let Ok(message) = viewer.recv(Duration::from_secs(60)) {
///                 let _ = viewer.send(&message.payload);
///             }
///         });
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct BlockingHost {
    host: Host,
    runtime: Handle,
    /// Present when this host started its own. The sessions it accepted share it.
    own: Option<Arc<Runtime>>,
}

/// Why [`BlockingHost::accept_within`] returned nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The host was closed.
    #[error("the host was closed")]
    Closed,
    /// Nobody came in time.
    #[error("nobody came in time")]
    TimedOut,
}

impl BlockingHost {
    /// Shares a new session with a runtime of its own.
    ///
    /// # Errors
    ///
    /// [`ShareError`], as [`Host::share`].
    #[cfg(feature = "control-plane")]
    pub fn share(config: HostConfig) -> Result<Self, ShareError> {
        let runtime = super::start_runtime().map_err(ShareError::Runtime)?;
        let host = runtime.block_on(Host::share(config))?;
        Ok(Self { host, runtime: runtime.handle().clone(), own: Some(Arc::new(runtime)) })
    }

    /// Wraps a host that lives on `runtime`.
    pub fn new(host: Host, runtime: Handle) -> Self {
        Self { host, runtime, own: None }
    }

    /// Returns the first link that lets others join. Treat it as a password.
    pub fn link(&self) -> &JoinLink {
        self.host.link()
    }

    /// Waits for the next viewer whose session is usable; `None` after [`close`](Self::close).
    pub fn accept(&self) -> Option<BlockingSession> {
        self.runtime.block_on(self.host.accept()).map(|session| self.blocking(session))
    }

    /// Waits for the next viewer, at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`AcceptError`]. A viewer that comes later is not lost: the next call has it.
    pub fn accept_within(&self, timeout: Duration) -> Result<BlockingSession, AcceptError> {
        let accepted = self.runtime.block_on(async { runtime::timeout(timeout, self.host.accept()).await });
        let session = accepted.map_err(|_late| AcceptError::TimedOut)?.ok_or(AcceptError::Closed)?;
        Ok(self.blocking(session))
    }

    /// Returns the host, for its links, members and access.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Ends the session for every viewer and waits until they were told, 3 s at most.
    pub fn close(&self) {
        self.runtime.block_on(self.host.close());
    }

    fn blocking(&self, session: crate::session::Session) -> BlockingSession {
        let session = BlockingSession::new(session, self.runtime.clone());
        BlockingSession { _own: self.own.clone(), ..session }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::{
        blocking::{Payload, start_runtime},
        config::NetworkConfig,
        testing::MemoryNetwork,
    };

    #[test]
    fn viewers_are_accepted_one_after_the_other_until_it_is_closed() {
        let runtime = start_runtime().unwrap();
        let network = MemoryNetwork::new();
        let host = runtime.block_on(network.share(MemoryNetwork::host_config())).unwrap();
        let host = BlockingHost::new(host, runtime.handle().clone());
        assert_eq!(host.accept_within(Duration::from_millis(1)).unwrap_err(), AcceptError::TimedOut);
        for words in ["first", "second"] {
            let viewer = network.viewer(host.host(), NetworkConfig::default());
            let handle = runtime.handle().clone();
            let joining = thread::spawn(move || {
                let session = handle.block_on(viewer.connect()).unwrap();
                let session = BlockingSession::new(session, handle);
                session.send(&Payload::Text(words.to_owned())).unwrap();
                session
            });
            let accepted = host.accept_within(Duration::from_secs(60)).unwrap();
            let heard = accepted.recv(Duration::from_secs(60)).unwrap();
            assert_eq!(heard.payload, Payload::Text(words.to_owned()));
            joining.join().unwrap().close();
        }
        thread::scope(|scope| {
            let waiting = scope.spawn(|| host.accept().is_none());
            host.close();
            assert!(waiting.join().unwrap());
        });
        assert_eq!(host.accept_within(Duration::from_secs(60)).unwrap_err(), AcceptError::Closed);
    }
}
