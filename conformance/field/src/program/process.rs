//! A child process that speaks in lines.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{topology::Space, trouble::Trouble};

/// A running program and what it has said so far. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts it. Standard output and standard error are read together.
    ///
    /// # Errors
    ///
    /// [`Trouble::Io`].
    pub fn start(name: &str, command: &mut Command) -> Result<Self, Trouble> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(Trouble::io(name))?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        if let Some(stdout) = child.stdout.take() {
            keep(stdout, lines.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            keep(stderr, lines.clone());
        }
        Ok(Self { name: name.to_owned(), child, lines })
    }

    /// Waits until `find` finds something in a line; `None` when the time is over or the program is.
    pub fn until<T>(&mut self, limit: Duration, mut find: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + limit;
        loop {
            // Asked before the lines are read, so that a program's last words are heard.
            let over = self.has_ended() || Instant::now() >= deadline;
            if over {
                thread::sleep(LAST_WORDS);
            }
            if let Some(found) = self.lines().iter().find_map(|line| find(line)) {
                return Some(found);
            }
            if over {
                return None;
            }
            thread::sleep(TICK);
        }
    }

    /// Waits until it listens on a TCP port in its namespace.
    ///
    /// # Errors
    ///
    /// [`Trouble::NotReady`] with what it said.
    pub fn listens(&mut self, space: &Space, port: u16) -> Result<(), Trouble> {
        let deadline = Instant::now() + READY;
        let port = format!(":{port} ");
        while Instant::now() < deadline && !self.has_ended() {
            if space.run("ss", &["-ltnH"])?.contains(&port) {
                return Ok(());
            }
            thread::sleep(TICK);
        }
        Err(self.not_ready())
    }

    /// Says whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        self.lines().join("\n")
    }

    /// The error for a program that did not become ready.
    pub fn not_ready(&self) -> Trouble {
        Trouble::NotReady { name: self.name.clone(), said: self.said() }
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines into `lines` until the stream ends; the oldest give way.
fn keep(stream: impl Read + Send + 'static, lines: Arc<Mutex<Vec<String>>>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() == MOST_LINES {
                lines.remove(0);
            }
            lines.push(line);
        }
    });
}

/// How often something is looked for.
pub(super) const TICK: Duration = Duration::from_millis(5);

/// How long a program may take to start on a machine that builds something else meanwhile.
pub(super) const READY: Duration = Duration::from_secs(20);

/// What an ended program wrote is still in its pipe for a moment.
const LAST_WORDS: Duration = Duration::from_millis(50);

const MOST_LINES: usize = 4096;
