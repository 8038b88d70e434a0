//! Host and session for synchronous callers; the session in the shape of Beach's own `Transport` trait.

mod host;

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::runtime::{Handle, Runtime};

pub use self::host::{AcceptError, BlockingHost};
#[cfg(feature = "control-plane")]
use crate::{config::NetworkConfig, error::JoinError, link::JoinLink, negotiator::Negotiator};
use crate::{
    error::{SendError, SessionEnd},
    runtime::{self, Duration},
    session::{Received, Session},
};

/// A [`Session`] without `async`. Must not be called from inside an asynchronous task: it blocks.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use negotiator::{JoinLink, NetworkConfig, blocking::{BlockingSession, Payload, RecvError}};
///
/// fn talk(link: JoinLink) -> Result<(), Box<dyn std::error::Error>> {
///     let session = BlockingSession::join(link, NetworkConfig::default())?;
///     session.send(&Payload::Text("hello".to_owned()))?;
///     match session.recv(Duration::from_secs(5)) {
///         Ok(message) => println!("{}: {:?}", message.sequence, message.payload),
///         Err(RecvError::TimedOut) => println!("nothing to hear"),
///         Err(over) => return Err(over.into()),
///     }
///     session.close();
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct BlockingSession {
    session: Session,
    runtime: Handle,
    /// Present when this session or its host started its own. It ends with the last of them.
    _own: Option<Arc<Runtime>>,
    /// The number of the next payload. Held while one is sent: numbers are taken in the order of the messages, by those
    /// alone that were accepted.
    next: Mutex<u64>,
}

/// What Beach sends: text or bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Bytes.
    Binary(Vec<u8>),
    /// UTF-8.
    Text(String),
}

/// A received payload and the number its sender gave it.
///
/// On the session's reliable lane: `u8` type (0 text, 1 binary), `u64` sequence big-endian, payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportMessage {
    /// Counted by the sender from 0, one per message.
    pub sequence: u64,
    /// Text or bytes.
    pub payload: Payload,
}

/// Why [`BlockingSession::recv`] returned nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// The peer sent something that is no [`TransportMessage`].
    #[error("the peer sent a message of another form")]
    Malformed,
    /// The session is over.
    #[error(transparent)]
    Ended(#[from] SessionEnd),
    /// Nothing came in time.
    #[error("nothing arrived in time")]
    TimedOut,
}

impl BlockingSession {
    /// Joins a session with a runtime of its own.
    ///
    /// # Errors
    ///
    /// [`JoinError`], as [`Negotiator::connect`].
    #[cfg(feature = "control-plane")]
    pub fn join(link: JoinLink, config: NetworkConfig) -> Result<Self, JoinError> {
        let runtime = start_runtime().map_err(JoinError::Runtime)?;
        let session = runtime.block_on(Negotiator::new(link, config).connect())?;
        Ok(Self {
            session,
            runtime: runtime.handle().clone(),
            _own: Some(Arc::new(runtime)),
            next: Mutex::new(0),
        })
    }

    /// Wraps a session that lives on `runtime`.
    pub fn new(session: Session, runtime: Handle) -> Self {
        Self { session, runtime, _own: None, next: Mutex::new(0) }
    }

    /// Sends one payload, waiting while the session holds as much as it may. Returns its number: one more than that of the
    /// last that was sent.
    ///
    /// # Errors
    ///
    /// [`SendError`] when the session is over or the payload too large. No number was taken then.
    pub fn send(&self, payload: &Payload) -> Result<u64, SendError> {
        let mut next = self.next.lock();
        let sequence = *next;
        self.runtime.block_on(self.session.send(encode(sequence, payload)))?;
        *next = sequence.saturating_add(1);
        Ok(sequence)
    }

