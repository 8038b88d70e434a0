//! What two peers say to each other inside sealed envelopes.

use serde::{Deserialize, Serialize};

use crate::{
    close::Text,
    ids::{Generation, TransportId},
};

/// A message between two peers, JSON inside the seal. A receiver ignores fields it does not know and
/// drops messages of a type it does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Message {
    /// The sender is done with the session.
    Bye {
        /// A reason code.
        reason: Text,
    },
    /// The follower will not dial what the leader announced.
    Decline {
        /// Which attempt.
        generation: Generation,
        /// A reason code.
        reason: Text,
    },
    /// The leader dials and asks the follower to dial too. This is also how a peer learns that the
    /// fallback wakes, and why.
    Dial {
        /// With which transport.
        transport: TransportId,
        /// The number of the attempt.
        generation: Generation,
        /// A reason code.
        reason: Text,
    },
    /// A peer enters: first contact, or back after a restart of its signaling.
    Knock {
        /// The version of these messages.
        version: u16,
        /// The transports the sender can dial.
        transports: Vec<TransportId>,
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
    /// The sender saw the transport of this generation fail.
    Lost {
        /// Which attachment.
        generation: Generation,
        /// A reason code.
        reason: Text,
    },
    /// The answer to a knock.
    Welcome {
        /// The version of these messages.
        version: u16,
        /// The transports the sender can dial.
        transports: Vec<TransportId>,
    },
}

impl Message {
    /// The version of the messages above that this crate speaks.
    pub const VERSION: u16 = 1;
}
