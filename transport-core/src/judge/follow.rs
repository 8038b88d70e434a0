//! The following side: which dials to take part in, when to try a fallback again, and when to tell the leader that
//! the path looks dead from here.

use std::collections::{BTreeMap, VecDeque};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Action, Detail, View, ask, attend::Attendance};
use crate::{
    backoff::{Backoff, BackoffConfig},
    close::Closed,
    connector::DialRole,
    error::{ConnectErrorKind, Consequence},
    ids::{Generation, TransportId},
    policy::{
        Class, Health, HealthConfig, HealthSample, LinkWatch, Override, Reach, Reason, Rung, Standing,
        Testimony, Transition, TransitionKind,
    },
    signaling::Message,
    time::{Duration, Instant},
};

/// The settings of a judge that follows.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FollowConfig {
    /// The transports this side can dial.
    pub rungs: Vec<Rung>,
    /// What the application allows at the start. Default: everything.
    pub mode: Override,
    /// Seeds the jitter of further attempts. Give every session another one. Default 0.
    pub seed: u64,
    /// Waits between the attempts at one announced dial of a fallback.
    pub backoff: BackoffConfig,
    /// How long to take part in one dial. Default 12 s: the leader's budget for an attempt, and a little.
    pub patience: Duration,
    /// When the link that carries the session looks dead from here. Default: as at the leader.
    pub health: HealthConfig,
}

impl FollowConfig {
    /// Takes the transports, and defaults for the rest.
    pub fn new(rungs: Vec<Rung>) -> Self {
        Self {
            rungs,
            mode: Override::default(),
            seed: 0,
            backoff: BackoffConfig::default(),
            patience: Duration::from_secs(12),
            health: HealthConfig::default(),
        }
    }
}

/// What the follower knows.
#[derive(Debug, Clone)]
pub(super) struct Follow {
    config: FollowConfig,
    rng: ChaCha8Rng,
    /// The application chose a mode after the start, or a dial was declined for it: the leader is to know it.
    mode_matters: bool,
    /// The newest generation the leader announced.
    newest: Generation,
    /// Why the leader dialled its newest generations.
    reasons: VecDeque<(Generation, Reason)>,
    /// Dials to take part in, from the announcement to the success or the deadline.
    dials: BTreeMap<Generation, Dial>,
    /// What the samples of the carrying link say.
    watched: Option<Watched>,
    standing: Standing,
    pub(super) attendance: Attendance,
}

