//! What is typed where nobody reads it: taken, so that the shell does not run it after the session.

use std::{
    io::{self, IsTerminal, Read},
    os::fd::AsFd,
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::termios::{FlushArg, LocalFlags, SetArg, Termios, tcflush, tcgetattr, tcsetattr},
    unistd::{getpgrp, tcgetpgrp},
};

/// Says whether this program has the terminal on standard input, and may read from it.
pub(super) fn has_terminal() -> bool {
    io::stdin().is_terminal() && is_in_front()
}

/// A terminal that does not echo what is typed. Dropping it puts the old settings back.
#[derive(Debug)]
pub(super) struct Mute(Termios);

impl Mute {
    /// Switches the echo off; `None` where there is none.
    pub(super) fn begin() -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut settings = before.clone();
        settings.local_flags.remove(LocalFlags::ECHO | LocalFlags::ECHONL);
        tcsetattr(io::stdin(), SetArg::TCSANOW, &settings).ok()?;
        Some(Self(before))
    }
}

impl Drop for Mute {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.0) {
            tracing::warn!(%error, "the terminal's echo stays off");
        }
    }
}

/// Reads what is typed, and drops it, from a thread that ends with the program. A program in the background reads
/// nothing: it would be stopped. Input that is no terminal belongs to whoever wrote it, and is left alone.
pub(super) fn begin() {
    if !io::stdin().is_terminal() {
        return;
    }
    let thread = std::thread::Builder::new().name("drain".to_owned());
    if let Err(error) = thread.spawn(read_all) {
        tracing::warn!(%error, "what is typed meanwhile is not read");
    }
}

/// Drops what was typed and not read. Called last.
pub(super) fn end() {
    if has_terminal()
        && let Err(error) = tcflush(io::stdin(), FlushArg::TCIFLUSH)
    {
        tracing::debug!(%error, "what was typed stays");
    }
}

fn read_all() {
    let stdin = io::stdin();
    let mut buffer = [0; 4096];
    loop {
        if !is_in_front() {
            std::thread::sleep(LOOK);
            continue;
        }
        // Not in the read itself: what becomes a program in the background meanwhile must not be in it.
        let mut input = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut input, PollTimeout::try_from(LOOK.as_millis()).unwrap_or(PollTimeout::ZERO)) {
            Ok(0) => continue,
            Err(nix::errno::Errno::EINTR) => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        if is_in_front() && !matches!(stdin.lock().read(&mut buffer), Ok(1..)) {
            return;
        }
    }
}

fn is_in_front() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|front| front == getpgrp())
}

/// How often it is looked which program is in front.
const LOOK: Duration = Duration::from_millis(200);
