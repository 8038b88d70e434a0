//! A stream of judged messages in one direction, whatever carries it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use conformance::history::{Author, Judge, Stream, Verdict};
use tokio::{task::JoinHandle, time::sleep};

/// Where messages are put in.
pub(crate) trait Mouth: Send + 'static {
    fn say(&mut self, message: Bytes) -> impl Future<Output = ()> + Send;
    /// The last word; nothing comes behind it.
    fn hush(self) -> impl Future<Output = ()> + Send;
}

/// Where they come out.
pub(crate) trait Ear: Send + 'static {
    /// `None` after the last word.
    fn hear(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

/// One direction of one session.
pub(crate) struct Talk {
    written: Arc<AtomicU64>,
    delivered: Arc<AtomicU64>,
    task: JoinHandle<Verdict>,
}

impl Talk {
    /// Begins to talk, fifty times a second, until `stop`.
    pub(crate) fn start(
        mut mouth: impl Mouth,
        mut ear: impl Ear,
        stream: Stream,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let (written, delivered) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (count, next) = (written.clone(), delivered.clone());
        let task = tokio::spawn(async move {
            let writing = async move {
                let mut author = Author::new(stream);
                while !stop.load(Ordering::Acquire) {
                    // Sizes of keystrokes, lines and screens.
                    let size = 30 + (author.written() * 977 % 6_000) as usize;
                    mouth.say(author.write(size)).await;
                    count.store(author.written(), Ordering::Release);
                    sleep(PAUSE).await;
                }
                mouth.hush().await;
                author.written()
            };
            let reading = async move {
                let mut judge = Judge::new(stream);
                while let Some(message) = ear.hear().await {
                    judge.delivered(&message);
                    next.store(judge.next(), Ordering::Release);
                }
                judge
            };
            let (written, judge) = tokio::join!(writing, reading);
            judge.verdict(written)
        });
        Self { written, delivered, task }
    }

    /// How many messages were written up to now.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Says whether something written after the first `mark` messages arrived.
    pub(crate) fn is_past(&self, mark: u64) -> bool {
        self.delivered.load(Ordering::Acquire) > mark
    }

    /// Waits for the last word, and judges.
    pub(crate) async fn verdict(self) -> Verdict {
        self.task.await.expect("a verdict")
    }
}

/// Between two messages.
const PAUSE: Duration = Duration::from_millis(20);
