//! Totals on their way to the store: once a second, and never waited for by anybody who sends.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{DEADLINE, SessionFigures, Store, Totals};
use crate::telemetry::metrics::Metrics;

/// Sends what this node forwarded to the store. While the store does not answer, sums grow in place:
/// three numbers, and one entry for each of at most `MOST_WAITING` sessions.
#[derive(Debug)]
pub struct Flusher {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    /// What the counters said when they were last looked at.
    seen: [u64; 3],
    seen_sessions: HashMap<Uuid, u64>,
    /// What is not yet in a batch.
    waiting: Waiting,
    /// A batch that was sent and not confirmed: it goes again as it was.
    sent: Option<(Uuid, Totals)>,
}

/// Sums since the last batch.
#[derive(Debug, Default)]
struct Waiting {
    sums: [u64; 3],
    sessions: HashMap<Uuid, SessionFigures>,
}

/// What a node can tell of one session whose people agreed to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTotals {
    /// Which.
    pub session: Uuid,
    /// Its sockets at this moment.
    pub connections: u64,
    /// Messages delivered since it began here.
    pub messages: u64,
}

impl Flusher {
    /// Starts from what the counters say now: what came before belongs to nobody.
    pub fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        let seen = read(&metrics);
        Self { store, metrics, seen, seen_sessions: HashMap::new(), waiting: Waiting::default(), sent: None }
    }

    /// Flushes every second until `stop`, and once more then. `sessions` lists those whose people agreed
    /// to telemetry; the others never leave this process.
    pub async fn run(mut self, sessions: impl Fn() -> Vec<SessionTotals> + Send, stop: CancellationToken) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let last = tokio::select! {
                () = stop.cancelled() => true,
                _ = tick.tick() => false,
            };
            self.collect(sessions());
            self.flush().await;
            if last {
                return;
            }
        }
    }

    /// Adds what has happened since the last look.
    fn collect(&mut self, sessions: Vec<SessionTotals>) {
        let now = read(&self.metrics);
        for ((sum, seen), now) in self.waiting.sums.iter_mut().zip(&mut self.seen).zip(now) {
            *sum += now.saturating_sub(*seen);
            *seen = now;
        }
        let mut gone = std::mem::take(&mut self.seen_sessions);
        for known in sessions {
            let before = gone.remove(&known.session);
            let messages = known.messages.saturating_sub(before.unwrap_or(0));
            if before.is_none() || messages > 0 {
                self.waiting.note(known.session, known.connections, messages);
            }
            self.seen_sessions.insert(known.session, known.messages);
        }
        for session in gone.into_keys() {
            self.waiting.note(session, 0, 0);
        }
    }

    async fn flush(&mut self) {
        if self.sent.is_none() {
            let totals = self.waiting.take();
            self.sent = (!totals.is_empty()).then(|| (Uuid::new_v4(), totals));
        }
        if let Some((batch, totals)) = &self.sent {
            match timeout(DEADLINE, self.store.add_totals(*batch, totals)).await {
                Ok(Ok(())) => self.sent = None,
                Ok(Err(_)) | Err(_) => self.metrics.store_failed("counters"),
            }
        }
        let sent = self.sent.as_ref().map_or(0, |(_, totals)| 1 + totals.sessions.len());
        self.metrics.store_backlog(sent + self.waiting.sessions.len());
    }
}

impl Waiting {
    fn note(&mut self, session: Uuid, connections_active: u64, messages: u64) {
        if self.sessions.len() >= MOST_WAITING && !self.sessions.contains_key(&session) {
            return;
        }
        let fresh = SessionFigures { session, connections_active, messages_forwarded: 0 };
        let figures = self.sessions.entry(session).or_insert(fresh);
        figures.connections_active = connections_active;
        figures.messages_forwarded += messages;
    }

    /// Takes as much as one batch carries.
    fn take(&mut self) -> Totals {
        let [connections, messages, bytes] = std::mem::take(&mut self.sums);
        let some: Vec<Uuid> = self.sessions.keys().take(Totals::MOST_SESSIONS).copied().collect();
        let sessions = some.iter().filter_map(|session| self.sessions.remove(session)).collect();
        Totals { connections, messages, bytes, sessions }
    }
}

fn read(metrics: &Metrics) -> [u64; 3] {
    ["connections", "messages_forwarded", "bytes_forwarded"]
        .map(|name| metrics.read(&format!("beach_lifeguard_{name}"), &[]))
}

/// Between two batches.
const EVERY: Duration = Duration::from_secs(1);

/// Sessions that may wait for the store; figures of more than that are not kept per session.
const MOST_WAITING: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn everything_forwarded_is_in_the_store_once() {
        let (store, metrics) = (Arc::new(MemoryStore::new()), Arc::new(Metrics::new()));
        metrics.forwarded([7], 1);
        let mut flusher = Flusher::new(store.clone(), metrics.clone());
        metrics.forwarded([100], 3);
        flusher.collect(Vec::new());
        flusher.flush().await;
        flusher.collect(Vec::new());
        flusher.flush().await;
        metrics.forwarded([1], 1);
        flusher.collect(Vec::new());
        flusher.flush().await;
        let totals = store.totals();
        assert_eq!((totals.messages, totals.bytes), (4, 301));
    }

    #[test]
    fn a_session_is_told_of_when_it_comes_changes_and_goes() {
        let mut flusher = Flusher::new(Arc::new(MemoryStore::new()), Arc::new(Metrics::new()));
        let session = Uuid::new_v4();
        let known = |connections, messages| vec![SessionTotals { session, connections, messages }];
        let mut step = |sessions: Vec<SessionTotals>| {
            flusher.collect(sessions);
            let told = flusher.waiting.take().sessions;
            told.first().map(|figures| (figures.connections_active, figures.messages_forwarded))
        };
        assert_eq!(step(known(1, 0)), Some((1, 0)));
        assert_eq!(step(known(2, 5)), Some((2, 5)));
        assert_eq!(step(known(2, 5)), None, "nothing new");
        assert_eq!(step(known(2, 6)), Some((2, 1)));
        assert_eq!(step(Vec::new()), Some((0, 0)));
        assert_eq!(step(Vec::new()), None);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut waiting = Waiting::default();
        for _ in 0..MOST_WAITING + 5 {
            waiting.note(Uuid::new_v4(), 1, 1);
        }
        assert_eq!(waiting.sessions.len(), MOST_WAITING);
        assert_eq!(waiting.take().sessions.len(), Totals::MOST_SESSIONS);
    }
}
