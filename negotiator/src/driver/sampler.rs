//! Measures the lanes of a session's links twice a second and when a silence matters, for the policy to judge.

use transport_core::{Lane, Stats, policy::HealthSample};

use crate::{
    core::Traffic,
    runtime::{Duration, Instant},
};

/// Remembers the last measurement, to turn counters into rates.
#[derive(Debug)]
pub(super) struct Sampler {
    last: Option<(Instant, Traffic)>,
}

impl Sampler {
    pub(super) fn new() -> Self {
        Self { last: None }
    }

    /// Describes the link that carries the session: what the application offers and the peer
    /// acknowledges, with the transport's own figures.
    pub(super) fn carrying(&mut self, now: Instant, traffic: Traffic, link: Stats) -> [HealthSample; 2] {
        let (since, before) = self.last.replace((now, traffic)).unwrap_or((now, traffic));
        let elapsed = now.saturating_duration_since(since);
        let rate = |bytes: u64| per_second(bytes, elapsed);
        let reliable = HealthSample {
            pending_bytes: traffic.pending_bytes,
            under_way: traffic.under_way,
            oldest_unacked: traffic.oldest_unacked,
            last_heard: traffic.last_heard,
            sent: link.reliable.accepted_messages,
            received: link.reliable.received_messages,
            rtt: traffic.rtt.or(link.rtt),
            loss: link.loss,
            goodput: rate(traffic.acknowledged().saturating_sub(before.acknowledged())),
            demand: rate(traffic.accepted_bytes.saturating_sub(before.accepted_bytes)),
            ..HealthSample::idle(Lane::Reliable)
        };
        // Nothing acknowledges a datagram: only the transport's loss says how they fare.
        let offered = rate(traffic.datagram_bytes.saturating_sub(before.datagram_bytes));
        let datagram = HealthSample {
            rtt: link.rtt,
            loss: link.loss,
            goodput: offered,
            demand: offered,
            ..HealthSample::idle(Lane::Datagram)
        };
        [reliable, datagram]
    }

    /// Describes a link that stands by: only its transport knows how it is.
    pub(super) fn standing_by(link: Stats) -> HealthSample {
        HealthSample { rtt: link.rtt, loss: link.loss, ..HealthSample::idle(Lane::Reliable) }
    }
}

/// What came in less than [`SHORTEST`] is spread over that: a key that was typed a moment ago is no demand that nobody meets.
fn per_second(bytes: u64, elapsed: Duration) -> u64 {
    let millis = elapsed.max(SHORTEST).as_millis();
    u64::try_from(u128::from(bytes) * 1000 / millis).unwrap_or(u64::MAX)
}

/// The usual time between two samples, halved.
const SHORTEST: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_between_two_samples() {
        let (mut sampler, start) = (Sampler::new(), crate::runtime::now());
        let mut traffic = Traffic { accepted_bytes: 1_000, ..Traffic::default() };
        let [first, _] = sampler.carrying(start, traffic, Stats::default());
        assert_eq!((first.demand, first.goodput), (0, 0));
        traffic.accepted_bytes = 3_000;
        traffic.pending_bytes = 500;
        let [second, _] = sampler.carrying(start + Duration::from_millis(500), traffic, Stats::default());
        assert_eq!((second.demand, second.goodput, second.pending_bytes), (4_000, 3_000, 500));
    }
}
