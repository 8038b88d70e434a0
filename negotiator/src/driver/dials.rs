//! The dials of one session that are under way.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::Instant,
};
use transport_core::{
    ConnectError, ConnectErrorKind, DialRole, Generation, Target, TransportId, Verdict, policy::Class,
};

use crate::endpoint::{Endpoint, Sealed, Way};

/// Dials, each in its own task, aborted by dropping it.
#[derive(Debug)]
pub(super) struct Dials {
    tasks: JoinSet<()>,
    running: BTreeMap<Generation, (TransportId, AbortHandle)>,
    report: mpsc::Sender<DialReport>,
    reports: mpsc::Receiver<DialReport>,
}

/// What a dial tells.
#[derive(Debug)]
pub(super) struct DialReport {
    pub(super) generation: Generation,
    pub(super) transport: TransportId,
    pub(super) news: DialNews,
}

#[derive(Debug)]
pub(super) enum DialNews {
    /// An attempt failed, and another follows.
    Again(ConnectError),
    /// The path answered for the first time.
    Answered,
    Failed(ConnectError),
    Succeeded(Sealed),
}

impl Dials {
    pub(super) fn new() -> Self {
        let (report, reports) = mpsc::channel(RUNNING * 2);
        Self { tasks: JoinSet::new(), running: BTreeMap::new(), report, reports }
    }

    /// Starts one. Beyond [`RUNNING`] the oldest is abandoned: a peer cannot make this side hold more.
    pub(super) fn start(&mut self, endpoint: Arc<Endpoint>, way: Way, target: Target, deadline: Instant) {
        while self.running.len() >= RUNNING {
            let Some((_, (_, task))) = self.running.pop_first() else { break };
            task.abort();
        }
        let transport = way.rung.transport.clone();
        let generation = target.generation;
        let patient = target.role == DialRole::Answerer && way.rung.class == Class::Fallback;
        if patient {
            // The side that leads dials its fallback once at a time: over there an older one is over.
            let older = self.running.iter().filter(|(_, (of, _))| *of == transport);
            for generation in older.map(|(generation, _)| *generation).collect::<Vec<_>>() {
                self.cancel(generation);
            }
        }
        let attempt = Attempt { endpoint, way, target, patient, report: self.report.clone() };
        let task = self.tasks.spawn(attempt.run(deadline));
        self.running.insert(generation, (transport, task));
    }

    /// Says whether one is under way.
    pub(super) fn is_running(&self, generation: Generation) -> bool {
        self.running.contains_key(&generation)
    }

    /// Abandons one; says whether it was running.
    pub(super) fn cancel(&mut self, generation: Generation) -> bool {
        let task = self.running.remove(&generation);
        task.inspect(|(_, task)| task.abort()).is_some()
    }

    /// Waits for news of a dial that was not cancelled. For ever, when none is under way.
    ///
    /// Cancel safe.
    pub(super) async fn next(&mut self) -> DialReport {
        loop {
            // `report` is held here, so the channel stays open.
            let Some(report) = self.reports.recv().await else { std::future::pending().await };
            while self.tasks.try_join_next().is_some() {}
            let known = self.running.contains_key(&report.generation);
            if !matches!(report.news, DialNews::Again(_) | DialNews::Answered) {
                self.running.remove(&report.generation);
            }
            if known {
                return report;
            }
        }
    }
}

/// One dial, and whom it tells.
struct Attempt {
    endpoint: Arc<Endpoint>,
    way: Way,
    target: Target,
    /// Tries again until the deadline: the other side may be there already and wait.
    patient: bool,
    report: mpsc::Sender<DialReport>,
}

impl Attempt {
    async fn run(self, deadline: Instant) {
        let mut answered = false;
        let dial = self.dial();
        tokio::pin!(dial);
        let outcome = loop {
            tokio::select! {
                outcome = &mut dial => break outcome,
                () = self.target.progress.answered(), if !answered => {
                    answered = true;
                    self.tell(DialNews::Answered).await;
                }
                () = tokio::time::sleep_until(deadline) => {
                    let id = self.way.rung.transport.clone();
                    break Err(ConnectError::new(id, "dial", ConnectErrorKind::TimedOut));
                }
            }
        };
        self.tell(outcome.map_or_else(DialNews::Failed, DialNews::Succeeded)).await;
    }

