//! What a judge asks for.

use crate::time::Instant;

use crate::{
    close::{CloseCode, Closed},
    connector::DialRole,
    ids::{Generation, TransportId},
    policy::{Reason, Transition},
    signaling::{ByeReason, Message},
};

/// Something to do. Carry them out in order, all of them, after every call into the judge.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Put the session on this link.
    Attach {
        /// Which link.
        generation: Generation,
    },
    /// Wait where peers of this transport meet, and report each attempt of the peer as [`Event::Called`](super::Event::Called),
    /// until [`Leave`](Self::Leave).
    Attend {
        /// The transport to attend.
        transport: TransportId,
    },
    /// Drop the dial's future. Its outcome is no longer of interest.
    CancelDial {
        /// Which dial.
        generation: Generation,
    },
    /// Close a link.
    Close {
        /// Which link.
        generation: Generation,
        /// With which code.
        code: CloseCode,
        /// Why, for a person.
        detail: &'static str,
    },
    /// Dial once. The following side may ask for the same generation again after a failure.
    Dial {
        /// The transport to dial.
        transport: TransportId,
        /// The number of the attempt.
        generation: Generation,
        /// Which side of the dial this is.
        role: DialRole,
        /// When the attempt is over at the latest, as timed out.
        deadline: Instant,
    },
    /// Have the way to the signaling room tried out at once.
    DoubtSignaling,
    /// End the session.
    End(Ending),
    /// Fetch the fallback's token. Open no socket to the relay.
    PrefetchToken {
        /// The fallback it is for.
        transport: TransportId,
    },
    /// Wait there no longer.
    Leave,
    /// Keep for `explain()` how a link of this transport was lost.
    Remember {
        /// Which transport.
        transport: TransportId,
        /// How it ended.
        closed: Closed,
    },
    /// Say this to the peer, through signaling.
    Say(Message),
    /// Tell whoever watches.
    Tell {
        /// The change.
        transition: Transition,
        /// What more there is to say about it.
        detail: Detail,
    },
}

/// Why a judge ends a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// Nothing will ever work.
    GiveUp {
        /// Why.
        why: Reason,
    },
    /// The application dropped its last handle.
    HandlesDropped,
    /// The peer no longer has the state of this session.
    PeerForgot,
    /// The peer said goodbye, and no link is left.
    PeerLeft(ByeReason),
}

/// What a person may want to know beside a transition.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detail {
    /// How the link ended.
    Ended(Closed),
    /// Nothing.
    Nothing,
    /// The last error of each primary: why anything but a success happened.
    PrimaryErrors,
    /// How much went out again on the new path.
    Resent {
        /// Segments.
        segments: u64,
    },
}
