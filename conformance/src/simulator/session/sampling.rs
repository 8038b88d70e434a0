//! What the samples of links say, and when one is taken.

use std::time::Duration;

use rand::Rng;
use transport_core::{
    Generation, Lane,
    judge::Event,
    policy::{HealthSample, Standing},
};

use super::{Plan, Sampling, Session, WATCHFUL, links::Way};

impl Session {
    pub(super) fn sample(&mut self) {
        if let (Some(generation), Some(way)) = (self.current, self.way()) {
            let sample = self.measure(way);
            self.tell_follower(Event::Health { generation, sample });
            self.tell(Event::Health { generation, sample });
        }
        let beside: Vec<(Generation, Way)> =
            self.links.iter().filter(|(g, _)| Some(**g) != self.current).map(|(g, w)| (*g, *w)).collect();
        for (generation, way) in beside {
            let young = self.opened.get(&generation).is_some_and(|at| self.now < *at + MEASURED);
            let loss = self.loss_on(way).filter(|_| !young);
            let sample =
                HealthSample { loss, rtt: Some(self.weather.rtt), ..HealthSample::idle(Lane::Reliable) };
            self.tell(Event::Health { generation, sample });
        }
    }

    pub(super) fn measure(&mut self, way: Way) -> HealthSample {
        let rtt = Some(self.weather.round_trip(self.now));
        let idle = HealthSample { rtt, ..HealthSample::idle(Lane::Reliable) };
        let busy = self.busy.at(self.now);
        let piece = if way == Way::Relay { RELAY_PIECE } else { PIECE };
        let flow = self.weather.uplink.as_ref().filter(|_| busy).and_then(|up| up.flow(self.now, piece));
        if !self.passes() {
            let Some(since) = self.stuck else { return idle };
            let waited = self.now - since;
            let under_way = flow.map_or(2_000, |flow| flow.under_way);
            let sample = HealthSample { pending_bytes: under_way, under_way, demand: 1_000, ..idle };
            // What either side sent since has not come.
            let sample = HealthSample { sent: 2, received: 1, ..sample };
            return HealthSample { oldest_unacked: waited, last_heard: waited, ..sample };
        }
        if !busy {
            return idle;
        }
        let loss = self.loss_on(way);
        if let Some(flow) = flow {
            return HealthSample {
                pending_bytes: flow.under_way,
                under_way: flow.under_way,
                oldest_unacked: flow.oldest,
                last_heard: flow.last_heard,
                rtt: Some(self.weather.round_trip(self.now) + flow.oldest),
                loss,
                goodput: flow.goodput,
                demand: flow.goodput,
                ..idle
            };
        }
        // Retransmission waits a second and more; the lossier, the likelier a sample falls into a wait.
        let waiting = way != Way::Relay && self.rng.random_bool(self.weather.loss);
        let waited =
            if waiting { Duration::from_secs_f64(self.rng.random_range(0.5..3.5)) } else { self.weather.rtt };
        // The first key into a queue that has just grown waits for all of it; later ones have answers before them.
        let growing = self.weather.uplink.as_ref().and_then(|uplink| uplink.growing(self.now));
        let last_heard = growing.map_or(waited, |growing| growing.max(waited));
        let oldest_unacked = last_heard.max(waited + self.weather.round_trip(self.now) - self.weather.rtt);
        let sample = HealthSample { oldest_unacked, last_heard, loss, ..idle };
        HealthSample { pending_bytes: 400, under_way: 400, goodput: 1_000, demand: 1_000, ..sample }
    }

    pub(super) fn loss_on(&mut self, way: Way) -> Option<f32> {
        match way {
            Way::Relay => None,
            _ if !self.weather.probes(self.now, way == Way::Turn) => Some(1.0),
            _ => Some((self.weather.loss * self.rng.random_range(0.6..1.4)) as f32),
        }
    }

    pub(super) fn plan_sample(&mut self, passes: bool) {
        let settled = matches!(self.leader.standing(), Standing::Primary { .. } | Standing::Fallback { .. });
        if !passes || !settled {
            self.watchful_until = self.watchful_until.max(self.now + WATCHFUL);
        }
        let noisy = self.weather.loss >= 0.02 && self.links.values().any(|way| *way != Way::Relay);
        let loaded = self.weather.uplink.as_ref().is_some_and(|uplink| uplink.is_loaded(self.now));
        let matters = noisy
            || loaded
            || self.links.len() > 1
            || self.now < self.watchful_until
            || self.sampling == Sampling::Always;
        if matters && !self.sample_planned && !self.links.is_empty() {
            self.sample_planned = true;
            let ticks = (self.now.as_millis() / SAMPLE.as_millis()) as u32 + 1;
            let looks = [self.leader.next_look(), self.follower.next_look()].into_iter().flatten();
            let look =
                looks.map(|at| at.saturating_duration_since(self.origin)).filter(|at| *at > self.now).min();
            self.plan(look.map_or(SAMPLE * ticks, |look| look.min(SAMPLE * ticks)), Plan::Sample);
        }
    }
}

/// Between two samples, unless a silence becomes worth a look before, as in the driver.
const SAMPLE: Duration = Duration::from_millis(500);
/// So long a link's pings do not tell yet what it loses: eight of them.
const MEASURED: Duration = Duration::from_secs(4);
/// What arrives at a time, and is acknowledged: a data channel's message, and a relay's frame.
const PIECE: usize = 16 * 1024;
const RELAY_PIECE: usize = 30 * 1024;
