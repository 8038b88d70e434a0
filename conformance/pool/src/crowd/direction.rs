//! One direction of a session: who writes, who judges, and how long nothing came.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use conformance::history::{Author, Judge, Stream, Verdict};
use negotiator::{Received, Session};
use parking_lot::Mutex;
use tokio::{task::JoinHandle, time::sleep};

use super::Rhythm;

/// One direction of one session.
#[derive(Debug)]
pub struct Direction {
    heard: Arc<Heard>,
    task: JoinHandle<Verdict>,
}

#[derive(Debug)]
struct Heard {
    written: AtomicU64,
    delivered: AtomicU64,
    silence: Mutex<Silence>,
}

/// When something came last, and the longest wait since the watch began.
#[derive(Debug)]
struct Silence {
    last: Instant,
    longest: Duration,
}

impl Direction {
    /// Writes by the rhythm until `stop`, and then the last word.
    pub(super) fn start(
        from: Session,
        to: Session,
        stream: Stream,
        rhythm: Rhythm,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let silence = Mutex::new(Silence { last: Instant::now(), longest: Duration::ZERO });
        let heard = Arc::new(Heard { written: 0.into(), delivered: 0.into(), silence });
        let (told, noted) = (heard.clone(), heard.clone());
        let task = tokio::spawn(async move {
            let (written, judge) =
                tokio::join!(write(from, stream, rhythm, stop, told), read(to, stream, noted));
            judge.verdict(written)
        });
        Self { heard, task }
    }

    /// How many messages were written.
    pub(super) fn written(&self) -> u64 {
        self.heard.written.load(Ordering::Acquire)
    }

    /// Whether something that was written after the first `mark` has arrived.
    pub(super) fn is_past(&self, mark: u64) -> bool {
        self.heard.delivered.load(Ordering::Acquire) > mark
    }

    pub(super) fn watch(&self) {
        self.heard.silence.lock().longest = Duration::ZERO;
    }

    /// The longest wait that ended, or still lasts, since the watch began; from the last delivery before it.
    pub(super) fn silence(&self) -> Duration {
        let silence = self.heard.silence.lock();
        silence.longest.max(silence.last.elapsed())
    }

    /// Waits for the last word, and judges.
    pub(super) async fn verdict(self) -> Verdict {
        self.task.await.expect("neither end panics")
    }
}

async fn write(
    from: Session,
    stream: Stream,
    rhythm: Rhythm,
    stop: Arc<AtomicBool>,
    heard: Arc<Heard>,
) -> u64 {
    let mut author = Author::new(stream);
    // Not all sessions at one moment.
    sleep(rhythm.pause.mul_f64(rand::random())).await;
    while !stop.load(Ordering::Acquire) {
        from.send(author.write(rhythm.size)).await.expect("the session lives");
        heard.written.store(author.written(), Ordering::Release);
        sleep(rhythm.pause).await;
    }
    from.send(LAST_WORD.into()).await.expect("the session lives");
    author.written()
}

async fn read(to: Session, stream: Stream, heard: Arc<Heard>) -> Judge {
    let mut judge = Judge::new(stream);
    loop {
        match to.recv().await.expect("the session lives") {
            Received::Message(bytes) if bytes[..] == *LAST_WORD => return judge,
            Received::Message(bytes) => judge.delivered(&bytes),
            other => panic!("nobody sent {other:?}"),
        }
        heard.delivered.store(judge.next(), Ordering::Release);
        let mut silence = heard.silence.lock();
        silence.longest = silence.longest.max(silence.last.elapsed());
        silence.last = Instant::now();
    }
}

const LAST_WORD: &[u8] = b"the last word";
