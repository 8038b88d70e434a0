//! What can go wrong while connecting and while sending. Each says who is at fault.

use std::{error::Error, fmt, num::NonZeroUsize};

use bytes::Bytes;

use crate::{close::Closed, ids::TransportId};

/// A dial that did not produce a transport.
#[derive(Debug, thiserror::Error)]
#[error("{transport} failed at {stage}: {kind}")]
#[non_exhaustive]
pub struct ConnectError {
    /// Which connector failed.
    pub transport: TransportId,
    /// The stage of the dial, in the transport's own terms: `signaling`, `checks`, `token`, …
    /// A closed set for each transport, fit for a metric label.
    pub stage: &'static str,
    /// Who is at fault. Alone decides retry and quorum.
    pub kind: ConnectErrorKind,
    /// What somebody with the right to refuse called the reason: a label of a closed set, fit for a program.
    pub refusal: Option<&'static str>,
    /// The backend's own error.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl ConnectError {
    /// The stage at which everything was there but the other side: a relay that was reached, and where nobody came.
    pub const PEER: &'static str = "peer";

    /// Describes a failure without a deeper cause.
    pub fn new(transport: TransportId, stage: &'static str, kind: ConnectErrorKind) -> Self {
        Self { transport, stage, kind, refusal: None, source: None }
    }

    /// Adds the label of a refusal.
    #[must_use]
    pub fn refused_as(mut self, label: &'static str) -> Self {
        self.refusal = Some(label);
        self
    }

    /// Adds the backend's own error.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Joins the error and its causes into one line for a person: `a: b: c`.
    pub fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            line.push_str(": ");
            line.push_str(&error.to_string());
            cause = error.source();
        }
        line
    }
}

/// Who is at fault for a failed dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ConnectErrorKind {
    /// This network or peer can never do it: no UDP at all, no common version.
    #[error("impossible here")]
    Incompatible,
    /// The caller's configuration is wrong.
    #[error("misconfigured")]
    Misuse,
    /// Somebody with the right to do so said no: the token service, the relay, the peer.
    #[error("refused")]
    Rejected,
    /// A stage's deadline passed.
    #[error("timed out")]
    TimedOut,
    /// The path is not there at the moment.
    #[error("unreachable")]
    Unreachable,
    /// The path is there, and at its end somebody answers who cannot help at the moment: nobody listens, or a balancer has
    /// no server.
    #[error("not ready")]
    Unready,
}

/// What a failed dial means for its rung. See [`ConnectErrorKind::consequence`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Consequence {
    /// Count one failure; try again after a backoff.
    CountAndRetry,
    /// The rung is proven impossible on this network: end it at once, quorum reached.
    EndRung,
    /// Not the network's fault: no evidence for the quorum, retry at the slow cadence.
    RetrySlowly,
}

impl ConnectErrorKind {
    /// Decides retry and quorum; the only place that does.
    pub const fn consequence(self) -> Consequence {
        match self {
            Self::TimedOut | Self::Unreachable | Self::Unready => Consequence::CountAndRetry,
            Self::Incompatible => Consequence::EndRung,
            Self::Misuse | Self::Rejected => Consequence::RetrySlowly,
        }
    }
}

/// A message that was not accepted, with the payload handed back whole. `Debug` shows how long it is, never what it
/// says: errors end in logs.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("message refused: {why}")]
pub struct Refused {
    /// The payload, untouched: the caller's bytes.
    pub payload: Bytes,
    /// Why.
    pub why: Refusal,
}

impl Refused {
    /// Hands `payload` back.
    pub fn new(payload: Bytes, why: Refusal) -> Self {
        Self { payload, why }
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { payload, why } = self;
        f.debug_struct("Refused").field("payload_bytes", &payload.len()).field("why", why).finish()
    }
}

/// Why a message was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The link has ended.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// An empty message: no lane carries one, because one WebRTC stack ends its reader on it.
    #[error("an empty message")]
    Empty,
    /// The reliable lane's byte budget is reached; wait for `writable`.
    #[error("the lane is full")]
    Full,
    /// Larger than the lane's `max_message`.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// The largest message the lane takes, in bytes.
        limit: NonZeroUsize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_reads_from_the_stage_down_to_the_cause() {
        let error =
            ConnectError::new(TransportId::from_static("webrtc"), "checks", ConnectErrorKind::TimedOut)
                .because("no candidate pair answered");
        assert_eq!(error.chain(), "webrtc failed at checks: timed out: no candidate pair answered");
    }

    #[test]
    fn a_refused_message_is_not_in_its_error_s_text() {
        let refused = Refused::new("hunter2".into(), Refusal::Full);
        assert_eq!(format!("{refused:?}"), "Refused { payload_bytes: 7, why: Full }");
        assert!(!refused.to_string().contains("hunter2"));
    }
}
