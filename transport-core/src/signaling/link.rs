//! The private words of one dial.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::{
    Exchange, Message, SignalingError,
    mailboxes::{Found, LinkKey, MAILBOX, Mailboxes},
};

/// The private text channel of one dial attempt between two peers. Sealed like everything that goes through
/// an [`Exchange`]: what arrives was said by the peer of the dial and nobody else.
///
/// A connector finds it in [`Target::signaling`](crate::Target::signaling). Dropping it ends it.
pub struct LinkChannel(Carrier);

enum Carrier {
    Exchange {
        exchange: Weak<Exchange>,
        mailboxes: Arc<Mutex<Mailboxes>>,
        key: LinkKey,
        ticket: u64,
        wake: Arc<Notify>,
    },
    Memory {
        inbox: tokio::sync::Mutex<mpsc::Receiver<String>>,
        outbox: mpsc::Sender<String>,
    },
}

impl LinkChannel {
    pub(super) fn through(exchange: Weak<Exchange>, mailboxes: Arc<Mutex<Mailboxes>>, key: LinkKey) -> Self {
        let wake = Arc::new(Notify::new());
        let ticket = mailboxes.lock().open(&key, wake.clone());
        Self(Carrier::Exchange { exchange, mailboxes, key, ticket, wake })
    }

    /// Makes the two ends of a channel in one process, for tests of connectors.
    pub fn pair() -> (Self, Self) {
        let (to_a, from_b) = mpsc::channel(MAILBOX);
        let (to_b, from_a) = mpsc::channel(MAILBOX);
        let end = |inbox, outbox| Self(Carrier::Memory { inbox: tokio::sync::Mutex::new(inbox), outbox });
        (end(from_b, to_b), end(from_a, to_a))
    }

    /// Says something to the other side's connector.
    ///
    /// # Errors
    ///
    /// [`SignalingError`] when it certainly did not leave.
    pub async fn send(&self, body: String) -> Result<(), SignalingError> {
        match &self.0 {
            Carrier::Exchange { exchange, key, .. } => {
                let exchange = exchange.upgrade().ok_or(SignalingError::Closed)?;
                let (peer, transport, generation) = key.clone();
                exchange.send(peer, &Message::Link { transport, generation, body }).await
            }
            Carrier::Memory { outbox, .. } => outbox.send(body).await.map_err(|_| SignalingError::Closed),
        }
    }

    /// Waits for what the other side's connector says.
    ///
    /// # Errors
    ///
    /// [`SignalingError::Closed`] when the session's signaling ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn recv(&self) -> Result<String, SignalingError> {
        match &self.0 {
            Carrier::Exchange { mailboxes, key, ticket, wake, .. } => loop {
                let found = mailboxes.lock().read(key, *ticket);
                match found {
                    Found::Closed => {
                        // Another reader of this channel learns it too.
                        wake.notify_one();
                        return Err(SignalingError::Closed);
                    }
                    Found::Message(message) => return Ok(message),
                    // What came meanwhile left a permit.
                    Found::Nothing => wake.notified().await,
                }
            },
            Carrier::Memory { inbox, .. } => inbox.lock().await.recv().await.ok_or(SignalingError::Closed),
        }
    }
}

impl fmt::Debug for LinkChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkChannel").finish_non_exhaustive()
    }
}

impl Drop for LinkChannel {
    fn drop(&mut self) {
        if let Carrier::Exchange { mailboxes, key, ticket, .. } = &self.0 {
            mailboxes.lock().close(key, *ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_ends_of_a_pair_hear_each_other_until_one_is_dropped() {
        let (a, b) = LinkChannel::pair();
        a.send("offer".into()).await.unwrap();
        b.send("answer".into()).await.unwrap();
        assert_eq!((b.recv().await.unwrap(), a.recv().await.unwrap()), ("offer".into(), "answer".into()));
        drop(b);
        assert_eq!(a.send("again".into()).await, Err(SignalingError::Closed));
        assert_eq!(a.recv().await, Err(SignalingError::Closed));
    }
}
