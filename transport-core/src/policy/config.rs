//! Everything about the policy that can be set.

use crate::{
    backoff::{BackoffConfig, FLOOR},
    time::Duration,
};

use super::{
    gate::{Gates, Override},
    health::HealthConfig,
    invalid::{ConfigError, ensure},
    quorum::KEPT,
    restore_config::RestoreConfig,
    rung::Rung,
};

/// The settings of a [`FallbackPolicy`](super::FallbackPolicy). Its constructor checks them.
///
/// # Defaults
///
/// Every field names its own. The figures come from `docs/defaults.md`, the schedule of the first
/// connect from `docs/adr/0004-first-connect-schedule.md`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PolicyConfig {
    /// The transports, best first. At least one; each named once.
    pub rungs: Vec<Rung>,
    /// The gates as they stand at the start. Default: the feature flag is closed.
    pub gates: Gates,
    /// What the application allows at the start. Default: the policy decides.
    pub mode: Override,
    /// Seeds the jitter. The same seed and events give the same decisions. Default 0; give every
    /// session another one, or clients move in step.
    pub seed: u64,
    /// Failed attempts that make a quorum on a primary rung, and attempts raced on the first
    /// connect. Default 3; 1 to 16. Higher wakes the fallback later.
    pub attempts: u32,
    /// How long a failure counts. Default 90 s: holds three failures at the slowest backoff.
    pub window: Duration,
    /// A link that lived shorter than this counts as a failed attempt. Default 90 s.
    pub short_lived: Duration,
    /// Budgets of dials.
    pub dial: DialConfig,
    /// Waits between attempts.
    pub backoff: BackoffConfig,
    /// When a live link counts as failed.
    pub health: HealthConfig,
    /// The way back to the direct path.
    pub restore: RestoreConfig,
    /// How long a network's winners and losers are remembered. Default 10 min.
    pub memory: Duration,
    /// A timer this late means that the device slept. Default 10 s: longer than any stall of a
    /// busy machine, shorter than any nap that outlives a link.
    pub wake_jump: Duration,
    /// Give up after so long without any path. Default never: the resume window of the session
    /// decides.
    pub give_up_after: Option<Duration>,
}

