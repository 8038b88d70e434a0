//! What is typed, on its way to the session.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use negotiator::Session;
use tokio::time::timeout;

use crate::wire::Message;

/// Messages that the session has no room for yet. While there are any, nothing more is read from the keyboard,
/// so it holds one paste at most; the screen goes on meanwhile.
pub(super) struct Outbox<'a> {
    session: &'a Session,
    waiting: VecDeque<Bytes>,
}

impl<'a> Outbox<'a> {
    pub(super) fn new(session: &'a Session) -> Self {
        Self { session, waiting: VecDeque::new() }
    }

    pub(super) fn has_room(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn push(&mut self, message: Message) {
        self.waiting.push_back(message.encode());
    }

    pub(super) fn extend(&mut self, messages: impl IntoIterator<Item = Message>) {
        messages.into_iter().for_each(|message| self.push(message));
    }

    /// Hands everything over; waits for ever when there is nothing.
    ///
    /// Cancel safe: a message leaves the queue when the session took it.
    pub(super) async fn drain(&mut self) {
        if self.waiting.is_empty() {
            std::future::pending::<()>().await;
        }
        while let Some(message) = self.waiting.front().cloned() {
            // The end of the session is told by `recv`.
            let _ = self.session.send(message).await;
            self.waiting.pop_front();
        }
    }

    /// Hands everything over, if that is possible soon.
    pub(super) async fn flush(&mut self) {
        if !self.waiting.is_empty() {
            let _ = timeout(FLUSH, self.drain()).await;
        }
    }
}

/// How long leaving waits for a session that takes nothing.
const FLUSH: Duration = Duration::from_secs(2);
