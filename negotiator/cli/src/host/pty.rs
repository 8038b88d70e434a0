//! A command in a pseudo-terminal: bytes in, bytes out, a size, a status.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use parking_lot::Mutex;
use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};
use tokio::sync::{mpsc, watch};

use crate::{
    guard,
    wire::{CHUNK, Size},
};

/// A running command. Dropping it hangs the command up.
pub struct Pty {
    master: Mutex<Box<dyn MasterPty + Send>>,
    /// The command's process, and the group of everything it started that did not leave it.
    process: Option<Pid>,
    input: mpsc::Sender<Bytes>,
    status: watch::Receiver<Option<u8>>,
}

/// A command that was found and not started yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    argv: Vec<OsString>,
}

/// What the command prints, in order.
#[derive(Debug)]
pub struct Output {
    chunks: mpsc::Receiver<Bytes>,
    status: watch::Receiver<Option<u8>>,
}

impl Program {
    /// Finds `command`, or the user's shell when it is empty.
    ///
    /// # Errors
    ///
    /// [`PtyError`] when there is no such program, or it cannot be run.
    pub fn find(command: &[OsString]) -> Result<Self, PtyError> {
        let shell = [std::env::var_os("SHELL").unwrap_or_else(|| OsString::from("/bin/sh"))];
        let command = if command.is_empty() { &shell[..] } else { command };
        let program = find(&command[0], std::env::var_os("PATH").as_deref())?;
        Ok(Self { argv: [&[program.into_os_string()], &command[1..]].concat() })
    }

    /// Returns the program's name without its folder.
    pub fn name(&self) -> String {
        Path::new(&self.argv[0]).file_name().unwrap_or(&self.argv[0]).to_string_lossy().into_owned()
    }
}

impl Pty {
    /// Starts a program.
    ///
    /// # Errors
    ///
    /// [`PtyError::Unavailable`] when there is no pseudo-terminal or no process to be had.
    pub fn start(program: Program, size: Size) -> Result<(Self, Output), PtyError> {
        let mut builder = CommandBuilder::from_argv(program.argv);
        if let Ok(here) = std::env::current_dir() {
            builder.cwd(here);
        }
        // What viewers' terminals are painted from understands this much.
        builder.env("TERM", "xterm-256color");
        builder.env_remove("BEACH_ENTITLEMENT_PROOF");
        builder.env(guard::VARIABLE, std::process::id().to_string());

        let pair = native_pty_system().openpty(pty_size(size)).map_err(PtyError::open)?;
        let child = pair.slave.spawn_command(builder).map_err(PtyError::open)?;
        drop(pair.slave);
        let reader = pair.master.try_clone_reader().map_err(PtyError::open)?;
        let writer = pair.master.take_writer().map_err(PtyError::open)?;
        let process = child.process_id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);

