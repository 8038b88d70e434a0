//! One connection to a session's control: requests and their answers, or a console.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    time::MissedTickBehavior,
};

use super::{
    Control,
    lines::{BadLine, LineReader, write},
    protocol::{Answer, Request, State},
};
use crate::{
    host::{
        hub::{Next, ViewerId},
        pace::FRAME,
    },
    wire::{Message, Size},
};

/// Serves whoever connected until it goes, or the program has ended.
///
/// # Cancel safety
///
/// Dropping it closes the connection.
pub async fn serve(stream: impl AsyncRead + AsyncWrite, control: Arc<Control>) {
    let (requests, mut answers) = tokio::io::split(stream);
    let mut requests = LineReader::new(requests);
    loop {
        let answer = match requests.next().await {
            Ok(Some(Request::Console { columns, rows })) => {
                if let Some(console) = Console::enter(&control, columns, rows) {
                    console.serve(requests, answers).await;
                    return;
                }
                Answer::failed("too many consoles are attached to this session: leave one")
            }
            Ok(Some(request)) => control.obey(request).await,
            Ok(None) => return,
            Err(bad) => {
                let _ = write(&mut answers, &Answer::failed(bad.to_string())).await;
                return;
            }
        };
        if write(&mut answers, &answer).await.is_err() {
            return;
        }
    }
}

/// A terminal of this machine that shows the shared one.
struct Console {
    control: Arc<Control>,
    id: ViewerId,
}

impl Console {
    fn enter(control: &Arc<Control>, columns: u16, rows: u16) -> Option<Self> {
        let size = Size::new(columns, rows).map(Size::shared)?;
        let (id, fitted) = control.shared.hub.enter_local(size)?;
        let console = Self { control: control.clone(), id };
        console.fit(fitted);
        control.consoles.send_modify(|count| *count += 1);
        Some(console)
    }

    fn fit(&self, size: Option<Size>) {
        if let Some(size) = size {
            self.control.shared.pty.resize(size);
        }
    }

    async fn serve(self, requests: LineReader<impl AsyncRead + Unpin>, mut answers: impl AsyncWrite + Unpin) {
        // An answer waits for its line to be written: so does whoever asks for too much.
        let (answered, mut ready) = mpsc::channel(1);
        let outcome: io::Result<()> = tokio::select! {
            outcome = self.show(&mut answers, &mut ready) => outcome,
            () = self.hear(requests, answered) => Ok(()),
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "a console went away");
        }
    }

    /// Writes answers, messages and states; pictures as often as the console takes them. Returns once the status of the
    /// program was written.
    async fn show(
        &self,
        answers: &mut (impl AsyncWrite + Unpin),
        ready: &mut mpsc::Receiver<Answer>,
    ) -> io::Result<()> {
        let hub = &self.control.shared.hub;
        let Some(wake) = hub.wake(self.id) else { return Ok(()) };
        let mut knocks = self.control.approvals.changed();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = State::default();
        let mut drawn: Option<Instant> = None;
        loop {
            let now = Instant::now();
            let due = match hub.next(self.id) {
                None => return Ok(()),
                Some(Next::Message(message)) => {
                    write(answers, &Answer::message(&message)).await?;
                    if matches!(message, Message::Exit(_)) {
                        return Ok(());
                    }
                    continue;
                }
                Some(Next::Picture { at_once }) => {
                    let next = drawn.map_or(now, |drawn| drawn + FRAME);
                    if at_once || next <= now {
                        for piece in hub.picture(self.id).into_iter().flat_map(Message::pieces) {
                            write(answers, &Answer::message(&piece)).await?;
                        }
                        drawn = Some(now);
                        continue;
                    }
                    Some(next)
                }
                Some(Next::Nothing) => None,
            };
            tokio::select! {
                () = wake.notified() => continue,
                () = tokio::time::sleep_until(due.unwrap_or(now).into()), if due.is_some() => continue,
                Some(answer) = ready.recv() => write(answers, &answer).await?,
                _ = knocks.changed() => {}
                _ = look.tick() => {}
            }
            let state = self.control.state();
            if state != told {
                write(answers, &Answer::State(state.clone())).await?;
                told = state;
            }
        }
    }

    /// Does what the console asks for, until it goes.
    async fn hear(&self, mut requests: LineReader<impl AsyncRead + Unpin>, answered: mpsc::Sender<Answer>) {
        let shared = &self.control.shared;
        loop {
            let request = match requests.next().await {
                Ok(Some(request)) => request,
                Ok(None) | Err(BadLine::Io(_)) => return,
                Err(bad) => {
                    let _ = answered.send(Answer::failed(bad.to_string())).await;
                    return;
                }
            };
            match request {
                Request::Type { bytes } => {
                    shared.hub.typed(self.id);
                    shared.pty.input(bytes).await;
                }
                Request::Resize { columns, rows } => {
                    let size = Size::new(columns, rows).map(Size::shared);
                    self.fit(size.and_then(|size| shared.hub.resize(self.id, size)));
                }
                Request::Redraw => shared.hub.resync(self.id),
                Request::Recall { before, lines } => shared.hub.recall(self.id, before, lines),
                request => {
                    let answer = self.control.obey(request).await;
                    if answered.send(answer).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let fitted = self.control.shared.hub.leave(self.id);
        self.fit(fitted);
        self.control.consoles.send_modify(|count| *count -= 1);
    }
}

/// How often it is looked who is here.
const LOOK: Duration = Duration::from_millis(500);
