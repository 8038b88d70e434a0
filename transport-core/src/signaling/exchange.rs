//! Seals, opens and routes what the peers of a session say to each other.

use std::{fmt, sync::Arc};

use beach_identity::{LinkId, PublicKey};
use parking_lot::Mutex;

use super::{
    LinkChannel, Message, Obstacle, SealError, Sealer, Signaling, SignalingError, SignalingEvent,
    mailboxes::Mailboxes,
};
use crate::{
    connector::Target,
    ids::{PeerId, TransportId},
    time::SystemTime,
};

/// One endpoint's side of all its conversations over one [`Signaling`].
///
/// Somebody must keep calling [`next`](Exchange::next): it is what fills the link channels.
pub struct Exchange {
    signaling: Arc<dyn Signaling>,
    sealer: Mutex<Sealer>,
    clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
    mailboxes: Arc<Mutex<Mailboxes>>,
}

/// What [`Exchange::next`] hands to the negotiator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExchangeEvent {
    /// Signaling is lost and being sought again.
    Down {
        /// Why, for a person.
        detail: String,
        /// What somebody can do about.
        obstacle: Obstacle,
    },
    /// A peer is present in the room.
    Joined {
        /// Who.
        peer: PeerId,
    },
    /// A peer left the room.
    Left {
        /// Who.
        peer: PeerId,
    },
    /// A peer said something that belongs to no link channel.
    Message {
        /// Proven by the seal.
        from: PeerId,
        /// The key that names it.
        key: PublicKey,
        /// The link whose secret it holds; for a viewer its own.
        link: LinkId,
        /// What.
        message: Message,
    },
    /// An envelope that was not opened, or not understood. Worth a counter and a log line.
    Refused {
        /// Who the room says sent it; proves nothing.
        from: PeerId,
        /// Why.
        why: SealError,
    },
    /// Signaling works (again).
    Up,
}

impl Exchange {
    /// Speaks over `signaling`, sealed by `sealer`. `clock` is a wall clock: freshness needs it.
    pub fn new(
        signaling: Arc<dyn Signaling>,
        sealer: Sealer,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            signaling,
            sealer: Mutex::new(sealer),
            clock: Box::new(clock),
            mailboxes: Arc::default(),
        })
    }

    /// Sends one message to one peer.
    ///
    /// # Errors
    ///
    /// [`SignalingError`] when it certainly did not leave.
    pub async fn send(&self, to: PeerId, message: &Message) -> Result<(), SignalingError> {
        let text = serde_json::to_vec(message).map_err(|_| SignalingError::TooLarge)?;
        let sealed = self.sealer.lock().seal((self.clock)(), to, &text);
        let envelope = sealed.map_err(|error| match error {
            SealError::TooLarge => SignalingError::TooLarge,
            other => SignalingError::Unreachable { detail: other.to_string(), obstacle: Obstacle::Unknown },
        })?;
        self.signaling.send(to, envelope).await
    }

    /// Waits for the next event, filling link channels on the way. One caller at a time.
    ///
    /// # Errors
    ///
    /// [`SignalingError`] when signaling will never work again.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn next(&self) -> Result<ExchangeEvent, SignalingError> {
        loop {
            let (from, envelope) = match self.signaling.recv().await? {
                SignalingEvent::Envelope { from, envelope } => (from, envelope),
                SignalingEvent::Down { detail, obstacle } => {
                    return Ok(ExchangeEvent::Down { detail, obstacle });
                }
                SignalingEvent::Joined { peer } => return Ok(ExchangeEvent::Joined { peer }),
                SignalingEvent::Left { peer } => {
                    self.mailboxes.lock().left(peer);
                    return Ok(ExchangeEvent::Left { peer });
                }
                SignalingEvent::Up => return Ok(ExchangeEvent::Up),
            };
            let opened = self.sealer.lock().open((self.clock)(), from, &envelope);
            let parsed = opened.and_then(|opened| {
                let message = serde_json::from_slice::<Message>(&opened.plaintext);
                message.map(|message| (opened.key, opened.link, message)).map_err(|_| SealError::Malformed)
            });
            match parsed {
                Ok((_, _, Message::Link { transport, generation, body })) => {
                    self.mailboxes.lock().deliver((from, transport, generation), body);
                }
                Ok((key, link, message)) => return Ok(ExchangeEvent::Message { from, key, link, message }),
                Err(why) => return Ok(ExchangeEvent::Refused { from, why }),
            }
        }
    }

    /// Forgets a peer that was removed or is gone for good: its channels end, and nothing is kept for it.
    pub fn forget(&self, peer: PeerId) {
        self.sealer.lock().forget(peer);
        self.mailboxes.lock().forget(peer);
    }

    /// Forgets what a peer said to dials, and ends their channels: it has come back having lost all of it. Its envelopes of
    /// before stay known, so that none is replayed.
    pub fn restart(&self, peer: PeerId) {
        self.mailboxes.lock().forget(peer);
    }

    /// Has the way to the room tried out at once; see [`Signaling::doubt`].
    pub fn doubt(&self) {
        self.signaling.doubt();
    }

    /// Opens the private channel of one dial. What the other side said earlier is waiting in it.
    /// Attempts with lower generations of the same peer and transport are forgotten.
    ///
    /// Costs about 1 KiB until the channel is dropped, and sends nothing. The negotiator opens one for every
    /// dial and puts it into [`Target::signaling`].
    pub fn open_link(self: &Arc<Self>, target: &Target, transport: TransportId) -> LinkChannel {
        let key = (target.peer, transport, target.generation);
        LinkChannel::through(Arc::downgrade(self), self.mailboxes.clone(), key)
    }
}

/// Channels that outlive their exchange end.
impl Drop for Exchange {
    fn drop(&mut self) {
        self.mailboxes.lock().end();
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("signaling", &self.signaling).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
