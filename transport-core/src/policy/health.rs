//! "Up but dead": judges a live link by quorum of samples, lane by lane. Idle is never dead, and slow is not dead: while
//! anything comes back, the age of what waits says only how long the queue is.

use std::collections::VecDeque;

use crate::{
    lane::Lane,
    resume::SEGMENT,
    time::{Duration, Instant},
};

use super::{
    invalid::{ConfigError, ensure},
    reason::Reason,
};

/// What one lane of a link did since the sample before. Taken every 0.5 to 1 s, and at [`next_look`](super::FallbackPolicy::next_look).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HealthSample {
    /// The lane it describes.
    pub lane: Lane,
    /// Bytes sent or accepted that the peer has not acknowledged.
    pub pending_bytes: usize,
    /// Those of them that were handed to the path.
    pub under_way: usize,
    /// For how long the oldest of those has waited: the length of the queue. Zero when nothing is under way.
    pub oldest_unacked: Duration,
    /// How long ago anything came from the peer over this link: an acknowledgement, the answer to a ping, data. Zero
    /// where that is not known.
    pub last_heard: Duration,
    /// Counter: messages of the lane that went since the link opened.
    pub sent: u64,
    /// Counter: messages of the lane that came since the link opened.
    pub received: u64,
    /// Smoothed round trip, where one is measured. It includes the queue of both sides.
    pub rtt: Option<Duration>,
    /// Share of packets lost, 0 to 1, where it is measured.
    pub loss: Option<f32>,
    /// Acknowledged payload, bytes per second since the last sample.
    pub goodput: u64,
    /// Payload the application offered, bytes per second since the last sample.
    pub demand: u64,
}

impl HealthSample {
    /// A lane on which nothing happens.
    pub const fn idle(lane: Lane) -> Self {
        Self {
            lane,
            pending_bytes: 0,
            under_way: 0,
            oldest_unacked: Duration::ZERO,
            last_heard: Duration::ZERO,
            sent: 0,
            received: 0,
            rtt: None,
            loss: None,
            goodput: 0,
            demand: 0,
        }
    }

    /// Returns for how long nothing has come back although something should: zero while nothing is under way.
    pub fn silence(&self) -> Duration {
        self.oldest_unacked.min(self.last_heard)
    }

    fn is_idle(&self) -> bool {
        self.pending_bytes == 0 && self.demand == 0
    }
}

/// When a link counts as dead, and when as unable to sustain the session.
///
/// # Defaults
///
/// Dead: three samples of 2.5 s without any progress, at least 1 s apart from first to last.
/// With samples every second that is 5.5 s after the path died; a detector at 1.5 s is known to
/// throw healthy sessions off. Unsustainable: eight of ten busy samples bad, over at least 5 s.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HealthConfig {
    /// Nothing heard for this long although data is under way makes a sample bad, beyond the time that the
    /// next segment needs on a narrow path. Default 2.5 s: twice the first retransmission of SCTP. Lower mistakes
    /// one lost packet for death.
    pub dead_age: Duration,
    /// Silence at which a link is in doubt: the peer is asked what it heard, a fresh link is dialled and a token
    /// fetched. Two round trips are added. Default 1.25 s: one lost packet costs SCTP a second.
    pub suspect_age: Duration,
    /// Silence at which a link is dead when the peer's words agree. Default 2 s.
    pub confirmed_age: Duration,
    /// Nothing acknowledged for this long although data is under way makes a sample bad, whatever comes the other way,
    /// beyond the time that the next segment needs on a narrow path: one direction may be dead where signaling,
    /// which would tell, is away too. Default 10 s.
    pub unheard_age: Duration,
    /// Bad samples in a row that make a link dead. Default 3.
    pub dead_quorum: u32,
    /// Least time from the first to the last of them. Default 1 s: a burst of samples is one look.
    pub dead_span: Duration,
    /// Loss that makes a sample bad, 0 to 1. Default 0.2: reliable data channels are unusable at
    /// 0.3 in every stack measured, and fine at 0.1.
    pub loss_ceiling: f32,
    /// Loss at which a link nobody uses yet does not take the session, 0 to 1. Default 0.15: below what a link is left for, so
    /// that chance does not approve what is left ten seconds later.
    pub approved_loss: f32,
    /// Round trip that makes a sample bad, if the link never had a shorter one: what a queue adds is no fault of
    /// the path. Default 2.5 s: typing is hopeless, satellite is 0.8 s.
    pub rtt_ceiling: Duration,
    /// Demand below which goodput says nothing, bytes/s. Default 2,048.
    pub demand_floor: u64,
    /// Goodput at or above which a link is never too slow, bytes/s, and which a link is trusted to have before it
    /// has shown more. Default 4,096: half of 64 kbit/s, which is slow and works.
    pub goodput_floor: u64,
    /// Share of the demand a slow link must carry, 0 to 1. Default 0.2.
    pub goodput_share: f64,
    /// Bad samples inside the window that make a link unsustainable, if they also outnumber the
    /// good ones four to one. Default 8.
    pub sustain_quorum: u32,
    /// Least time from the first to the last of them. Default 5 s.
    pub sustain_span: Duration,
    /// The window. Default 15 s. Longer remembers a burst for longer.
    pub sustain_window: Duration,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            dead_age: Duration::from_millis(2_500),
            unheard_age: Duration::from_secs(10),
            suspect_age: Duration::from_millis(1_250),
            confirmed_age: Duration::from_secs(2),
            dead_quorum: 3,
            dead_span: Duration::from_secs(1),
            loss_ceiling: 0.2,
            approved_loss: 0.15,
            rtt_ceiling: Duration::from_millis(2_500),
            demand_floor: 2_048,
            goodput_floor: 4_096,
            goodput_share: 0.2,
            sustain_quorum: 8,
            sustain_span: Duration::from_secs(5),
            sustain_window: Duration::from_secs(15),
        }
    }
}

