//! Seals, opens and routes what the peers of a session say to each other.

use std::{collections::BTreeMap, fmt, sync::Arc};

use beach_identity::{LinkId, PublicKey};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{LinkChannel, Message, Obstacle, SealError, Sealer, Signaling, SignalingError, SignalingEvent};
use crate::{
    connector::Target,
    ids::{Generation, PeerId, TransportId},
    time::SystemTime,
};

/// One endpoint's side of all its conversations over one [`Signaling`].
///
/// Somebody must keep calling [`next`](Exchange::next): it is what fills the link channels.
pub struct Exchange {
    signaling: Arc<dyn Signaling>,
    sealer: Mutex<Sealer>,
    clock: fn() -> SystemTime,
    links: Mutex<BTreeMap<LinkKey, Mailbox>>,
}

/// Which dial a channel belongs to: with whom, over what, which attempt.
pub(super) type LinkKey = (PeerId, TransportId, Generation);

#[derive(Debug)]
struct Mailbox {
    inbox: mpsc::Sender<String>,
    /// Present until the channel is opened here; the other side may speak first.
    unopened: Option<mpsc::Receiver<String>>,
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
    /// Speaks over `signaling`, sealed by `sealer`. `clock` is the wall clock: freshness needs it.
    pub fn new(signaling: Arc<dyn Signaling>, sealer: Sealer, clock: fn() -> SystemTime) -> Arc<Self> {
        Arc::new(Self { signaling, sealer: Mutex::new(sealer), clock, links: Mutex::default() })
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
                SignalingEvent::Left { peer } => return Ok(ExchangeEvent::Left { peer }),
                SignalingEvent::Up => return Ok(ExchangeEvent::Up),
            };
            let opened = self.sealer.lock().open((self.clock)(), from, &envelope);
            let parsed = opened.and_then(|opened| {
                let message = serde_json::from_slice::<Message>(&opened.plaintext);
                message.map(|message| (opened.key, opened.link, message)).map_err(|_| SealError::Malformed)
            });
            match parsed {
                Ok((_, _, Message::Link { transport, generation, body })) => {
                    self.deliver((from, transport, generation), body);
                }
                Ok((key, link, message)) => return Ok(ExchangeEvent::Message { from, key, link, message }),
                Err(why) => return Ok(ExchangeEvent::Refused { from, why }),
            }
        }
    }

    /// Forgets a peer that was removed or is gone for good: its channels end, and nothing is kept for it.
    pub fn forget(&self, peer: PeerId) {
        self.sealer.lock().forget(peer);
        self.links.lock().retain(|(of, ..), _| *of != peer);
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
        let mut links = self.links.lock();
        links.retain(|(peer, transport, generation), mailbox| {
            let same_rung = (peer, transport) == (&key.0, &key.1);
            !(same_rung && *generation < key.2 && mailbox.unopened.is_some())
        });
        let waiting = links.get_mut(&key).and_then(|mailbox| mailbox.unopened.take());
        let inbox = waiting.unwrap_or_else(|| {
            let (inbox, waiting) = mpsc::channel(MAILBOX);
            links.insert(key.clone(), Mailbox { inbox, unopened: None });
            waiting
        });
        LinkChannel::through(Arc::downgrade(self), key, inbox)
    }

    /// Forgets a channel that was opened here. One that took its place stays.
    pub(super) fn close_link(&self, key: &LinkKey, inbox: &mut mpsc::Receiver<String>) {
        let mut links = self.links.lock();
        // Closing the receiver marks its own mailbox and no other.
        inbox.close();
        if links.get(key).is_some_and(|mailbox| mailbox.inbox.is_closed()) {
            links.remove(key);
        }
    }

    fn deliver(&self, key: LinkKey, body: String) {
        let mut links = self.links.lock();
        if !links.contains_key(&key) {
            // Unopened mailboxes are somebody's future attempts: a few, of the newest generations.
            let mine: Vec<LinkKey> = links
                .iter()
                .filter(|(k, m)| k.0 == key.0 && m.unopened.is_some())
                .map(|(k, _)| k.clone())
                .collect();
            if mine.len() >= UNOPENED_PER_PEER {
                let Some(oldest) = mine.into_iter().min_by_key(|k| k.2) else { return };
                if oldest.2 >= key.2 {
                    return;
                }
                links.remove(&oldest);
            }
            let (inbox, waiting) = mpsc::channel(MAILBOX);
            links.insert(key.clone(), Mailbox { inbox, unopened: Some(waiting) });
        }
        if let Some(mailbox) = links.get(&key) {
            // Full: a peer that says more than any dial needs. The dial's deadline deals with it.
            let _ = mailbox.inbox.try_send(body);
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("signaling", &self.signaling).finish_non_exhaustive()
    }
}

