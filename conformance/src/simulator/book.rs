//! The books of one session: outages, activations, moves.

use std::time::Duration;

use transport_core::policy::{Reason, Standing, Transition, TransitionKind};

use super::{
    population::{Kind, Reach},
    session::Session,
    tally::{KindTally, Spread, Tally},
};

/// What one session adds to the tally when it ends.
#[derive(Debug, Default)]
pub(super) struct Book {
    first_usable: Option<Duration>,
    outage: Option<Outage>,
    rescues: Vec<Duration>,
    reconnects: Vec<Duration>,
    wakes: Vec<Duration>,
    wakes_elsewhere: Vec<Duration>,
    /// The session woke on another network than the one before.
    elsewhere: bool,
    lingering: Vec<Lingering>,
    /// Since when the session has been on TURN although the direct path would carry it.
    detour_since: Option<Duration>,
    detours: Vec<Duration>,
    missed: bool,
    wrong: bool,
    /// The link was given up for what samples said of it while it carried data.
    given_up: u64,
    activated: bool,
    activated_where_it_works: bool,
    reasons: Vec<&'static str>,
    /// When the session came onto the relay.
    relayed_since: Option<Duration>,
    /// The flap budget has kept it there.
    rested: bool,
    /// Since when some primary has been carrying data, if it does.
    primary_since: Option<Duration>,
    /// Since when the fallback has been to be had, if it is.
    relay_since: Option<Duration>,
    moves: u64,
    moves_by_wake: u64,
    /// Moves since the fallback was last not to be had: before, there was nowhere to rest.
    recent: Vec<Duration>,
    most_in_ten_minutes: u64,
    switches: u64,
    last_switch: Option<Duration>,
    last_wake: Option<Duration>,
    /// When the fallback was last seen unavailable.
    excused: Option<Duration>,
    /// Time during which the fallback was to be had.
    relay_was_there: Duration,
    last: Duration,
}

/// A time on the relay although the direct path had healed for good.
#[derive(Debug, Clone, Copy)]
struct Lingering {
    /// On the relay before it healed.
    outage: Duration,
    lasted: Duration,
    /// The flap budget kept it there.
    rested: bool,
}

/// A time without a path that carries data.
#[derive(Debug, Clone, Copy)]
struct Outage {
    began: Duration,
    cause: Cause,
    /// Since when somebody minds.
    minded: Option<Duration>,
    /// The fallback was to be had throughout.
    relay: bool,
    /// Some primary worked at some time during it.
    primary: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    First,
    Live,
    Wake,
}

impl Book {
    /// The device is awake and its radio will be back at `now`.
    pub(super) fn woke(&mut self, now: Duration, elsewhere: bool) {
        self.elsewhere |= elsewhere;
        self.last_wake = Some(now);
        (self.primary_since, self.detour_since) = (None, None);
        self.relayed_since = self.relayed_since.map(|_| now);
        self.outage =
            Some(Outage { began: now, cause: Cause::Wake, minded: Some(now), relay: true, primary: false });
    }

    /// Links from before the last wake are dead whatever the weather says.
    pub(super) fn link_is_younger_than_wake(&self) -> bool {
        self.last_wake.is_none_or(|wake| self.last_switch.is_some_and(|switch| switch > wake))
    }

    pub(super) fn switched(&mut self, now: Duration) {
        self.switches += 1;
        self.last_switch = Some(now);
        if self.switches > 1 {
            self.moves += 1;
            self.recent.push(now);
        }
    }

