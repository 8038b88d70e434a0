//! Live links: taking one into use, losing it, and judging its health.

use crate::{ids::Generation, time::Instant};

use super::{
    Action, FallbackPolicy,
    campaign::Purpose,
    event::{IceRestart, LossCause, Standing, TransitionKind},
    gate::Override,
    health::{Health, HealthMonitor, HealthSample},
    ladder::{Class, NetworkId, Trouble},
    reason::Reason,
};

/// The link the session is on.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) generation: Generation,
    pub(super) rung: usize,
    pub(super) since: Instant,
    pub(super) monitor: HealthMonitor,
    /// Why it cannot carry the session, while it is still open.
    pub(super) degraded: Option<Reason>,
    /// Good samples in a row.
    pub(super) calm: u32,
    /// The last busy sample was bad.
    pub(super) suspect: bool,
    /// The session came back to it from the fallback.
    pub(super) returned: bool,
    /// Primaries whose attempts in the same race were cancelled for its sake.
    pub(super) rivals: Vec<usize>,
}

impl FallbackPolicy {
    pub(super) fn dial_succeeded(&mut self, now: Instant, generation: Generation) {
        let Some(dial) = self.dials.remove(&generation) else {
            // Cancelled in the same moment; nobody waits for it.
            return self.actions.push_back(Action::Drain { generation });
        };
        let rung = dial.rung;
        let state = &mut self.ladder.rungs[rung];
        state.backoff.reset();
        (state.trouble, state.condemned_until) = (Trouble::None, None);
        if self.class(rung) == Class::Primary && self.rests_on_fallback() {
            return self.primary_answers(now, generation, &dial);
        }
        let wanted = match self.campaign.as_ref().map(|campaign| campaign.purpose) {
            Some(Purpose::Forced) => self.class(rung) == Class::Fallback,
            Some(Purpose::First | Purpose::Live | Purpose::Verify) => true,
            None => false,
        };
        if !wanted {
            self.actions.push_back(Action::Drain { generation });
        } else if generation < self.adopted {
            // Numbers only rise, so that either side can fence by them: dial the rung again.
            self.actions.push_back(Action::Drain { generation });
            self.ladder.rungs[rung].next_dial = Some(now);
        } else if self.class(rung) == Class::Fallback && self.doubts_verdict(now, &dial) {
            self.put_in_reserve(now, generation, rung);
        } else {
            self.adopt(now, generation, rung);
        }
    }

    /// Puts the session on an open link. Make before break: what it was on drains afterwards.
    pub(super) fn adopt(&mut self, now: Instant, generation: Generation, rung: usize) {
        let class = self.class(rung);
        let purpose = self.campaign.as_ref().map(|campaign| campaign.purpose);
        let (kind, why) = self.occasion(class, purpose);
        self.actions.push_back(Action::Switch { generation, why });
        let raced = |other: &usize| *other != rung && self.dials.values().any(|dial| dial.rung == *other);
        let rivals = self.primaries(now).into_iter().filter(raced).collect();
        if let Some(old) = self.active.take() {
            self.actions.push_back(Action::Drain { generation: old.generation });
        }
        match class {
            // Dials that are open may be late: the fastest way back.
            Class::Fallback => {
                self.cancel_fallback_dials();
                // Numbers only rise: one that stands by under a lower one can never follow.
                if self.standby.as_ref().is_some_and(|standby| standby.generation < generation) {
                    self.drop_standby();
                }
            }
            Class::Primary => {
                self.cancel_dials(|_| true);
                self.drop_standby();
            }
        }
        self.end_campaign();
        self.account_for_move(now, rung, purpose);
        let returned = class == Class::Primary && self.tenure;
        self.adopted = generation;
        self.active = Some(Link {
            generation,
            rung,
            since: now,
            monitor: HealthMonitor::default(),
            degraded: None,
            calm: 0,
            suspect: false,
            returned,
            rivals,
        });
        let transport = self.ladder.rungs[rung].rung.transport.clone();
        let standing = match class {
            Class::Fallback => {
                self.tenure = true;
                self.mourn(now);
                self.plan_return(now);
                Standing::Fallback { transport, generation }
            }
            Class::Primary => {
                self.tenure = false;
                self.returns.next = None;
                if matches!(purpose, Some(Purpose::First | Purpose::Verify)) {
                    // Nothing is known to have died before it.
                    self.death = None;
                }
                self.ladder.remember_success(self.network, rung, now);
                Standing::Primary { transport, generation }
            }
        };
        self.transition(now, kind, why, standing);
    }

