//! What the policy is told, and what it asks for.

use std::fmt;

use crate::{
    close::{CloseCode, Closed, Initiator, RetryClass},
    error::ConnectErrorKind,
    ids::{Generation, TransportId},
    time::Instant,
};

use super::{
    gate::{Gate, GateState, Override},
    health::HealthSample,
    reason::Reason,
    rung::NetworkId,
    watch::{Question, Testimony},
};

/// Something that happened. Events about a generation the policy has given up are harmless.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The application is done. Nothing follows.
    Closed,
    /// A dial failed. A cancelled dial may report too; it is ignored.
    DialFailed {
        /// Which dial.
        generation: Generation,
        /// Who is at fault.
        kind: ConnectErrorKind,
    },
    /// A dial drew its first answer over the path it tries: a STUN response, a TCP accept. A
    /// transport that cannot tell never sends it, and then a slow network looks silent.
    DialProgressed {
        /// Which dial.
        generation: Generation,
    },
    /// A dial produced a link that both sides can use (the end-to-end handshake included).
    DialSucceeded {
        /// Which dial.
        generation: Generation,
    },
    /// A gate opened or closed.
    GateChanged {
        /// Which gate.
        gate: Gate,
        /// What it is from here on.
        state: GateState,
    },
    /// A sample of one lane of a live or standing-by link, every 0.5 to 1 s.
    Health {
        /// Which link.
        generation: Generation,
        /// What was measured.
        sample: HealthSample,
    },
    /// A link ended.
    Lost {
        /// Which link.
        generation: Generation,
        /// How.
        cause: LossCause,
    },
    /// The device is on another network. Resets backoff and all evidence.
    NetworkChanged {
        /// Which one.
        network: NetworkId,
    },
    /// The application or the operator allows something else.
    Override(Override),
    /// The other side came to the place of signaling, or came back. A held session dials at once, because what
    /// a dial lacked may be here now. An open dial without an answer gets a fresh one beside it, because what it
    /// said may be lost.
    PeerPresent,
    /// The other side answers a question about a link.
    PeerAnswers {
        /// Which link.
        generation: Generation,
        /// Which question.
        number: u32,
        /// What it heard.
        heard: Testimony,
    },
    /// The other side hears nothing on a link, and asks what was heard here.
    PeerAsks {
        /// Which link.
        generation: Generation,
        /// Which question.
        number: u32,
        /// What it heard.
        heard: Testimony,
    },
    /// The other side says that nothing comes over a link, which is still open there.
    PeerReportsDead {
        /// Which link.
        generation: Generation,
    },
    /// The other side says that a link is dead; this side may not have noticed.
    PeerReportsLost {
        /// Which link.
        generation: Generation,
    },
    /// The session begins. The first event; later ones of its kind are ignored.
    Start {
        /// The network the device is on.
        network: NetworkId,
    },
    /// The device slept: what was open before is probably dead. Resets backoff.
    Woke,
}

/// How a link ended, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossCause {
    /// The relay drains or restarts and asks to come back.
    Drained,
    /// The path failed, or the other side left.
    Path,
    /// The link was closed with a code that says not to come back.
    Refused,
}

impl From<&Closed> for LossCause {
    fn from(closed: &Closed) -> Self {
        match closed.code {
            CloseCode::DRAIN | CloseCode::RESTART => Self::Drained,
            code if closed.initiator == Initiator::Peer && code.retry_class() == RetryClass::Stay => {
                Self::Refused
            }
            _ => Self::Path,
        }
    }
}

