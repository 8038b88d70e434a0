//! What two peers say to each other inside sealed envelopes.

use beach_terms::Access;
use serde::{Deserialize, Serialize};

use super::words;
use crate::{
    close::Text,
    ids::{Generation, TransportId},
    policy::{Override, Reason, Testimony},
};

pub use super::words::ByeReason;

/// A message between two peers, JSON inside the seal. A receiver ignores fields it does not know, drops messages of a
/// type it does not know, and takes a reason it does not know for the most general one of its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Message {
    /// The answer to [`Ask`](Self::Ask): what the sender heard on that link.
    Answer {
        /// Which link.
        generation: Generation,
        /// Which question.
        number: u32,
        /// What the sender heard.
        heard: Testimony,
    },
    /// The sender hears nothing on a link that should bring something, and asks what the other side heard.
    Ask {
        /// Which link.
        generation: Generation,
        /// The question's number.
        number: u32,
        /// What the sender heard.
        heard: Testimony,
    },
    /// The host changed what this viewer may do, from here on.
    Access {
        /// What it may do.
        access: Access,
    },
    /// The sender is done with the session, or the answer to a knock of somebody who is not let in.
    Bye {
        /// Why.
        #[serde(with = "words::bye")]
        reason: ByeReason,
    },
    /// The follower will not dial what the leader announced.
    Decline {
        /// Which attempt.
        generation: Generation,
        /// Why. One that is not known reads as [`Reason::Override`].
        #[serde(with = "words::decline")]
        reason: Reason,
    },
    /// The leader dials and asks the follower to dial too. This is also how a peer learns that the
    /// fallback wakes, and why.
    Dial {
        /// With which transport.
        transport: TransportId,
        /// The number of the attempt.
        generation: Generation,
        /// Why. One that is not known reads as [`Reason::Retry`].
        #[serde(with = "words::dial")]
        reason: Reason,
    },
    /// A peer enters: first contact, or back after a restart of its signaling.
    Knock {
        /// The version of these messages.
        version: u16,
        /// The transports the sender can dial.
        transports: Vec<TransportId>,
        /// What the person calls themselves; it names, it does not prove.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<Text>,
        /// For a sender that may come back under its key having lost everything else: which of its lives this is. A
        /// higher number is a later one, and ends those before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        life: Option<u64>,
    },
    /// One transport's own words about one attempt, carried by [`LinkChannel`](super::LinkChannel).
    Link {
        /// Which transport.
        transport: TransportId,
        /// Which attempt.
        generation: Generation,
        /// In the transport's own format.
        body: String,
    },
    /// The sender saw the transport of this generation fail, or something that puts it in doubt.
    Lost {
        /// Which attachment.
        generation: Generation,
        /// Why. One that is not known reads as [`Reason::LinkClosed`].
        #[serde(with = "words::lost")]
        reason: Reason,
    },
    /// The follower's application allows this from here on: the leader keeps to it.
    Mode {
        /// `auto`, `direct-only`, `no-relay` or `relay-only`.
        #[serde(with = "words::mode")]
        mode: Override,
    },
    /// A knock was heard, and a person at the host decides about it: welcome or goodbye will follow.
    Pending,
    /// The answer to a knock.
    Welcome {
        /// The version of these messages.
        version: u16,
        /// The transports the sender can dial.
        transports: Vec<TransportId>,
        /// The life that is welcome; `None` to one that named none, or from a host that knows of no lives.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        life: Option<u64>,
    },
}

impl Message {
    /// The version of the messages above that this crate speaks.
    pub const VERSION: u16 = 1;
}
