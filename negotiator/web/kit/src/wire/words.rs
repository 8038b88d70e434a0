//! What a transport says, as words: what a test learns of a page's transport is the page's own, whole.

use std::{borrow::Cow, num::NonZeroUsize, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use transport_core::{
    Carriage, CloseCode, Closed, Initiator, Lane, LaneProfile, LaneStats, Profile, Refusal, Stats,
    TransportId,
};

/// A lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LaneName {
    /// [`Lane::Datagram`].
    Datagram,
    /// [`Lane::Reliable`].
    Reliable,
}

impl From<Lane> for LaneName {
    fn from(lane: Lane) -> Self {
        match lane {
            Lane::Datagram => Self::Datagram,
            Lane::Reliable => Self::Reliable,
        }
    }
}

impl From<LaneName> for Lane {
    fn from(lane: LaneName) -> Self {
        match lane {
            LaneName::Datagram => Self::Datagram,
            LaneName::Reliable => Self::Reliable,
        }
    }
}

/// A [`Closed`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct End {
    by: By,
    code: u16,
    detail: String,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(remote = "Initiator")]
enum InitiatorOf {
    Local,
    Network,
    Peer,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct By(#[serde(with = "InitiatorOf")] Initiator);

impl From<&Closed> for End {
    fn from(closed: &Closed) -> Self {
        Self { by: By(closed.initiator), code: closed.code.get(), detail: closed.detail.as_ref().to_owned() }
    }
}

impl From<End> for Closed {
    fn from(end: End) -> Self {
        match CloseCode::from_wire(end.code) {
            Some(code) => Self { initiator: end.by.0, code, detail: end.detail.into() },
            None => {
                Self::network(format!("a page says that a link ended with {}, which is no code", end.code))
            }
        }
    }
}

/// A [`Refusal`].
#[derive(Debug, Serialize, Deserialize)]
pub enum Why {
    /// [`Refusal::Closed`].
    Closed(End),
    /// [`Refusal::Empty`].
    Empty,
    /// [`Refusal::Full`].
    Full,
    /// [`Refusal::TooLarge`], with the limit.
    TooLarge(NonZeroUsize),
}

impl From<&Refusal> for Why {
    fn from(why: &Refusal) -> Self {
        match why {
            Refusal::Closed(closed) => Self::Closed(closed.into()),
            Refusal::Empty => Self::Empty,
            Refusal::Full => Self::Full,
            Refusal::TooLarge { limit } => Self::TooLarge(*limit),
        }
    }
}

impl From<Why> for Refusal {
    fn from(why: Why) -> Self {
        match why {
            Why::Closed(end) => Self::Closed(end.into()),
            Why::Empty => Self::Empty,
            Why::Full => Self::Full,
            Why::TooLarge(limit) => Self::TooLarge { limit },
        }
    }
}

/// A [`Profile`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ProfileOf {
    transport: String,
    path: String,
    channel_binding: Vec<u8>,
    datagram: Limits,
    reliable: Limits,
    in_flight: NonZeroUsize,
}

/// A [`LaneProfile`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Limits {
    is_native: bool,
    max_message: NonZeroUsize,
    queue_bytes: NonZeroUsize,
}

impl From<&LaneProfile> for Limits {
    fn from(lane: &LaneProfile) -> Self {
        let LaneProfile { carriage, max_message, queue_bytes, .. } = *lane;
        Self { is_native: carriage == Carriage::Native, max_message, queue_bytes }
    }
}

impl From<Limits> for LaneProfile {
    fn from(lane: Limits) -> Self {
        let made = if lane.is_native { Self::native } else { Self::emulated };
        made(lane.max_message, lane.queue_bytes)
    }
}

impl From<&Profile> for ProfileOf {
    fn from(profile: &Profile) -> Self {
        Self {
            transport: profile.transport.to_string(),
            path: profile.path.clone().into_owned(),
            channel_binding: profile.channel_binding.to_vec(),
            datagram: (&profile.datagram).into(),
            reliable: (&profile.reliable).into(),
            in_flight: profile.in_flight,
        }
    }
}

impl From<ProfileOf> for Profile {
    fn from(profile: ProfileOf) -> Self {
        let name = TransportId::parse(profile.transport)
            .unwrap_or_else(|_| TransportId::from_static("unreadable-name"));
        Self::new(name, Cow::Owned(profile.path), profile.datagram.into(), profile.reliable.into())
            .holding(profile.in_flight)
            .bound_to(Bytes::from(profile.channel_binding))
    }
}

/// [`Stats`].
#[derive(Debug, Serialize, Deserialize)]
pub struct StatsOf {
    datagram: Numbers,
    reliable: Numbers,
    rtt: Option<Duration>,
    loss: Option<f32>,
}

/// [`LaneStats`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Numbers {
    accepted: [u64; 2],
    sent: [u64; 2],
    received: [u64; 2],
    dropped_messages: u64,
    queued_bytes: usize,
}

impl From<LaneStats> for Numbers {
    fn from(lane: LaneStats) -> Self {
        Self {
            accepted: [lane.accepted_messages, lane.accepted_bytes],
            sent: [lane.sent_messages, lane.sent_bytes],
            received: [lane.received_messages, lane.received_bytes],
            dropped_messages: lane.dropped_messages,
            queued_bytes: lane.queued_bytes,
        }
    }
}

impl From<Numbers> for LaneStats {
    fn from(lane: Numbers) -> Self {
        let mut stats = Self::default();
        [stats.accepted_messages, stats.accepted_bytes] = lane.accepted;
        [stats.sent_messages, stats.sent_bytes] = lane.sent;
        [stats.received_messages, stats.received_bytes] = lane.received;
        (stats.dropped_messages, stats.queued_bytes) = (lane.dropped_messages, lane.queued_bytes);
        stats
    }
}

impl From<Stats> for StatsOf {
    fn from(stats: Stats) -> Self {
        let Stats { datagram, reliable, rtt, loss, .. } = stats;
        Self { datagram: datagram.into(), reliable: reliable.into(), rtt, loss }
    }
}

impl From<StatsOf> for Stats {
    fn from(stats: StatsOf) -> Self {
        Self::new(stats.datagram.into(), stats.reliable.into()).with_rtt(stats.rtt).with_loss(stats.loss)
    }
}
