//! The search for a path: dials, their deadlines, and when to try again.

use rand::Rng;

use crate::{
    error::{ConnectErrorKind, Verdict},
    ids::Generation,
    time::{Duration, Instant},
};

use super::{
    Action, FallbackPolicy, Standing,
    gate::{Gate, GateState, Override},
    ladder::{Class, Trouble},
    reason::Reason,
};

/// One search for a path.
#[derive(Debug, Clone)]
pub(super) struct Campaign {
    pub(super) purpose: Purpose,
    pub(super) began: Instant,
    /// Why its dials are made.
    pub(super) why: Reason,
    /// When silence is judged; `None` once it was, or once anything answered.
    pub(super) silence_at: Option<Instant>,
    /// Silence was judged, and it was silent.
    pub(super) silent: bool,
    /// The fallback was dialled and not reached, so the network itself may have been down.
    pub(super) fallback_failed: bool,
    /// Everything allowed is dialled at once: no head start for the fallback.
    pub(super) urgent: bool,
    /// A live rung that is too poor to sustain the session; dialling it again would not help.
    pub(super) spared: Option<usize>,
}

/// What a campaign is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// No path yet: the long ladder.
    First,
    /// A live primary works, and the fallback is wanted by hand.
    Forced,
    /// A path was lost, or cannot carry the session: the short ladder.
    Live,
    /// The path may have died unnoticed: a fresh one is raced, nothing is concluded.
    Verify,
}

/// One open dial.
#[derive(Debug, Clone)]
pub(super) struct Dial {
    pub(super) rung: usize,
    pub(super) began: Instant,
    pub(super) deadline: Instant,
    /// When it counts as failed although it stays open; `None` once it was counted, or never.
    pub(super) soft: Option<Instant>,
    /// Its failure is recorded already.
    pub(super) counted: bool,
    /// When something first came back.
    pub(super) answered: Option<Instant>,
    /// How long its link must be healthy before a session on the fallback moves to it.
    pub(super) dwell: Duration,
}

impl FallbackPolicy {
    /// Starts a search. Dials that are open already take part in it.
    pub(super) fn begin_campaign(&mut self, now: Instant, purpose: Purpose, why: Reason) {
        self.drop_reserve();
        for rung in &mut self.ladder.rungs {
            rung.round = 0;
            rung.next_dial = None;
            rung.backoff.reset();
            if rung.rung.class == Class::Fallback {
                rung.trouble = Trouble::None;
            }
        }
        let silence_at = (purpose == Purpose::First).then_some(now + self.config.dial.silence);
        let campaign = Campaign {
            purpose,
            began: now,
            why,
            silence_at,
            silent: false,
            fallback_failed: false,
            urgent: false,
            spared: None,
        };
        self.campaign = Some(campaign);
        if purpose == Purpose::Forced {
            return;
        }
        let primaries = self.primaries(now);
        let gaps = u32::try_from(primaries.len().saturating_sub(1).max(1)).unwrap_or(u32::MAX);
        for (position, rung) in (0..).zip(primaries) {
            let after = match purpose {
                Purpose::First => self.config.dial.rung_stagger * position / gaps,
                // A rung that has its quorum already does not outrun one that has not.
                Purpose::Live if self.quorum_on(rung, now) => self.config.dial.fresh,
                _ => Duration::ZERO,
            };
            self.ladder.rungs[rung].next_dial = Some(now + after);
        }
    }

    /// Makes the running search dial everything allowed at once.
    pub(super) fn make_urgent(&mut self, now: Instant) {
        if let Some(campaign) = &mut self.campaign {
            campaign.urgent = true;
        }
        for rung in self.primaries(now) {
            if !self.dials.values().any(|dial| dial.rung == rung) {
                self.ladder.rungs[rung].next_dial = Some(now);
            }
        }
    }

    /// The other side is in the room again. Ends the waits between dials of a session that has none to show
    /// for, and races a fresh dial beside those that drew no answer: what they said may have been lost.
    /// Evidence stays what it is.
    pub(super) fn peer_present(&mut self, now: Instant) {
        if matches!(self.standing, Standing::Held { .. }) {
            for state in &mut self.ladder.rungs {
                state.backoff.reset();
                state.next_dial = state.next_dial.map(|at| at.min(now));
            }
        }
        let searching = |campaign: &Campaign| matches!(campaign.purpose, Purpose::First | Purpose::Live);
        if self.campaign.as_ref().is_some_and(searching) {
            for rung in self.primaries(now) {
                let mut open = self.dials.values().filter(|dial| dial.rung == rung).peekable();
                if open.peek().is_some() && open.all(|dial| dial.answered.is_none()) {
                    self.ladder.rungs[rung].next_dial = Some(now);
                }
            }
        }
    }