/// Something to do. Carry them out in order, all of them, after every call into the policy.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Answer the other side's question about a link.
    Answer {
        /// Which link.
        generation: Generation,
        /// Which question.
        number: u32,
        /// What was heard here.
        heard: Testimony,
    },
    /// Ask the other side what it heard on a link.
    Ask {
        /// Which link.
        generation: Generation,
        /// What to ask.
        question: Question,
    },
    /// Drop the dial's future. Its outcome is no longer of interest.
    CancelDial {
        /// Which dial.
        generation: Generation,
    },
    /// Dial.
    Dial {
        /// The transport to dial.
        transport: TransportId,
        /// The number of the attempt, never used before.
        generation: Generation,
        /// When it will be cancelled at the latest.
        deadline: Instant,
        /// Why.
        why: Reason,
    },
    /// Let the link finish what it carries, then close it. The session is not on it any more.
    Drain {
        /// Which link.
        generation: Generation,
    },
    /// Tell whoever watches. One for each change of [`Standing`], and one when a session begins to rest on the
    /// fallback for [`Reason::FlapBudget`].
    Emit(Transition),
    /// Nothing will ever work; the session ends.
    GiveUp {
        /// Why.
        why: Reason,
    },
    /// Fetch the fallback's token. Open no socket to the relay.
    PrefetchToken {
        /// The fallback it is for.
        transport: TransportId,
    },
    /// Put the session on this link, which is open. Generations only ever rise.
    Switch {
        /// Which link.
        generation: Generation,
        /// Why.
        why: Reason,
    },
}

/// Where the session stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The application ended it.
    Closed,
    /// No path yet; primaries are dialled.
    Connecting,
    /// The quorum stands and the gates are open: the fallback is dialled.
    Considering,
    /// On the fallback.
    Fallback {
        /// The transport.
        transport: TransportId,
        /// The link.
        generation: Generation,
    },
    /// Nothing will ever work.
    GaveUp,
    /// The fallback is wanted and not to be had; primaries are retried.
    Held {
        /// Why.
        why: Reason,
    },
    /// Not started.
    Idle,
    /// On a primary.
    Primary {
        /// The transport.
        transport: TransportId,
        /// The link.
        generation: Generation,
    },
    /// The path was lost or cannot carry the session; primaries are dialled afresh.
    Recovering,
}

/// One change, with its one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// When.
    pub at: Instant,
    /// What kind of change.
    pub kind: TransitionKind,
    /// Why.
    pub reason: Reason,
    /// Where the session stood. The `to` of the transition before.
    pub from: Standing,
    /// Where it stands. Equal to `from` only when a session on the fallback is held there.
    pub to: Standing,
}

/// The kinds of transition. Their names are those of the events applications subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TransitionKind {
    /// `transport.closed`
    Closed,
    /// `transport.connected`
    Connected,
    /// `transport.connecting`
    Connecting,
    /// `transport.fallback.activated`
    FallbackActivated,
    /// `transport.fallback.considered`
    FallbackConsidered,
    /// `transport.fallback.held`
    FallbackHeld,
    /// `transport.gave_up`
    GaveUp,
    /// `session.input_refused`: no change of path; a viewer that may only look sent something.
    InputRefused,
    /// `transport.lost`
    Lost,
    /// `transport.recovered`
    Recovered,
    /// `transport.restored`
    Restored,
}

impl TransitionKind {
    /// Returns the event's name, the same in the channel, in logs and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "transport.closed",
            Self::Connected => "transport.connected",
            Self::Connecting => "transport.connecting",
            Self::FallbackActivated => "transport.fallback.activated",
            Self::FallbackConsidered => "transport.fallback.considered",
            Self::FallbackHeld => "transport.fallback.held",
            Self::GaveUp => "transport.gave_up",
            Self::InputRefused => "session.input_refused",
            Self::Lost => "transport.lost",
            Self::Recovered => "transport.recovered",
            Self::Restored => "transport.restored",
        }
    }
}

impl fmt::Display for TransitionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_says_whether_to_come_back() {
        let cause = |closed: Closed| LossCause::from(&closed);
        assert_eq!(cause(Closed::peer(CloseCode::DRAIN, "")), LossCause::Drained);
        assert_eq!(cause(Closed::peer(CloseCode::PAUSED, "")), LossCause::Refused);
        assert_eq!(cause(Closed::peer(CloseCode::GOING_AWAY, "")), LossCause::Path);
        assert_eq!(cause(Closed::network("gone")), LossCause::Path);
        // What the network says in somebody's name is not that somebody's word.
        assert_eq!(
            cause(Closed { initiator: Initiator::Network, ..Closed::peer(CloseCode::PAUSED, "") }),
            LossCause::Path
        );
        assert_eq!(cause(Closed::local(CloseCode::PAUSED, "")), LossCause::Path);
    }

    #[test]
    fn a_transition_is_shown_by_the_name_that_applications_subscribe_to() {
        assert_eq!(TransitionKind::FallbackActivated.to_string(), "transport.fallback.activated");
    }
}