    async fn dial(&self) -> Result<Sealed, ConnectError> {
        let mut pause = AGAIN;
        loop {
            match self.endpoint.dial(&self.way, &self.target).await {
                Err(error) if self.patient && error.kind.verdict() == Verdict::CountAndRetry => {
                    self.tell(DialNews::Again(error)).await;
                    tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                    // Whoever is overloaded or limits rates says the same as one that is away.
                    pause = pause.mul_f64(1.2);
                }
                outcome => return outcome,
            }
        }
    }

    async fn tell(&self, news: DialNews) {
        let (generation, transport) = (self.target.generation, self.way.rung.transport.clone());
        let _ = self.report.send(DialReport { generation, transport, news }).await;
    }
}

/// Dials of one session at one time: three raced attempts on each of two primary rungs, and the fallback.
const RUNNING: usize = 8;

/// Between two attempts of the side that answers, at first: about what the leading side waits.
const AGAIN: Duration = Duration::from_millis(400);

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use transport_core::{
        Connector, PeerId, SessionId, Transport,
        secure::{Access, HostKey, SessionSecret},
    };

    use super::*;
    use crate::endpoint::Party;

    /// Fails every time, in the same way.
    #[derive(Debug)]
    struct Closed(TransportId, ConnectErrorKind);

    #[async_trait]
    impl Connector for Closed {
        fn id(&self) -> TransportId {
            self.0.clone()
        }

        async fn connect(&self, _: &Target) -> Result<Box<dyn Transport>, ConnectError> {
            Err(ConnectError::new(self.id(), "test", self.1))
        }
    }

    fn way(kind: ConnectErrorKind, of: fn(Arc<dyn Connector>) -> Way) -> Way {
        of(Arc::new(Closed(TransportId::from_static("test"), kind)))
    }

    fn start(dials: &mut Dials, way: &Way, role: DialRole, generation: u32) {
        let peer = PeerId::from_bytes([2; 16]);
        let endpoint = Endpoint {
            session: SessionId::from_bytes([1; 16]),
            local: PeerId::from_bytes([3; 16]),
            secret: SessionSecret::from_bytes([4; 32]),
            party: Party::Host { key: HostKey::from_bytes([5; 32]), access: Access::Full },
        };
        let deadline = Instant::now() + Duration::from_secs(12);
        let target = endpoint.target(peer, role, Generation(generation));
        dials.start(Arc::new(endpoint), way.clone(), target, deadline);
    }

    /// How often the first dial is tried, and how it ends.
    async fn attempts(way: Way, role: DialRole) -> (u32, ConnectErrorKind) {
        let mut dials = Dials::new();
        start(&mut dials, &way, role, 1);
        let mut tried = 0;
        loop {
            match dials.next().await.news {
                DialNews::Again(_) => tried += 1,
                DialNews::Failed(error) if tried > 0 => return (tried, error.kind),
                DialNews::Failed(error) => return (1, error.kind),
                news => panic!("{news:?}"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_side_that_answers_a_fallback_tries_again_until_its_time_is_over() {
        use ConnectErrorKind::{Rejected, TimedOut, Unreachable};
        let (tried, end) = attempts(way(Unreachable, Way::fallback), DialRole::Answerer).await;
        assert!((8..=18).contains(&tried) && end == TimedOut, "{tried} {end}");
        assert_eq!(attempts(way(Rejected, Way::fallback), DialRole::Answerer).await, (1, Rejected));
        assert_eq!(attempts(way(Unreachable, Way::fallback), DialRole::Offerer).await, (1, Unreachable));
        assert_eq!(attempts(way(Unreachable, Way::direct), DialRole::Answerer).await, (1, Unreachable));
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_dial_of_the_fallback_ends_the_older_one() {
        let mut dials = Dials::new();
        let way = way(ConnectErrorKind::Unreachable, Way::fallback);
        start(&mut dials, &way, DialRole::Answerer, 1);
        start(&mut dials, &way, DialRole::Answerer, 2);
        assert!(!dials.is_running(Generation(1)) && dials.is_running(Generation(2)));
        assert_eq!(dials.next().await.generation, Generation(2));
    }
}
