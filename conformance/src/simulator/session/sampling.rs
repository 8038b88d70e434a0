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
            let loss = self.loss_on(way);
            let sample =
                HealthSample { loss, rtt: Some(self.weather.rtt), ..HealthSample::idle(Lane::Reliable) };
            self.tell(Event::Health { generation, sample });
        }
    }

    pub(super) fn measure(&mut self, way: Way) -> HealthSample {
        let idle = HealthSample { rtt: Some(self.weather.rtt), ..HealthSample::idle(Lane::Reliable) };
        let busy = self.busy.at(self.now);
        if !self.passes() {
            let Some(since) = self.stuck else { return idle };
            let oldest_unacked = self.now - since;
            return HealthSample { pending_bytes: 2_000, oldest_unacked, demand: 1_000, ..idle };
        }
        if !busy {
            return idle;
        }
        let loss = self.loss_on(way);
        // Retransmission waits a second and more; the lossier, the likelier a sample falls into a wait.
        let waiting = way != Way::Relay && self.rng.random_bool(self.weather.loss);
        let oldest_unacked =
            if waiting { Duration::from_secs_f64(self.rng.random_range(0.5..3.5)) } else { self.weather.rtt };
        HealthSample { pending_bytes: 400, oldest_unacked, loss, goodput: 1_000, demand: 1_000, ..idle }
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
        let matters = noisy
            || self.links.len() > 1
            || self.now < self.watchful_until
            || self.sampling == Sampling::Always;
        if matters && !self.sample_planned && !self.links.is_empty() {
            self.sample_planned = true;
            let ticks = (self.now.as_millis() / SAMPLE.as_millis()) as u32 + 1;
            self.plan(SAMPLE * ticks, Plan::Sample);
        }
    }
}

/// Between two samples, as in the driver.
const SAMPLE: Duration = Duration::from_millis(500);