impl PolicyConfig {
    /// Takes the transports, best first, and defaults for the rest.
    pub fn new(rungs: Vec<Rung>) -> Self {
        Self {
            rungs,
            gates: Gates::default(),
            mode: Override::default(),
            seed: 0,
            attempts: 3,
            window: Duration::from_secs(90),
            short_lived: Duration::from_secs(90),
            dial: DialConfig::default(),
            backoff: BackoffConfig::default(),
            health: HealthConfig::default(),
            restore: RestoreConfig::default(),
            memory: Duration::from_secs(600),
            wake_jump: Duration::from_secs(10),
            give_up_after: None,
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        ensure((1..=16).contains(&self.rungs.len()), "rungs", "holds 1 to 16 transports")?;
        let twice = |rung: &Rung| self.rungs.iter().filter(|r| r.transport == rung.transport).count() > 1;
        ensure(!self.rungs.iter().any(twice), "rungs", "names each transport once")?;
        ensure((1..=KEPT as u32).contains(&self.attempts), "attempts", "is 1 to 16")?;
        ensure(!self.window.is_zero(), "window", "is longer than nothing")?;
        ensure(self.wake_jump >= Duration::from_secs(1), "wake_jump", "is at least 1 s")?;
        ensure(self.give_up_after != Some(Duration::ZERO), "give_up_after", "is longer than nothing")?;
        self.dial.validate(self.attempts)?;
        ensure(self.backoff.base >= FLOOR, "backoff.base", "is at least 50 ms")?;
        ensure(self.backoff.cap >= self.backoff.base, "backoff.cap", "is at least backoff.base")?;
        let grows = self.backoff.growth.is_finite() && self.backoff.growth >= 1.0;
        ensure(grows, "backoff.growth", "is at least 1")?;
        self.health.validate()?;
        self.restore.validate()
    }
}

/// Budgets of dials.
///
/// # Defaults
///
/// Silence is judged 4 s after the first dial, once three raced attempts per rung drew no answer.
/// An attempt that was answered keeps its 10 s. So the relay is in use within 5 s where nothing
/// ever answers, and a slow network keeps its direct path.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DialConfig {
    /// Whole budget of one attempt. Default 10 s. Lower abandons slow networks.
    pub attempt: Duration,
    /// When no attempt of a first connect has drawn any answer by then, all of them count as
    /// failed; they stay open in case one is late. Default 4 s. Needs
    /// [`Event::DialProgressed`](super::Event::DialProgressed) to spare slow networks.
    pub silence: Duration,
    /// The next attempt on a silent rung is raced after this long. Default 1.2 s: a signaling
    /// message and a round trip, so a healthy network never sees a second one.
    pub stagger: Duration,
    /// The next attempt beside one that was answered is raced after this long. Default 5 s: the
    /// budget for ICE checks.
    pub answered_stagger: Duration,
    /// The last primary rung starts this long after the first. Default 0.8 s.
    pub rung_stagger: Duration,
    /// After a live link died, a fresh dial that takes longer counts as failed; it stays open.
    /// Default 4 s.
    pub fresh: Duration,
    /// After so much silence the fallback may wake, where both sides say that the path is dead: a fresh dial that
    /// drew no answer by then counts as failed. Default 3.1 s: an outage of 3 s opens no relay socket.
    pub rescue: Duration,
    /// The least age of that dial, and four round trips more. Default 1.25 s.
    pub unanswered: Duration,
    /// A fallback that took this long to connect, or was not reached before, suggests that the whole network was
    /// down. Default 2.5 s: more than a slow handshake, less than the second repeated SYN.
    pub slow_fallback: Duration,
    /// How long such a fallback waits in reserve for a primary, dialled once more. Default 2 s; 4 s
    /// when one answers. Higher keeps more sessions direct and some waiting.
    pub confirm: Duration,
    /// Pause before a rung that refused is asked again. Default 30 s. Lower annoys whoever said no.
    pub refused: Duration,
    /// How long a rung counts as impossible once proven so. Default 10 min, or until the network
    /// changes.
    pub impossible: Duration,
    /// How long a prefetched token is worth keeping. Default 45 s of its 60.
    pub token: Duration,
}

impl Default for DialConfig {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(10),
            silence: Duration::from_secs(4),
            stagger: Duration::from_millis(1_200),
            answered_stagger: Duration::from_secs(5),
            rung_stagger: Duration::from_millis(800),
            fresh: Duration::from_secs(4),
            rescue: Duration::from_millis(3_100),
            unanswered: Duration::from_millis(1_250),
            slow_fallback: Duration::from_millis(2_500),
            confirm: Duration::from_secs(2),
            refused: Duration::from_secs(30),
            impossible: Duration::from_secs(600),
            token: Duration::from_secs(45),
        }
    }
}

impl DialConfig {
    /// Returns how old the last raced attempt is when silence is judged. A younger one is no evidence.
    pub(super) fn least_silence(&self, attempts: u32) -> Duration {
        let last_start = self.rung_stagger.saturating_add(self.stagger.saturating_mul(attempts - 1));
        self.silence.saturating_sub(last_start)
    }

    fn validate(&self, attempts: u32) -> Result<(), ConfigError> {
        ensure(
            !self.least_silence(attempts).is_zero(),
            "dial.silence",
            "comes after the last raced attempt began",
        )?;
        ensure(self.silence < self.attempt, "dial.attempt", "is longer than dial.silence")?;
        ensure(!self.fresh.is_zero(), "dial.fresh", "is longer than nothing")?;
        ensure(!self.unanswered.is_zero(), "dial.unanswered", "is longer than nothing")?;
        ensure(!self.rescue.is_zero(), "dial.rescue", "is longer than nothing")?;
        ensure(self.fresh <= self.attempt, "dial.attempt", "is at least dial.fresh")?;
        ensure(self.answered_stagger >= self.stagger, "dial.answered_stagger", "is at least dial.stagger")?;
        ensure(self.confirm <= self.silence, "dial.confirm", "is at most dial.silence")?;
        ensure(self.refused >= Duration::from_secs(1), "dial.refused", "is at least 1 s")?;
        ensure(!self.impossible.is_zero(), "dial.impossible", "is longer than nothing")?;
        ensure(!self.token.is_zero(), "dial.token", "is longer than nothing")
    }
}
