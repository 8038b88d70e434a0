//! The link in use as one side sees it, and what the other side says it heard there.
//!
//! A link that falls silent is asked about through signaling. Two witnesses who agree are a verdict sooner than one
//! who waits: what looks like death from one end may be a stalled process or a lost way to the Internet there, but not
//! when the other end is well, answers at once, and has heard nothing either.

use serde::{Deserialize, Serialize};

use crate::{
    lane::Lane,
    time::{Duration, Instant},
};

use super::{
    health::{Health, HealthConfig, HealthMonitor, HealthSample},
    reason::Reason,
};

/// What one side of a link says it heard there, and sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Testimony {
    /// For how many milliseconds nothing has come over the link.
    pub silent_ms: u32,
    /// How many milliseconds what is under way to the other side may need on a narrow path.
    pub needs_ms: u32,
    /// Messages of the reliable lane that came.
    pub received: u64,
    /// Messages of the reliable lane that went.
    pub sent: u64,
}

/// One question about a link: what did you hear?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Its number on that link.
    pub number: u32,
    /// What the side that asks heard itself.
    pub heard: Testimony,
    /// Whether it is the first since the link fell silent.
    pub first: bool,
}

/// Watches one link: its samples, one open question, and the last testimony of the peer.
#[derive(Debug, Clone, Default)]
pub(crate) struct LinkWatch {
    monitor: HealthMonitor,
    /// The last sample of the reliable lane.
    last: Option<(Instant, HealthSample)>,
    /// The open question: its number, when it was asked, and what had been sent by then.
    open: Option<(u32, Instant, u64)>,
    asked: u32,
    /// What its silence says, apart from all samples before.
    silence: Health,
    heard: Option<Heard>,
    /// When the peer was last answered.
    answered: Option<Instant>,
    /// Since when the peer has heard nothing, as it said when it last asked.
    peer_silent_since: Option<Instant>,
}

/// The peer's last words about the link.
#[derive(Debug, Clone, Copy)]
struct Heard {
    at: Instant,
    theirs: Testimony,
    /// What this side had sent before it asked had not come there.
    missed: bool,
}

impl LinkWatch {
    /// Takes a sample and judges the link by all of them, and by what the peer heard.
    pub(crate) fn observe(&mut self, now: Instant, sample: &HealthSample, config: &HealthConfig) -> Health {
        let health = self.monitor.observe(now, sample, config);
        if sample.lane == Lane::Reliable {
            self.last = Some((now, *sample));
            self.silence = self.judge_silence(now, sample, config);
        }
        health.max(self.silence)
    }

    fn judge_silence(&mut self, now: Instant, sample: &HealthSample, config: &HealthConfig) -> Health {
        let allowance = self.monitor.allowance(sample, config);
        if sample.silence() < config.suspect_age + allowance {
            (self.open, self.heard) = (None, None);
            Health::Idle
        } else if self.is_confirmed(now, sample, config.confirmed_age + allowance) {
            Health::Failing(Reason::PathDead)
        } else {
            Health::Suspect
        }
    }

    /// Says whether nothing came for too long when it was last looked at.
    pub(crate) fn is_silent(&self) -> bool {
        self.silence != Health::Idle
    }

    /// Returns when a sample says more than the last one: when the silence that it showed is as old as the next thing that
    /// is decided by it. `None` when nothing is waited for.
    pub(crate) fn next_look(&self, config: &HealthConfig, decided_at: Duration) -> Option<Instant> {
        let (at, sample) = self.last.as_ref()?;
        let silence = sample.silence();
        let allowance = self.monitor.allowance(sample, config);
        let ages = [config.suspect_age + allowance, config.confirmed_age + allowance, decided_at];
        let next = ages.into_iter().filter(|age| *age > silence).min()?;
        (!silence.is_zero()).then(|| *at + (next - silence))
    }

    /// Says what to ask the peer, when the link is silent and no question is open.
    pub(crate) fn question(&mut self, now: Instant, config: &HealthConfig) -> Option<Question> {
        let (_, sample) = self.last.filter(|_| self.is_silent())?;
        let open = |(_, at, _): (u32, Instant, u64)| now.saturating_duration_since(at) < ANSWER_WITHIN;
        if self.open.is_some_and(open) {
            return None;
        }
        let first = self.open.is_none() && self.heard.is_none();
        let heard = self.testimony(now, config)?;
        self.asked = self.asked.wrapping_add(1);
        self.open = Some((self.asked, now, sample.sent));
        Some(Question { number: self.asked, heard, first })
    }

