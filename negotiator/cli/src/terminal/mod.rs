//! The person's terminal: raw while a session is shown, and always put back.

pub mod keys;
pub mod line;
pub mod panel;

use std::{
    fs::File,
    io::{self, IsTerminal, Read, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use crossterm::terminal;
use tokio::sync::mpsc;

use crate::{exit::Failure, wire::Size};

/// The fewest columns and rows a session is shown in: the smallest shared terminal and the status line.
pub const LEAST: Size = Size { columns: Size::SMALLEST.columns, rows: Size::SMALLEST.rows + 1 };

/// A raw terminal. Dropping it puts the old settings back; so does a panic.
#[derive(Debug)]
pub struct RawTerminal(());

impl RawTerminal {
    /// Checks that there is a terminal with enough room. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`Failure::NoTerminal`] or [`Failure::TooSmall`].
    pub fn check(keyboard: Keyboard) -> Result<Size, Failure> {
        if keyboard == Keyboard::StandardInput && !io::stdin().is_terminal() {
            return Err(Failure::NoTerminal("standard input"));
        }
        if !io::stdout().is_terminal() {
            return Err(Failure::NoTerminal("standard output"));
        }
        let size = size().ok_or(Failure::NoTerminal("standard output"))?;
        if size.columns < LEAST.columns || size.rows < LEAST.rows {
            return Err(Failure::TooSmall {
                columns: size.columns,
                rows: size.rows,
                least_columns: LEAST.columns,
                least_rows: LEAST.rows,
            });
        }
        Ok(size)
    }

    /// Makes the terminal raw and switches to its second screen, so that the first is as it was afterwards.
    ///
    /// # Errors
    ///
    /// [`Failure::Io`].
    pub fn enter() -> Result<Self, Failure> {
        terminal::enable_raw_mode().map_err(Failure::io("the terminal"))?;
        RAW.store(true, Ordering::SeqCst);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
        let terminal = Self(());
        terminal.write(ENTER)?;
        Ok(terminal)
    }

    /// Lends the terminal to the shell: it is as it was before, until [`take_back`](Self::take_back).
    pub fn lend(&self) {
        restore();
    }

    /// Makes the terminal raw again. What it shows is not known then.
    ///
    /// # Errors
    ///
    /// [`Failure::Io`].
    pub fn take_back(&self) -> Result<(), Failure> {
        // Stopped by somebody else it was not lent: what a shell made of its settings meanwhile does not count.
        restore();
        terminal::enable_raw_mode().map_err(Failure::io("the terminal"))?;
        RAW.store(true, Ordering::SeqCst);
        self.write(ENTER)
    }

    /// Writes escape sequences and text.
    ///
    /// # Errors
    ///
    /// [`Failure::Io`].
    pub fn write(&self, text: &str) -> Result<(), Failure> {
        print(text)
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Writes escape sequences and text to standard output.
///
/// # Errors
///
/// [`Failure::Io`].
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::io("the terminal"))
}

/// Returns the terminal's size, unless it has none.
pub fn size() -> Option<Size> {
    terminal::size().ok().and_then(|(columns, rows)| Size::new(columns, rows))
}

/// The part of the terminal that the shared screen may use: all but the status line. In a smaller terminal than
/// one may be shared in, the edge of the screen is not seen.
#[must_use]
pub fn usable(terminal: Size) -> Size {
    Size { rows: terminal.rows.saturating_sub(1), ..terminal }.shared()
}

/// Where keys come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyboard {
    /// Standard input.
    StandardInput,
    /// The terminal that controls this process, because standard input brought the link.
    Terminal,
}

impl Keyboard {
    /// Reads keys from a thread of its own, which ends with the program: a read from a terminal cannot be
    /// interrupted. The channel closes when the input does.
    ///
    /// # Errors
    ///
    /// [`Failure::Io`] when there is no thread or no terminal to be had.
    pub fn read(self) -> Result<mpsc::Receiver<Bytes>, Failure> {
        let mut keys: Box<dyn Read + Send> = match self {
            Self::StandardInput => Box::new(io::stdin()),
            Self::Terminal => Box::new(File::open("/dev/tty").map_err(Failure::io("the terminal"))?),
        };
        let (sender, typed) = mpsc::channel(READS);
        let read = move || {
            let mut buffer = [0; 4096];
            loop {
                match keys.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(count) => {
                        if sender.blocking_send(Bytes::copy_from_slice(&buffer[..count])).is_err() {
                            return;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return,
                }
            }
        };
        let thread = std::thread::Builder::new().name("keyboard".to_owned());
        thread.spawn(read).map(|_| typed).map_err(Failure::io("the keyboard"))
    }
}

/// Puts the terminal back, once.
fn restore() {
    if RAW.swap(false, Ordering::SeqCst) {
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(LEAVE.as_bytes()).and_then(|()| stdout.flush());
        let _ = terminal::disable_raw_mode();
    }
}

static RAW: AtomicBool = AtomicBool::new(false);

/// The title is saved. Second screen.
const ENTER: &str = "\x1b[22;0t\x1b[?1049h\x1b[2J\x1b[H";

/// Everything a shared program may have switched on is off: keypad and cursor keys, mouse, focus, pasting, cursor
/// shape, attributes, links. Then the first screen and the title that was saved.
const LEAVE: &str = "\x1b>\x1b[?1l\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1005l\x1b[?1006l\x1b[?2004l\
                     \x1b[0 q\x1b[?2026l\x1b]8;;\x1b\\\x1b[0m\x1b[?25h\x1b[?1049l\x1b[23;0t";

/// Reads that may wait: a paste of 256 KiB.
const READS: usize = 64;