    pub(super) fn transition(&mut self, session: &Session, transition: &Transition) {
        let now = session.now;
        match transition.kind {
            TransitionKind::Lost if session.passes() => {
                let judged =
                    [Reason::HighRtt, Reason::LowGoodput, Reason::PathDead, Reason::PeerReportedLoss];
                self.given_up += u64::from(judged.contains(&transition.reason));
            }
            TransitionKind::FallbackActivated if transition.reason != Reason::RelayLost => {
                self.reasons.push(transition.reason.code());
                self.activated = true;
                let worked = self.primary_since.is_some_and(|since| now - since >= ESTABLISHED);
                self.wrong |= worked;
                self.activated_where_it_works |= session.network.reach() == Reach::Works;
            }
            TransitionKind::FallbackHeld => self.rested |= transition.reason == Reason::FlapBudget,
            TransitionKind::Recovered
                if matches!(transition.reason, Reason::Woke | Reason::NetworkChanged) =>
            {
                self.moves -= 1;
                self.recent.pop();
                self.moves_by_wake += 1;
            }
            _ => {}
        }
        match transition.to {
            Standing::Fallback { .. } => {
                self.relayed_since.get_or_insert(now);
            }
            Standing::Primary { .. } => self.off_the_relay(now),
            _ => {}
        }
    }

    fn off_the_relay(&mut self, now: Duration) {
        if let (Some(relayed), Some(healed)) = (self.relayed_since.take(), self.primary_since) {
            self.linger(relayed, healed, now);
        }
        self.rested = false;
    }

    fn linger(&mut self, relayed: Duration, healed: Duration, until: Duration) {
        let healed = healed.max(relayed);
        let (outage, lasted) = (healed - relayed, until - healed);
        self.lingering.push(Lingering { outage, lasted, rested: self.rested });
    }

    /// Looks at the session after every step.
    pub(super) fn observe(&mut self, session: &Session, passes: bool) {
        let now = session.now;
        let weather = &session.weather;
        let relay = weather.relay_reachable(now) && weather.minting.at(now) && session.gates_open;
        let window = self.recent.iter().rev().take_while(|at| now - **at < TEN_MINUTES);
        self.most_in_ten_minutes = self.most_in_ten_minutes.max(window.count() as u64);
        if !relay {
            self.recent.clear();
        }
        if relay && self.excused.is_none() {
            self.relay_was_there += now.saturating_sub(self.last);
        }
        self.excused = (!relay).then_some(now);
        self.last = now;
        self.observe_detour(session);
        let primary = weather.some_primary(now);
        self.relay_since = if relay { self.relay_since.or(Some(now)) } else { None };
        self.primary_since = if primary { self.primary_since.or(Some(now)) } else { None };

        if passes {
            self.first_usable.get_or_insert(now);
            if let Some(outage) = self.outage.take() {
                self.settle(outage, now);
            }
            return;
        }
        let cause = if self.first_usable.is_none() { Cause::First } else { Cause::Live };
        let fresh = Outage { began: now, cause, minded: None, relay: true, primary: false };
        let outage = self.outage.get_or_insert(fresh);
        if session.busy.at(now) {
            outage.minded.get_or_insert(now);
        }
        outage.relay &= relay;
        outage.primary |= primary;
        if let Some(outage) = self.outage {
            self.missed |= outage.is_missed(now);
        }
    }

    /// A detour ends on the direct path. One whose reason went away, or which ended otherwise, counts for nothing.
    fn observe_detour(&mut self, session: &Session) {
        if session.detours() {
            self.detour_since.get_or_insert(session.now);
        } else if let Some(since) = self.detour_since.take()
            && session.on_direct()
        {
            self.detours.push(session.now - since);
        }
    }

    fn settle(&mut self, outage: Outage, now: Duration) {
        self.missed |= outage.is_missed(now);
        if outage.cause == Cause::Wake {
            if self.elsewhere { &mut self.wakes_elsewhere } else { &mut self.wakes }
                .push(now.saturating_sub(outage.began));
            return;
        }
        let Some(minded) = outage.minded else { return };
        match (outage.cause, outage.relay, outage.primary) {
            (Cause::Live, true, false) => self.rescues.push(now - minded),
            (Cause::Live, false, _) => {
                let back = self.primary_since.into_iter().chain(self.relay_since).min();
                let back = back.map_or(minded, |since| since.max(minded));
                self.reconnects.push(now - back);
            }
            _ => {}
        }
    }

