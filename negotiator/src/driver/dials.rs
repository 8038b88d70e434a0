//! The dials of one session that are under way.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::{mpsc, watch};
use transport_core::{
    ConnectError, ConnectErrorKind, Generation, Target, TransportId,
    backoff::{Backoff, BackoffConfig},
    policy::Class,
};

use crate::{
    endpoint::{Endpoint, Sealed, Way},
    runtime::{AbortHandle, Instant, JoinSet, now, reap, sleep, sleep_until},
};

/// Dials, each in its own task, aborted by dropping it.
#[derive(Debug)]
pub(super) struct Dials {
    endpoint: Arc<Endpoint>,
    tasks: JoinSet<()>,
    running: BTreeMap<Generation, Running>,
    report: mpsc::Sender<DialReport>,
    reports: mpsc::Receiver<DialReport>,
    /// Waits where the peer dials, while signaling is away.
    attendance: Option<AbortHandle>,
}

#[derive(Debug)]
struct Running {
    task: AbortHandle,
    transport: TransportId,
    deadline: Instant,
    answered: bool,
}

/// A dial that was given up before it ended.
#[derive(Debug)]
pub(super) struct Abandoned {
    pub(super) transport: TransportId,
    /// Something had answered, and its time is over.
    pub(super) nobody_came: bool,
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
    /// The path answered for the first time.
    Answered,
    /// The peer dials at the place that is attended.
    Called,
    Failed(ConnectError),
    Succeeded(Sealed),
}

impl Dials {
    pub(super) fn new(endpoint: Arc<Endpoint>) -> Self {
        let (report, reports) = mpsc::channel(REPORTS);
        Self { endpoint, tasks: JoinSet::new(), running: BTreeMap::new(), report, reports, attendance: None }
    }

    /// Starts one, in the place of another of the same generation; at a host also of the oldest by the same transport
    /// beyond [`RACED`]: how many are announced is for its peer to choose.
    pub(super) fn start(&mut self, way: Way, target: Target, deadline: Instant) {
        let (generation, transport) = (target.generation, way.rung.transport.clone());
        let attempt = Attempt { endpoint: self.endpoint.clone(), way, target, report: self.report.clone() };
        let task = self.tasks.spawn(attempt.run(deadline));
        let running = Running { task, transport: transport.clone(), deadline, answered: false };
        if let Some(older) = self.running.insert(generation, running) {
            older.task.abort();
        }
        let raced = || self.running.iter().filter(|(_, running)| running.transport == transport);
        if self.endpoint.is_host()
            && raced().count() > RACED
            && let Some(oldest) = raced().map(|(generation, _)| *generation).next()
        {
            self.cancel(oldest);
        }
    }

    /// Waits where the peer of `target` dials by this way, and reports each of its attempts, until
    /// [`leave`](Self::leave).
    pub(super) fn attend(&mut self, way: Way, target: Target) {
        self.leave();
        self.attendance = Some(self.tasks.spawn(attend(way, target, self.report.clone())));
    }

    /// Waits there no longer.
    pub(super) fn leave(&mut self) {
        if let Some(task) = self.attendance.take() {
            task.abort();
        }
    }

    /// Abandons one, and says what it was, if it was running.
    pub(super) fn cancel(&mut self, generation: Generation) -> Option<Abandoned> {
        let Running { task, transport, deadline, answered } = self.running.remove(&generation)?;
        task.abort();
        Some(Abandoned { transport, nobody_came: answered && now() >= deadline })
    }

    /// Waits for news of a dial that was not cancelled. For ever, when none is under way.
    ///
    /// Cancel safe.
    pub(super) async fn next(&mut self) -> DialReport {
        loop {
            // `report` is held here, so the channel stays open.
            let Some(report) = self.reports.recv().await else { std::future::pending().await };
            reap(&mut self.tasks);
            if matches!(report.news, DialNews::Called) {
                return report;
            }
            let known = match (&report.news, self.running.get_mut(&report.generation)) {
                (DialNews::Answered, Some(running)) => {
                    running.answered = true;
                    true
                }
                (DialNews::Answered, None) => false,
                _ => self.running.remove(&report.generation).is_some(),
            };
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
                () = sleep_until(deadline) => {
                    let rung = &self.way.rung;
                    // A relay that was reached waits for the other side.
                    let relay = answered && rung.class == Class::Fallback;
                    let stage = if relay { ConnectError::PEER } else { "dial" };
                    break Err(ConnectError::new(rung.transport.clone(), stage, ConnectErrorKind::TimedOut));
                }
            }
        };
        self.tell(outcome.map_or_else(DialNews::Failed, DialNews::Succeeded)).await;
    }

    /// Dials as soon as there is a place for it.
    async fn dial(&self) -> Result<Sealed, ConnectError> {
        // Never an error: nobody closes them.
        let _place = self.endpoint.dials().acquire().await;
        self.endpoint.dial(&self.way, &self.target).await
    }

    async fn tell(&self, news: DialNews) {
        let (generation, transport) = (self.target.generation, self.way.rung.transport.clone());
        let _ = self.report.send(DialReport { generation, transport, news }).await;
    }
}

