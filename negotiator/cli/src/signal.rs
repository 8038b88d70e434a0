//! The ways a person or a system ends the program.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Failure;

/// Listens for Ctrl-C, SIGQUIT, SIGTERM and SIGHUP.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
    hang_up: Signal,
    /// A hangup is somebody else's.
    detached: bool,
}

impl Interrupts {
    /// Begins to listen: from here on these signals do not kill the program.
    ///
    /// # Errors
    ///
    /// [`Failure::Io`].
    pub fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(Failure::io("signals"));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
            detached: false,
        })
    }

    /// As [`listen`](Self::listen), for a program that no terminal controls: a hangup does not end it.
    ///
    /// # Errors
    ///
    /// [`Failure::Io`].
    pub fn listen_detached() -> Result<Self, Failure> {
        Ok(Self { detached: true, ..Self::listen()? })
    }

    /// Waits for one of them.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Failure {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.quit.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv(), if !self.detached => {}
        }
        Failure::Interrupted
    }
}
