//! Whoever knocks waits here until the host, or the clock, has decided.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use negotiator::{Applicant, Approval, Decision, PeerId};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::protocol::Knock;

/// The knocks that are not decided about.
#[derive(Debug)]
pub struct Approvals {
    waiting: Mutex<Waiting>,
    /// How many wait, told whenever that changes.
    changed: watch::Sender<usize>,
    patience: Duration,
}

#[derive(Debug, Default)]
struct Waiting {
    knocks: BTreeMap<u64, Entry>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    applicant: Applicant,
    until: Instant,
    decided: oneshot::Sender<Decision>,
}

impl Approvals {
    /// Waits `patience` for each decision.
    pub fn new(patience: Duration) -> Self {
        Self { waiting: Mutex::default(), changed: watch::Sender::new(0), patience }
    }

    /// Decides about somebody; says whether it waited.
    pub fn decide(&self, peer: PeerId, decision: Decision) -> bool {
        let mut waiting = self.waiting.lock();
        let number = waiting.knocks.iter().find(|(_, entry)| entry.applicant.peer == peer).map(|(n, _)| *n);
        let entry = number.and_then(|number| waiting.knocks.remove(&number));
        self.changed.send_replace(waiting.knocks.len());
        entry.is_some_and(|entry| entry.decided.send(decision).is_ok())
    }

    /// Lists who waits, the longest first.
    pub fn list(&self, now: Instant) -> Vec<Knock> {
        let waiting = self.waiting.lock();
        let knock = |entry: &Entry| Knock {
            id: entry.applicant.peer.to_string(),
            name: entry.applicant.name.as_ref().map(ToString::to_string),
            link: entry.applicant.link.to_string(),
            access: entry.applicant.access,
            left: entry.until.saturating_duration_since(now).as_secs(),
        };
        waiting.knocks.values().map(knock).collect()
    }

    /// Returns how many wait, and their number whenever somebody comes or goes.
    pub fn changed(&self) -> watch::Receiver<usize> {
        self.changed.subscribe()
    }

    fn add(&self, applicant: Applicant) -> (Place<'_>, oneshot::Receiver<Decision>) {
        let (decided, decision) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        waiting.next += 1;
        let number = waiting.next;
        waiting.knocks.insert(number, Entry { applicant, until: Instant::now() + self.patience, decided });
        self.changed.send_replace(waiting.knocks.len());
        (Place { approvals: self, number }, decision)
    }
}

#[async_trait]
impl Approval for Approvals {
    async fn decide(&self, applicant: Applicant) -> Decision {
        let (place, decision) = self.add(applicant);
        let decision = tokio::time::timeout(self.patience, decision).await;
        drop(place);
        match decision {
            Ok(Ok(decision)) => decision,
            _ => Decision::Unanswered,
        }
    }
}

/// A place among those who wait. It is free again when whoever has it goes away.
struct Place<'a> {
    approvals: &'a Approvals,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.approvals.waiting.lock();
        if waiting.knocks.remove(&self.number).is_some() {
            self.approvals.changed.send_replace(waiting.knocks.len());
        }
    }
}

/// How long a knock waits for the host's answer: a person who looks up from something else, and no longer than the
/// other stays.
pub const PATIENCE: Duration = Duration::from_secs(60);