        let (sender, chunks) = mpsc::channel(CHUNKS);
        let (input, typed) = mpsc::channel(CHUNKS);
        let (ended, status) = watch::channel(None);
        // The system calls behind these block, so each has a thread; each ends with the command.
        thread("pty output", move || read_all(reader, &sender))?;
        thread("pty input", move || write_all(writer, typed))?;
        thread("pty status", move || {
            ended.send_replace(Some(exit_code(child)));
        })?;
        let pty = Self { master: Mutex::new(pair.master), process, input, status: status.clone() };
        Ok((pty, Output { chunks, status }))
    }

    /// Types bytes, waiting while the command does not read. What is typed after its end is dropped.
    pub async fn input(&self, bytes: Bytes) {
        let _ = self.input.send(bytes).await;
    }

    /// Answers a question of the command's, if it reads at all.
    pub fn answer(&self, bytes: Bytes) {
        if !bytes.is_empty() && self.input.try_send(bytes).is_err() {
            tracing::debug!("a command that does not read was not answered");
        }
    }

    /// Tells the command its new size.
    pub fn resize(&self, size: Size) {
        if let Err(error) = self.master.lock().resize(pty_size(size)) {
            tracing::warn!(%error, "the terminal could not be resized");
        }
    }

    /// Returns the command's status once it has ended: 128 + n for signal n.
    pub fn status(&self) -> Option<u8> {
        *self.status.borrow()
    }

    /// Hangs the command up, asks it to end if it does not, and kills it if it ignores both.
    pub async fn stop(&self) {
        for (signal, patience) in
            [(Signal::SIGHUP, HANG_UP), (Signal::SIGTERM, HANG_UP), (Signal::SIGKILL, STOP)]
        {
            self.signal(signal);
            let mut status = self.status.clone();
            if tokio::time::timeout(patience, status.wait_for(Option::is_some)).await.is_ok() {
                return;
            }
        }
    }

    /// Signals the command and what runs with it, unless it has ended.
    fn signal(&self, signal: Signal) {
        if let Some(process) = self.process.filter(|_| self.status().is_none())
            && let Err(error) = killpg(process, signal)
        {
            tracing::debug!(%error, %signal, "the command could not be signalled");
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        self.signal(Signal::SIGHUP);
    }
}

impl fmt::Debug for Pty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pty").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Output {
    /// Waits for what the command prints next; `Err` is its status, once everything was taken.
    ///
    /// # Errors
    ///
    /// The status: 128 + n for signal n.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Result<Bytes, u8> {
        tokio::select! {
            biased;
            chunk = self.chunks.recv() => if let Some(chunk) = chunk {
                return Ok(chunk);
            },
            // A child of the command may hold the terminal open after the command itself ended.
            () = lingered(self.status.clone()) => {}
        }
        let mut status = self.status.clone();
        let code = tokio::time::timeout(STOP, status.wait_for(Option::is_some)).await;
        Err(code.ok().and_then(|status| status.ok().and_then(|status| *status)).unwrap_or(1))
    }
}

/// Why a command could not be started.
#[derive(Debug, thiserror::Error)]
pub enum PtyError {
    /// There is a file, but it cannot be run.
    #[error("{} cannot be executed", .0.display())]
    NotExecutable(PathBuf),
    /// There is no such program.
    #[error("command not found: {}", .0.display())]
    NotFound(PathBuf),
    /// The system gives no pseudo-terminal.
    #[error("no pseudo-terminal: {0}")]
    Unavailable(String),
}

