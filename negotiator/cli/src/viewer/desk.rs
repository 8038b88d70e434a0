//! Moves bytes between a person's terminal and the sessions that are shown there, one after another.

use std::time::{Duration, Instant};

use bytes::Bytes;
use negotiator::{Access, Received, Session, SessionEnd};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    signal::unix::{Signal as Signals, SignalKind, signal},
    sync::mpsc,
    time::{Interval, MissedTickBehavior, timeout},
};

use super::{
    again::{self, Again},
    join::Farewell,
    outbox::Outbox,
    view::{Do, View},
};
use crate::{
    exit::Failure,
    signal::Interrupts,
    terminal::{self, Keyboard, RawTerminal},
    wire::Message,
};

/// A person's terminal while it shows somebody else's.
pub(super) struct Desk<'a> {
    terminal: RawTerminal,
    view: &'a mut View,
    interrupts: &'a mut Interrupts,
    typed: mpsc::Receiver<Bytes>,
    resized: Signals,
    continued: Signals,
    tick: Interval,
    painted: Instant,
    due: Option<Instant>,
}

/// What happens at a terminal.
enum Happening {
    /// The keyboard is gone.
    Closed,
    /// Somebody else stopped this program, and its shell had the terminal meanwhile.
    Continued,
    Failed(Failure),
    /// It is time to paint.
    Paint,
    Resized,
    Tick,
    Typed(Bytes),
}