    pub(super) fn dial_primaries(&mut self, now: Instant) {
        let Some(campaign) = &self.campaign else { return };
        let (purpose, why, spared) = (campaign.purpose, campaign.why, campaign.spared);
        if purpose == Purpose::Forced {
            return;
        }
        for rung in self.primaries(now) {
            if !self.is_due(rung, now) || spared == Some(rung) {
                continue;
            }
            let state = &mut self.ladder.rungs[rung];
            let why = if state.round == 0 { why } else { Reason::Retry };
            state.round += 1;
            let raced_next = state.round < self.config.attempts;
            let stagger = self.config.dial.stagger.mul_f64(self.rng.random_range(0.85..=1.0));
            self.ladder.rungs[rung].next_dial = raced_next.then_some(now + stagger);
            let soft = (purpose != Purpose::First).then_some(now + self.config.dial.fresh);
            let dwell = match purpose {
                Purpose::First | Purpose::Verify => self.config.restore.late_dwell,
                Purpose::Forced | Purpose::Live => self.config.restore.dwell_after(self.returns.failed),
            };
            self.open_dial(now, rung, why, soft, dwell);
        }
    }

    /// Says whether a primary's next attempt is due. Attempts on one rung never exceed the quorum.
    pub(super) fn is_due(&self, rung: usize, now: Instant) -> bool {
        self.ladder.rungs[rung].next_dial.is_some_and(|at| at <= now) && self.has_room(rung)
    }

    pub(super) fn has_room(&self, rung: usize) -> bool {
        self.dials.values().filter(|dial| dial.rung == rung).count() < self.config.attempts as usize
    }

    pub(super) fn open_dial(
        &mut self,
        now: Instant,
        rung: usize,
        why: Reason,
        soft: Option<Instant>,
        dwell: Duration,
    ) {
        let Some(generation) = self.numbered.next() else {
            return self.give_up(now, Reason::GenerationsExhausted);
        };
        self.numbered = generation;
        let deadline = now + self.config.dial.attempt;
        let dial = Dial { rung, began: now, deadline, soft, counted: false, answered: None, dwell };
        self.dials.insert(generation, dial);
        let transport = self.ladder.rungs[rung].rung.transport.clone();
        self.actions.push_back(Action::Dial { transport, generation, deadline, why });
    }

    pub(super) fn cancel_dials(&mut self, which: impl Fn(&Dial) -> bool) {
        let doomed: Vec<Generation> =
            self.dials.iter().filter(|(_, dial)| which(dial)).map(|(generation, _)| *generation).collect();
        for generation in doomed {
            self.dials.remove(&generation);
            self.actions.push_back(Action::CancelDial { generation });
        }
    }

    /// Ends dials whose time is over, and counts those that take too long.
    pub(super) fn expire(&mut self, now: Instant) {
        let due = |dial: &Dial| dial.deadline <= now;
        let over: Vec<Generation> = self.dials.iter().filter(|(_, d)| due(d)).map(|(g, _)| *g).collect();
        for generation in over {
            self.actions.push_back(Action::CancelDial { generation });
            self.dial_failed(now, generation, ConnectErrorKind::TimedOut);
        }
        let slow: Vec<Generation> = self
            .dials
            .iter()
            .filter(|(_, dial)| dial.soft.is_some_and(|at| at <= now))
            .map(|(generation, _)| *generation)
            .collect();
        self.count_open(now, &slow);
    }

    /// When nothing has answered at all by now, every open attempt of the first connect counts, the
    /// youngest as soon as they are as old as the last raced attempt is when silence is judged.
    pub(super) fn judge_silence(&mut self, now: Instant) {
        let Some(campaign) = self.campaign.as_mut().filter(|c| c.silence_at.is_some_and(|at| at <= now))
        else {
            return;
        };
        campaign.silence_at = None;
        campaign.silent = true;
        let ripe = self.config.dial.least_silence(self.config.attempts);
        let mut silent = Vec::new();
        for (generation, dial) in &mut self.dials {
            if self.ladder.rungs[dial.rung].rung.class == Class::Primary {
                if now.saturating_duration_since(dial.began) >= ripe {
                    silent.push(*generation);
                } else {
                    dial.soft = Some(dial.began + ripe);
                }
            }
        }
        self.count_open(now, &silent);
    }

    /// Records the failure of dials that stay open in case they are late.
    fn count_open(&mut self, now: Instant, generations: &[Generation]) {
        for generation in generations {
            let Some(dial) = self.dials.get_mut(generation) else { continue };
            dial.soft = None;
            let rung = dial.rung;
            if !std::mem::replace(&mut dial.counted, true) {
                self.record_failure(now, rung);
                self.schedule_retry(now, rung, Verdict::CountAndRetry);
            }
        }
    }