impl HealthConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        ensure(!self.dead_age.is_zero(), "health.dead_age", "is longer than nothing")?;
        ensure(!self.suspect_age.is_zero(), "health.suspect_age", "is longer than nothing")?;
        let later = self.confirmed_age >= self.suspect_age;
        ensure(later, "health.confirmed_age", "is at least health.suspect_age")?;
        let later = self.unheard_age >= self.dead_age;
        ensure(later, "health.unheard_age", "is at least health.dead_age")?;
        ensure((1..=64).contains(&self.dead_quorum), "health.dead_quorum", "is 1 to 64")?;
        ensure((0.0..=1.0).contains(&self.loss_ceiling), "health.loss_ceiling", "is 0 to 1")?;
        ensure((0.0..=1.0).contains(&self.approved_loss), "health.approved_loss", "is 0 to 1")?;
        ensure(self.goodput_floor > 0, "health.goodput_floor", "is more than nothing")?;
        ensure((0.0..=1.0).contains(&self.goodput_share), "health.goodput_share", "is 0 to 1")?;
        ensure((1..=64).contains(&self.sustain_quorum), "health.sustain_quorum", "is 1 to 64")?;
        let fits = self.sustain_span < self.sustain_window;
        ensure(fits, "health.sustain_span", "is shorter than health.sustain_window")
    }

    /// Judges one sample of a link that has `shown` so much before; `None` when nothing is wrong with it.
    fn fault(&self, sample: &HealthSample, shown: Shown) -> Option<Reason> {
        let carriage = self.carriage(sample, shown);
        let is_silent = sample.silence() >= self.dead_age + carriage;
        let is_unheard = shown.stuck.min(sample.oldest_unacked) >= self.unheard_age + carriage;
        if is_silent || is_unheard {
            Some(Reason::PathDead)
        } else if sample.loss.is_some_and(|loss| loss >= self.loss_ceiling) {
            Some(Reason::HeavyLoss)
        } else if shown.rtt.is_some_and(|rtt| rtt >= self.rtt_ceiling) {
            Some(Reason::HighRtt)
        } else if sample.pending_bytes > 0
            && sample.demand >= self.demand_floor
            && sample.goodput < self.goodput_floor
            && (sample.goodput as f64) < sample.demand as f64 * self.goodput_share
        {
            Some(Reason::LowGoodput)
        } else {
            None
        }
    }

    /// Returns how long the next acknowledgement may take because what it is for has to arrive whole: at most one
    /// segment, at the rate this link has shown.
    fn carriage(&self, sample: &HealthSample, shown: Shown) -> Duration {
        let bytes = sample.under_way.min(SEGMENT).saturating_sub(PACKET) as f64;
        Duration::from_secs_f64(bytes / shown.goodput.max(self.goodput_floor) as f64)
    }

    /// Judges a link nobody uses yet, which therefore may be idle: its pings must come back, and few of them be lost.
    pub(super) fn approves_standby(&self, sample: &HealthSample) -> bool {
        let lossy = sample.loss.is_some_and(|loss| loss >= self.approved_loss);
        !lossy && self.fault(sample, Shown { rtt: sample.rtt, ..Shown::default() }).is_none()
    }
}

/// What a link has shown so far.
#[derive(Debug, Clone, Copy, Default)]
struct Shown {
    /// The shortest round trip: the path without anybody's queue.
    rtt: Option<Duration>,
    /// Acknowledged payload inside the window, bytes per second.
    goodput: u64,
    /// For how long nothing has been acknowledged although data is under way.
    stuck: Duration,
}

/// What the samples so far say about a lane, or about a link: the worst of its lanes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Health {
    /// No traffic, no evidence.
    #[default]
    Idle,
    /// Busy, and nothing wrong.
    Good,
    /// Something is wrong, short of a quorum.
    Suspect,
    /// A quorum says the link cannot carry the session, and why.
    Failing(Reason),
}

/// The samples of one link.
#[derive(Debug, Clone, Default)]
pub(crate) struct HealthMonitor {
    lanes: [(LaneMonitor, Health); 2],
}

