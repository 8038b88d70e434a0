//! A session's words to its peer, through signaling.

use std::sync::Arc;

use tokio::sync::mpsc;
use transport_core::{
    PeerId,
    signaling::{Exchange, Message, SignalingError},
};

use crate::runtime::{Duration, JoinSet, sleep, timeout};

/// Says words one after the other, in a task of its own, which ends with it.
#[derive(Debug)]
pub(super) struct Voice {
    words: mpsc::Sender<Message>,
    speaker: JoinSet<()>,
}

impl Voice {
    pub(super) fn new(exchange: Arc<Exchange>, peer: PeerId) -> Self {
        let (words, waiting) = mpsc::channel(WORDS);
        let mut speaker = JoinSet::new();
        speaker.spawn(speak(exchange, peer, waiting));
        Self { words, speaker }
    }

    pub(super) fn say(&self, message: Message) {
        let is_fleeting = matches!(message, Message::Answer { .. } | Message::Ask { .. });
        if is_fleeting && self.words.capacity() < WORDS {
            // Behind a word that waits it would come too late, and it must not keep a dial waiting.
            return;
        }
        // Full: signaling has been away for a long time, and what waits there is stale too.
        if self.words.try_send(message).is_err() {
            tracing::debug!("signaling is too far behind; a message was dropped");
        }
    }

    /// Waits until everything said has left.
    pub(super) async fn finish(self) {
        let Self { words, mut speaker } = self;
        drop(words);
        while speaker.join_next().await.is_some() {}
    }
}

/// Gives each word [`WORD`] to leave. While the room is away a word waits for it: a dial that was never announced would
/// cost its whole deadline.
async fn speak(exchange: Arc<Exchange>, peer: PeerId, mut words: mpsc::Receiver<Message>) {
    while let Some(message) = words.recv().await {
        let said = async {
            loop {
                match exchange.send(peer, &message).await {
                    Err(SignalingError::Unreachable { .. }) => sleep(AGAIN).await,
                    other => return other,
                }
            }
        };
        match timeout(WORD, said).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a signaling message was not sent"),
            Err(_) => tracing::debug!("signaling took too long; a message was dropped"),
        }
    }
}

/// How long one signaling message may take to leave.
const WORD: Duration = Duration::from_secs(5);
/// How soon a signaling message is tried again while the room is away.
const AGAIN: Duration = Duration::from_millis(200);
/// Signaling messages that may wait.
const WORDS: usize = 64;
