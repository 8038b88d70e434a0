//! How a viewer comes in: by a link, the first time and anew.

use std::time::Duration;

use negotiator::{
    Access, ControlPlaneRendezvous, JoinError, JoinLink, Negotiator, NetworkConfig, Received, Session,
    SessionEnd, SignalingError, ViewerKey,
};
use tokio::{sync::watch, time::timeout};

use crate::{
    exit::Failure,
    first_contact::NamedBy,
    meeting::Obstacles,
    ui::Lines,
    wire::{BadMessage, Message, Service, VERSION},
};

/// Connects to the host of a link. The live line says meanwhile what stands in the way.
///
/// # Errors
///
/// [`Failure`].
pub async fn connect(link: &JoinLink, config: NetworkConfig, lines: &mut Lines) -> Result<Session, Failure> {
    Entrance::new(link.clone(), config, None)?.first(lines).await
}

/// Where a viewer comes in.
#[derive(Debug)]
pub struct Entrance {
    link: JoinLink,
    config: NetworkConfig,
    /// How the host shows this viewer.
    name: Option<String>,
    /// As whom it comes, each time: a link that lets in so many counts it once. Kept in memory alone.
    key: ViewerKey,
    obstacles: Obstacles,
}

/// Why a viewer is not in.
#[derive(Debug)]
pub struct Setback {
    /// For the person.
    pub failure: Failure,
    /// The same link may let in later.
    pub passes: bool,
}

impl Entrance {
    /// Comes in by `link`, in an optional name.
    ///
    /// # Errors
    ///
    /// [`Failure::Io`] without randomness for a key.
    pub fn new(link: JoinLink, config: NetworkConfig, name: Option<String>) -> Result<Self, Failure> {
        let key = ViewerKey::draw(&link).map_err(|error| Failure::from(JoinError::from(error)))?;
        Ok(Self { link, config, name, key, obstacles: Obstacles::default() })
    }

    /// Connects for the first time. The live line says meanwhile what stands in the way.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub async fn first(&self, lines: &mut Lines) -> Result<Session, Failure> {
        let work = async {
            match self.dial(&self.key).await {
                // A control plane that just restarted knows the session again as soon as its host has come back.
                Err(Setback { failure: Failure::UnknownSession, .. }) => {
                    tokio::time::sleep(COMEBACK).await;
                    self.dial(&self.key).await
                }
                outcome => outcome,
            }
        };
        self.obstacles.shown(lines, work).await.map_err(|setback| setback.failure)
    }

    /// Connects once more, and tells the host what for.
    ///
    /// # Errors
    ///
    /// [`Setback`], which says whether another attempt makes sense.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves nothing behind.
    pub async fn again(&self, service: Service) -> Result<(Session, Access), Setback> {
        let session = self.dial(&self.key.clone().next_life()).await?;
        match ask(&session, service).await {
            Ok(access) => Ok((session, access)),
            Err(failure) => {
                session.abort("not let in");
                let passes = matches!(&failure, Failure::HostAbsent | Failure::SessionLost(_));
                Err(Setback { failure, passes })
            }
        }
    }

    /// Tells what stands in the way of the meeting place; empty while nothing does.
    pub fn obstacle(&self) -> watch::Receiver<String> {
        self.obstacles.told()
    }

    async fn dial(&self, key: &ViewerKey) -> Result<Session, Setback> {
        let (link, config) = (&self.link, &self.config);
        let meeting = ControlPlaneRendezvous::of_link(link, config.clone())
            .map_err(|error| Setback { failure: Failure::Usage(error.to_string()), passes: false })?;
        // Of an attempt before, nothing stands in the way of this one.
        self.obstacles.note("");
        let pending = self.obstacles.clone();
        let joining = Negotiator::meeting_at(link.clone(), config.clone(), self.obstacles.beside(meeting))
            .with_key(key.clone())
            .when_pending(move || pending.note("the host is asked whether to let you in"));
        let joining = match &self.name {
            Some(name) => joining.named(name.clone()),
            None => joining,
        };
        joining.connect().await.map_err(|error| {
            let passes = passes(&error);
            let at = link.control_plane().as_str().trim_end_matches('/');
            Setback { failure: Failure::from(error).at(at, &NamedBy::Argument), passes }
        })
    }
}

