//! `beach-link join`: somebody else's terminal in this one.

use std::time::{Duration, Instant};

use negotiator::{
    Access, Closed, ControlPlaneRendezvous, JoinLink, Negotiator, NetworkConfig, Received, Session,
    SessionEnd,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, timeout},
};
use transport_core::Initiator;

use super::view::{Do, View};
use crate::{
    args::{Format, JoinArgs},
    exit::Failure,
    first_contact::NamedBy,
    guard,
    meeting::Obstacles,
    signal::Interrupts,
    terminal::{self, Keyboard, RawTerminal, print},
    ui::{Lines, To},
    viewer::json,
    wire::{Message, Service, VERSION},
};

/// Joins until the person leaves, the command ends or the session does.
///
/// # Errors
///
/// [`Failure`]. The terminal is as it was.
pub async fn join(args: JoinArgs) -> Result<u8, Failure> {
    let mut interrupts = Interrupts::listen()?;
    // Before anything else: a bad link is bad wherever it is used.
    let link = args.link.read()?;
    if args.output == Format::Text {
        guard::check()?;
        RawTerminal::check(keyboard(&args))?;
    }
    let work = async {
        let mut lines = Lines::new(To::Stderr);
        let mut config = args.network.terminal()?;
        config.ack_delay = ACK_DELAY;
        if let Some(patience) = args.give_up_after {
            config.connect_timeout = config.connect_timeout.min(patience);
        }
        let session = connect_as(args.name.as_deref(), &link, config, &mut lines).await?;
        let access = ask(&session, Service::Terminal).await?;
        Ok::<_, Failure>((session, access))
    };
    let (session, access) = tokio::select! {
        ready = work => ready?,
        failure = interrupts.next() => return Err(failure),
    };
    let outcome = match args.output {
        Format::Json => tokio::select! {
            outcome = json::watch(&session, &mut interrupts) => outcome,
            failure = given_up(&session, args.give_up_after) => Err(failure),
        },
        Format::Text => watch(&session, access, &args, &mut interrupts).await,
    };
    session.close().await;
    outcome
}

/// Connects to the host of a link. The live line says meanwhile what stands in the way.
///
/// # Errors
///
/// [`Failure`].
pub async fn connect(link: &JoinLink, config: NetworkConfig, lines: &mut Lines) -> Result<Session, Failure> {
    connect_as(None, link, config, lines).await
}

/// As [`connect`], with a name for the host to show.
async fn connect_as(
    name: Option<&str>,
    link: &JoinLink,
    config: NetworkConfig,
    lines: &mut Lines,
) -> Result<Session, Failure> {
    let obstacles = Obstacles::default();
    let dial = async || {
        let meeting = ControlPlaneRendezvous::of_link(link, config.clone());
        let meeting = obstacles.beside(meeting.map_err(|error| Failure::Usage(error.to_string()))?);
        let pending = obstacles.clone();
        let joining = Negotiator::meeting_at(link.clone(), config.clone(), meeting)
            .when_pending(move || pending.note("the host is asked whether to let you in"));
        let joining = match name {
            Some(name) => joining.named(name.to_owned()),
            None => joining,
        };
        Ok::<_, Failure>(joining.connect().await?)
    };
    let work = async {
        match dial().await {
            // A control plane that just restarted knows the session again as soon as its host has come back.
            Err(Failure::UnknownSession) => {
                tokio::time::sleep(COMEBACK).await;
                dial().await
            }
            outcome => outcome,
        }
    };
    let at = link.control_plane().as_str().trim_end_matches('/');
    obstacles.shown(lines, work).await.map_err(|failure| failure.at(at, &NamedBy::Argument))
}

/// Tells the host what this side came for. Returns what it may do.
///
/// # Errors
///
/// [`Failure`] when the host refuses or does not answer.
pub async fn ask(session: &Session, service: Service) -> Result<Access, Failure> {
    // Of who may only watch nothing reaches the host's program.
    if session.access() == Some(negotiator::Access::Full) {
        let hello = Message::Hello { version: VERSION, service };
        let _ = session.send(hello.encode()).await;
    }
    let answer = timeout(WELCOME, session.recv()).await.map_err(|_| Failure::HostAbsent)?;
    match answer {
        Ok(Received::Message(bytes)) => match Message::decode(bytes).map_err(Failure::Unintelligible)? {
            Message::Welcome(access) => Ok(access),
            Message::Refused { why, text } => Err(Failure::declined(why, text)),
            other => Err(Failure::Unintelligible(crate::wire::BadMessage::Kind(other.encode()[0]))),
        },
        Ok(_) => Err(Failure::HostAbsent),
        Err(end) => Err(end.into()),
    }
}

