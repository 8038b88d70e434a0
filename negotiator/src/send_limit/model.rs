//! Sessions over a bottleneck in virtual time: the real bookkeeping of both ends, and a line with a rate and a queue.

use std::{cmp::Reverse, collections::BinaryHeap};

use bytes::Bytes;
use transport_core::{
    Generation, Lane, LaneProfile, Profile, TransportId,
    resume::{Event, Resume, ResumeConfig, SMALL},
};

use super::{SendLimit, base};
use crate::runtime::{Duration, Instant};

/// The line all of a model's sessions share in the direction of the bulk; the way back has the same rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Bytes a second.
    pub(super) rate: f64,
    /// There and back, without a queue.
    pub(super) round_trip: Duration,
    /// For how long the receiver does something else after each look at what arrived.
    pub(super) turn: Duration,
}

impl Line {
    pub(super) fn new(rate: f64, round_trip: Duration) -> Self {
        Self { rate, round_trip, turn: Duration::ZERO }
    }
}

/// One sender and its receiver.
pub(super) struct Party {
    sender: Resume,
    receiver: Resume,
    pub(super) limit: SendLimit,
    accepted: u64,
    /// From when on it has more bulk than the line carries.
    from: Instant,
    /// Keys that wait for room, and when they were typed.
    keys: Vec<Instant>,
    /// Keys in the order in which they were accepted.
    typed: std::collections::VecDeque<Instant>,
    pub(super) arrived: u64,
    /// How long each key took to arrive.
    pub(super) delays: Vec<Duration>,
    /// The length of the application's messages; 0 for what the path deserves.
    message: usize,
}

/// See the module.
pub(super) struct Model {
    pub(super) line: Line,
    pub(super) now: Instant,
    pub(super) parties: Vec<Party>,
    /// When the line is free again, there and back.
    free: [Instant; 2],
    /// When the last frame arrives: a line keeps the order.
    last: [Instant; 2],
    /// When the receiver looks at it.
    looks: Instant,
    on_line: BinaryHeap<Reverse<(Instant, u64, usize, bool)>>,
    frames: std::collections::HashMap<u64, (Lane, Bytes)>,
    serial: u64,
    /// Bytes on the wire in the direction of the bulk.
    pub(super) sent: u64,
}

impl Party {
    fn new(from: Instant, message: usize) -> Self {
        Self {
            sender: Resume::new(ResumeConfig::default(), 1, 1),
            receiver: Resume::new(ResumeConfig::default(), 2, 2),
            limit: SendLimit::new(),
            accepted: 0,
            from,
            keys: Vec::new(),
            typed: std::collections::VecDeque::new(),
            arrived: 0,
            delays: Vec::new(),
            message,
        }
    }

    /// Accepts keys first, then bulk, as far as the limit lets it.
    fn offer(&mut self, now: Instant) {
        while let Some(typed) = self.keys.first().copied() {
            if !self.send(now, KEY) {
                return;
            }
            self.keys.remove(0);
            self.typed.push_back(typed);
        }
        let bulk = if self.message == 0 { self.limit.ahead().segment } else { self.message };
        while now >= self.from && self.sender.current().is_some() && self.send(now, bulk.max(KEY + 1)) {}
    }

    fn send(&mut self, now: Instant, length: usize) -> bool {
        if !self.limit.admits(self.sender.pending_bytes(), length) {
            self.limit.held_back(now);
            return false;
        }
        let taken = self.sender.try_send(Bytes::from(vec![0; length])).is_ok();
        self.accepted += if taken { length as u64 } else { 0 };
        taken
    }
}

impl Model {
    pub(super) fn new(line: Line) -> Self {
        // Always at the same distance from the moments at which paths are let run empty: each run is the same.
        let now = *base::START + Duration::from_secs(3);
        Self {
            line,
            now,
            parties: Vec::new(),
            free: [now; 2],
            last: [now; 2],
            looks: now,
            on_line: BinaryHeap::new(),
            frames: std::collections::HashMap::new(),
            serial: 0,
            sent: 0,
        }
    }