impl PtyError {
    fn open(error: impl fmt::Display) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Finds the program as a shell would, because a failed `exec` in a pseudo-terminal tells nobody.
fn find(program: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, PtyError> {
    let name = Path::new(program);
    let candidates: Vec<PathBuf> = if name.components().count() > 1 {
        vec![name.to_owned()]
    } else {
        std::env::split_paths(path.unwrap_or_default()).map(|folder| folder.join(name)).collect()
    };
    let mut found = None;
    for candidate in candidates {
        match executable(&candidate) {
            Some(true) => return std::path::absolute(candidate).map_err(PtyError::open),
            Some(false) => found = Some(candidate),
            None => {}
        }
    }
    Err(found.map_or_else(|| PtyError::NotFound(name.to_owned()), PtyError::NotExecutable))
}

/// Says whether a file can be run; `None` when there is none.
fn executable(path: &Path) -> Option<bool> {
    use std::os::unix::fs::PermissionsExt;

    let metadata = path.metadata().ok()?;
    Some(metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn read_all(mut reader: Box<dyn Read + Send>, chunks: &mpsc::Sender<Bytes>) {
    let mut buffer = vec![0; CHUNK];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                if chunks.blocking_send(Bytes::copy_from_slice(&buffer[..count])).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

fn write_all(mut writer: Box<dyn Write + Send>, mut typed: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = typed.blocking_recv() {
        if writer.write_all(&bytes).and_then(|()| writer.flush()).is_err() {
            return;
        }
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), PtyError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop).map_err(PtyError::open)
}

async fn lingered(mut status: watch::Receiver<Option<u8>>) {
    if status.wait_for(Option::is_some).await.is_err() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(LINGER).await;
}

/// Waits for the child. The library's own status knows a signal by its name only.
fn exit_code(child: Box<dyn portable_pty::Child + Send + Sync>) -> u8 {
    use std::os::unix::process::ExitStatusExt;

    let child: Box<dyn portable_pty::Child> = child;
    let Ok(mut child) = child.downcast::<std::process::Child>() else { return 1 };
    let Ok(status) = child.wait() else { return 1 };
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

fn pty_size(size: Size) -> PtySize {
    PtySize { rows: size.rows, cols: size.columns, pixel_width: 0, pixel_height: 0 }
}

/// Chunks of at most [`CHUNK`] bytes that wait in each direction.
const CHUNKS: usize = 16;

/// How long output is awaited after the command ended while something else holds its terminal open.
const LINGER: Duration = Duration::from_millis(500);

/// How long a command that was hung up, or asked to end, is awaited.
const HANG_UP: Duration = Duration::from_millis(500);

/// How long the status of a command that has ended, or was killed, is awaited.
const STOP: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(command: &[&str]) -> Vec<OsString> {
        command.iter().map(OsString::from).collect()
    }

    async fn run(command: &[&str], typed: &'static str) -> (String, u8) {
        let (pty, mut output) =
            Pty::start(Program::find(&argv(command)).unwrap(), Size { columns: 40, rows: 10 }).unwrap();
        pty.input(typed.into()).await;
        let mut printed = Vec::new();
        loop {
            match output.next().await {
                Ok(bytes) => printed.extend_from_slice(&bytes),
                Err(status) => return (String::from_utf8_lossy(&printed).into_owned(), status),
            }
        }
    }

    #[tokio::test]
    async fn everything_printed_comes_before_the_status() {
        let (printed, status) = run(&["sh", "-c", "seq 1 20000; exit 7"], "").await;
        assert!(printed.ends_with("19999\r\n20000\r\n"), "{}", printed.len());
        assert_eq!(status, 7);
    }

    #[tokio::test]
    async fn the_command_reads_what_is_typed_and_sees_the_size() {
        let (printed, status) = run(&["sh", "-c", "read line; stty size; echo got $line"], "hello\r").await;
        assert!(printed.contains("10 40") && printed.contains("got hello"), "{printed}");
        assert_eq!(status, 0);
    }

    #[tokio::test]
    async fn a_grandchild_that_holds_the_terminal_does_not_hold_the_status() {
        let (_, status) = run(&["sh", "-c", "trap '' HUP; sleep 5 & exit 3"], "").await;
        assert_eq!(status, 3);
    }

    #[tokio::test]
    async fn a_command_can_be_stopped() {
        let (pty, _output) =
            Pty::start(Program::find(&argv(&["sleep", "1000"])).unwrap(), Size { columns: 9, rows: 9 })
                .unwrap();
        pty.stop().await;
        assert_eq!(pty.status(), Some(129));
    }

    #[tokio::test]
    async fn a_command_that_ignores_every_request_is_killed() {
        let stubborn = "trap '' HUP TERM; echo ready; while :; do sleep 0.1; done";
        let program = Program::find(&argv(&["sh", "-c", stubborn])).unwrap();
        let (pty, mut output) = Pty::start(program, Size { columns: 9, rows: 9 }).unwrap();
        assert_eq!(output.next().await.unwrap(), "ready\r\n");
        pty.stop().await;
        assert_eq!(pty.status(), Some(137));
    }

    #[test]
    fn a_missing_or_unusable_program_is_named() {
        let start = |name: &str| Program::find(&argv(&[name])).unwrap_err();
        assert_eq!(start("no-such-program-x").to_string(), "command not found: no-such-program-x");
        assert_eq!(start("/etc/passwd").to_string(), "/etc/passwd cannot be executed");
    }
}
