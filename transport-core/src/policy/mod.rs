//! When to leave the direct path, when to hold, when to return: sans-IO and deterministic.
//!
//! [`FallbackPolicy`] reads no clock, opens no socket and spawns nothing. The side that leads a
//! session runs one and drives it like this, in a loop:
//!
//! 1. [`handle_event`](FallbackPolicy::handle_event) for what happened, or
//!    [`handle_timeout`](FallbackPolicy::handle_timeout) when the time of 3 has come;
//! 2. [`poll_action`](FallbackPolicy::poll_action) until it is `None`, carrying each one out;
//! 3. [`poll_timeout`](FallbackPolicy::poll_timeout) for when to call again at the latest.
//!
//! The same configuration, seed and events give the same actions. The rules are in
//! `docs/architecture.md`, the schedule of the first connect in `docs/adr/0004-first-connect-schedule.md`.
//!
//! ```
//! use std::time::Instant;
//! use transport_core::{TransportId, policy::*};
//!
//! let config = PolicyConfig::new(vec![
//!     Rung::direct(TransportId::from_static("webrtc")),
//!     Rung::fallback(TransportId::from_static("ws-fallback")),
//! ]);
//! let mut policy = FallbackPolicy::new(config)?;
//! # #[expect(clippy::disallowed_methods)]
//! policy.handle_event(Instant::now(), Event::Start { network: NetworkId(1) });
//! while let Some(action) = policy.poll_action() {
//!     println!("{action:?}"); // Emit(… connecting …), Dial { transport: webrtc, generation: g1, … }
//! }
//! # Ok::<(), ConfigError>(())
//! ```

mod backoff;
mod campaign;
mod config;
mod confirm;
mod event;
mod flap;
mod gate;
mod health;
mod judge;
mod ladder;
mod link;
mod quorum;
mod reason;
mod restore;
mod snapshot;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::ids::Generation;

pub(crate) use self::backoff::Backoff;
pub use self::{
    backoff::BackoffConfig,
    config::{ConfigError, DialConfig, PolicyConfig},
    event::{Action, Event, IceRestart, LossCause, Standing, Transition, TransitionKind},
    flap::RestoreConfig,
    gate::{Gate, GateState, Gates, Override},
    health::{HealthConfig, HealthSample},
    ladder::{Class, NetworkId, Reach, Rung},
    reason::Reason,
    snapshot::{NextStep, PathSnapshot, RungSnapshot, Snapshot, TokenState},
};
use self::{
    campaign::{Campaign, Dial, Purpose},
    confirm::Reserve,
    flap::FlapBudget,
    ladder::Ladder,
    link::Link,
    restore::{Returns, Standby},
};

/// Chooses the path of one session. See the [module](self) for how to drive it.
#[derive(Debug, Clone)]
pub struct FallbackPolicy {
    config: PolicyConfig,
    rng: ChaCha8Rng,
    ladder: Ladder,
    gates: Gates,
    mode: Override,
    network: NetworkId,

    standing: Standing,
    since: Option<Instant>,
    reason: Reason,
    /// Why a session rests on the fallback although a primary may work.
    resting: Option<Reason>,

    /// Open dials, oldest first.
    dials: BTreeMap<Generation, Dial>,
    /// The last number given to a dial.
    numbered: Generation,
    /// The generation the session was last put on; switches only ever go above it.
    adopted: Generation,
    /// The rung it was last put on.
    last_rung: Option<usize>,
    active: Option<Link>,
    standby: Option<Standby>,
    reserve: Option<Reserve>,
    /// The search for a path, while there is one.
    campaign: Option<Campaign>,
    /// When the current run of bad luck began: a live link died and no primary has lasted since.
    death: Option<Instant>,
    /// A quorum put the session on the fallback and nothing has overturned it.
    tenure: bool,
    /// Why the fallback was last considered.
    verdict: Reason,
    returns: Returns,
    flap: FlapBudget,
    /// When the fallback's token was last asked for.
    prefetched: Option<Instant>,
    token: TokenState,
    actions: VecDeque<Action>,
}