    pub(super) fn close(mut self, session: &Session, kind: Kind, lived: Duration, tally: &mut Tally) {
        if let Some(outage) = self.outage {
            self.missed |= outage.is_missed(session.now);
        }
        if session.on_relay()
            && let (Some(relayed), Some(healed)) = (self.relayed_since, self.primary_since)
        {
            // Still there when the session ended: count it if that was too long already.
            if session.now - healed.max(relayed) > PROMISED_RETURN {
                self.linger(relayed, healed, session.now);
            }
        }
        // The same for a session that ended on TURN.
        let lasted = self.detour_since.map(|since| session.now - since);
        self.detours.extend(lasted.filter(|lasted| *lasted > PROMISED_RETURN));
        for reason in &self.reasons {
            *tally.reasons.entry(reason).or_default() += 1;
        }
        if kind.reach() == Reach::Works {
            tally.count_where_it_works(self.activated_where_it_works);
        }
        self.post(kind, lived, tally.kind(kind));
    }

    fn post(&self, kind: Kind, lived: Duration, tally: &mut KindTally) {
        tally.sessions += 1;
        tally.activated += u64::from(self.activated);
        tally.wrong += u64::from(self.wrong);
        tally.given_up += self.given_up;
        tally.activated_where_it_works += u64::from(self.activated_where_it_works);
        tally.missed += u64::from(self.missed);
        // A pause or an outage that lasted nearly the whole session excuses its absence.
        if kind == Kind::UdpBlocked && (self.activated || self.relay_was_there >= ELIGIBLE) {
            tally.eligible += 1;
            tally.reached += u64::from(self.activated);
        }
        if let Some(first) = self.first_usable {
            tally.first_usable.record(first);
        }
        let post =
            |spread: &mut Spread, values: &[Duration]| values.iter().for_each(|value| spread.record(*value));
        post(&mut tally.rescue, &self.rescues);
        post(&mut tally.reconnect, &self.reconnects);
        post(&mut tally.wake, &self.wakes);
        post(&mut tally.wake_elsewhere, &self.wakes_elsewhere);
        post(&mut tally.detour, &self.detours);
        for lingering in &self.lingering {
            let spread = if lingering.rested {
                &mut tally.lingering_rested
            } else if lingering.outage > LONG_OUTAGE {
                &mut tally.lingering_long
            } else {
                &mut tally.lingering
            };
            spread.record(lingering.lasted);
        }
        tally.moves += self.moves;
        tally.moves_by_wake += self.moves_by_wake;
        tally.most_moves_in_ten_minutes = tally.most_moves_in_ten_minutes.max(self.most_in_ten_minutes);
        tally.lived_seconds += lived.as_secs();
    }
}

impl Outage {
    /// No primary worked, the fallback was to be had all the time, and yet nothing came in time.
    fn is_missed(&self, now: Duration) -> bool {
        let (since, limit) = match self.cause {
            Cause::First => (Some(self.began), Duration::from_secs(30)),
            Cause::Live | Cause::Wake => (self.minded, Duration::from_secs(12)),
        };
        self.relay && !self.primary && since.is_some_and(|since| now.saturating_sub(since) > limit)
    }
}

/// A primary that has been working for so long should have been found.
const ESTABLISHED: Duration = Duration::from_secs(15);
/// What is promised for the way back.
const PROMISED_RETURN: Duration = Duration::from_secs(75);
/// Outages up to this long are looked after every minute.
const LONG_OUTAGE: Duration = Duration::from_secs(540);
/// A session that could have had the relay for so long must have had it.
const ELIGIBLE: Duration = Duration::from_secs(60);
const TEN_MINUTES: Duration = Duration::from_secs(600);
