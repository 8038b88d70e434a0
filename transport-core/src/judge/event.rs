//! What a judge is told.

use crate::time::Duration;

use crate::{
    close::Closed,
    error::ConnectErrorKind,
    ids::{Generation, TransportId},
    policy::{Gates, HealthSample, NetworkId, Override},
    signaling::Message,
};

/// Something that happened. Events about a generation that was given up are harmless.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Both sides introduced themselves on a link: it carries the session from here on.
    Attached {
        /// Which link.
        generation: Generation,
        /// Segments that go out again over it.
        resent_segments: u64,
    },
    /// The peer dials at the place that is attended.
    Called {
        /// By which transport.
        transport: TransportId,
        /// The number of its attempt, as far as that place knows: nobody has proven it.
        generation: Generation,
    },
    /// The clocks were compared, at most a second after the last time.
    Clock {
        /// How far the wall clock ran ahead of the monotonic one meanwhile: that one stands still in sleep.
        ahead: Duration,
    },
    /// A dial drew its first answer over the path it tries.
    DialAnswered {
        /// Which dial.
        generation: Generation,
    },
    /// An attempt of a dial failed.
    DialFailed {
        /// Which dial.
        generation: Generation,
        /// Who is at fault.
        kind: ConnectErrorKind,
    },
    /// A dial produced a link that both sides can use. It stands by until it is attached.
    DialSucceeded {
        /// Which dial.
        generation: Generation,
    },
    /// The peer says nothing more on a link that was replaced.
    Drained {
        /// Which link.
        generation: Generation,
    },
    /// The session ended, whoever ended it. Nothing follows.
    Ended,
    /// The gates in front of the fallback stand like this.
    GatesChanged(Gates),
    /// The application dropped its last handle.
    HandlesDropped,
    /// A sample of one lane of an open link, twice a second.
    Health {
        /// Which link.
        generation: Generation,
        /// What was measured.
        sample: HealthSample,
    },
    /// The peer said something through signaling.
    Heard(Message),
    /// A link ended, and what it delivered was handled.
    LinkEnded {
        /// Which link.
        generation: Generation,
        /// How.
        closed: Closed,
    },
    /// The application allows something else.
    ModeSet(Override),
    /// The application says that this is another network.
    NetworkChanged {
        /// Which one; `None` when that cannot be told.
        network: Option<NetworkId>,
    },
    /// The network was looked at.
    NetworkSeen {
        /// Which one it is; `None` while there is none.
        network: Option<NetworkId>,
    },
    /// The peer came to the place of signaling, or came back.
    PeerPresent,
    /// The place of signaling is reached again.
    SignalingFound,
    /// The place of signaling is away: no word reaches the peer.
    SignalingLost,
    /// The session begins. The first event.
    Start {
        /// The network this side is on, if there is one.
        network: Option<NetworkId>,
    },
    /// The application says that the machine slept.
    Woke,
}