/// Messages that may wait in one link channel: an offer, an answer and every candidate of a
/// machine with many interfaces.
pub(super) const MAILBOX: usize = 128;

/// Attempts of one peer that may speak before this side opens its channel.
const UNOPENED_PER_PEER: usize = 8;

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::{
        connector::DialRole,
        ids::SessionId,
        signaling::{ByeReason, MemoryRoom},
    };

    const TRANSPORT: TransportId = TransportId::from_static("memory");

    struct Pair {
        exchanges: [Arc<Exchange>; 2],
        peers: [PeerId; 2],
        session: SessionId,
    }

    fn pair(keys: [u8; 2]) -> Pair {
        let (room, session) = (MemoryRoom::default(), SessionId::random());
        let peers = [PeerId::random(), PeerId::random()];
        let exchanges = [0, 1].map(|i| {
            let sealer = Sealer::new(&Zeroizing::new([keys[i]; 32]), session, peers[i]);
            Exchange::new(Arc::new(room.join(peers[i])), sealer, || SystemTime::UNIX_EPOCH)
        });
        Pair { exchanges, peers, session }
    }

    fn target(pair: &Pair, local: usize, generation: u32) -> Target {
        let (local, peer) = (pair.peers[local], pair.peers[1 - local]);
        Target::new(pair.session, local, peer, DialRole::Offerer, Generation(generation))
    }

    async fn next_message(exchange: &Exchange) -> ExchangeEvent {
        loop {
            match exchange.next().await.unwrap() {
                ExchangeEvent::Up | ExchangeEvent::Joined { .. } => {}
                event => return event,
            }
        }
    }

    #[tokio::test]
    async fn words_said_before_the_channel_is_opened_wait_in_it() {
        let pair = pair([1, 1]);
        let early = pair.exchanges[0].open_link(&target(&pair, 0, 1), TRANSPORT);
        early.send("offer".into()).await.unwrap();
        let bye = Message::Bye { reason: ByeReason::Closed };
        pair.exchanges[0].send(pair.peers[1], &bye).await.unwrap();
        let event = next_message(&pair.exchanges[1]).await;
        assert_eq!(event, ExchangeEvent::Message { from: pair.peers[0], message: bye });
        let late = pair.exchanges[1].open_link(&target(&pair, 1, 1), TRANSPORT);
        assert_eq!(late.recv().await.unwrap(), "offer");
    }

    #[tokio::test]
    async fn attempts_do_not_hear_each_other() {
        let pair = pair([1, 1]);
        let (old, new) = (
            pair.exchanges[1].open_link(&target(&pair, 1, 1), TRANSPORT),
            pair.exchanges[1].open_link(&target(&pair, 1, 2), TRANSPORT),
        );
        for generation in [2, 1] {
            let link = pair.exchanges[0].open_link(&target(&pair, 0, generation), TRANSPORT);
            link.send(format!("for {generation}")).await.unwrap();
        }
        let (a, b, _) = tokio::join!(old.recv(), new.recv(), async {
            tokio::time::timeout(std::time::Duration::from_millis(50), next_message(&pair.exchanges[1])).await
        });
        assert_eq!((a.unwrap().as_str(), b.unwrap().as_str()), ("for 1", "for 2"));
    }

    #[tokio::test]
    async fn a_channel_that_ends_late_leaves_the_one_that_took_its_place() {
        let pair = pair([1, 1]);
        let [to_b, to_a] = [target(&pair, 0, 1), target(&pair, 1, 1)];
        let replaced = pair.exchanges[1].open_link(&to_a, TRANSPORT);
        let current = pair.exchanges[1].open_link(&to_a, TRANSPORT);
        assert_eq!(replaced.recv().await, Err(SignalingError::Closed));
        drop(replaced);
        pair.exchanges[0].open_link(&to_b, TRANSPORT).send("offer".into()).await.unwrap();
        let quiet = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(quiet, next_message(&pair.exchanges[1])).await.is_err());
        assert_eq!(current.recv().await.unwrap(), "offer");
        drop(current);
        assert!(pair.exchanges[1].links.lock().is_empty());
    }

    #[tokio::test]
    async fn another_secret_is_refused_with_a_reason() {
        let pair = pair([1, 2]);
        let knock = Message::Knock { version: Message::VERSION, transports: vec![TRANSPORT] };
        pair.exchanges[0].send(pair.peers[1], &knock).await.unwrap();
        let event = next_message(&pair.exchanges[1]).await;
        assert_eq!(event, ExchangeEvent::Refused { from: pair.peers[0], why: SealError::Forged });
    }
}
