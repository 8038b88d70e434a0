//! The link in use, and what its samples say.

use crate::time::Instant;

use crate::ids::Generation;

use super::{
    Reason,
    health::{Health, HealthConfig, HealthSample},
    watch::LinkWatch,
};

/// The link the session is on.
#[derive(Debug, Clone)]
pub(super) struct Active {
    generation: Generation,
    rung: usize,
    since: Instant,
    watch: LinkWatch,
    degraded: Option<Reason>,
    /// What the last sample said.
    health: Health,
    /// Good samples in a row.
    calm: u32,
    returned: bool,
    rivals: Vec<usize>,
}

impl Active {
    /// Takes a link into use. `returned` says that the session came back to it from the fallback; `rivals` are
    /// the primaries whose attempts in the same race were cancelled for its sake.
    pub(super) fn new(
        now: Instant,
        generation: Generation,
        rung: usize,
        returned: bool,
        rivals: Vec<usize>,
    ) -> Self {
        let watch = LinkWatch::default();
        let health = Health::default();
        Self { generation, rung, since: now, watch, degraded: None, health, calm: 0, returned, rivals }
    }

    /// Takes a sample and judges the link by all of them.
    pub(super) fn observe(&mut self, now: Instant, sample: &HealthSample, config: &HealthConfig) -> Health {
        // Data may be older than the link that must carry it next; that is not the link's fault.
        let age = sample.oldest_unacked.min(now.saturating_duration_since(self.since));
        let sample = HealthSample { oldest_unacked: age, ..*sample };
        self.health = self.watch.observe(now, &sample, config);
        self.calm = if self.health == Health::Good { self.calm.saturating_add(1) } else { 0 };
        self.health
    }

    /// What this side and the peer saw of it.
    pub(super) fn watch(&self) -> &LinkWatch {
        &self.watch
    }

    pub(super) fn watch_mut(&mut self) -> &mut LinkWatch {
        &mut self.watch
    }

    /// It cannot carry the session, but is still open.
    pub(super) fn degrade(&mut self, why: Reason) {
        self.degraded = Some(why);
        self.calm = 0;
    }

    /// It carries data again; returns what was wrong with it.
    pub(super) fn recover(&mut self) -> Option<Reason> {
        self.forget_samples();
        self.degraded.take()
    }

    /// Its path was repaired: samples from before say nothing.
    pub(super) fn forget_samples(&mut self) {
        self.watch.forget();
    }

    /// The device slept or changed its network: good samples are counted from here.
    pub(super) fn unsettle(&mut self) {
        self.calm = 0;
    }

    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    pub(super) fn rung(&self) -> usize {
        self.rung
    }

    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Returns why it cannot carry the session, while it is still open.
    pub(super) fn degraded(&self) -> Option<Reason> {
        self.degraded
    }

    /// Says whether something was wrong with the last sample.
    pub(super) fn is_suspect(&self) -> bool {
        matches!(self.health, Health::Suspect | Health::Failing(_))
    }

    /// Says whether good samples clear it of doubt.
    pub(super) fn is_proven(&self) -> bool {
        self.calm >= PROOF
    }

    /// Says whether good samples clear it of being too poor.
    pub(super) fn is_calm(&self) -> bool {
        self.calm >= CALM
    }

    pub(super) fn returned(&self) -> bool {
        self.returned
    }

    pub(super) fn rivals(&self) -> &[usize] {
        &self.rivals
    }
}

/// Good samples in a row, the last with acknowledgements, that clear a link of doubt.
const PROOF: u32 = 2;

/// Good samples in a row that clear a link of being too poor.
const CALM: u32 = 5;
