//! The private words of one dial.

use std::{fmt, sync::Weak};

use tokio::sync::{Mutex, mpsc};

use super::{
    Exchange, Message, SignalingError,
    exchange::{LinkKey, MAILBOX},
};

/// The private text channel of one dial attempt between two peers. Sealed like everything that goes through
/// an [`Exchange`]: what arrives was said by somebody who holds the session's secret.
///
/// A connector finds it in [`Target::signaling`](crate::Target::signaling). Dropping it ends it.
pub struct LinkChannel {
    inbox: Mutex<mpsc::Receiver<String>>,
    outbox: Outbox,
}

enum Outbox {
    Exchange(Weak<Exchange>, LinkKey),
    Memory(mpsc::Sender<String>),
}

impl LinkChannel {
    pub(super) fn through(exchange: Weak<Exchange>, key: LinkKey, inbox: mpsc::Receiver<String>) -> Self {
        Self { inbox: Mutex::new(inbox), outbox: Outbox::Exchange(exchange, key) }
    }

    /// Makes the two ends of a channel in one process, for tests of connectors.
    pub fn pair() -> (Self, Self) {
        let (to_a, from_b) = mpsc::channel(MAILBOX);
        let (to_b, from_a) = mpsc::channel(MAILBOX);
        let end = |inbox, outbox| Self { inbox: Mutex::new(inbox), outbox: Outbox::Memory(outbox) };
        (end(from_b, to_b), end(from_a, to_a))
    }

    /// Says something to the other side's connector.
    ///
    /// # Errors
    ///
    /// [`SignalingError`] when it certainly did not leave.
    pub async fn send(&self, body: String) -> Result<(), SignalingError> {
        match &self.outbox {
            Outbox::Exchange(exchange, key) => {
                let exchange = exchange.upgrade().ok_or(SignalingError::Closed)?;
                let (peer, transport, generation) = key.clone();
                exchange.send(peer, &Message::Link { transport, generation, body }).await
            }
            Outbox::Memory(other) => other.send(body).await.map_err(|_| SignalingError::Closed),
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
        self.inbox.lock().await.recv().await.ok_or(SignalingError::Closed)
    }
}

impl fmt::Debug for LinkChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkChannel").finish_non_exhaustive()
    }
}

impl Drop for LinkChannel {
    fn drop(&mut self) {
        if let Outbox::Exchange(exchange, key) = &self.outbox
            && let Some(exchange) = exchange.upgrade()
        {
            exchange.close_link(key, self.inbox.get_mut());
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
