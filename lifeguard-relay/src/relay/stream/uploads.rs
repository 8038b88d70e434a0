//! What a carrier's client sent: each upload once, in order, one at a time.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use beach_lifeguard_client::stream::{Sequence, Turn};
use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use tokio::{
    io::ReadBuf,
    sync::{Notify, Semaphore, SemaphorePermit},
};

use crate::listen::Stranger;

/// The way from a client's requests to its socket.
#[derive(Debug)]
pub(super) struct Uploads {
    state: Mutex<State>,
    /// An upload may be taken, or none will be any more.
    room: Notify,
    /// Requests of this carrier that may be under way.
    places: Semaphore,
    /// Whoever opened it; no stranger any more once its hello was accepted.
    opener: Option<Arc<Stranger>>,
}

#[derive(Debug)]
struct State {
    sequence: Sequence,
    /// Taken, and not read by the socket yet.
    waiting: Bytes,
    reader: Option<Waker>,
    ended: bool,
}

/// What became of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Uploaded {
    /// It came before the one it follows.
    Early,
    /// The carrier has ended.
    Gone,
    /// It was taken before; nothing was delivered again.
    Repeated,
    /// It will be read.
    Taken,
}

impl Uploads {
    pub(super) fn new(first: Bytes, opener: Option<Arc<Stranger>>) -> Self {
        let state = State { sequence: Sequence::default(), waiting: first, reader: None, ended: false };
        Self { state: Mutex::new(state), room: Notify::new(), places: Semaphore::new(PLACES), opener }
    }

    /// Whether its client has proven who it is, as far as our listener knows.
    pub(super) fn is_admitted(&self) -> bool {
        self.opener.as_ref().is_none_or(|opener| opener.is_proven())
    }

    /// Lets one request in, before its body is read.
    pub(super) fn enter(&self) -> Option<SemaphorePermit<'_>> {
        self.places.try_acquire().ok()
    }

    /// Takes an upload as soon as the socket has read the one before: a sender that is held gets its answer late.
    ///
    /// # Cancel safety
    ///
    /// Taken whole or not at all.
    pub(super) async fn take(&self, number: u64, body: Bytes) -> Uploaded {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            {
                let mut state = self.state.lock();
                match state.sequence.judge(number) {
                    _ if state.ended => return Uploaded::Gone,
                    Turn::Early => return Uploaded::Early,
                    Turn::Repeated => return Uploaded::Repeated,
                    Turn::Next if state.waiting.is_empty() => {
                        state.sequence.advance();
                        state.waiting = body;
                        if let Some(reader) = state.reader.take() {
                            reader.wake();
                        }
                        return Uploaded::Taken;
                    }
                    Turn::Next => {}
                }
            }
            room.await;
        }
    }

    /// Reads what was taken.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.waiting.is_empty() {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let read = to.remaining().min(state.waiting.len());
        to.put_slice(&state.waiting[..read]);
        state.waiting.advance(read);
        if state.waiting.is_empty() {
            state.waiting = Bytes::new();
            self.room.notify_waiters();
        }
        Poll::Ready(())
    }

    /// Takes nothing any more.
    pub(super) fn end(&self) {
        self.state.lock().ended = true;
        self.room.notify_waiters();
    }
}

/// One, and its repetition by a proxy that has given up waiting.
const PLACES: usize = 2;

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use tokio::time::timeout;

    use super::*;

    async fn read(uploads: &Uploads) -> Vec<u8> {
        let mut bytes = [0; 4];
        let mut buffer = ReadBuf::new(&mut bytes);
        poll_fn(|cx| uploads.poll_read(cx, &mut buffer)).await;
        buffer.filled().to_vec()
    }

    #[tokio::test]
    async fn an_upload_that_is_repeated_is_read_once() {
        let uploads = Uploads::new(Bytes::new(), None);
        assert_eq!(uploads.take(2, "no".into()).await, Uploaded::Early);
        assert_eq!(uploads.take(1, "one".into()).await, Uploaded::Taken);
        assert_eq!(uploads.take(1, "one".into()).await, Uploaded::Repeated);
        assert_eq!(read(&uploads).await, b"one");
        assert_eq!(uploads.take(2, "two".into()).await, Uploaded::Taken);
        assert_eq!(uploads.take(1, "one".into()).await, Uploaded::Repeated);
        assert_eq!(read(&uploads).await, b"two");
        uploads.end();
        assert_eq!(uploads.take(3, "late".into()).await, Uploaded::Gone);
    }

    #[tokio::test]
    async fn the_next_one_waits_until_the_former_is_read_and_a_request_that_is_given_up_was_not_taken() {
        let uploads = Uploads::new("hello".into(), None);
        let soon = Duration::from_millis(20);
        assert!(timeout(soon, uploads.take(1, "one".into())).await.is_err(), "the hello was not read");
        assert_eq!((read(&uploads).await, read(&uploads).await), (b"hell".to_vec(), b"o".to_vec()));
        assert_eq!(uploads.take(1, "two".into()).await, Uploaded::Taken);
        assert_eq!(read(&uploads).await, b"two");
    }

    #[tokio::test]
    async fn two_requests_are_let_in_at_a_time() {
        let uploads = Uploads::new(Bytes::new(), None);
        let places = [uploads.enter(), uploads.enter()];
        assert!(places.iter().all(Option::is_some) && uploads.enter().is_none());
        drop(places);
        assert!(uploads.enter().is_some());
    }
}
