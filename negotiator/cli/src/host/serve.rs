//! One viewer of a shared terminal: its hello, what it is sent, what it may do.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use negotiator::{Access, Received, SendError, Session, SessionEnd, TransitionKind};
use tokio::time::{sleep_until, timeout};

use super::{
    hub::{Hub, Next, ViewerId},
    pace::{Due, Pace},
    pty::{Output, Pty},
    resizes::Resizes,
};
use crate::wire::{BadMessage, Message, Refusal, Service, Size, VERSION};

/// A terminal that is shared.
#[derive(Debug)]
pub struct Shared {
    /// Who watches.
    pub hub: Hub,
    /// What runs in it.
    pub pty: Pty,
}

impl Shared {
    /// Notes the size of a viewer's terminal, and gives the shared one the size that follows.
    fn resize(&self, id: ViewerId, size: Option<Size>) {
        if let Some(size) = size.and_then(|size| self.hub.resize(id, size)) {
            self.pty.resize(size);
        }
    }

    /// Shows the viewers what the command prints, until it ends. Returns its status, which they were told.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the viewers are not told the end then.
    pub async fn print_all(&self, mut output: Output) -> u8 {
        let status = loop {
            match output.next().await {
                Ok(bytes) => self.pty.answer(self.hub.print(&bytes)),
                Err(status) => break status,
            }
        };
        self.hub.end(status);
        status
    }
}

/// How a viewer left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Left {
    /// It was sent the command's status.
    #[error("the command ended")]
    CommandEnded,
    /// It was refused.
    #[error("refused: {0}")]
    Refused(String),
    /// It sent something that is no message.
    #[error("sent something unintelligible ({0})")]
    Unintelligible(BadMessage),
    /// It said nothing in time.
    #[error("said nothing")]
    Mute,
    /// There was something to say to it that no message holds.
    #[error("could not be sent a message of {0} bytes")]
    Oversized(usize),
    /// Its session ended.
    #[error("{0}")]
    Gone(SessionEnd),
    /// It said goodbye.
    #[error("left")]
    Quit,
}

/// Serves one viewer until it leaves or the command ends.
///
/// # Cancel safety
///
/// Dropping it drops the viewer.
pub async fn serve(session: &Session, shared: &Arc<Shared>) -> Left {
    match admit(session, shared).await {
        Ok(id) => {
            let left = attend(session, shared, id).await;
            // Sends what is still under way, the command's status at last; only then it counts as gone.
            session.close().await;
            if let Some(size) = shared.hub.leave(id) {
                shared.pty.resize(size);
            }
            left
        }
        Err(left) => {
            session.close().await;
            left
        }
    }
}

/// Reads the hello of whoever joined, and answers it with a refusal unless it asks for `service` in
/// this program's version.
///
/// # Errors
///
/// [`Left`]: the session should be closed.
pub async fn greet(session: &Session, service: Service) -> Result<(), Left> {
    let hello = match timeout(HELLO, next(session)).await {
        Ok(message) => message?,
        Err(_) => return Err(Left::Mute),
    };
    let (why, text) = match hello {
        Message::Hello { version, .. } if version != VERSION => {
            let newer = if version > VERSION { "the host's" } else { "your" };
            let text = format!(
                "the host speaks version {VERSION}, this program version {version}: update {newer} beach-link"
            );
            (Refusal::Version, text)
        }
        Message::Hello { service: asked, .. } if asked != service => {
            let command = match service {
                Service::File => "beach-link receive",
                Service::Pipe => "beach-link pipe join",
                Service::Terminal => "beach-link join",
            };
            (Refusal::Service, format!("this link is for `{command}`"))
        }
        Message::Hello { .. } => return Ok(()),
        _ => return Err(Left::Mute),
    };
    Err(refuse(session, why, text).await)
}

/// Sends a refusal.
pub async fn refuse(session: &Session, why: Refusal, text: String) -> Left {
    let _ = session.send(Message::Refused { why, text: text.clone() }.encode()).await;
    Left::Refused(text)
}

