//! What one session's networks do while it lives.

use std::time::Duration;

use rand::Rng;

use super::{
    calendar::Calendar,
    population::Kind,
    track::Track,
    uplink::{Uplink, spells},
};

/// The paths of one session.
#[derive(Debug, Clone)]
pub(super) struct Weather {
    /// The way onto the Internet.
    pub(super) access: Track<bool>,
    /// UDP from endpoint to endpoint, as far as the access lets it.
    pub(super) direct: Track<Direct>,
    /// UDP through TURN, likewise.
    pub(super) turn: Track<Direct>,
    /// The relay, for everybody.
    pub(super) relay: Track<bool>,
    /// The token service, for everybody.
    pub(super) minting: Track<bool>,
    /// Round trip of the direct path, nothing waiting.
    pub(super) rtt: Duration,
    /// The way out, where it is narrow or crowded.
    pub(super) uplink: Option<Uplink>,
    /// Share of packets lost on any UDP path.
    pub(super) loss: f64,
}

/// The state of a UDP path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direct {
    /// Nothing passes.
    Blocked,
    /// Everything passes, loss aside.
    Clear,
    /// Small probes pass and data does not: alive for ICE, dead for the session.
    Hollow,
}

impl Weather {
    pub(super) fn draw(
        kind: Kind,
        begins: Duration,
        length: Duration,
        calendar: &Calendar,
        rng: &mut impl Rng,
    ) -> Self {
        let rtt = match kind {
            Kind::Slow => rng.random_range(0.4..0.9),
            _ => (rng.random_range(2.3f64..5.0)).exp() / 1_000.0,
        };
        let loss = match kind {
            Kind::LossyHeavy => rng.random_range(0.25..0.45),
            Kind::LossyMild => rng.random_range(0.02..0.10),
            _ => rng.random_range(0.0..0.005),
        };
        let open = if kind == Kind::UdpBlocked { Direct::Blocked } else { Direct::Clear };
        let punchable = if kind == Kind::SymmetricNat { Direct::Blocked } else { open };
        let mut weather = Self {
            access: Track::constant(true),
            direct: Track::constant(punchable),
            turn: Track::constant(open),
            relay: calendar.relay.starting_at(begins),
            minting: calendar.minting.starting_at(begins),
            rtt: Duration::from_secs_f64(rtt),
            uplink: None,
            loss,
        };
        weather.add_mishaps(length, rng);
        weather.uplink = Uplink::draw(kind, length, rng);
        match kind {
            Kind::Captive => {
                let signed_in = Duration::from_secs_f64(rng.random_range(10.0..120.0));
                weather.access.overlay(Duration::ZERO, signed_in, false);
            }
            Kind::Oscillating => weather.oscillate(length, rng),
            _ => {}
        }
        weather
    }

    /// Every network has them: the access fails for seconds, UDP for longer, and now and then a path
    /// passes probes but no data.
    fn add_mishaps(&mut self, length: Duration, rng: &mut impl Rng) {
        for (from, until) in spells(length, 6.0 * HOUR, 1.0..20.0, rng) {
            self.access.overlay(from, until, false);
        }
        for (from, until) in spells(length, 400.0 * HOUR, 10.0..600.0, rng) {
            self.obstruct(from, until, Direct::Blocked);
        }
        for (from, until) in spells(length, 800.0 * HOUR, 10.0..600.0, rng) {
            self.obstruct(from, until, Direct::Hollow);
        }
    }

    fn oscillate(&mut self, length: Duration, rng: &mut impl Rng) {
        for (from, until) in spells(length, 0.5 * HOUR, 120.0..1_800.0, rng) {
            let period = rng.random_range(3.0..12.0);
            let mut at = from;
            while at < until {
                let down = at + Duration::from_secs_f64(period);
                self.obstruct(at, down, Direct::Blocked);
                at = down + Duration::from_secs_f64(period);
            }
        }
    }

    fn obstruct(&mut self, from: Duration, until: Duration, how: Direct) {
        self.direct.overlay(from, until, how);
        self.turn.overlay(from, until, how);
    }

    /// Returns the round trip at a moment, with what others keep in the queue.
    pub(super) fn round_trip(&self, at: Duration) -> Duration {
        self.rtt + self.uplink.as_ref().map_or(Duration::ZERO, |uplink| uplink.bloat(at))
    }

    /// Returns the UDP path of a primary.
    pub(super) fn udp(&self, through_turn: bool) -> &Track<Direct> {
        if through_turn { &self.turn } else { &self.direct }
    }

    /// Says whether data passes on a primary.
    pub(super) fn carries(&self, at: Duration, through_turn: bool) -> bool {
        self.access.at(at) && self.udp(through_turn).at(at) == Direct::Clear
    }

    /// Says whether probes pass on a primary.
    pub(super) fn probes(&self, at: Duration, through_turn: bool) -> bool {
        self.access.at(at) && self.udp(through_turn).at(at) != Direct::Blocked
    }

    /// Returns the first time from `at` on when there is access.
    pub(super) fn online_from(&self, at: Duration) -> Option<Duration> {
        if self.access.at(at) { Some(at) } else { self.access.next_change(at) }
    }

    /// Says whether a primary carries data well enough to keep a session.
    pub(super) fn sustains(&self, at: Duration, through_turn: bool) -> bool {
        self.loss < 0.2 && self.carries(at, through_turn)
    }

    pub(super) fn some_primary(&self, at: Duration) -> bool {
        self.sustains(at, false) || self.sustains(at, true)
    }

    pub(super) fn relay_reachable(&self, at: Duration) -> bool {
        self.access.at(at) && self.relay.at(at)
    }

    /// Returns the next time after `at` when anything changes.
    pub(super) fn next_change(&self, at: Duration) -> Option<Duration> {
        let udp = self.direct.next_change(at).into_iter().chain(self.turn.next_change(at));
        let rest = self.access.next_change(at).into_iter().chain(self.relay.next_change(at));
        let rest = rest.chain(self.uplink.as_ref().and_then(|uplink| uplink.next_change(at)));
        udp.chain(rest).chain(self.minting.next_change(at)).min()
    }
}

const HOUR: f64 = 3_600.0;
