//! What this node says, in order, many words at a time.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use ::redis::Pipeline;
use beach_lifeguard_client::signaling::FromRoom;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{ALL, Inner, channel_of};
use crate::store::{
    StoreError,
    pool::{Entry, Heard, NodeId, Word},
};

/// The near end of the queue.
#[derive(Debug)]
pub(super) struct Mouth {
    queue: mpsc::Sender<Saying>,
    /// Bytes that wait.
    waiting: Arc<AtomicUsize>,
}

#[derive(Debug)]
pub(super) enum Saying {
    Say { channel: String, json: String, word: Word },
    Rise { session: Uuid, peer: Uuid, entry: Entry },
}

/// The far end.
#[derive(Debug)]
pub(super) struct Said {
    queue: mpsc::Receiver<Saying>,
    waiting: Arc<AtomicUsize>,
}

impl Mouth {
    pub(super) fn new() -> (Self, Said) {
        let (to_queue, queue) = mpsc::channel(SAYINGS);
        let waiting = Arc::new(AtomicUsize::new(0));
        (Self { queue: to_queue, waiting: waiting.clone() }, Said { queue, waiting })
    }

    /// Queues a word; `false` when as much waits as may.
    pub(super) fn say(&self, channel: String, word: Word) -> bool {
        let Ok(json) = serde_json::to_string(&word) else { return false };
        let bytes = json.len();
        if self.waiting.fetch_add(bytes, Relaxed) + bytes > BYTES
            || self.queue.try_send(Saying::Say { channel, json, word }).is_err()
        {
            self.waiting.fetch_sub(bytes, Relaxed);
            return false;
        }
        true
    }

    /// Queues the end of a seat. One that finds no place ends when its node does.
    pub(super) fn rise(&self, session: Uuid, peer: Uuid, entry: Entry) {
        let rise = Saying::Rise { session, peer, entry };
        if matches!(self.queue.try_send(rise), Err(TrySendError::Full(_))) {
            tracing::warn!("more members leave than the store can take");
        }
    }
}

/// Says what is queued until `stop`, and then what is still queued, for a moment.
pub(super) async fn run(
    pool: Weak<Inner>,
    mut said: Said,
    hear: mpsc::Sender<Heard>,
    stop: CancellationToken,
) {
    let mut late = VecDeque::new();
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            _ = said.queue.recv_many(&mut batch, BATCH) => {}
            () = sleep(AGAIN), if !late.is_empty() => batch.extend(late.drain(..)),
            () = stop.cancelled() => break,
        }
        let Some(pool) = pool.upgrade() else { return };
        if batch.is_empty() {
            return;
        }
        said.waiting.fetch_sub(batch.iter().map(Saying::bytes).sum(), Relaxed);
        say(&pool, &mut batch, &mut late, &hear).await;
    }
    // The members' goodbyes come after `stop`: whoever stays hears that they left.
    let last = async {
        while said.queue.recv_many(&mut batch, BATCH).await > 0 {
            let Some(pool) = pool.upgrade() else { return };
            say(&pool, &mut batch, &mut late, &hear).await;
        }
    };
    let _ = timeout(LAST_WORDS, last).await;
}

impl Saying {
    fn bytes(&self) -> usize {
        if let Self::Say { json, .. } = self { json.len() } else { 0 }
    }
}

async fn say(pool: &Inner, batch: &mut Vec<Saying>, late: &mut VecDeque<Saying>, hear: &mpsc::Sender<Heard>) {
    let mut words = Vec::new();
    for saying in batch.drain(..) {
        match saying {
            Saying::Say { channel, json, word } => words.push((channel, json, word)),
            Saying::Rise { session, peer, entry } => {
                // In order: what a member said goes before its leaving.
                publish(pool, &mut words, hear).await;
                match rise(pool, session, peer, entry).await {
                    Ok(left) => words.extend(left),
                    Err(_) if late.len() < SAYINGS => late.push_back(saying),
                    Err(_) => {}
                }
            }
        }
    }
    publish(pool, &mut words, hear).await;
}

/// Returns what is to be said of it.
async fn rise(
    pool: &Inner,
    session: Uuid,
    peer: Uuid,
    entry: Entry,
) -> Result<Vec<(String, String, Word)>, StoreError> {
    let mut connection = pool.redis.connection();
    let call = pool.scripts.rise(session, peer, entry);
    let nodes: Vec<String> = pool.redis.ask(call.invoke_async(&mut connection)).await?;
    let word = Word::Left { session, peer, entry };
    let Ok(json) = serde_json::to_string(&word) else { return Ok(Vec::new()) };
    let others = nodes.iter().filter_map(|node| NodeId::parse(node)).filter(|node| *node != pool.node);
    Ok(others.map(|node| (channel_of(node), json.clone(), word.clone())).collect())
}

/// Says the words. Who sent what nobody heard is told so.
async fn publish(pool: &Inner, words: &mut Vec<(String, String, Word)>, hear: &mpsc::Sender<Heard>) {
    if words.is_empty() {
        return;
    }
    let mut pipeline = Pipeline::with_capacity(words.len());
    for (channel, json, _) in &*words {
        pipeline.cmd("PUBLISH").arg(channel).arg(json);
    }
    let connection = pool.redis.connection();
    let heard = pool.redis.ask(connection.publish(&pipeline, pool.node.0)).await;
    // A server of a Cluster counts those who listen to it, and not those who listen to the others. There a node that lives
    // is taken to have heard.
    let living: Option<HashSet<String>> =
        pool.redis.is_cluster().then(|| pool.nodes.read().keys().copied().map(channel_of).collect());
    let was_heard = |n: usize, channel: &str| match (&heard, &living) {
        (Ok(_), Some(living)) => channel == ALL || living.contains(channel),
        (Ok(heard), None) => heard.get(n).is_some_and(|heard| *heard > 0),
        (Err(_), _) => false,
    };
    let mut missed = false;
    for (n, (channel, _, word)) in words.drain(..).enumerate() {
        if was_heard(n, &channel) {
            continue;
        }
        match word {
            Word::For { session, to, origin, message: FromRoom::Envelope { from, .. } } => {
                let undelivered =
                    Word::For { session, to: from, origin, message: FromRoom::Undelivered { to } };
                // A full ear hears of it when it compares.
                let _ = hear.try_send(Heard::Word(undelivered));
            }
            // The store is away, so others do not know what they should; a node that is gone need not.
            _ => missed |= heard.is_err(),
        }
    }
    if missed {
        let _ = hear.try_send(Heard::Again);
    }
}

/// Words that may wait: seconds of a busy node.
const SAYINGS: usize = 8_192;
/// Bytes of them.
const BYTES: usize = 16 * 1024 * 1024;
/// Words in one round trip.
const BATCH: usize = 64;
/// Between two tries to give up a seat.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a node that stops still speaks.
const LAST_WORDS: Duration = Duration::from_secs(2);