/// Says what the end of a session means to a viewer: the host may end it at any time.
///
/// # Errors
///
/// [`Failure::SessionLost`] unless the host ended it.
pub fn ended(end: SessionEnd) -> Result<(), Failure> {
    match end {
        SessionEnd::Closed(Closed { initiator: Initiator::Peer, .. }) => Ok(()),
        end => Err(end.into()),
    }
}

/// A link on standard input leaves the keyboard to the terminal itself.
fn keyboard(args: &JoinArgs) -> Keyboard {
    if args.link.is_stdin() { Keyboard::Terminal } else { Keyboard::StandardInput }
}

async fn watch(
    session: &Session,
    access: Access,
    args: &JoinArgs,
    interrupts: &mut Interrupts,
) -> Result<u8, Failure> {
    let size = RawTerminal::check(keyboard(args))?;
    let mut view = View::new(size, access, args.escape).predicting(args.predict);
    let terminal = RawTerminal::enter()?;
    let outcome = tokio::select! {
        outcome = run(session, &terminal, keyboard(args), &mut view, interrupts) => outcome,
        failure = given_up(session, args.give_up_after) => Err(failure),
    };
    drop(terminal);
    // What was shown last would be gone with the second screen.
    if args.keep || matches!(outcome, Ok(Farewell::Ended(_) | Farewell::Stopped)) {
        print(&view.last_screen())?;
    }
    let farewell = outcome?;
    Lines::new(To::Stdout).say(&farewell.to_string());
    Ok(farewell.code())
}

/// How a viewer left, and the line that stays in its terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Farewell {
    #[error("the command ended with status {0}")]
    Ended(u8),
    #[error("left; the session goes on")]
    Left,
    #[error("the host ended the session")]
    Stopped,
}

impl Farewell {
    fn code(self) -> u8 {
        match self {
            Self::Ended(status) => status,
            Self::Left | Self::Stopped => 0,
        }
    }
}

/// Waits until nothing was heard of the host for as long as the person wants to wait; for ever without a limit.
async fn given_up(session: &Session, patience: Option<Duration>) -> Failure {
    let Some(patience) = patience else { return std::future::pending().await };
    while session.status().last_heard.is_none_or(|silence| silence < patience) {
        tokio::time::sleep(TICK).await;
    }
    Failure::GivenUp(patience)
}

/// Moves bytes between the session and the terminal.
async fn run(
    session: &Session,
    terminal: &RawTerminal,
    keyboard: Keyboard,
    view: &mut View,
    interrupts: &mut Interrupts,
) -> Result<Farewell, Failure> {
    let mut typed = keyboard.read()?;
    let mut resized = signal(SignalKind::window_change()).map_err(Failure::io("signals"))?;
    let mut continued =
        signal(SignalKind::from_raw(Signal::SIGCONT as i32)).map_err(Failure::io("signals"))?;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut outbox = Outbox::new(session);
    if let Some(opening) = view.opening() {
        outbox.push(opening);
    }
    let mut due = Some(Instant::now());
    let mut painted = Instant::now();
    loop {
        if due.is_some_and(|due| due <= Instant::now()) {
            terminal.write(&view.paint(Instant::now(), &session.status(), || session.explain()))?;
            painted = Instant::now();
            due = None;
        }
        let mut todo = Vec::new();
        tokio::select! {
            received = session.recv() => match received {
                Ok(Received::Message(bytes)) => {
                    let message = Message::decode(bytes).map_err(Failure::Unintelligible)?;
                    todo.extend(view.handle_message(Instant::now(), message));
                }
                Ok(_) => {}
                Err(end) => return ended(end).map(|()| Farewell::Stopped),
            },
            bytes = typed.recv(), if outbox.has_room() => match bytes {
                Some(bytes) => todo = view.handle_typed(Instant::now(), &bytes),
                None => return Err(Failure::StdinClosed),
            },
            () = outbox.drain() => continue,
            () = tokio::time::sleep_until(due.unwrap_or(painted).into()), if due.is_some() => continue,
            // Somebody else stopped this program, and its shell had the terminal meanwhile.
            _ = continued.recv() => todo.extend(take_back(terminal, view)?),
            _ = resized.recv() => todo.extend(terminal::size().and_then(|size| view.handle_resize(size))),
            _ = tick.tick() => {}
            failure = interrupts.next() => return Err(failure),
        }
        // What comes within one frame is painted at once: a burst of output is no burst of paint.
        due = due.or(Some(painted + FRAME));
        for action in todo {
            match action {
                Do::End(status) => {
                    terminal.write(&view.paint(Instant::now(), &session.status(), || session.explain()))?;
                    return Ok(Farewell::Ended(status));
                }
                Do::Quit => {
                    outbox.flush().await;
                    return Ok(Farewell::Left);
                }
                Do::Suspend => {
                    terminal.lend();
                    suspend(&mut continued).await;
                    if let Some(Do::Send(message)) = take_back(terminal, view)? {
                        outbox.push(message);
                    }
                }
                Do::Send(message) => outbox.push(message),
            }
        }
    }
}