impl FallbackPolicy {
    /// Takes the settings.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the first field that cannot work.
    pub fn new(config: PolicyConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            ladder: Ladder::new(config.rungs.clone(), config.memory),
            gates: config.gates,
            mode: config.mode,
            network: NetworkId::default(),
            standing: Standing::Idle,
            since: None,
            reason: Reason::FirstConnect,
            resting: None,
            dials: BTreeMap::new(),
            numbered: Generation(0),
            adopted: Generation(0),
            last_rung: None,
            active: None,
            standby: None,
            reserve: None,
            campaign: None,
            death: None,
            tenure: false,
            verdict: Reason::PrimariesFailed,
            returns: Returns::default(),
            flap: FlapBudget::default(),
            prefetched: None,
            token: TokenState::Absent,
            actions: VecDeque::new(),
            config,
        })
    }

    /// Takes note of something that happened at `now`. Times never go back.
    pub fn handle_event(&mut self, now: Instant, event: Event) {
        if matches!(self.standing, Standing::Closed | Standing::GaveUp) {
            return;
        }
        if self.overslept(now) && event != Event::Woke {
            self.wake(now);
        }
        match event {
            Event::Closed => self.close(now),
            Event::DialFailed { generation, kind } => self.dial_failed(now, generation, kind),
            Event::DialProgressed { generation } => self.dial_progressed(now, generation),
            Event::DialSucceeded { generation } => self.dial_succeeded(now, generation),
            Event::GateChanged { gate, state } => self.set_gate(gate, state),
            Event::Health { generation, sample } => self.observe(now, generation, &sample),
            Event::IceRestart { generation, outcome } => self.ice_restarted(now, generation, outcome),
            Event::Lost { generation, cause } => self.lost(now, generation, cause),
            Event::NetworkChanged { network } => self.change_network(now, network),
            Event::Override(mode) => self.set_mode(now, mode),
            Event::PeerPresent => self.peer_present(now),
            Event::PeerReportsLost { generation } => self.peer_reports_lost(now, generation),
            // The dial fetches a token by itself if it has none; there is nothing to decide.
            Event::PrefetchDone => self.token = TokenState::Ready,
            Event::PrefetchFailed => self.token = TokenState::Failed,
            Event::Start { network } => self.start(now, network),
            Event::Woke => self.wake(now),
        }
        self.step(now);
    }

    /// Does what is due at `now`. Calling it early or often does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.overslept(now) {
            self.wake(now);
        }
        self.step(now);
    }

    /// Takes the next action. Order matters; none may be skipped.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Says when to call [`handle_timeout`](Self::handle_timeout) at the latest; `None` when only
    /// an event can change anything.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_steps().map(|(at, _)| at).min()
    }

    /// Says where the session stands.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    fn start(&mut self, now: Instant, network: NetworkId) {
        if self.standing == Standing::Idle {
            self.network = network;
            self.transition(now, TransitionKind::Connecting, Reason::FirstConnect, Standing::Connecting);
            self.begin_campaign(now, Purpose::First, Reason::FirstConnect);
        }
    }

    fn close(&mut self, now: Instant) {
        self.end();
        self.transition(now, TransitionKind::Closed, Reason::Closed, Standing::Closed);
    }

    fn give_up(&mut self, now: Instant, why: Reason) {
        self.end();
        self.transition(now, TransitionKind::GaveUp, why, Standing::GaveUp);
        self.actions.push_back(Action::GiveUp { why });
    }

    /// Lets go of everything that is open.
    fn end(&mut self) {
        self.cancel_dials(|_| true);
        self.drop_standby();
        self.drop_reserve();
        if let Some(link) = self.active.take() {
            self.actions.push_back(Action::Drain { generation: link.generation });
        }
        self.campaign = None;
        self.returns.next = None;
    }

    /// Does everything that the evidence and the time call for. The order matters: deadlines make
    /// evidence, evidence makes a verdict, and only then is anything dialled.
    fn step(&mut self, now: Instant) {
        self.expire(now);
        self.judge_silence(now);
        self.confirm(now);
        self.judge(now);
        self.dial_fallback(now);
        self.dial_primaries(now);
        self.restore(now);
        self.prefetch(now);
        self.consider_giving_up(now);
    }

    /// A timer that is this late was not served because nothing ran: the device slept.
    fn overslept(&self, now: Instant) -> bool {
        self.poll_timeout().is_some_and(|due| now.saturating_duration_since(due) >= self.config.wake_jump)
    }

    /// The only place that moves [`Self::standing`], so every change has one event and one reason.
    fn transition(&mut self, now: Instant, kind: TransitionKind, reason: Reason, to: Standing) {
        let from = std::mem::replace(&mut self.standing, to.clone());
        self.since = Some(now);
        self.reason = reason;
        self.resting = None;
        self.actions.push_back(Action::Emit(Transition { at: now, kind, reason, from, to }));
    }
}