    pub(super) fn dial_progressed(&mut self, now: Instant, generation: Generation) {
        let Some(dial) = self.dials.get_mut(&generation) else { return };
        let rung = dial.rung;
        if self.ladder.rungs[rung].rung.class == Class::Fallback {
            return;
        }
        dial.answered.get_or_insert(now);
        if let Some(campaign) = &mut self.campaign {
            campaign.silence_at = None;
            if campaign.purpose == Purpose::First {
                dial.soft = None;
            }
        }
        // Somebody is there: give this attempt the time of its checks before racing another.
        if let Some(at) = &mut self.ladder.rungs[rung].next_dial {
            *at = (*at).max(now + self.config.dial.answered_stagger);
        }
    }

    pub(super) fn dial_failed(&mut self, now: Instant, generation: Generation, kind: ConnectErrorKind) {
        let Some(dial) = self.dials.remove(&generation) else { return };
        let verdict = kind.verdict();
        let state = &mut self.ladder.rungs[dial.rung];
        state.trouble = match kind {
            ConnectErrorKind::Misuse => Trouble::Misused,
            ConnectErrorKind::Rejected => Trouble::Refused,
            _ => Trouble::Unreachable,
        };
        let relayed = state.rung.class == Class::Fallback;
        if let Some(campaign) =
            self.campaign.as_mut().filter(|_| relayed && verdict == Verdict::CountAndRetry)
        {
            campaign.fallback_failed = true;
        }
        match verdict {
            Verdict::CountAndRetry if !dial.counted => self.record_failure(now, dial.rung),
            Verdict::CountAndRetry | Verdict::Hold => {}
            Verdict::EndRung => {
                state.condemned_until = Some(now + self.config.dial.impossible);
                self.ladder.remember_failure(self.network, dial.rung, now);
            }
        }
        // A dial that was counted while open has scheduled its successor already.
        if !dial.counted || verdict != Verdict::CountAndRetry {
            self.schedule_retry(now, dial.rung, verdict);
        }
        if self.dials.is_empty() && self.campaign.as_ref().is_some_and(|c| c.purpose == Purpose::Verify) {
            self.end_campaign();
        }
    }

    pub(super) fn record_failure(&mut self, now: Instant, rung: usize) {
        let state = &mut self.ladder.rungs[rung];
        state.failures.record(now);
        state.since_death = state.since_death.saturating_add(1);
        if state.failures.count(now, self.config.window) >= self.config.attempts {
            self.ladder.remember_failure(self.network, rung, now);
        }
    }

    fn schedule_retry(&mut self, now: Instant, rung: usize, verdict: Verdict) {
        let class = self.class(rung);
        let Some(campaign) = &self.campaign else { return };
        // A doubted primary gets the dials of its race and no more; the relay under a session is tried until it is there.
        if campaign.purpose == Purpose::Verify && class == Class::Primary {
            return;
        }
        let state = &mut self.ladder.rungs[rung];
        let at = now
            + match verdict {
                Verdict::CountAndRetry => state.backoff.next(&self.config.backoff, &mut self.rng),
                Verdict::EndRung | Verdict::Hold => self.config.dial.refused,
            };
        state.next_dial = match (class, verdict) {
            (Class::Primary, Verdict::CountAndRetry) => {
                Some(state.next_dial.map_or(at, |planned| planned.min(at)))
            }
            _ => Some(at),
        };
    }

    /// Stops searching; open dials go on.
    pub(super) fn end_campaign(&mut self) {
        self.drop_reserve();
        self.campaign = None;
        for rung in &mut self.ladder.rungs {
            rung.next_dial = None;
        }
    }

    pub(super) fn set_gate(&mut self, gate: Gate, state: GateState) {
        self.gates.set(gate, state);
        match state {
            GateState::Closed => self.cancel_fallback_dials(),
            GateState::Open => self.pardon_fallbacks(),
        }
    }

    /// Lets the fallback be dialled at once, whatever it said before.
    pub(super) fn pardon_fallbacks(&mut self) {
        for rung in self.ladder.fallbacks().collect::<Vec<_>>() {
            let state = &mut self.ladder.rungs[rung];
            (state.trouble, state.next_dial) = (Trouble::None, None);
            state.backoff.reset();
        }
    }

    pub(super) fn cancel_fallback_dials(&mut self) {
        let fallbacks: Vec<usize> = self.ladder.fallbacks().collect();
        self.cancel_dials(|dial| fallbacks.contains(&dial.rung));
        self.drop_reserve();
    }

    pub(super) fn primaries(&self, now: Instant) -> Vec<usize> {
        self.ladder.primaries(self.mode, self.network, now)
    }

    pub(super) fn class(&self, rung: usize) -> Class {
        self.ladder.rungs[rung].rung.class
    }

    pub(super) fn is_forced(&self) -> bool {
        matches!(self.mode, Override::ForceFallback | Override::RelayOnly)
    }
}