/// Tells the host what this side came for. Returns what it may do.
///
/// # Errors
///
/// [`Failure`] when the host refuses or does not answer.
pub async fn ask(session: &Session, service: Service) -> Result<Access, Failure> {
    // Of who may only watch nothing reaches the host's program.
    if session.access() == Some(Access::Full) {
        let hello = Message::Hello { version: VERSION, service };
        let _ = session.send(hello.encode()).await;
    }
    let answer = timeout(WELCOME, session.recv()).await.map_err(|_| Failure::HostAbsent)?;
    match answer {
        Ok(Received::Message(bytes)) => match Message::decode(bytes).map_err(Failure::Unintelligible)? {
            Message::Welcome(access) => Ok(access),
            Message::Refused { why, text } => Err(Failure::declined(why, text)),
            other => Err(Failure::Unintelligible(BadMessage::Kind(other.encode()[0]))),
        },
        Ok(_) => Err(Failure::HostAbsent),
        Err(end) => Err(end.into()),
    }
}

/// Says whether a session that ended so can be entered anew: nobody meant it to end.
pub fn was_lost(end: &SessionEnd) -> bool {
    matches!(end, SessionEnd::Expired { .. } | SessionEnd::Gap { .. })
}

/// Says whether the same link may let in later what it does not now.
fn passes(error: &JoinError) -> bool {
    match error {
        JoinError::Full | JoinError::HostAbsent | JoinError::NoPath { .. } => true,
        JoinError::Signaling(SignalingError::Refused { label, .. }) => PASSING.contains(&label.as_ref()),
        JoinError::Signaling(error) => matches!(error, SignalingError::Unreachable { .. }),
        // Somebody decided, or the link or this program is at fault.
        _ => false,
    }
}

/// Refusals of a control plane that are over by themselves. A session is unknown until its host is back.
const PASSING: [&str; 7] = [
    "entitlement_unavailable",
    "fallback_paused",
    "internal",
    "rate_limited",
    "store_unavailable",
    "unknown_session",
    "upgrade_removed",
];

/// How soon a picture is acknowledged: the host sends the next by it. Pieces of one are acknowledged together.
pub const ACK_DELAY: Duration = Duration::from_millis(5);

/// How soon a host is back at a control plane that restarted.
const COMEBACK: Duration = Duration::from_secs(3);

/// How long the host may take to answer the hello.
const WELCOME: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use negotiator::{ByeReason, Obstacle};

    use super::*;

    #[test]
    fn what_somebody_decided_is_final_and_what_is_away_may_come_back() {
        let refused = |label: &'static str| JoinError::Signaling(SignalingError::refused(label));
        let away = SignalingError::Unreachable { detail: String::new(), obstacle: Obstacle::LoginPage };
        for error in [
            JoinError::Full,
            JoinError::HostAbsent,
            refused("unknown_session"),
            refused("rate_limited"),
            JoinError::Signaling(away),
        ] {
            assert!(passes(&error), "{error:?}");
        }
        for error in [
            "http://host".parse::<JoinLink>().unwrap_err().into(),
            JoinError::LinkExpired,
            JoinError::LinkRevoked,
            JoinError::LinkUsedUp,
            JoinError::NotApproved,
            JoinError::Removed,
            JoinError::SecretMismatch,
            JoinError::HostRefused { why: ByeReason::Refused },
            JoinError::Version { ours: 1, theirs: 2 },
            refused("peer_removed"),
            refused("link_revoked"),
            refused("membership_invalid"),
        ] {
            assert!(!passes(&error), "{error:?}");
        }
    }

    #[test]
    fn a_session_that_somebody_ended_is_not_entered_anew() {
        assert!(was_lost(&SessionEnd::Gap { from: 1, to: 2 }));
        for end in [SessionEnd::Removed, SessionEnd::LinkRevoked] {
            assert!(!was_lost(&end), "{end}");
        }
    }
}