/// Attends until it is aborted, or the transport has no place for it.
async fn attend(way: Way, target: Target, report: mpsc::Sender<DialReport>) {
    let (calls, mut called) = watch::channel(target.generation);
    let mut backoff = Backoff::default();
    loop {
        let attending = way.connector.attend(&target, &calls);
        tokio::pin!(attending);
        let error = loop {
            tokio::select! {
                error = &mut attending => break error,
                Ok(()) = called.changed() => {
                    backoff.reset();
                    let generation = *called.borrow_and_update();
                    let transport = way.rung.transport.clone();
                    let _ = report.send(DialReport { generation, transport, news: DialNews::Called }).await;
                }
            }
        };
        tracing::info!(error = error.chain(), "the leader cannot be waited for");
        if matches!(error.kind, ConnectErrorKind::Incompatible | ConnectErrorKind::Misuse) {
            return;
        }
        sleep(backoff.scaled(&BackoffConfig::default(), rand::random())).await;
    }
}

/// Dials by one transport that a host takes part in at one time: as many as a viewer races.
const RACED: usize = 3;
/// Reports that may wait: two for each of the dials that run at one time.
const REPORTS: usize = 16;

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use transport_core::{
        Connector, DialRole, PeerId, SessionId, Transport,
        secure::{Access, Identity, LinkSecret},
    };

    use super::*;
    use crate::{
        endpoint::Party,
        runtime::{Duration, now},
    };

    /// Hangs, or fails at once.
    #[derive(Debug)]
    struct Closed(TransportId, Option<ConnectErrorKind>);

    #[async_trait]
    impl Connector for Closed {
        fn id(&self) -> TransportId {
            self.0.clone()
        }

        async fn connect(&self, _: &Target) -> Result<Box<dyn Transport>, ConnectError> {
            match self.1 {
                Some(kind) => Err(ConnectError::new(self.id(), "test", kind)),
                None => std::future::pending().await,
            }
        }
    }

    fn way(kind: Option<ConnectErrorKind>) -> Way {
        Way::fallback(Arc::new(Closed(TransportId::from_static("test"), kind)))
    }

    fn dials() -> Dials {
        let (host, identity) = (Identity::from_seed(&[5; 32]).public(), Identity::from_seed(&[3; 32]));
        let party = Party::Viewer { host, link: LinkSecret::from_bytes([4; 16]), access: Access::Full };
        Dials::new(Arc::new(Endpoint::new(SessionId::of_host(&host), identity, party)))
    }

    fn start(dials: &mut Dials, kind: Option<ConnectErrorKind>, generation: u32) {
        let (peer, generation) = (PeerId::from_bytes([2; 16]), Generation(generation));
        let target = dials.endpoint.target(peer, DialRole::Answerer, generation);
        dials.start(way(kind), target, now() + Duration::from_secs(12));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dial_ends_at_its_deadline_as_timed_out() {
        for (kind, after, end) in [
            (Some(ConnectErrorKind::Rejected), 0, ConnectErrorKind::Rejected),
            (None, 12, ConnectErrorKind::TimedOut),
        ] {
            let (mut dials, started) = (dials(), now());
            start(&mut dials, kind, 1);
            let DialNews::Failed(error) = dials.next().await.news else { panic!("it cannot succeed") };
            assert_eq!((error.kind, (now() - started).as_secs()), (end, after));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dial_that_was_cancelled_is_not_heard_of_again() {
        let mut dials = dials();
        start(&mut dials, None, 1);
        start(&mut dials, None, 2);
        dials.cancel(Generation(1));
        assert_eq!(dials.next().await.generation, Generation(2));
    }
}