    /// Sends one payload under a number of the caller's, waiting as [`send`](Self::send) does, which goes on behind it.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_message(&self, message: &TransportMessage) -> Result<(), SendError> {
        let mut next = self.next.lock();
        self.runtime.block_on(self.session.send(encode(message.sequence, &message.payload)))?;
        *next = (*next).max(message.sequence.saturating_add(1));
        Ok(())
    }

    /// Waits for the next payload, at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn recv(&self, timeout: Duration) -> Result<TransportMessage, RecvError> {
        self.runtime.block_on(async {
            runtime::timeout(timeout, self.next()).await.unwrap_or(Err(RecvError::TimedOut))
        })
    }

    /// Takes a payload that has already arrived.
    ///
    /// # Errors
    ///
    /// [`RecvError`], never `TimedOut`.
    pub fn try_recv(&self) -> Result<Option<TransportMessage>, RecvError> {
        while let Some(received) = self.session.try_recv()? {
            if let Received::Message(bytes) = received {
                return decode(bytes).map(Some);
            }
        }
        Ok(None)
    }

    /// Returns the session, for events, `explain()` and `close()`.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Closes the session after everything sent was acknowledged, or its linger time passed.
    pub fn close(&self) {
        self.runtime.block_on(self.session.close());
    }

    async fn next(&self) -> Result<TransportMessage, RecvError> {
        loop {
            if let Received::Message(bytes) = self.session.recv().await? {
                return decode(bytes);
            }
        }
    }
}

#[cfg(any(test, feature = "control-plane"))]
fn start_runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}

fn encode(sequence: u64, payload: &Payload) -> Bytes {
    let (kind, body) = match payload {
        Payload::Text(text) => (TEXT, text.as_bytes()),
        Payload::Binary(bytes) => (BINARY, bytes.as_slice()),
    };
    let mut message = BytesMut::with_capacity(HEADER + body.len());
    message.put_u8(kind);
    message.put_u64(sequence);
    message.put_slice(body);
    message.freeze()
}

fn decode(message: Bytes) -> Result<TransportMessage, RecvError> {
    let (header, body) = message.split_first_chunk::<HEADER>().ok_or(RecvError::Malformed)?;
    let [kind, sequence @ ..] = *header;
    let payload = match kind {
        TEXT => String::from_utf8(body.to_vec()).map(Payload::Text).map_err(|_| RecvError::Malformed)?,
        BINARY => Payload::Binary(body.to_vec()),
        _ => return Err(RecvError::Malformed),
    };
    Ok(TransportMessage { sequence: u64::from_be_bytes(sequence), payload })
}

const TEXT: u8 = 0;
const BINARY: u8 = 1;
const HEADER: usize = 9;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::MemoryNetwork;

    #[test]
    fn a_number_is_taken_by_what_was_sent_and_by_nothing_else() {
        let runtime = start_runtime().unwrap();
        let pair = runtime.block_on(MemoryNetwork::new().pair()).unwrap();
        let sender = BlockingSession::new(pair.viewer.clone(), runtime.handle().clone());
        let receiver = BlockingSession::new(pair.hosted.clone(), runtime.handle().clone());
        let text = |words: &str| Payload::Text(words.to_owned());
        assert_eq!(sender.send(&text("first")).unwrap(), 0);
        let huge = Payload::Binary(vec![0; 2 * 1024 * 1024]);
        assert!(matches!(sender.send(&huge), Err(SendError::Size { .. })));
        assert_eq!(sender.send(&text("second")).unwrap(), 1);
        let message = TransportMessage { sequence: 9, payload: text("of the caller's") };
        sender.send_message(&message).unwrap();
        assert_eq!(sender.send(&text("behind it")).unwrap(), 10);
        let heard = || receiver.recv(Duration::from_secs(60)).unwrap().sequence;
        assert_eq!([heard(), heard(), heard(), heard()], [0, 1, 9, 10]);
        runtime.block_on(pair.host.close());
    }

    proptest! {
        #[test]
        fn payloads_survive_the_round_trip(sequence: u64, text: String, bytes: Vec<u8>) {
            for payload in [Payload::Text(text.clone()), Payload::Binary(bytes.clone())] {
                let decoded = decode(encode(sequence, &payload)).unwrap();
                prop_assert_eq!(decoded, TransportMessage { sequence, payload });
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode(bytes.into());
        }
    }
}
