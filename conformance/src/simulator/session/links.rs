//! The links of a session: how they travel, when they die, and whether they carry anything now.

use std::time::Duration;

use rand::Rng;
use transport_core::{Closed, Generation, judge::Event};

use super::{Plan, Session};

/// How a link travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Way {
    Direct,
    Relay,
    Turn,
}

impl Session {
    pub(super) fn connected(&mut self, generation: Generation) {
        let Some(way) = self.dials.remove(&generation) else { return };
        self.links.insert(generation, way);
        self.opened.insert(generation, self.now);
        if let Some(at) = self.end_of(way) {
            self.plan(at, Plan::LinkDies(generation));
        }
        self.tell_follower(Event::DialSucceeded { generation });
        self.tell(Event::DialSucceeded { generation });
    }

    /// Both sides learn at one time how a link ended, each in its own words.
    pub(super) fn link_ended(&mut self, generation: Generation, there: Closed, here: Closed) {
        self.tell_follower(Event::LinkEnded { generation, closed: there });
        self.tell(Event::LinkEnded { generation, closed: here });
    }

    /// Returns when a link that opens now will be noticed to be dead without any traffic: ICE after
    /// 5 to 6.5 s without an answer, a WebSocket when the relay resets it or after 20 to 45 s.
    pub(super) fn end_of(&mut self, way: Way) -> Option<Duration> {
        let patience = match way {
            Way::Direct | Way::Turn => Duration::from_secs_f64(self.rng.random_range(4.9..6.5)),
            Way::Relay => Duration::from_secs_f64(self.rng.random_range(20.0..45.0)),
        };
        let alive = |at: Duration| match way {
            Way::Direct | Way::Turn => self.weather.probes(at, way == Way::Turn),
            Way::Relay => self.weather.access.at(at),
        };
        let mut at = self.now;
        while at < self.length {
            if way == Way::Relay && !self.weather.relay.at(at) {
                return Some(at + Duration::from_millis(200));
            }
            let next = self.weather.next_change(at).unwrap_or(self.length);
            if alive(at) {
                at = next;
                continue;
            }
            let mut until = next;
            while until < self.length && !alive(until) {
                until = self.weather.next_change(until).unwrap_or(self.length);
            }
            if until - at >= patience {
                return Some(at + patience);
            }
            at = until;
        }
        None
    }

    pub(super) fn way(&self) -> Option<Way> {
        self.current.and_then(|current| self.links.get(&current)).copied()
    }

    /// Says whether the link in use carries data at this moment.
    pub(in super::super) fn passes(&self) -> bool {
        // What was open before a sleep is dead at the other end.
        self.book.link_is_younger_than_wake()
            && self.way().is_some_and(|way| match way {
                Way::Relay => self.weather.relay_reachable(self.now),
                Way::Direct | Way::Turn => self.weather.carries(self.now, way == Way::Turn),
            })
    }

    pub(in super::super) fn on_relay(&self) -> bool {
        self.way() == Some(Way::Relay)
    }

    pub(in super::super) fn on_direct(&self) -> bool {
        self.way() == Some(Way::Direct)
    }

    /// Says whether the session is on TURN although the direct path would carry it.
    pub(in super::super) fn detours(&self) -> bool {
        self.way() == Some(Way::Turn) && self.weather.sustains(self.now, false)
    }
}