    /// Names the event and the reason of taking a link into use.
    fn occasion(&self, class: Class, purpose: Option<Purpose>) -> (TransitionKind, Reason) {
        let why = self.campaign.as_ref().map_or(Reason::PrimaryHealed, |campaign| campaign.why);
        match (class, purpose) {
            (_, Some(Purpose::Verify)) => (TransitionKind::Recovered, why),
            (Class::Fallback, _) => (TransitionKind::FallbackActivated, self.verdict),
            (Class::Primary, _) if self.tenure => (TransitionKind::Restored, Reason::PrimaryHealed),
            (Class::Primary, None) => (TransitionKind::Restored, Reason::PrimaryHealed),
            (Class::Primary, Some(Purpose::First)) if self.standing == Standing::Connecting => {
                (TransitionKind::Connected, Reason::PrimaryConnected)
            }
            (Class::Primary, Some(Purpose::First)) => (TransitionKind::Connected, Reason::LatePrimary),
            (Class::Primary, Some(Purpose::Live | Purpose::Forced)) => {
                (TransitionKind::Recovered, Reason::RedialSucceeded)
            }
        }
    }

    /// Counts a move from one path to another. A wake or another network is nobody's flapping, and
    /// one relay link after another is no move.
    fn account_for_move(&mut self, now: Instant, rung: usize, purpose: Option<Purpose>) {
        let before = self.last_rung.replace(rung);
        let moved = before
            .is_some_and(|before| self.class(before) == Class::Primary || self.class(rung) == Class::Primary);
        if moved && purpose != Some(Purpose::Verify) {
            self.flap.record(now, &self.config.restore);
        }
    }

    pub(super) fn lost(&mut self, now: Instant, generation: Generation, cause: LossCause) {
        let relayed = self
            .active
            .as_ref()
            .is_some_and(|l| l.generation == generation && self.class(l.rung) == Class::Fallback);
        let why = match (cause, relayed) {
            (LossCause::Drained, true) => Reason::RelayDrained,
            (_, true) => Reason::RelayLost,
            (_, false) => Reason::LinkClosed,
        };
        self.link_ended(now, generation, why);
        if relayed && cause == LossCause::Refused {
            for rung in self.ladder.fallbacks().collect::<Vec<_>>() {
                let state = &mut self.ladder.rungs[rung];
                (state.trouble, state.next_dial) = (Trouble::Refused, Some(now + self.config.dial.refused));
            }
        }
    }

    pub(super) fn peer_reports_lost(&mut self, now: Instant, generation: Generation) {
        if self.is_live(generation) {
            self.actions.push_back(Action::Drain { generation });
            self.link_ended(now, generation, Reason::PeerReportedLoss);
        }
    }

    pub(super) fn ice_restarted(&mut self, now: Instant, generation: Generation, outcome: IceRestart) {
        match outcome {
            IceRestart::Failed if self.is_live(generation) => {
                self.actions.push_back(Action::Drain { generation });
                self.link_ended(now, generation, Reason::IceRestartFailed);
            }
            IceRestart::Failed => {}
            IceRestart::Succeeded => {
                let Some(link) = self.active.as_mut().filter(|l| l.generation == generation) else { return };
                link.monitor = HealthMonitor::default();
                if link.degraded == Some(Reason::PathDead) {
                    self.link_recovered(now);
                }
            }
        }
    }

    fn is_live(&self, generation: Generation) -> bool {
        self.active.as_ref().is_some_and(|link| link.generation == generation)
            || self.standby.as_ref().is_some_and(|standby| standby.generation == generation)
            || self.reserve.as_ref().is_some_and(|reserve| reserve.generation == generation)
    }

