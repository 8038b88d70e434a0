//! The shared terminal in a terminal of the host's own machine: shown and driven as a viewer does, and more to decide.

pub mod menu;
pub mod view;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::MissedTickBehavior,
};

use self::view::{ConsoleView, Do};
use super::control::lines::{LineReader, line};
use crate::{
    exit::Failure,
    terminal::{self, RawTerminal},
};

/// How a console was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// The program ended.
    Ended {
        /// Its status.
        status: u8,
        /// The last screen.
        screen: String,
    },
    /// The session is gone without a word.
    Gone,
    /// The person left.
    Quit,
}

/// Shows a session, whose control is at the other end of `stream`, in this terminal until the person leaves or it ends.
///
/// # Errors
///
/// [`Failure`] of the terminal, or of what the session says. The terminal is as it was.
///
/// # Cancel safety
///
/// Dropping it puts the terminal back.
pub async fn run(
    stream: impl AsyncRead + AsyncWrite,
    mut view: ConsoleView,
    typed: &mut mpsc::Receiver<Bytes>,
) -> Result<Left, Failure> {
    let terminal = RawTerminal::enter()?;
    let (answers, mut requests) = tokio::io::split(stream);
    let mut answers = LineReader::new(answers);
    let mut resized = signal(SignalKind::window_change()).map_err(Failure::io("signals"))?;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut waiting = VecDeque::from(line(&view.opening()).map_err(Failure::io(SESSION))?);
    let mut due = Some(Instant::now());
    let mut painted = Instant::now();
    loop {
        if due.is_some_and(|due| due <= Instant::now()) {
            terminal.write(&view.paint(Instant::now()))?;
            painted = Instant::now();
            due = None;
        }
        let mut todo = Vec::new();
        tokio::select! {
            answer = answers.next() => match answer {
                Ok(Some(answer)) => {
                    todo.extend(view.handle_answer(Instant::now(), answer).map_err(Failure::Unintelligible)?);
                }
                Ok(None) => return Ok(Left::Gone),
                Err(bad) => return Err(Failure::Session(bad.to_string())),
            },
            // While the program does not read, no more than one paste is held.
            bytes = typed.recv(), if waiting.is_empty() => match bytes {
                Some(bytes) => todo = view.handle_typed(Instant::now(), &bytes),
                None => return Err(Failure::StdinClosed),
            },
            written = write_some(&mut requests, &waiting), if !waiting.is_empty() => {
                let Ok(count @ 1..) = written else { return Ok(Left::Gone) };
                waiting.drain(..count);
                continue;
            }
            () = tokio::time::sleep_until(due.unwrap_or(painted).into()), if due.is_some() => continue,
            _ = resized.recv() => todo.extend(terminal::size().map(|size| view.handle_resize(size))),
            _ = tick.tick() => {}
        }
        // What comes within one frame is painted at once: a burst of output is no burst of paint.
        due = due.or(Some(painted + FRAME));
        for action in todo {
            match action {
                Do::Ask(request) => waiting.extend(line(&request).map_err(Failure::io(SESSION))?),
                Do::End(status) => {
                    terminal.write(&view.paint(Instant::now()))?;
                    return Ok(Left::Ended { status, screen: view.last_screen() });
                }
                Do::Quit => return Ok(Left::Quit),
            }
        }
    }
}

/// Cancel safe: nothing was written then.
async fn write_some(
    stream: &mut (impl AsyncWrite + Unpin),
    waiting: &VecDeque<u8>,
) -> std::io::Result<usize> {
    stream.write(waiting.as_slices().0).await
}

/// Time between two paints under load: 60 a second.
const FRAME: Duration = Duration::from_millis(16);

/// How often the last row is drawn anew.
const TICK: Duration = Duration::from_millis(500);

const SESSION: &str = "the session";