/// Waits for the next message; datagrams are not used here.
///
/// # Errors
///
/// [`Left`] when there will be none.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn next(session: &Session) -> Result<Message, Left> {
    loop {
        match session.recv().await {
            Ok(Received::Message(bytes)) => return Message::decode(bytes).map_err(Left::Unintelligible),
            Ok(Received::Finished) => return Err(Left::Quit),
            Ok(_) => {}
            Err(end) => return Err(Left::Gone(end)),
        }
    }
}

async fn admit(session: &Session, shared: &Shared) -> Result<ViewerId, Left> {
    let access = access(session);
    if access == Access::Full {
        // Of who only watches nothing arrives, a hello neither: it reads from the welcome where it is.
        greet(session, Service::Terminal).await?;
    }
    let Some(id) = shared.hub.enter() else {
        return Err(refuse(session, Refusal::Full, "no more viewers fit: ask one to leave".to_owned()).await);
    };
    let _ = session.send(Message::Welcome(access).encode()).await;
    Ok(id)
}

/// What a viewer may do now.
fn access(session: &Session) -> Access {
    match session.access() {
        Some(negotiator::Access::Full) => Access::Full,
        _ => Access::ReadOnly,
    }
}

async fn attend(session: &Session, shared: &Shared, id: ViewerId) -> Left {
    tokio::select! {
        left = send_all(session, &shared.hub, id) => left,
        left = receive_all(session, shared, id) => left,
        never = remind(session, &shared.hub, id) => match never {},
        never = listen(session, shared, id) => match never {},
        // Typing may wait for a command that does not read; the end of the session must not.
        end = session.ended() => Left::Gone(end),
    }
}

/// Sends a viewer every message, and of the pictures as many as its path carries.
async fn send_all(session: &Session, hub: &Hub, id: ViewerId) -> Left {
    let Some(wake) = hub.wake(id) else { return Left::Quit };
    let mut pace = Pace::new();
    let mut path = None;
    loop {
        let now = Instant::now();
        pace.acknowledged(now, session.acknowledged_bytes());
        // Asked for before it is looked at: no change is missed.
        let changed = session.changed();
        let status = session.status();
        if status.path.is_some() && status.path != path {
            pace.moved(now);
            path.clone_from(&status.path);
        }
        if let Some(rtt) = status.rtt.filter(|_| pace.awaited().is_none()) {
            pace.round_trip(now, rtt);
        }
        let due = match hub.next(id) {
            None => return Left::Quit,
            Some(Next::Message(message)) => {
                let last = matches!(message, Message::Exit(_));
                let large = matches!(message, Message::Recalled(_));
                let before = session.accepted_bytes();
                if let Err(left) = deliver(session, message).await {
                    return left;
                }
                if large {
                    // As a picture does, it stands in front of the next one.
                    let mark = session.accepted_bytes();
                    pace.sent(now, usize::try_from(mark - before).unwrap_or(usize::MAX), mark);
                }
                if last {
                    return Left::CommandEnded;
                }
                continue;
            }
            // Without a path it would be an old one by the time it arrived.
            Some(Next::Picture { .. }) if status.path.is_none() => None,
            Some(Next::Picture { at_once }) => match pace.due(now, at_once) {
                Due::Now => {
                    if let Err(left) = draw(session, hub, id, &mut pace).await {
                        return left;
                    }
                    continue;
                }
                Due::At(moment) => Some(moment),
                Due::Arrival => None,
            },
            Some(Next::Nothing) => None,
        };
        let awaited = pace.awaited();
        tokio::select! {
            () = wake.notified() => {}
            () = changed, if status.path.is_none() => {}
            // The time it took is the measure, so it is noted as it comes.
            arrived = session.acknowledged(awaited.unwrap_or_default()), if awaited.is_some() => {
                if let Err(end) = arrived {
                    return Left::Gone(end);
                }
            }
            () = sleep_until(due.unwrap_or(now).into()), if due.is_some() => {}
        }
    }
}