/// The link that carries the session, as it looks from here.
#[derive(Debug, Clone)]
struct Watched {
    generation: Generation,
    watch: LinkWatch,
    /// When the leader was last told that it is dead.
    complained: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Dial {
    transport: TransportId,
    deadline: Instant,
    /// Waits between attempts; `None` for a dial that is tried once.
    patience: Option<Backoff>,
    /// When it is tried again; `None` while an attempt runs.
    again: Option<Instant>,
}

impl Follow {
    pub(super) fn new(config: FollowConfig) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            config,
            mode_matters: false,
            newest: Generation::default(),
            reasons: VecDeque::new(),
            dials: BTreeMap::new(),
            watched: None,
            standing: Standing::Connecting,
            attendance: Attendance::default(),
        }
    }

    /// Takes the leader's announcement: takes part in a new attempt, or declines. One that is repeated is known.
    pub(super) fn announced(
        &mut self,
        now: Instant,
        transport: TransportId,
        generation: Generation,
        reason: Reason,
    ) -> Vec<Action> {
        if generation <= self.newest {
            return Vec::new();
        }
        self.newest = generation;
        self.note_reason(generation, reason);
        match self.objection(&transport) {
            Some(reason) => self.decline(generation, reason),
            None => self.take_part(now, transport, generation),
        }
    }

    pub(super) fn note_reason(&mut self, generation: Generation, reason: Reason) {
        if self.reasons.len() >= DIALS {
            self.reasons.pop_front();
        }
        self.reasons.push_back((generation, reason));
    }

    fn decline(&mut self, generation: Generation, reason: Reason) -> Vec<Action> {
        self.mode_matters |= reason != Reason::NoFallback;
        let decline = Action::Say(Message::Decline { generation, reason });
        std::iter::once(decline).chain(self.repeat()).collect()
    }

    pub(super) fn take_part(
        &mut self,
        now: Instant,
        transport: TransportId,
        generation: Generation,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        let is_fallback = self.class(&transport) == Some(Class::Fallback);
        if is_fallback {
            // The leader dials its fallback once at a time: over there an older one is over.
            let older: Vec<_> = self.dials.iter().filter(|(_, dial)| dial.transport == transport).collect();
            actions.extend(older.into_iter().map(|(of, _)| Action::CancelDial { generation: *of }));
            self.dials.retain(|_, dial| dial.transport != transport);
        }
        while self.dials.len() >= DIALS {
            let Some((generation, _)) = self.dials.pop_first() else { break };
            actions.push(Action::CancelDial { generation });
        }
        let deadline = now + self.config.patience;
        let patience = is_fallback.then(Backoff::default);
        let dial = Dial { transport, deadline, patience, again: None };
        actions.push(dial.action(generation));
        self.dials.insert(generation, dial);
        actions
    }

    /// Says why this side takes no part in dials by `transport`, if it does not.
    pub(super) fn objection(&self, transport: &TransportId) -> Option<Reason> {
        let Some(rung) = self.rung(transport) else { return Some(Reason::NoFallback) };
        match self.config.mode {
            Override::DirectOnly if rung.reach == Reach::Relayed => Some(Reason::PolicyDirectOnly),
            Override::NoRelay if rung.class == Class::Fallback => Some(Reason::PolicyNoRelay),
            Override::RelayOnly if rung.class == Class::Primary => Some(Reason::Override),
            _ => None,
        }
    }

    /// An attempt failed. At a fallback the leader may be there already and wait, so it is tried again.
    pub(super) fn dial_failed(&mut self, now: Instant, generation: Generation, kind: ConnectErrorKind) {
        let Some(dial) = self.dials.get_mut(&generation) else { return };
        dial.again = match &mut dial.patience {
            Some(backoff) if kind.consequence() == Consequence::CountAndRetry => {
                Some(now + backoff.draw(&self.config.backoff, &mut self.rng))
            }
            _ => None,
        };
        if dial.again.is_none_or(|again| again >= dial.deadline) {
            self.dials.remove(&generation);
        }
    }

    /// Takes a dial that succeeded; says by which transport, unless it was given up.
    pub(super) fn dial_succeeded(&mut self, generation: Generation) -> Option<TransportId> {
        self.dials.remove(&generation).map(|dial| dial.transport)
    }

    pub(super) fn cancel_dials(&mut self) -> Vec<Action> {
        let dials = std::mem::take(&mut self.dials);
        dials.into_keys().map(|generation| Action::CancelDial { generation }).collect()
    }

    /// Tries again what is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Vec<Action> {
        let due = self.dials.iter_mut().filter(|(_, dial)| dial.again.is_some_and(|at| at <= now));
        let again = due.map(|(generation, dial)| {
            dial.again = None;
            dial.action(*generation)
        });
        again.collect()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.dials.values().filter_map(|dial| dial.again).min()
    }

    /// Takes a sample of the carrying link: asks the leader what it heard when nothing comes, and says when the link is
    /// dead, by the leader's own rule. That is repeated, because signaling may lose a message.
    pub(super) fn observe(
        &mut self,
        now: Instant,
        generation: Generation,
        sample: &HealthSample,
    ) -> Vec<Action> {
        let fresh = || Watched { generation, watch: LinkWatch::default(), complained: None };
        let watched = self.watched.take().filter(|watched| watched.generation == generation);
        let watched = self.watched.insert(watched.unwrap_or_else(fresh));
        let health = watched.watch.observe(now, sample, &self.config.health);
        let question = watched.watch.question(now, &self.config.health);
        let mut actions: Vec<_> =
            question.into_iter().flat_map(|question| ask(generation, question)).collect();
        let recent = |at: Instant| now.saturating_duration_since(at) < COMPLAIN_AGAIN;
        if health == Health::Failing(Reason::PathDead) && !watched.complained.is_some_and(recent) {
            watched.complained = Some(now);
            actions.push(Action::Say(Message::Lost { generation, reason: Reason::PathDead }));
        }
        if health == Health::Failing(Reason::PathDead) {
            actions.extend(self.without_path());
        }
        actions
    }

    pub(super) fn next_look(&self) -> Option<Instant> {
        let health = &self.config.health;
        self.watched.as_ref()?.watch.next_look(health, health.confirmed_age)
    }

    /// The leader hears nothing on a link, and asks what was heard here.
    pub(super) fn asked(
        &mut self,
        now: Instant,
        generation: Generation,
        number: u32,
        theirs: Testimony,
    ) -> Option<Action> {
        let watched = self.watched.as_mut().filter(|watched| watched.generation == generation)?;
        let heard = watched.watch.answer(now, theirs, &self.config.health)?;
        Some(Action::Say(Message::Answer { generation, number, heard }))
    }

    /// The leader answers.
    pub(super) fn answered(&mut self, now: Instant, generation: Generation, number: u32, heard: Testimony) {
        if let Some(watched) = self.watched.as_mut().filter(|watched| watched.generation == generation) {
            watched.watch.hear(now, number, heard);
        }
    }

    /// The application allows something else: the leader decides, so it must know.
    pub(super) fn set_mode(&mut self, mode: Override) -> Option<Action> {
        self.config.mode = mode;
        self.mode_matters = true;
        self.repeat()
    }

    /// Says what this side allows once more, if it ever mattered.
    pub(super) fn repeat(&self) -> Option<Action> {
        self.mode_matters.then_some(Action::Say(Message::Mode { mode: self.config.mode }))
    }

    /// The session moved to a link the leader chose.
    pub(super) fn moved(
        &mut self,
        now: Instant,
        transport: TransportId,
        generation: Generation,
        resent_segments: u64,
    ) -> Action {
        let before = match &self.standing {
            Standing::Fallback { .. } => Some(Class::Fallback),
            Standing::Primary { .. } => Some(Class::Primary),
            _ => None,
        };
        let class = self.class(&transport);
        if before == Some(Class::Primary) {
            self.note_detour_left(generation);
        }
        let reason = self.arrived(generation);
        let kind = match (before, class) {
            (_, Some(Class::Fallback)) => TransitionKind::FallbackActivated,
            (Some(Class::Fallback), _) => TransitionKind::Restored,
            (Some(Class::Primary), _) if reason == Reason::DirectFound => TransitionKind::Restored,
            (Some(Class::Primary), _) => TransitionKind::Recovered,
            (None, _) => TransitionKind::Connected,
        };
        let detail = match resent_segments {
            0 => Detail::Nothing,
            segments => Detail::Resent { segments },
        };
        self.transition(now, kind, reason, on(class, transport, generation), detail)
    }

    /// A link ended that nobody replaced. `stranded`: none carries the session any more.
    pub(super) fn link_ended(
        &mut self,
        now: Instant,
        transport: TransportId,
        generation: Generation,
        closed: Closed,
        stranded: bool,
    ) -> Vec<Action> {
        let reason = Reason::LinkClosed;
        let mut actions = vec![Action::Say(Message::Lost { generation, reason })];
        if stranded {
            self.standing = on(self.class(&transport), transport, generation);
            let detail = Detail::Ended(closed);
            actions.push(self.transition(now, TransitionKind::Lost, reason, Standing::Recovering, detail));
            actions.extend(self.without_path());
        }
        actions
    }

    fn transition(
        &mut self,
        now: Instant,
        kind: TransitionKind,
        reason: Reason,
        to: Standing,
        detail: Detail,
    ) -> Action {
        let from = std::mem::replace(&mut self.standing, to.clone());
        Action::Tell { transition: Transition { at: now, kind, reason, from, to }, detail }
    }

    /// What a look found while the session was on a primary replaces that one: it went through a third machine.
    fn note_detour_left(&mut self, generation: Generation) {
        let look = |(of, why): &&mut (Generation, Reason)| *of == generation && *why == Reason::ReturnProbe;
        if let Some((_, reason)) = self.reasons.iter_mut().find(look) {
            *reason = Reason::DirectFound;
        }
    }

    /// Why the session is on this generation: the reason of a dial, once it has led somewhere.
    fn arrived(&self, generation: Generation) -> Reason {
        let dialled = self.reasons.iter().find(|(of, _)| *of == generation);
        match dialled.map_or(Reason::FirstConnect, |(_, reason)| *reason) {
            Reason::FirstConnect | Reason::Retry => Reason::PrimaryConnected,
            Reason::FreshDial => Reason::RedialSucceeded,
            Reason::ReturnProbe => Reason::PrimaryHealed,
            other => other,
        }
    }

    /// The transports of the last resort.
    pub(super) fn fallbacks(&self) -> impl Iterator<Item = &TransportId> {
        let fallbacks = self.config.rungs.iter().filter(|rung| rung.class == Class::Fallback);
        fallbacks.map(|rung| &rung.transport)
    }

    pub(super) fn is_dialling(&self, generation: Generation) -> bool {
        self.dials.contains_key(&generation)
    }

    fn rung(&self, transport: &TransportId) -> Option<&Rung> {
        self.config.rungs.iter().find(|rung| rung.transport == *transport)
    }

    fn class(&self, transport: &TransportId) -> Option<Class> {
        self.rung(transport).map(|rung| rung.class)
    }

    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    pub(super) fn view(&self, path: Option<Generation>) -> View {
        View {
            leading: false,
            mode: self.config.mode,
            path,
            standby: None,
            reason: path.map_or(Reason::FirstConnect, |generation| self.arrived(generation)),
            held: false,
            degraded: None,
            rungs: Vec::new(),
            closed_gates: Vec::new(),
            next: None,
        }
    }
}

impl Dial {
    fn action(&self, generation: Generation) -> Action {
        let (transport, deadline) = (self.transport.clone(), self.deadline);
        Action::Dial { transport, generation, role: DialRole::Answerer, deadline }
    }
}

fn on(class: Option<Class>, transport: TransportId, generation: Generation) -> Standing {
    match class {
        Some(Class::Fallback) => Standing::Fallback { transport, generation },
        _ => Standing::Primary { transport, generation },
    }
}

/// Pause between two complaints about the same link.
const COMPLAIN_AGAIN: Duration = Duration::from_secs(2);

/// Dials of one session at one time, so that a leader cannot make this side hold more: three raced attempts on each of
/// two primary rungs, the fallback, and one to spare. As many reasons are kept.
const DIALS: usize = 8;
