//! `beach-link join` in a terminal of its own, and a person at it.

use std::{
    fmt,
    io::{Read, Write},
    num::NonZero,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::{Programs, Setting, process::TICK};
use crate::{topology::Space, trouble::Trouble};

/// A terminal with `beach-link join` in it. Dropping it ends the program.
pub struct Terminal {
    _master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    seen: Arc<Mutex<Seen>>,
    started: Instant,
    typed: u32,
}

/// What has come to the terminal.
struct Seen {
    raw: Vec<u8>,
    screen: vt100::Parser,
}

impl Terminal {
    /// Starts joining `link`.
    ///
    /// # Errors
    ///
    /// [`Trouble::Io`].
    pub fn join(space: &Space, programs: &Programs, link: &str, setting: &Setting) -> Result<Self, Trouble> {
        let words = setting.prefix(&programs.link);
        let inside = space.command(&words[0]);
        let mut command = CommandBuilder::new(inside.get_program());
        command.args(inside.get_args());
        command.args(&words[1..]);
        command.args(["join"]);
        command.args(&setting.arguments);
        command.arg(link);
        command.env_clear();
        for (name, value) in inside.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.env("TERM", "xterm-256color");
        for (name, value) in &setting.environment {
            command.env(name, value);
        }
        let size = PtySize { rows: ROWS.get(), cols: COLUMNS.get(), pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).map_err(failed)?;
        let started = Instant::now();
        let child = pair.slave.spawn_command(command).map_err(failed)?;
        let reader = pair.master.try_clone_reader().map_err(failed)?;
        let keys = pair.master.take_writer().map_err(failed)?;
        let seen = Arc::new(Mutex::new(Seen::new()));
        watch(reader, seen.clone());
        Ok(Self { _master: pair.master, child, keys, seen, started, typed: 0 })
    }

    /// Waits until the shared terminal is shown; returns how long that took from the program's start.
    pub fn opened(&mut self, limit: Duration) -> Option<Duration> {
        self.until(limit, |seen| seen.holds(SECOND_SCREEN).then_some(()))?;
        Some(self.started.elapsed())
    }

    /// Types something that was never typed before and waits until it is on the screen; returns how long that took.
    pub fn key(&mut self, limit: Duration) -> Option<Duration> {
        self.typed += 1;
        let (mark, at) = (format!("key{:04}", self.typed), Instant::now());
        self.keys.write_all(format!("{mark}\r").as_bytes()).ok()?;
        self.until(limit, |seen| seen.screen.screen().contents().contains(&mark).then_some(()))?;
        Some(at.elapsed())
    }

    /// The path that the status line names.
    pub fn path(&self) -> String {
        self.last_line().split('·').next().unwrap_or_default().trim().to_owned()
    }

    /// What the last line says.
    pub fn last_line(&self) -> String {
        last_line(&self.seen())
    }

    /// Waits until the last line says all of `words`.
    pub fn tells(&mut self, limit: Duration, words: &[&str]) -> Option<()> {
        self.until(limit, |seen| {
            let line = last_line(seen);
            words.iter().all(|word| line.contains(word)).then_some(())
        })
    }

    /// Waits until it says something; returns since when the program ran.
    pub fn says(&mut self, limit: Duration, words: &[&str]) -> Option<Duration> {
        self.until(limit, |seen| {
            let text = plain(&seen.raw);
            words.iter().all(|word| text.contains(word)).then_some(())
        })?;
        Some(self.started.elapsed())
    }

    /// All that it printed, without control sequences.
    pub fn said(&self) -> String {
        plain(&self.seen().raw)
    }

    /// Waits for its end.
    pub fn ends(&mut self, limit: Duration) -> Option<u32> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                thread::sleep(LAST_WORDS);
                return Some(status.exit_code());
            }
            thread::sleep(TICK);
        }
        None
    }

    fn until<T>(&mut self, limit: Duration, mut find: impl FnMut(&Seen) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + limit;
        loop {
            let over = !matches!(self.child.try_wait(), Ok(None)) || Instant::now() >= deadline;
            if over {
                thread::sleep(LAST_WORDS);
            }
            let found = find(&self.seen());
            if found.is_some() || over {
                return found;
            }
            thread::sleep(TICK);
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn last_line(seen: &Seen) -> String {
    seen.screen.screen().rows(0, COLUMNS.get()).last().unwrap_or_default()
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal").field("typed", &self.typed).finish_non_exhaustive()
    }
}

impl Seen {
    fn new() -> Self {
        Self { raw: Vec::new(), screen: vt100::Parser::new(ROWS, COLUMNS, 0) }
    }

    fn holds(&self, bytes: &[u8]) -> bool {
        self.raw.windows(bytes.len()).any(|window| window == bytes)
    }
}

fn watch(mut reader: Box<dyn Read + Send>, seen: Arc<Mutex<Seen>>) {
    thread::spawn(move || {
        let mut buffer = [0; 16384];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.screen.process(&buffer[..count]);
            if seen.raw.len() < MOST_RAW {
                seen.raw.extend_from_slice(&buffer[..count]);
            }
        }
    });
}

fn failed(error: impl fmt::Display) -> Trouble {
    Trouble::io("a terminal")(std::io::Error::other(format!("{error:#}")))
}

/// Text without control sequences: a sequence runs from ESC `[` to its final byte (ECMA-48 §5.4).
fn plain(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let last = part.find(|c: char| ('@'..='~').contains(&c)).map_or(part.len(), |at| at + 1);
        plain.push_str(&part[last..]);
    }
    plain.retain(|c| c == '\n' || !c.is_control());
    plain.trim().to_owned()
}

/// Wide enough that no message is cut or wrapped.
const COLUMNS: NonZero<u16> = NonZero::new(400).expect("not zero");
const ROWS: NonZero<u16> = NonZero::new(24).expect("not zero");

/// What a program writes that takes the whole terminal.
const SECOND_SCREEN: &[u8] = b"\x1b[?1049h";

/// What an ended program wrote is still in the terminal for a moment.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// What is kept for a report.
const MOST_RAW: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_are_no_words() {
        assert_eq!(plain(b"\x1b[?1049h\x1b[2Ja \x1b[1;31mlogin page\x1b[0m\r\n"), "a login page");
        assert_eq!(plain(b"cut \x1b[12"), "cut");
    }
}