impl<'a> Desk<'a> {
    /// Takes the terminal.
    ///
    /// # Errors
    ///
    /// [`Failure`]; the terminal is as it was.
    pub(super) fn take(
        keyboard: Keyboard,
        view: &'a mut View,
        interrupts: &'a mut Interrupts,
    ) -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(Failure::io("signals"));
        let (resized, continued) =
            (listen(SignalKind::window_change())?, listen(SignalKind::from_raw(Signal::SIGCONT as i32))?);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let terminal = RawTerminal::enter()?;
        let (typed, now) = (keyboard.read()?, Instant::now());
        Ok(Self { terminal, view, interrupts, typed, resized, continued, tick, painted: now, due: Some(now) })
    }

    /// Shows a session until it is over.
    ///
    /// # Errors
    ///
    /// [`Failure`]; [`Failure::SessionLost`] for one that may be entered anew.
    pub(super) async fn show(&mut self, session: &Session) -> Result<Farewell, Failure> {
        let mut outbox = Outbox::new(session);
        outbox.extend(self.view.opening().into_iter().chain(self.view.asked()));
        loop {
            let reads = outbox.has_room();
            let mut todo = Vec::new();
            tokio::select! {
                received = session.recv() => match received {
                    Ok(Received::Message(bytes)) => {
                        let message = Message::decode(bytes).map_err(Failure::Unintelligible)?;
                        todo.extend(self.view.handle_message(Instant::now(), message));
                        self.soon();
                    }
                    Ok(_) => {}
                    Err(end) => return ended(end).map(|()| Farewell::Stopped),
                },
                () = outbox.drain() => continue,
                happening = self.next(reads) => todo = self.handle(happening, session)?,
            }
            for action in todo {
                match action {
                    // Only while nothing is entered anew.
                    Do::Again => {}
                    Do::End(status) => {
                        self.paint(session)?;
                        return Ok(Farewell::Ended(status));
                    }
                    Do::Quit => {
                        outbox.flush().await;
                        return Ok(Farewell::Left);
                    }
                    Do::Suspend => outbox.extend(self.suspend().await?),
                    Do::Send(message) => outbox.push(message),
                }
            }
        }
    }

    /// Comes back from a session that was lost, with its last screen still shown. `None`: the person left.
    ///
    /// # Errors
    ///
    /// [`Failure`] when no attempt can change anything, or the person does not want to wait longer.
    pub(super) async fn come_back(
        &mut self,
        lost: &Session,
        end: &SessionEnd,
        again: &Again<'_>,
        obstacle: tokio::sync::watch::Receiver<String>,
    ) -> Result<Option<(Session, Access)>, Failure> {
        let entering = again.enter();
        tokio::pin!(entering);
        let told = again.told();
        loop {
            let last = told.borrow().clone();
            let present = obstacle.borrow().clone();
            self.view.stand_still(again::why(end), if present.is_empty() { last } else { present });
            let happening = tokio::select! {
                entered = &mut entering => {
                    let (session, access) = entered?;
                    self.view.enter_anew(access, again::sentence(end));
                    self.soon();
                    return Ok(Some((session, access)));
                }
                happening = self.next(true) => happening,
            };
            for action in self.handle(happening, lost)? {
                match action {
                    Do::Again => again.hurry(),
                    Do::Quit => return Ok(None),
                    Do::Suspend => drop(self.suspend().await?),
                    // There is nobody to send it to; whoever is in again begins anew.
                    Do::Send(_) | Do::End(_) => {}
                }
            }
        }
    }

    /// Waits for what happens at the terminal. `reads`: what is typed, too.
    ///
    /// Cancel safe.
    async fn next(&mut self, reads: bool) -> Happening {
        let due = self.due;
        tokio::select! {
            bytes = self.typed.recv(), if reads => bytes.map_or(Happening::Closed, Happening::Typed),
            () = tokio::time::sleep_until(due.unwrap_or(self.painted).into()), if due.is_some() => Happening::Paint,
            _ = self.continued.recv() => Happening::Continued,
            _ = self.resized.recv() => Happening::Resized,
            _ = self.tick.tick() => Happening::Tick,
            failure = self.interrupts.next() => Happening::Failed(failure),
        }
    }

    fn handle(&mut self, happening: Happening, session: &Session) -> Result<Vec<Do>, Failure> {
        let todo = match happening {
            Happening::Closed => return Err(Failure::StdinClosed),
            Happening::Failed(failure) => return Err(failure),
            Happening::Paint => {
                self.paint(session)?;
                return Ok(Vec::new());
            }
            Happening::Continued => self.take_back()?.into_iter().collect(),
            Happening::Resized => {
                terminal::size().and_then(|size| self.view.handle_resize(size)).into_iter().collect()
            }
            Happening::Tick => Vec::new(),
            Happening::Typed(bytes) => self.view.handle_typed(Instant::now(), &bytes),
        };
        self.soon();
        Ok(todo)
    }

    /// What comes within one frame is painted at once: a burst of output is no burst of paint.
    fn soon(&mut self) {
        self.due = self.due.or(Some(self.painted + FRAME));
    }

    fn paint(&mut self, session: &Session) -> Result<(), Failure> {
        let now = Instant::now();
        self.terminal.write(&self.view.paint(now, &session.status(), || session.explain()))?;
        (self.painted, self.due) = (now, None);
        Ok(())
    }

    /// Stops this process, and those it was started with as one job, until the shell continues them.
    async fn suspend(&mut self) -> Result<Option<Message>, Failure> {
        self.terminal.lend();
        // The system ignores it where no shell could continue the job; then nothing happens.
        if let Err(error) = kill(Pid::from_raw(0), Signal::SIGTSTP) {
            tracing::debug!(%error, "this program could not be stopped");
        }
        // Another thread may take the signal: this one must not touch the terminal before the stop.
        let _ = timeout(STOPPED, self.continued.recv()).await;
        Ok(match self.take_back()? {
            Some(Do::Send(message)) => Some(message),
            _ => None,
        })
    }

    /// Takes the terminal back from the shell, whatever it shows and whatever its size has become.
    fn take_back(&mut self) -> Result<Option<Do>, Failure> {
        self.terminal.take_back()?;
        self.view.forget();
        Ok(terminal::size().and_then(|size| self.view.handle_resize(size)))
    }
}

/// Says what the end of a session means to a viewer: the host may end it at any time.
///
/// # Errors
///
/// [`Failure::SessionLost`] unless the host ended it.
pub(super) fn ended(end: SessionEnd) -> Result<(), Failure> {
    match end {
        SessionEnd::Closed(closed) if closed.initiator == transport_core::Initiator::Peer => Ok(()),
        end => Err(end.into()),
    }
}

/// How long the stop by a signal to this program itself may take.
const STOPPED: Duration = Duration::from_secs(1);

/// Time between two paints under load: 60 a second.
const FRAME: Duration = Duration::from_millis(16);

/// How often the status line is drawn anew.
pub(super) const TICK: Duration = Duration::from_millis(500);