#[derive(Debug, Clone, Default)]
struct LaneMonitor {
    /// When the current row of dead samples began, and its length.
    dead: Option<(Instant, u32)>,
    /// Busy samples inside the window.
    busy: VecDeque<Busy>,
    /// The shortest round trip of any sample.
    shortest: Option<Duration>,
    /// When anything was acknowledged, or nothing was under way.
    progress: Option<Instant>,
}

/// What is kept of a busy sample.
#[derive(Debug, Clone, Copy)]
struct Busy {
    at: Instant,
    fault: Option<Reason>,
    goodput: u64,
}

impl HealthMonitor {
    /// Takes one sample of one lane and judges the link: an idle lane is no evidence for another.
    pub(crate) fn observe(&mut self, now: Instant, sample: &HealthSample, config: &HealthConfig) -> Health {
        let (lane, health) = match sample.lane {
            Lane::Datagram => &mut self.lanes[0],
            Lane::Reliable => &mut self.lanes[1],
        };
        *health = lane.observe(now, sample, config);
        self.lanes[0].1.max(self.lanes[1].1)
    }

    /// Returns how much longer than usual the silence of a sample may be: what is under way may need time to
    /// arrive whole, and a long way there and back is no silence.
    pub(super) fn allowance(&self, sample: &HealthSample, config: &HealthConfig) -> Duration {
        let [_, (lane, _)] = &self.lanes;
        let way = sample.rtt.unwrap_or_default().saturating_mul(2).min(FAR);
        config.carriage(sample, lane.shown()) + way
    }

    /// The path was repaired: what samples said before is forgotten, what the link has shown is not.
    pub(super) fn forget(&mut self) {
        for (lane, health) in &mut self.lanes {
            *lane = LaneMonitor { shortest: lane.shortest, ..LaneMonitor::default() };
            *health = Health::Idle;
        }
    }
}

impl LaneMonitor {
    fn observe(&mut self, now: Instant, sample: &HealthSample, config: &HealthConfig) -> Health {
        self.busy.retain(|busy| now.saturating_duration_since(busy.at) < config.sustain_window);
        // Behind a queue of ours a round trip says nothing of the path.
        let rtt = sample.rtt.filter(|_| sample.under_way <= PACKET);
        self.shortest = self.shortest.into_iter().chain(rtt).min();
        if sample.is_idle() {
            // Everything that was pending is acknowledged: the path lives.
            self.dead = None;
            return Health::Idle;
        }
        if sample.goodput > 0 || sample.under_way == 0 {
            self.progress = Some(now);
        }
        let stuck = now.saturating_duration_since(*self.progress.get_or_insert(now));
        let fault = config.fault(sample, Shown { stuck, ..self.shown() });
        if fault == Some(Reason::PathDead) {
            let (since, row) = self.dead.unwrap_or((now, 0));
            self.dead = Some((since, row.saturating_add(1)));
        } else {
            self.dead = None;
        }
        if self.busy.len() == MOST_SAMPLES {
            self.busy.pop_front();
        }
        self.busy.push_back(Busy { at: now, fault, goodput: sample.goodput });
        match (self.failing(now, config), fault) {
            (Some(why), _) => Health::Failing(why),
            (None, Some(_)) => Health::Suspect,
            (None, None) => Health::Good,
        }
    }

    fn shown(&self) -> Shown {
        // Up to the last progress: silence must not make the link look slower than it was.
        let progress = self.busy.iter().rposition(|busy| busy.goodput > 0);
        let carried = self.busy.iter().take(progress.map_or(0, |last| last + 1));
        let (sum, samples) = carried
            .fold((0_u64, 0_u64), |(sum, samples), busy| (sum.saturating_add(busy.goodput), samples + 1));
        Shown { rtt: self.shortest, goodput: sum / samples.max(1), stuck: Duration::ZERO }
    }

    fn failing(&self, now: Instant, config: &HealthConfig) -> Option<Reason> {
        if let Some((since, row)) = self.dead
            && row >= config.dead_quorum
            && now.saturating_duration_since(since) >= config.dead_span
        {
            return Some(Reason::PathDead);
        }
        // Death has its own, faster rule; here count only what a living path does badly.
        let bad = || self.busy.iter().filter_map(|busy| busy.fault.map(|why| (busy.at, why)));
        let (first, _) = bad().next()?;
        let (last, why) = bad().rfind(|(_, why)| *why != Reason::PathDead)?;
        let (bad, good) = (bad().count(), self.busy.iter().filter(|busy| busy.fault.is_none()).count());
        let enough = bad >= config.sustain_quorum as usize && good * 4 <= bad;
        (enough && last.saturating_duration_since(first) >= config.sustain_span).then_some(why)
    }
}

/// What makes no queue and needs no time to arrive whole, in bytes: one packet of typing.
const PACKET: usize = 1_200;

/// What a long round trip adds to patience at most.
const FAR: Duration = Duration::from_secs(2);

/// Samples kept for one lane: the window at the fastest documented pace, twice over.
const MOST_SAMPLES: usize = 64;

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
