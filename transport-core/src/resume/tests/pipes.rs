//! Two resume machines, and links between them that can be cut anywhere.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::super::{Event, Resume, ResumeConfig};
use crate::{
    ids::Generation,
    lane::Lane,
    lane::Profile,
    memory,
    time::{Duration, Instant},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    A,
    B,
}

impl Side {
    pub(super) const BOTH: [Side; 2] = [Side::A, Side::B];

    fn other(self) -> Side {
        if self == Side::A { Side::B } else { Side::A }
    }
}

/// Both machines, the links between them, and what each received.
pub(super) struct Pair {
    pub(super) now: Instant,
    machines: [Resume; 2],
    links: BTreeMap<Generation, Link>,
    received: [Vec<Bytes>; 2],
    other_events: [Vec<Event>; 2],
    pub(super) profile: Profile,
    /// Frames a link holds per direction before it answers `Full`.
    pub(super) room: usize,
    /// The application takes what arrives at once.
    pub(super) reading: bool,
}

/// Frames on their way, first in first out, by the side that sent them.
#[derive(Default)]
struct Link {
    queues: [VecDeque<(Lane, Bytes)>; 2],
    cut: bool,
}

impl Pair {
    pub(super) fn new(seed: u64) -> Self {
        Self::with(ResumeConfig::default(), seed)
    }

    pub(super) fn with(config: ResumeConfig, seed: u64) -> Self {
        Self {
            now: Instant::now(),
            machines: [Resume::new(config.clone(), 1, seed), Resume::new(config, 2, seed + 1)],
            links: BTreeMap::new(),
            received: Default::default(),
            other_events: Default::default(),
            profile: memory::profile(196_608, 16_384),
            room: usize::MAX,
            reading: true,
        }
    }

    pub(super) fn at(&mut self, side: Side) -> &mut Resume {
        &mut self.machines[side as usize]
    }

    pub(super) fn received(&self, side: Side) -> &[Bytes] {
        &self.received[side as usize]
    }

    pub(super) fn other_events(&mut self, side: Side) -> Vec<Event> {
        std::mem::take(&mut self.other_events[side as usize])
    }

    /// Makes a link, and attaches it on one side or on both.
    pub(super) fn attach(&mut self, generation: u32, sides: &[Side]) {
        let generation = Generation(generation);
        self.links.entry(generation).or_default();
        for side in sides {
            let (now, profile) = (self.now, self.profile.clone());
            self.at(*side).attach(now, generation, &profile).unwrap();
        }
    }

    /// Cuts a link: what is on its way is lost. The sides learn of it by `detach`.
    pub(super) fn cut(&mut self, generation: u32) {
        if let Some(link) = self.links.get_mut(&Generation(generation)) {
            link.cut = true;
            link.queues = Default::default();
        }
    }

    pub(super) fn detach(&mut self, generation: u32, side: Side) {
        let now = self.now;
        self.at(side).detach(now, Generation(generation));
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now += by;
        for side in Side::BOTH {
            let now = self.now;
            self.at(side).handle_timeout(now);
        }
    }

    /// Moves at most `limit` frames from the machine into its links; returns how many.
    pub(super) fn transmit(&mut self, side: Side, limit: usize) -> usize {
        let room = self.room;
        for (generation, link) in &self.links {
            if link.queues[side as usize].len() < room {
                self.machines[side as usize].unblocked(*generation);
            }
        }
        let (mut moved, now) = (0, self.now);
        while moved < limit {
            let Some(transmit) = self.at(side).poll_transmit(now) else { break };
            let link = self.links.get_mut(&transmit.generation).unwrap();
            let queue = &mut link.queues[side as usize];
            if link.cut {
                // A dead transport takes what it is given, until somebody notices.
            } else if queue.len() >= room && transmit.lane == Lane::Reliable {
                self.at(side).unsend(transmit);
            } else {
                queue.push_back((transmit.lane, transmit.payload));
            }
            moved += 1;
        }
        moved
    }

    /// Delivers at most `limit` frames that `from` sent on `generation`; returns how many.
    pub(super) fn deliver(&mut self, generation: u32, from: Side, limit: usize) -> usize {
        let (generation, to) = (Generation(generation), from.other());
        let mut delivered = 0;
        while delivered < limit {
            let Some(link) = self.links.get_mut(&generation) else { break };
            let attached = self.machines[to as usize].attachments.contains_key(&generation);
            if !attached {
                // Nobody reads from it yet, or nobody any more.
                break;
            }
            let Some((lane, frame)) = link.queues[from as usize].pop_front() else { break };
            let now = self.now;
            let handled = self.at(to).handle_frame(now, generation, lane, frame.clone());
            assert_eq!(handled, Ok(()), "{:?} on {generation}", super::Frame::decode(frame));
            self.take_events(to);
            delivered += 1;
        }
        delivered
    }

    pub(super) fn take_events(&mut self, side: Side) {
        while let Some(event) = self.at(side).poll_event() {
            match event {
                Event::Message(message) => {
                    if self.reading {
                        self.at(side).consumed(message.len());
                    }
                    self.received[side as usize].push(message);
                }
                other => self.other_events[side as usize].push(other),
            }
        }
    }

    pub(super) fn generations(&self) -> Vec<u32> {
        self.links.keys().map(|generation| generation.0).collect()
    }

    pub(super) fn forget_link(&mut self, generation: u32) {
        self.links.remove(&Generation(generation));
    }

    /// Moves everything until nothing moves any more, the clock standing still.
    pub(super) fn settle(&mut self) {
        loop {
            let mut moved = 0;
            for side in Side::BOTH {
                moved += self.transmit(side, 1_000);
                for generation in self.generations() {
                    moved += self.deliver(generation, side, usize::MAX);
                }
            }
            if moved == 0 {
                return;
            }
        }
    }
}
