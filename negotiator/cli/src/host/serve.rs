//! One viewer of a shared terminal: its hello, what it is sent, what it may do.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use negotiator::{Access, Received, Session, SessionEnd, TransitionKind};
use tokio::time::timeout;

use super::{
    hub::{Hub, ViewerId},
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
            self.hub.room().await;
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
        // Typing may wait for a command that does not read; the end of the session must not.
        end = session.ended() => Left::Gone(end),
    }
}

async fn send_all(session: &Session, hub: &Hub, id: ViewerId) -> Left {
    while let Some(message) = hub.next(id).await {
        let last = matches!(message, Message::Exit(_));
        for piece in message.pieces() {
            if session.send(piece.encode()).await.is_err() {
                // A piece always fits, so the session is over.
                return Left::Gone(session.ended().await);
            }
        }
        if last {
            return Left::CommandEnded;
        }
    }
    Left::Quit
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
            // Of who only watches none of this arrives: it does not type, and has no say in everybody's size.
            Ok(Message::Input(bytes)) => shared.pty.input(bytes).await,
            Ok(Message::Resize(size)) => {
                resizes.ask(size);
                shared.resize(id, resizes.take(Instant::now()));
            }
            // Let in to watch, it said hello in vain; now it may type as well.
            Ok(Message::Hello { .. }) => {}
            Ok(Message::Resync) => shared.hub.resync(id),
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

const READ_ONLY: &str = "this terminal is shared read-only: what you type goes nowhere";