    /// Adds a session that floods from then on, with messages of this length (0: as the path deserves).
    pub(super) fn flood(&mut self, after: Duration, message: usize) {
        let mut party = Party::new(self.now + after, message);
        let lane = LaneProfile::native(size(65_000), size(65_536));
        let profile = Profile::new(TransportId::from_static("model"), "model", lane.clone(), lane)
            .holding(size(1 << 20));
        for end in [&mut party.sender, &mut party.receiver] {
            end.attach(self.now, Generation(1), &profile).unwrap();
        }
        self.parties.push(party);
    }

    /// Types a key in each session.
    pub(super) fn key(&mut self) {
        let now = self.now;
        self.parties.iter_mut().for_each(|party| party.keys.push(now));
    }

    /// How long a byte that comes now waits for the line.
    pub(super) fn queue(&self) -> Duration {
        self.free[0].saturating_duration_since(self.now)
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, lasting: Duration) {
        let until = self.now + lasting;
        loop {
            for party in 0..self.parties.len() {
                self.parties[party].offer(self.now);
                self.transmit(party);
            }
            let arrival = self.on_line.peek().map(|Reverse((at, ..))| *at);
            let timers = self.parties.iter().flat_map(|party| {
                let begins = Some(party.from).filter(|from| *from > self.now);
                [party.sender.poll_timeout(), party.receiver.poll_timeout(), begins]
            });
            let Some(next) = timers.flatten().chain(arrival).min() else { return };
            if next > until {
                self.now = until;
                return;
            }
            self.now = self.now.max(next);
            for party in &mut self.parties {
                party.sender.handle_timeout(self.now);
                party.receiver.handle_timeout(self.now);
            }
            while let Some(Reverse((at, serial, party, forth))) = self.on_line.peek().copied()
                && at <= self.now
            {
                self.on_line.pop();
                if let Some((lane, frame)) = self.frames.remove(&serial) {
                    self.arrive(party, forth, lane, frame);
                }
            }
        }
    }

    fn arrive(&mut self, party: usize, forth: bool, lane: Lane, frame: Bytes) {
        let (now, party) = (self.now, &mut self.parties[party]);
        if forth {
            party.receiver.handle_frame(now, Generation(1), lane, frame).unwrap();
            while let Some(event) = party.receiver.poll_event() {
                let Event::Message(message) = event else { continue };
                party.receiver.consumed(message.len());
                party.arrived += message.len() as u64;
                if message.len() == KEY
                    && let Some(typed) = party.typed.pop_front()
                {
                    party.delays.push(now - typed);
                }
            }
            return;
        }
        party.sender.handle_frame(now, Generation(1), lane, frame).unwrap();
        while let Some(event) = party.sender.poll_event() {
            match event {
                Event::Attached { .. } => party.limit.moved(&mut party.sender),
                Event::RttSample(sample) => party.limit.round_trip(now, sample),
                _ => {}
            }
        }
        party.limit.follow(now, &mut party.sender, party.accepted);
    }

    fn transmit(&mut self, party: usize) {
        for forth in [true, false] {
            loop {
                let end = &mut self.parties[party];
                let end = if forth { &mut end.sender } else { &mut end.receiver };
                let Some(transmit) = end.poll_transmit(self.now) else { break };
                let length = transmit.payload.len() + SEAL;
                let bytes = length + length.div_ceil(PACKET) * HEADERS;
                let free = &mut self.free[usize::from(!forth)];
                *free = (*free).max(self.now) + Duration::from_secs_f64(bytes as f64 / self.line.rate);
                let last = &mut self.last[usize::from(!forth)];
                let mut at = (*free + self.line.round_trip / 2).max(*last);
                if forth {
                    if at > self.looks {
                        self.looks = at.max(self.looks + self.line.turn);
                    }
                    at = at.max(self.looks);
                }
                *last = at;
                self.sent += if forth { bytes as u64 } else { 0 };
                self.serial += 1;
                self.on_line.push(Reverse((at, self.serial, party, forth)));
                self.frames.insert(self.serial, (transmit.lane, transmit.payload));
            }
        }
    }
}

fn size(bytes: usize) -> std::num::NonZeroUsize {
    std::num::NonZeroUsize::new(bytes).unwrap()
}

/// The length of a key's echo; no bulk is as short.
const KEY: usize = 40;
const _: () = assert!(KEY <= SMALL);
/// What the seal and the frame of a data channel add to a message, and all below it to a packet.
const SEAL: usize = 26;
const HEADERS: usize = 93;
const PACKET: usize = 1_163;