async fn draw(session: &Session, hub: &Hub, id: ViewerId, pace: &mut Pace) -> Result<(), Left> {
    let Some(picture) = hub.picture(id) else {
        pace.unchanged(Instant::now());
        return Ok(());
    };
    for piece in picture.pieces() {
        let (handed_over, before) = (Instant::now(), session.accepted_bytes());
        deliver(session, piece).await?;
        let mark = session.accepted_bytes();
        pace.sent(handed_over, usize::try_from(mark - before).unwrap_or(usize::MAX), mark);
    }
    Ok(())
}

/// Sends one message, in pieces where it is large.
///
/// # Errors
///
/// [`Left`]: a refused message is not always the end of the session.
async fn deliver(session: &Session, message: Message) -> Result<(), Left> {
    for piece in message.pieces() {
        match session.send(piece.encode()).await {
            Ok(()) => {}
            Err(SendError::Size { payload }) => return Err(Left::Oversized(payload.len())),
            Err(_) => return Err(Left::Gone(session.ended().await)),
        }
    }
    Ok(())
}

/// Tells a viewer that types although it may only watch that nobody reads it.
async fn remind(session: &Session, hub: &Hub, id: ViewerId) -> std::convert::Infallible {
    let mut events = session.events();
    if session.refused_input().is_empty() {
        while events.next().await.is_some_and(|event| event.name != TransitionKind::InputRefused) {}
    }
    if !session.refused_input().is_empty() {
        hub.notify(id, READ_ONLY);
    }
    std::future::pending().await
}

/// Notes when a viewer falls silent and when it is heard again: a terminal that was closed with its session alive must
/// not keep everybody's small. Notes as well what the host lets it do.
async fn listen(session: &Session, shared: &Shared, id: ViewerId) -> std::convert::Infallible {
    let mut may = access(session);
    let mut asked = false;
    loop {
        tokio::time::sleep(LISTEN).await;
        let silence = session.status().last_heard.unwrap_or_default();
        if silence < ASK {
            asked = false;
        } else if !std::mem::replace(&mut asked, true) {
            // An idle session is silent for longer than a viewer may be: what it is told, it acknowledges.
            shared.hub.ask(id);
        }
        let mut size = shared.hub.silent(id, silence >= SILENT);
        if may != access(session) {
            may = access(session);
            let said = if may == Access::Full { LET } else { WITHHELD };
            size = shared.hub.allow(id, may).or(size);
            shared.hub.notify(id, said);
        }
        if let Some(size) = size {
            shared.pty.resize(size);
        }
    }
}

async fn receive_all(session: &Session, shared: &Shared, id: ViewerId) -> Left {
    let mut resizes = Resizes::default();
    loop {
        let due = resizes.due(Instant::now());
        let received = tokio::select! {
            received = next(session) => received,
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {
                shared.resize(id, resizes.take(Instant::now()));
                continue;
            }
        };
        match received {
            // Of who only watches nothing but a recall arrives: it does not type, and has no say in everybody's size.
            Ok(Message::Input(bytes)) => {
                shared.hub.typed(id);
                shared.pty.input(bytes).await;
            }
            Ok(Message::Resize(size)) => {
                resizes.ask(size);
                shared.resize(id, resizes.take(Instant::now()));
            }
            // Let in to watch, it said hello in vain; now it may type as well.
            Ok(Message::Hello { .. }) => {}
            Ok(Message::Resync) => shared.hub.resync(id),
            Ok(Message::Recall { before, lines }) => shared.hub.recall(id, before, lines),
            Ok(other) => {
                tracing::warn!(?other, "a viewer sent what only a host says");
                return Left::Unintelligible(BadMessage::Kind(other.encode()[0]));
            }
            Err(left) => return left,
        }
    }
}

/// How long whoever joined may take to say what for.
const HELLO: Duration = Duration::from_secs(10);

/// How often it is looked whether a viewer was heard.
const LISTEN: Duration = Duration::from_secs(1);

/// Silence after which a viewer is sent something to acknowledge: it has five seconds to be heard.
const ASK: Duration = Duration::from_secs(5);

/// Silence after which a viewer does not count.
const SILENT: Duration = Duration::from_secs(10);

const LET: &str = "the host lets you type";

const WITHHELD: &str = "the host has made you read-only";

const READ_ONLY: &str = "this terminal is shared read-only: what you type goes nowhere";
