//! What was counted.

use std::{collections::BTreeMap, time::Duration};

use super::population::{Kind, Reach};

/// Durations in buckets of 10 ms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spread {
    buckets: BTreeMap<u64, u64>,
    count: u64,
}

impl Spread {
    pub(super) fn record(&mut self, value: Duration) {
        let bucket = u64::try_from(value.as_millis().div_ceil(10)).unwrap_or(u64::MAX);
        *self.buckets.entry(bucket).or_default() += 1;
        self.count += 1;
    }

    fn absorb(&mut self, other: &Self) {
        for (bucket, count) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += count;
        }
        self.count += other.count;
    }

    /// Returns how many values there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the value that a share of all do not exceed, 0 to 1; `None` when there are none.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        self.buckets.iter().find_map(|(bucket, count)| {
            seen += count;
            (seen >= rank).then(|| Duration::from_millis(bucket * 10))
        })
    }

    /// Returns the share of values at or below `limit`, 0 to 1.
    pub fn share_within(&self, limit: Duration) -> f64 {
        let bucket = u64::try_from(limit.as_millis() / 10).unwrap_or(u64::MAX);
        let within: u64 = self.buckets.range(..=bucket).map(|(_, count)| count).sum();
        if self.count == 0 { 1.0 } else { within as f64 / self.count as f64 }
    }

    /// Returns the curve of shares: seconds, and the share of values up to them.
    pub fn curve(&self) -> impl Iterator<Item = (f64, f64)> {
        let mut seen = 0;
        let count = self.count.max(1) as f64;
        self.buckets.iter().map(move |(bucket, n)| {
            seen += n;
            (*bucket as f64 / 100.0, seen as f64 / count)
        })
    }
}

/// What happened to the sessions of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KindTally {
    /// Sessions begun.
    pub sessions: u64,
    /// Sessions that used the fallback at least once.
    pub activated: u64,
    /// Of those, sessions that woke it while a primary had been working for 15 s.
    pub wrong: u64,
    /// Links given up as dead, too slow or too far although they carried data.
    pub given_up: u64,
    /// Sessions that woke it on a network where WebRTC works, rightly or not.
    pub activated_where_it_works: u64,
    /// Sessions without a path for longer than promised although the fallback was to be had.
    pub missed: u64,
    /// Sessions that could have been on the fallback when they had to be; of UDP-blocked ones.
    pub eligible: u64,
    /// Of those, sessions that were.
    pub reached: u64,
    /// From the start to the first usable path.
    pub first_usable: Spread,
    /// From data being stuck to a usable path, when the direct path stayed down and the fallback was
    /// to be had.
    pub rescue: Spread,
    /// From the direct path being back to a usable path, when nothing else was to be had.
    pub reconnect: Spread,
    /// From waking up to a usable path, on the network of before.
    pub wake: Spread,
    /// From waking up to a usable path, on another network.
    pub wake_elsewhere: Spread,
    /// On the relay after the direct path healed for good, the outage having lasted up to 10 min.
    pub lingering: Spread,
    /// The same for longer outages, which are looked after less often.
    pub lingering_long: Spread,
    /// The same where the flap budget kept the session on the relay, whatever the outage.
    pub lingering_rested: Spread,
    /// On TURN although the direct path would carry the session, until it was there.
    pub detour: Spread,
    /// Moves of sessions from one link to another.
    pub moves: u64,
    /// Moves because the device woke or changed its network.
    pub moves_by_wake: u64,
    /// The most moves of any session in any ten minutes, wakes aside, while the fallback was to be had.
    pub most_moves_in_ten_minutes: u64,
    /// Virtual time of all sessions, sleep aside, in seconds.
    pub lived_seconds: u64,
}

impl KindTally {
    fn absorb(&mut self, other: &Self) {
        self.sessions += other.sessions;
        self.activated += other.activated;
        self.wrong += other.wrong;
        self.given_up += other.given_up;
        self.activated_where_it_works += other.activated_where_it_works;
        self.missed += other.missed;
        self.eligible += other.eligible;
        self.reached += other.reached;
        self.first_usable.absorb(&other.first_usable);
        self.rescue.absorb(&other.rescue);
        self.reconnect.absorb(&other.reconnect);
        self.wake.absorb(&other.wake);
        self.wake_elsewhere.absorb(&other.wake_elsewhere);
        self.lingering.absorb(&other.lingering);
        self.lingering_long.absorb(&other.lingering_long);
        self.lingering_rested.absorb(&other.lingering_rested);
        self.detour.absorb(&other.detour);
        self.moves += other.moves;
        self.moves_by_wake += other.moves_by_wake;
        self.most_moves_in_ten_minutes = self.most_moves_in_ten_minutes.max(other.most_moves_in_ten_minutes);
        self.lived_seconds += other.lived_seconds;
    }
}

/// What happened on one day, on networks where WebRTC works.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Day {
    /// Sessions begun.
    pub sessions: u64,
    /// Sessions that woke the fallback there.
    pub activated: u64,
}

/// Everything that was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// By kind of network.
    pub kinds: BTreeMap<Kind, KindTally>,
    /// By day, networks where WebRTC works only.
    pub days: BTreeMap<u64, Day>,
    /// By reason code, how often the fallback was activated.
    pub reasons: BTreeMap<&'static str, u64>,
    today: u64,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn begin_day(&mut self, day: u64) {
        self.today = day;
    }

    pub(super) fn kind(&mut self, kind: Kind) -> &mut KindTally {
        self.kinds.entry(kind).or_default()
    }

    pub(super) fn count_where_it_works(&mut self, activated: bool) {
        let day = self.days.entry(self.today).or_default();
        day.sessions += 1;
        day.activated += u64::from(activated);
    }

    pub(super) fn absorb(&mut self, other: &Self) {
        for (kind, tally) in &other.kinds {
            self.kinds.entry(*kind).or_default().absorb(tally);
        }
        for (day, counts) in &other.days {
            let day = self.days.entry(*day).or_default();
            day.sessions += counts.sessions;
            day.activated += counts.activated;
        }
        for (reason, count) in &other.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
    }

    /// Adds up every kind for which `which` holds.
    pub fn sum(&self, which: impl Fn(Kind) -> bool) -> KindTally {
        let mut sum = KindTally::default();
        for (_, tally) in self.kinds.iter().filter(|(kind, _)| which(**kind)) {
            sum.absorb(tally);
        }
        sum
    }

    /// Returns the share of sessions that woke the fallback where WebRTC works, 0 to 1.
    pub fn activation_where_it_works(&self) -> f64 {
        let sum = self.sum(|kind| kind.reach() == Reach::Works);
        sum.activated_where_it_works as f64 / sum.sessions.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_so_many_do_not_exceed() {
        let mut spread = Spread::default();
        for second in 1..=100 {
            spread.record(Duration::from_secs(second));
        }
        assert_eq!(spread.quantile(0.5), Some(Duration::from_secs(50)));
        assert_eq!(spread.quantile(0.95), Some(Duration::from_secs(95)));
        assert_eq!(spread.quantile(1.0), Some(Duration::from_secs(100)));
        assert_eq!(spread.share_within(Duration::from_secs(12)), 0.12);
        assert_eq!(Spread::default().quantile(0.5), None);
    }
}