    fn link_ended(&mut self, now: Instant, generation: Generation, why: Reason) {
        if self.reserve.take_if(|reserve| reserve.generation == generation).is_some() {
            return;
        }
        if self.standby.as_ref().is_some_and(|standby| standby.generation == generation)
            && let Some(standby) = self.standby.take()
        {
            return self.record_failure(now, standby.rung);
        }
        let Some(link) = self.active.take_if(|link| link.generation == generation) else { return };
        if link.degraded.is_some() {
            // Known to be failing; what changes is that nothing is left to spare.
            if let Some(rung) = self.campaign.as_mut().and_then(|campaign| campaign.spared.take()) {
                self.ladder.rungs[rung].next_dial = Some(now);
            }
            return;
        }
        self.bereave(now, &link, why);
    }

    /// A live link is over, or as good as: draw the lesson and search for another path.
    fn bereave(&mut self, now: Instant, link: &Link, why: Reason) {
        let class = self.class(link.rung);
        if class == Class::Fallback && self.standby.is_some() {
            // The way back is open already; waiting for its dwell would help nobody.
            return self.take_standby(now);
        }
        match class {
            Class::Fallback => self.mourn(now),
            Class::Primary => self.learn(now, link),
        }
        if self.campaign.as_ref().is_some_and(|campaign| campaign.purpose == Purpose::Verify) {
            self.doubt_confirmed(now);
        } else {
            self.begin_campaign(now, Purpose::Live, Reason::FreshDial);
        }
        if class == Class::Fallback {
            self.make_urgent(now);
            self.pace_fallback(now, link, why);
        }
        if let Some(campaign) = self.campaign.as_mut().filter(|_| link.degraded.is_some_and(is_poor)) {
            campaign.spared = Some(link.rung);
        }
        self.transition(now, TransitionKind::Lost, why, Standing::Recovering);
    }

    /// Counts a primary that died young as a failed attempt, and remembers since when luck is bad.
    fn learn(&mut self, now: Instant, link: &Link) {
        let proven_since = self.death.map_or(link.since, |death| death.max(link.since));
        let young = |since: Instant| now.saturating_duration_since(since) < self.config.short_lived;
        // With one move left, any loss must lead to rest: two more moves would break the budget.
        let flapping = self.flap.is_nearly_spent(now, &self.config.restore);
        if !young(proven_since) && !flapping {
            self.death = None;
        }
        if young(link.since) || flapping {
            self.record_failure(now, link.rung);
        }
        if flapping {
            // The race it won led nowhere, for those it left behind too. Trying each in its turn would
            // cost a move each.
            for rival in &link.rivals {
                let state = &mut self.ladder.rungs[*rival];
                state.failures.record(link.since);
                state.since_death = state.since_death.saturating_add(1);
            }
        }
        self.mourn(now);
        let lasted = now.saturating_duration_since(link.since) >= self.config.restore.flap_window;
        if lasted {
            self.returns.failed = 0;
        } else if link.returned {
            self.returns.failed = self.returns.failed.saturating_add(1);
        }
    }

    /// Opens the account of failures since a link died, unless it is open.
    fn mourn(&mut self, now: Instant) {
        if self.death.is_none() {
            self.reopen_account(now);
        }
    }

    pub(super) fn reopen_account(&mut self, now: Instant) {
        self.death = Some(now);
        for rung in &mut self.ladder.rungs {
            rung.since_death = 0;
        }
    }

    /// The path was in doubt and is gone: the dials raced so far become the search.
    fn doubt_confirmed(&mut self, now: Instant) {
        for rung in self.primaries(now) {
            let busy = self.dials.values().any(|dial| dial.rung == rung);
            self.ladder.rungs[rung].next_dial = (!busy).then_some(now);
        }
        if let Some(campaign) = &mut self.campaign {
            campaign.purpose = Purpose::Live;
        }
    }

    /// A relay that drains is given a moment, and one that keeps hanging up is not hammered.
    fn pace_fallback(&mut self, now: Instant, link: &Link, why: Reason) {
        let brief = now.saturating_duration_since(link.since) < self.config.dial.attempt;
        if brief || why == Reason::RelayDrained {
            let state = &mut self.ladder.rungs[link.rung];
            state.next_dial = Some(now + state.backoff.next(&self.config.backoff, &mut self.rng));
        }
    }