/// Stops this process, and those it was started with as one job, until the shell continues them.
async fn suspend(continued: &mut tokio::signal::unix::Signal) {
    // The system ignores it where no shell could continue the job; then nothing happens.
    if let Err(error) = kill(Pid::from_raw(0), Signal::SIGTSTP) {
        tracing::debug!(%error, "this program could not be stopped");
    }
    // Another thread may take the signal: this one must not touch the terminal before the stop.
    let _ = timeout(STOPPED, continued.recv()).await;
}

/// Takes the terminal back from the shell, whatever it shows and whatever its size has become.
fn take_back(terminal: &RawTerminal, view: &mut View) -> Result<Option<Do>, Failure> {
    terminal.take_back()?;
    view.forget();
    Ok(terminal::size().and_then(|size| view.handle_resize(size)))
}

/// Messages that the session has no room for yet. While there are any, nothing more is read from the keyboard,
/// so it holds one paste at most; the screen goes on meanwhile.
struct Outbox<'a> {
    session: &'a Session,
    waiting: std::collections::VecDeque<bytes::Bytes>,
}

impl<'a> Outbox<'a> {
    fn new(session: &'a Session) -> Self {
        Self { session, waiting: std::collections::VecDeque::new() }
    }

    fn has_room(&self) -> bool {
        self.waiting.is_empty()
    }

    fn push(&mut self, message: Message) {
        self.waiting.push_back(message.encode());
    }

    /// Hands everything over; waits for ever when there is nothing.
    ///
    /// Cancel safe: a message leaves the queue when the session took it.
    async fn drain(&mut self) {
        if self.waiting.is_empty() {
            std::future::pending::<()>().await;
        }
        while let Some(message) = self.waiting.front().cloned() {
            // The end of the session is told by `recv`.
            let _ = self.session.send(message).await;
            self.waiting.pop_front();
        }
    }

    /// Hands everything over, if that is possible soon.
    async fn flush(&mut self) {
        if !self.waiting.is_empty() {
            let _ = timeout(FLUSH, self.drain()).await;
        }
    }
}

/// How soon a picture is acknowledged: the host sends the next by it. Pieces of one are acknowledged together.
pub const ACK_DELAY: Duration = Duration::from_millis(5);

/// How soon a host is back at a control plane that restarted.
const COMEBACK: Duration = Duration::from_secs(3);

/// How long the host may take to answer the hello.
const WELCOME: Duration = Duration::from_secs(15);

/// How long leaving waits for a session that takes nothing.
const FLUSH: Duration = Duration::from_secs(2);

/// How long the stop by a signal to this program itself may take.
const STOPPED: Duration = Duration::from_secs(1);

/// Time between two paints under load: 60 a second.
const FRAME: Duration = Duration::from_millis(16);

/// How often the status line is drawn anew.
const TICK: Duration = Duration::from_millis(500);
