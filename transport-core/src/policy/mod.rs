//! When a session leaves the direct path, is held, and returns: sans-IO and deterministic.
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
//! # Parts
//!
//! Each fact has one owner with private fields. The rules are methods of the policy, a file for each occasion,
//! and change facts only through their owner.
//!
//! | part | facts it owns | changed by the rules in |
//! |---|---|---|
//! | `permission` | gates, override | `waking`, `change` |
//! | `ladder`, `record` | failures, schedule and refusals of each rung; the network and its memory; since when a path is lost | `dialling`, `searching`, `waking`, `conclude`, `loss`, `observe`, `change` |
//! | `dials` | open dials, their answers, the last number given | `dialling`, `adopt`, `reserve_race` |
//! | `search` | what is searched for, whether silence was judged, what is left out | `searching`, `dialling`, `loss` |
//! | `paths`, `active`, `watch` | the link in use, its health and what the peer heard there, the standby, the reserve, the last number adopted | `adopt`, `restore`, `reserve_race`, `loss`, `observe`, `doubt` |
//! | `verdict` | whether the verdict for the fallback stands, and its grounds | `conclude`, `adopt`, `change` |
//! | `returns`, `flap` | the next look, how many were made, returns that did not last, moves | `restore`, `adopt`, `loss`, `change` |
//! | `token` | when the token was asked for | `waking` |
//! | `status` | the standing, the reason of its last change | `transition`, in this file |
//!
//! ```
//! use transport_core::time::Instant;
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

mod active;
mod adopt;
mod change;
mod conclude;
mod config;
mod dialling;
mod dials;
mod doubt;
mod event;
mod flap;
mod gate;
mod health;
mod invalid;
mod ladder;
mod loss;
mod next;
mod observe;
mod paths;
mod permission;
mod quorum;
mod reason;
mod record;
mod reserve_race;
mod restore;
mod restore_config;
mod returns;
mod rung;
mod search;
mod searching;
mod snapshot;
mod status;
#[cfg(test)]
mod tests;
mod token;
mod verdict;
mod waking;
mod watch;

use std::collections::VecDeque;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

pub use crate::backoff::BackoffConfig;
use crate::time::Instant;

pub use self::{
    config::{DialConfig, PolicyConfig},
    event::{Action, Event, LossCause, Standing, Transition, TransitionKind},
    gate::{Gate, GateState, Gates, Override},
    health::{HealthConfig, HealthSample},
    invalid::ConfigError,
    next::NextStep,
    reason::Reason,
    restore_config::RestoreConfig,
    rung::{Class, NetworkId, Reach, Rung},
    snapshot::{PathSnapshot, RungSnapshot, Snapshot},
    watch::{Question, Testimony},
};
use self::{
    dials::Dials,
    ladder::Ladder,
    paths::Paths,
    permission::Permission,
    returns::Returns,
    search::{Purpose, Search},
    status::Status,
    token::Token,
    verdict::FallbackVerdict,
};
pub(crate) use self::{health::Health, watch::LinkWatch};

/// Chooses the path of one session. See the [module](self) for how to drive it.
#[derive(Debug, Clone)]
pub struct FallbackPolicy {
    config: PolicyConfig,
    rng: ChaCha8Rng,
    permission: Permission,
    ladder: Ladder,
    dials: Dials,
    /// The search for a path, while there is one.
    search: Option<Search>,
    paths: Paths,
    verdict: FallbackVerdict,
    returns: Returns,
    token: Token,
    status: Status,
    /// What was decided and not taken yet.
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
            permission: Permission::new(config.gates, config.mode),
            ladder: Ladder::new(config.rungs.clone(), config.memory),
            dials: Dials::new(),
            search: None,
            paths: Paths::default(),
            verdict: FallbackVerdict::none(),
            returns: Returns::default(),
            token: Token::default(),
            status: Status::new(),
            actions: VecDeque::new(),
            config,
        })
    }

    /// Takes note of something that happened at `now`. Times never go back.
    pub fn handle_event(&mut self, now: Instant, event: Event) {
        if self.status.is_over() {
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
            Event::Lost { generation, cause } => self.lost(now, generation, cause),
            Event::NetworkChanged { network } => self.change_network(now, network),
            Event::Override(mode) => self.set_mode(now, mode),
            Event::PeerAnswers { generation, number, heard } => {
                self.peer_answers(now, generation, number, heard);
            }
            Event::PeerAsks { generation, number, heard } => self.peer_asks(now, generation, number, heard),
            Event::PeerPresent => self.peer_present(now),
            Event::PeerReportsDead { generation } => self.peer_reports_dead(now, generation),
            Event::PeerReportsLost { generation } => self.peer_reports_lost(now, generation),
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

    /// Says when a sample of the link in use says more than the last one did, so that the owner need not look more often
    /// to hear of a silence in time. `None` when none is due before the usual one.
    pub fn next_look(&self) -> Option<Instant> {
        self.paths.active()?.watch().next_look(&self.config.health, self.config.dial.rescue)
    }

    /// Says where the session stands.
    pub fn standing(&self) -> &Standing {
        self.status.standing()
    }

    fn start(&mut self, now: Instant, network: NetworkId) {
        if *self.status.standing() == Standing::Idle {
            self.ladder.enter(network);
            self.transition(now, TransitionKind::Connecting, Reason::FirstConnect, Standing::Connecting);
            self.begin_search(now, Purpose::First, Reason::FirstConnect);
        }
    }

    fn close(&mut self, now: Instant) {
        self.end();
        self.transition(now, TransitionKind::Closed, Reason::Closed, Standing::Closed);
    }

    fn give_up(&mut self, now: Instant, why: Reason) {
        self.end();
        self.transition(now, TransitionKind::GaveUp, why, Standing::GaveUp);
        self.ask(Action::GiveUp { why });
    }

    /// Lets go of everything that is open.
    fn end(&mut self) {
        self.cancel_dials(|_| true);
        self.drop_standby();
        self.drop_reserve();
        self.leave_path();
        self.search = None;
        self.returns.plan_none();
    }

    /// Drains the link in use.
    fn leave_path(&mut self) {
        if let Some(link) = self.paths.leave() {
            self.ask(Action::Drain { generation: link.generation() });
        }
    }

    /// Does everything that the evidence and the time call for. The order matters: deadlines make
    /// evidence, evidence makes a verdict, and dials follow the verdict.
    fn step(&mut self, now: Instant) {
        self.expire_dials(now);
        self.judge_silence(now);
        self.confirm_reserve(now);
        self.conclude(now);
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

    /// Changes the standing. Every change has one event and one reason.
    fn transition(&mut self, now: Instant, kind: TransitionKind, reason: Reason, to: Standing) {
        let from = self.status.move_to(to.clone(), reason);
        self.ask(Action::Emit(Transition { at: now, kind, reason, from, to }));
    }

    fn ask(&mut self, action: Action) {
        self.actions.push_back(action);
    }
}