    /// Takes the peer's answer; one that comes late says that signaling was away too, and nothing of the link.
    pub(crate) fn hear(&mut self, now: Instant, number: u32, heard: Testimony) {
        let in_time = |(asked, at, _): &mut (u32, Instant, u64)| {
            *asked == number && now.saturating_duration_since(*at) < ANSWER_WITHIN
        };
        if let Some((_, _, sent)) = self.open.take_if(in_time) {
            self.heard = Some(Heard { at: now, theirs: heard, missed: heard.received < sent });
        }
    }

    /// Says what to answer to a peer that asks, if it did not ask a moment ago.
    pub(crate) fn answer(
        &mut self,
        now: Instant,
        theirs: Testimony,
        config: &HealthConfig,
    ) -> Option<Testimony> {
        let recent = |at: Instant| now.saturating_duration_since(at) < ANSWER_EVERY;
        if self.answered.is_some_and(recent) {
            return None;
        }
        let heard = self.testimony(now, config)?;
        self.answered = Some(now);
        let silent = Duration::from_millis(theirs.silent_ms.into()).min(MOST_SILENCE);
        self.peer_silent_since = now.checked_sub(silent);
        Some(heard)
    }

    /// Returns since when the peer has heard nothing, if it said so lately: when it asked, or in its answer.
    pub(crate) fn peer_silent_since(&self, now: Instant) -> Option<Instant> {
        let lately = |at: Instant| now.saturating_duration_since(at) < LATELY;
        let asked = self.peer_silent_since.filter(|_| self.answered.is_some_and(lately));
        asked.or_else(|| {
            let Heard { at, theirs, .. } = self.heard.filter(|heard| lately(heard.at))?;
            at.checked_sub(Duration::from_millis(theirs.silent_ms.into()).min(MOST_SILENCE))
        })
    }

    /// Says whether both sides say that this link is dead.
    pub(crate) fn is_confirmed_dead(&self) -> bool {
        matches!(self.silence, Health::Failing(_))
    }

    /// The path was repaired: what was seen before is forgotten.
    pub(crate) fn forget(&mut self) {
        self.monitor.forget();
        (self.silence, self.open, self.heard) = (Health::Idle, None, None);
    }

    /// Says whether the peer's words make this silence death: it has heard nothing either, or it has said what never came.
    fn is_confirmed(&self, now: Instant, sample: &HealthSample, age: Duration) -> bool {
        let Some(Heard { at, theirs, missed }) = self.fresh_words(now) else { return false };
        let needs = Duration::from_millis(theirs.needs_ms.into()).min(MOST_SILENCE);
        let since = now.saturating_duration_since(at);
        let there = Duration::from_millis(theirs.silent_ms.into()) + since;
        let nothing_arrives_there = missed && there + SLACK >= age;
        let nothing_arrives_here = theirs.sent > sample.received;
        sample.silence() >= age + needs && (nothing_arrives_there || nothing_arrives_here)
    }

    fn fresh_words(&self, now: Instant) -> Option<Heard> {
        self.heard.filter(|heard| now.saturating_duration_since(heard.at) < TESTIMONY)
    }

    /// What this side heard, as of now.
    fn testimony(&self, now: Instant, config: &HealthConfig) -> Option<Testimony> {
        let (at, sample) = self.last?;
        let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        Some(Testimony {
            silent_ms: millis(sample.last_heard + now.saturating_duration_since(at)),
            needs_ms: millis(self.monitor.allowance(&sample, config)),
            received: sample.received,
            sent: sample.sent,
        })
    }
}

/// How long a question is open, and how late its answer still says something: a word there and back through the room.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// Least time between two answers to one peer.
const ANSWER_EVERY: Duration = Duration::from_millis(200);
/// How long a testimony counts: until three more samples were taken.
const TESTIMONY: Duration = Duration::from_millis(1_500);
/// How much shorter the peer's silence may be: the last thing it heard was under way.
const SLACK: Duration = Duration::from_millis(500);
/// More than this a peer need not claim.
const MOST_SILENCE: Duration = Duration::from_secs(10);
/// How long it matters that the peer asked.
const LATELY: Duration = Duration::from_secs(3);