    pub(super) fn observe(&mut self, now: Instant, generation: Generation, sample: &HealthSample) {
        if let Some(standby) = self.standby.as_mut().filter(|standby| standby.generation == generation) {
            if !self.config.health.approves_standby(sample) {
                standby.healthy_at = now + standby.dwell;
            }
            return;
        }
        let Some(link) = self.active.as_mut().filter(|link| link.generation == generation) else { return };
        // Data may be older than the link that must carry it next; that is not the link's fault.
        let age = sample.oldest_unacked.min(now.saturating_duration_since(link.since));
        let sample = HealthSample { oldest_unacked: age, ..*sample };
        let health = link.monitor.observe(now, &sample, &self.config.health);
        link.suspect = matches!(health, Health::Suspect | Health::Failing(_));
        link.calm = if health == Health::Good { link.calm.saturating_add(1) } else { 0 };
        match (health, link.degraded) {
            (Health::Failing(why), None) => self.link_fails(now, why),
            (Health::Failing(why), Some(_)) => {
                if is_poor(why) {
                    self.condemn(now);
                }
            }
            (Health::Good | Health::Idle, Some(Reason::PathDead)) => self.link_recovered(now),
            (Health::Good, Some(_)) if link.calm >= CALM => self.link_recovered(now),
            // Young data says nothing yet, and the first sample may still tell of the time before.
            (Health::Good, None) if sample.goodput > 0 && link.calm >= PROOF => self.doubt_dispelled(),
            (Health::Idle | Health::Suspect | Health::Good, _) => {}
        }
    }

    fn link_fails(&mut self, now: Instant, why: Reason) {
        let Some(mut link) = self.active.take() else { return };
        if is_poor(why) && self.class(link.rung) == Class::Fallback {
            // There is nothing below the fallback; slow is better than nothing.
            self.active = Some(link);
            return;
        }
        link.degraded = Some(why);
        link.calm = 0;
        self.active = Some(link.clone());
        if is_poor(why) {
            self.condemn(now);
        }
        self.bereave(now, &link, why);
    }

    /// A quorum of samples is a quorum of failures on the rung they were taken from.
    fn condemn(&mut self, now: Instant) {
        if let Some(link) = &self.active {
            self.ladder.rungs[link.rung].condemned_until = Some(now + self.config.window);
        }
    }

    /// A link given up for dead carries data again before another was found.
    fn link_recovered(&mut self, now: Instant) {
        let Some(link) = &mut self.active else { return };
        let was = link.degraded.take();
        link.monitor = HealthMonitor::default();
        let (rung, generation) = (link.rung, link.generation);
        let state = &mut self.ladder.rungs[rung];
        state.condemned_until = None;
        if was == Some(Reason::PathDead) {
            // It was dead for seconds all the same: a path that does this over and over is no path.
            state.failures.record(now);
        }
        self.cancel_dials(|_| true);
        self.end_campaign();
        let transport = self.ladder.rungs[rung].rung.transport.clone();
        let to = match self.class(rung) {
            Class::Fallback => Standing::Fallback { transport, generation },
            Class::Primary => Standing::Primary { transport, generation },
        };
        self.transition(now, TransitionKind::Recovered, Reason::LinkRecovered, to);
    }

    /// Data came back on a path that was in doubt: no need for another.
    fn doubt_dispelled(&mut self) {
        if self.campaign.as_ref().is_some_and(|campaign| campaign.purpose == Purpose::Verify) {
            let on_fallback = self.rests_on_fallback();
            self.end_campaign();
            if on_fallback {
                self.cancel_fallback_dials();
            } else {
                self.cancel_dials(|_| true);
            }
        }
    }

    /// The device slept: everything open is probably dead, and nothing is known any more.
    pub(super) fn wake(&mut self, now: Instant) {
        self.start_over(now, Reason::Woke);
        if self.campaign.is_some() {
            self.make_urgent(now);
        }
    }

    pub(super) fn change_network(&mut self, now: Instant, network: NetworkId) {
        self.network = network;
        self.tenure = false;
        self.returns.failed = 0;
        if self.rests_on_fallback() {
            self.forget_everything(now);
            self.end_campaign();
            self.returns.next = Some(now);
        } else {
            self.start_over(now, Reason::NetworkChanged);
        }
    }

