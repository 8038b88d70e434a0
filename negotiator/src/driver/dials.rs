//! The dials of one session that are under way.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::Instant,
};
use transport_core::{
    ConnectError, ConnectErrorKind, DialRole, Generation, PeerId, TransportId, Verdict, policy::Class,
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
    ///
    /// The answering side of a fallback tries until the deadline, for the other side may be there already and wait;
    /// that has one such dial at a time, so an older one of this side is abandoned.
    pub(super) fn start(
        &mut self,
        endpoint: Arc<Endpoint>,
        way: Way,
        peer: PeerId,
        role: DialRole,
        generation: Generation,
        deadline: Instant,
    ) {
        while self.running.len() >= RUNNING {
            let Some((_, (_, task))) = self.running.pop_first() else { break };
            task.abort();
        }
        let target = endpoint.target(peer, role, generation);
        let transport = way.rung.transport.clone();
        let patient = role == DialRole::Answerer && way.rung.class == Class::Fallback;
        if patient {
            self.running.retain(|_, (of, task)| {
                let stays = *of != transport;
                if !stays {
                    task.abort();
                }
                stays
            });
        }
        let report = self.report.clone();
        let task = self.tasks.spawn(async move {
            let tell = async |news| {
                let transport = way.rung.transport.clone();
                let _ = report.send(DialReport { generation, transport, news }).await;
            };
            let mut answered = false;
            let dial = async {
                loop {
                    match endpoint.dial(&way, &target).await {
                        Err(error) if patient && error.kind.verdict() == Verdict::CountAndRetry => {
                            tell(DialNews::Again(error)).await;
                            tokio::time::sleep(AGAIN.mul_f64(rand::random_range(0.5..1.0))).await;
                        }
                        outcome => break outcome,
                    }
                }
            };
            tokio::pin!(dial);
            let outcome = loop {
                tokio::select! {
                    outcome = &mut dial => break outcome,
                    () = target.progress.answered(), if !answered => {
                        answered = true;
                        tell(DialNews::Answered).await;
                    }
                    () = tokio::time::sleep_until(deadline) => {
                        let id = way.rung.transport.clone();
                        break Err(ConnectError::new(id, "dial", ConnectErrorKind::TimedOut));
                    }
                }
            };
            tell(outcome.map_or_else(DialNews::Failed, DialNews::Succeeded)).await;
        });
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

/// Dials of one session at one time: three raced attempts on each of two primary rungs, and the fallback.
const RUNNING: usize = 8;

/// Between two attempts of the side that answers: about what the leading side waits at first.
const AGAIN: Duration = Duration::from_millis(400);