    fn forget_everything(&mut self, now: Instant) {
        self.cancel_dials(|_| true);
        self.drop_standby();
        self.returns.looks = 0;
        self.ladder.rungs.iter_mut().for_each(super::ladder::RungState::forget);
        self.reopen_account(now);
    }

    fn start_over(&mut self, now: Instant, why: Reason) {
        if self.standing == Standing::Idle {
            return;
        }
        self.forget_everything(now);
        if let Some(link) = &mut self.active {
            link.calm = 0;
        }
        if self.active.as_ref().is_some_and(|link| link.degraded.is_none()) {
            let forced = self.campaign.take().is_some_and(|campaign| campaign.purpose == Purpose::Forced);
            // A forced search hangs on a primary nobody wants; it begins again by itself.
            if forced {
                self.settle_on_primary(now, why);
            }
            self.plan_return(now);
            return self.begin_campaign(now, Purpose::Verify, why);
        }
        let (purpose, to) = if self.adopted == Generation(0) {
            (Purpose::First, Standing::Connecting)
        } else {
            (Purpose::Live, Standing::Recovering)
        };
        self.begin_campaign(now, purpose, why);
        if self.standing != to && !self.tenure {
            self.transition(now, TransitionKind::Connecting, why, to);
        }
    }

    /// Ends a forced search: the session is where it was all along.
    fn settle_on_primary(&mut self, now: Instant, why: Reason) {
        let Some(link) = &self.active else { return };
        let (rung, generation) = (link.rung, link.generation);
        if matches!(self.standing, Standing::Considering | Standing::Held { .. }) {
            let transport = self.ladder.rungs[rung].rung.transport.clone();
            let to = Standing::Primary { transport, generation };
            self.transition(now, TransitionKind::Recovered, why, to);
        }
    }

    pub(super) fn set_mode(&mut self, now: Instant, mode: Override) {
        if std::mem::replace(&mut self.mode, mode) == mode || self.standing == Standing::Idle {
            return;
        }
        self.cancel_dials(|_| true);
        self.pardon_fallbacks();
        if matches!(mode, Override::DirectOnly | Override::NoRelay) {
            self.tenure = false;
        }
        let searching = self.campaign.take().map(|campaign| campaign.purpose);
        self.drop_standby();
        match &self.active {
            Some(link) if !self.is_allowed(link.rung, now) => {
                self.actions.push_back(Action::Drain { generation: link.generation });
                self.active = None;
                self.reopen_account(now);
                self.begin_campaign(now, Purpose::Live, Reason::Override);
                if self.standing != Standing::Recovering {
                    self.transition(now, TransitionKind::Lost, Reason::Override, Standing::Recovering);
                }
            }
            Some(link) if link.degraded.is_none() => {
                if searching == Some(Purpose::Forced) {
                    self.settle_on_primary(now, Reason::Override);
                }
                self.plan_return(now);
                if mode == Override::Auto && self.rests_on_fallback() {
                    self.returns.next = Some(now);
                }
            }
            _ => {
                let purpose = if self.adopted == Generation(0) { Purpose::First } else { Purpose::Live };
                self.begin_campaign(now, purpose, Reason::Override);
                let to = if purpose == Purpose::First { Standing::Connecting } else { Standing::Recovering };
                if self.standing != to {
                    self.transition(now, TransitionKind::Connecting, Reason::Override, to);
                }
            }
        }
    }

    fn is_allowed(&self, rung: usize, now: Instant) -> bool {
        match self.class(rung) {
            Class::Fallback => !matches!(self.mode, Override::DirectOnly | Override::NoRelay),
            Class::Primary => self.primaries(now).contains(&rung),
        }
    }
}

/// Says whether a reason condemns the path rather than the one link: dialling again cannot help.
const fn is_poor(why: Reason) -> bool {
    matches!(why, Reason::HeavyLoss | Reason::HighRtt | Reason::LowGoodput)
}

/// Good samples in a row, the last with acknowledgements, that clear a link of doubt.
const PROOF: u32 = 2;

/// Good samples in a row that clear a link of being too poor.
const CALM: u32 = 5;
