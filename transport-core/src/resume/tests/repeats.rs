//! Small segments over lossy roads: repeated in time, in order, once, and not without need.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::lane::{LaneProfile, Profile};

/// Two machines, and a road whose reliable lane needs a second for what is lost, and holds back what follows.
struct Road {
    now: Instant,
    machines: [Resume; 2],
    dice: ChaCha8Rng,
    profile: Profile,
    loss: f64,
    one_way: Duration,
    /// A road is this much longer at times, at random.
    jitter: Duration,
    generation: u32,
    /// When the last frame of each reliable lane arrives, by its sender.
    last: BTreeMap<(u32, usize), Instant>,
    wire: BinaryHeap<Reverse<(Instant, u64)>>,
    frames: BTreeMap<u64, (usize, Lane, Generation, Bytes)>,
    serial: u64,
    /// What arrived at each machine, and when.
    received: [Vec<(Instant, Bytes)>; 2],
    /// The second machine sends back what it receives.
    echoes: bool,
}

impl Road {
    fn new(seed: u64, loss: f64) -> Self {
        let now = Instant::now();
        let mut road = Self {
            now,
            machines: [
                Resume::new(ResumeConfig::default(), 1, 1),
                Resume::new(ResumeConfig::default(), 2, 2),
            ],
            dice: ChaCha8Rng::seed_from_u64(seed),
            profile: memory::profile(196_608, 16_384),
            loss: 0.0,
            one_way: ms(20),
            jitter: ms(4),
            generation: 0,
            last: BTreeMap::new(),
            wire: BinaryHeap::new(),
            frames: BTreeMap::new(),
            serial: 0,
            received: Default::default(),
            echoes: true,
        };
        road.attach();
        road.run(ms(500));
        road.loss = loss;
        road
    }

    fn emulated(seed: u64, loss: f64) -> Self {
        let mut road = Self::new(seed, 0.0);
        let lane = &road.profile.datagram;
        let datagram = LaneProfile::emulated(lane.max_message, lane.queue_bytes);
        road.profile = Profile { datagram, ..road.profile.clone() };
        road.attach();
        road.run(ms(500));
        road.loss = loss;
        road
    }

    fn attach(&mut self) {
        self.generation += 1;
        for machine in &mut self.machines {
            machine.attach(self.now, Generation(self.generation), &self.profile).unwrap();
        }
    }

    fn send(&mut self, from: usize, payload: Bytes) {
        self.machines[from].try_send(payload).unwrap();
    }

    fn repeats(&self) -> u64 {
        self.machines.iter().map(|machine| machine.stats().segments_repeated).sum()
    }

    /// Puts what a machine says onto the road.
    fn carry(&mut self, from: usize) {
        while let Some(Transmit { generation, lane, payload }) = self.machines[from].poll_transmit(self.now) {
            let mut due = self.now + self.one_way + self.jitter.mul_f64(self.dice.random());
            let mut copies = 1;
            if lane == Lane::Datagram {
                copies = if self.dice.random_bool(self.loss) {
                    0
                } else {
                    1 + u8::from(self.dice.random_bool(0.05))
                };
            } else {
                for timer in [1, 2, 4, 8] {
                    if !self.dice.random_bool(self.loss) {
                        break;
                    }
                    due += ms(1_000 * timer);
                }
                let last = self.last.entry((generation.0, from)).or_insert(due);
                due = due.max(*last);
                *last = due;
            }
            for copy in 0..copies {
                self.frames.insert(self.serial, (1 - from, lane, generation, payload.clone()));
                self.wire.push(Reverse((due + self.one_way * copy.into(), self.serial)));
                self.serial += 1;
            }
        }
    }

    fn run(&mut self, lasting: Duration) {
        let until = self.now + lasting;
        loop {
            (0..2).for_each(|from| self.carry(from));
            let arrival = self.wire.peek().map(|Reverse((at, _))| *at);
            let timers = self.machines.iter().filter_map(Resume::poll_timeout);
            let next = timers.chain(arrival).min().unwrap_or(until).max(self.now);
            if next > until {
                self.now = until;
                return;
            }
            self.now = next;
            while let Some(Reverse((at, serial))) = self.wire.peek().copied()
                && at <= self.now
            {
                self.wire.pop();
                let (to, lane, generation, frame) = self.frames.remove(&serial).unwrap();
                let machine = &mut self.machines[to];
                if machine.attachments.contains_key(&generation) {
                    machine.handle_frame(self.now, generation, lane, frame).unwrap();
                }
                self.take_events(to);
            }
            for machine in &mut self.machines {
                machine.handle_timeout(self.now);
            }
        }
    }

    fn take_events(&mut self, at: usize) {
        while let Some(event) = self.machines[at].poll_event() {
            match event {
                Event::Message(message) => {
                    self.machines[at].consumed(message.len());
                    self.received[at].push((self.now, message.clone()));
                    if at == 1 && self.echoes {
                        self.machines[1].try_send(message).unwrap();
                    }
                }
                Event::Drained { generation } => self.machines[at].detach(self.now, generation),
                Event::Gap { .. } | Event::Expired { .. } | Event::PeerClosed { .. } => panic!("{event:?}"),
                _ => {}
            }
        }
    }

    /// Types so many keys, eight a second, and returns how long each took to be echoed, the shortest first.
    fn type_keys(&mut self, keys: u64) -> Vec<Duration> {
        let typed: Vec<Instant> = (0..keys)
            .map(|key| {
                let at = self.now;
                self.send(0, Bytes::copy_from_slice(&[&key.to_be_bytes()[..], &[0; 40]].concat()));
                self.run(ms(125));
                at
            })
            .collect();
        self.run(ms(60_000));
        let keys = self.received[0].iter().map(|(_, key)| u64::from_be_bytes(key[..8].try_into().unwrap()));
        assert_eq!(keys.collect::<Vec<_>>(), (0..typed.len() as u64).collect::<Vec<_>>());
        let mut took: Vec<_> =
            self.received[0].iter().zip(typed).map(|((at, _), typed)| *at - typed).collect();
        took.sort_unstable();
        took
    }
}

fn percentile(took: &[Duration], percent: usize) -> Duration {
    took[took.len() * percent / 100]
}

#[test]
fn a_lost_packet_costs_a_key_a_round_trip_and_not_the_timer_of_the_reliable_lane() {
    for (loss, p50, p95) in [(0.05, ms(50), ms(250)), (0.2, ms(200), ms(700))] {
        let mut before = Road::emulated(3, loss);
        let dormant = before.type_keys(400);
        assert_eq!(before.repeats(), 0);
        let mut road = Road::new(3, loss);
        let took = road.type_keys(400);
        println!(
            "{:2.0} % lost, 40 ms: p50 {:?}, p95 {:?}, worst {:?}, {} repeats; without: p50 {:?}, p95 {:?}, worst {:?}",
            loss * 100.0,
            percentile(&took, 50),
            percentile(&took, 95),
            took.last().unwrap(),
            road.repeats(),
            percentile(&dormant, 50),
            percentile(&dormant, 95),
            dormant.last().unwrap(),
        );
        assert!(percentile(&took, 50) < p50, "{loss}: {:?}", percentile(&took, 50));
        assert!(percentile(&took, 95) < p95, "{loss}: {:?}", percentile(&took, 95));
        assert!(percentile(&dormant, 95) > ms(900));
    }
}

#[test]
fn a_road_that_loses_nothing_sees_no_repeat() {
    for (one_way, jitter) in [(ms(0), ms(2)), (ms(20), ms(20)), (ms(150), ms(40)), (ms(400), ms(100))] {
        for echoes in [true, false] {
            let mut road = Road::new(1, 0.0);
            (road.one_way, road.jitter, road.echoes) = (one_way, jitter, echoes);
            // A new path, so that nothing is known of it.
            road.attach();
            road.run(ms(3_000));
            for key in 0..300_u64 {
                road.send(0, bytes(40));
                road.run(ms(60 + key % 80));
            }
            assert_eq!(road.repeats(), 0, "{one_way:?} ± {jitter:?}, echoes: {echoes}");
        }
    }
}

#[test]
fn a_queue_that_grows_in_somebody_elses_router_is_not_fed() {
    let mut road = Road::new(1, 0.0);
    road.run(ms(100));
    for _ in 0..80 {
        road.send(0, bytes(40));
        road.run(ms(125));
    }
    // A download of somebody fills 800 ms of a router within three seconds, and stays.
    for _ in 0..100 {
        road.one_way = (road.one_way + ms(16)).min(ms(400));
        road.send(0, bytes(40));
        road.run(ms(125));
    }
    assert!(road.repeats() <= 10, "{} repeats of 360 segments", road.repeats());
}

#[test]
fn a_dead_road_is_not_flooded() {
    let mut road = Road::new(1, 0.0);
    road.loss = 1.0;
    let began = road.now;
    let mut weight = 0;
    for _ in 0..40 {
        road.send(0, bytes(900));
        let before = road.repeats();
        road.run(ms(100));
        weight += (road.repeats() - before) * (900 + SEGMENT_OVERHEAD);
    }
    let seconds = (road.now - began).as_secs_f64();
    assert!(weight as f64 <= (seconds + 1.0) * 4_096.0 + 1_000.0, "{weight} in {seconds} s");
    assert!(weight > 0);
}

#[test]
fn bulk_under_way_is_repeated_neither_itself_nor_with_the_keys_behind_it() {
    let mut road = Road::new(1, 0.0);
    road.echoes = false;
    road.send(0, bytes(REPEATED + 1));
    road.send(0, bytes(10));
    road.loss = 1.0;
    road.run(ms(900));
    assert_eq!(road.repeats(), 0);
}

/// A machine whose peer reads repeats, with its introduction done, and one message under way.
fn waiting(now: Instant) -> Resume {
    let mut resume = attached(now);
    receive(&mut resume, now, 1, &Frame::Ping(TAKES_REPEATS)).unwrap();
    resume.try_send(bytes(10)).unwrap();
    transmits(&mut resume, now);
    resume
}

fn repeat(id: u64, seq: u64, payload: &'static str) -> Frame {
    let Frame::Data(data) = data(seq, payload) else { unreachable!("data is data") };
    Frame::Repeat { id, data }
}

#[test]
fn a_peer_that_does_not_say_that_it_reads_repeats_gets_none_and_is_acknowledged_as_before() {
    let now = Instant::now();
    let mut resume = attached(now);
    receive(&mut resume, now, 1, &Frame::Ping(7)).unwrap();
    resume.try_send(bytes(10)).unwrap();
    transmits(&mut resume, now);
    receive(&mut resume, now, 1, &data(0, "a")).unwrap();
    assert_eq!(resume.poll_timeout(), Some(now + ms(200)), "the ack");
    resume.handle_timeout(now + ms(500));
    assert!(transmits(&mut resume, now + ms(500)).iter().all(|transmit| transmit.lane == Lane::Reliable));
}

#[test]
fn a_repeat_goes_on_the_datagram_lane_ever_more_rarely_and_five_times_at_most() {
    let start = Instant::now();
    let mut resume = waiting(start);
    let (mut at, mut waits) = (start, Vec::new());
    while let Some(due) = resume.poll_timeout().filter(|due| *due < start + ms(60_000)) {
        resume.handle_timeout(due);
        for transmit in transmits(&mut resume, due) {
            if let Ok(Frame::Repeat { id, data }) = Frame::decode(transmit.payload) {
                assert_eq!((transmit.lane, id, data.seq), (Lane::Datagram, waits.len() as u64, 0));
                waits.push(due - at);
                at = due;
            }
        }
    }
    assert_eq!(waits, [ms(225), ms(225), ms(225) * 3 / 2, ms(450), ms(225) * 5 / 2]);
    assert_eq!(resume.stats().segments_repeated, 5);
}

#[test]
fn an_answer_ends_the_repeats_and_tells_how_long_the_way_is() {
    let start = Instant::now();
    let mut resume = waiting(start);
    let late = resume.poll_timeout().unwrap();
    assert_eq!(transmits(&mut resume, late).len(), 1);
    let heard = frame::Heard { id: 0, lane: 1, ack: Ack { received: 1, credit: 0 } };
    receive(&mut resume, late + ms(30), 1, &Frame::Heard(heard)).unwrap();
    assert!(resume.is_flushed());
    resume.try_send(bytes(10)).unwrap();
    transmits(&mut resume, late + ms(40));
    assert_eq!(resume.poll_timeout(), Some(late + ms(40) + ms(30 + 60) + ACK_EVERY));
}

#[test]
fn while_the_peers_reliable_lane_is_behind_small_segments_go_past_it() {
    let start = Instant::now();
    let mut resume = waiting(start);
    let late = resume.poll_timeout().unwrap();
    transmits(&mut resume, late);
    let heard = |id, lane| Frame::Heard(frame::Heard { id, lane, ack: Ack { received: id + 1, credit: 0 } });
    receive(&mut resume, late + ms(30), 1, &heard(0, 0)).unwrap();
    resume.try_send(bytes(10)).unwrap();
    let lanes =
        |resume: &mut Resume, at| transmits(resume, at).into_iter().map(|t| t.lane).collect::<Vec<_>>();
    assert_eq!(lanes(&mut resume, late + ms(40)), [Lane::Datagram]);
    receive(&mut resume, late + ms(70), 1, &heard(1, 1)).unwrap();
    assert!(resume.is_flushed(), "it never goes on the reliable lane");
    resume.try_send(bytes(10)).unwrap();
    assert_eq!(lanes(&mut resume, late + ms(80)), [Lane::Reliable]);
    assert_eq!(resume.stats().segments_repeated, 1);
}

#[test]
fn what_went_ahead_of_the_reliable_lane_goes_on_it_when_nobody_heard_it() {
    let start = Instant::now();
    let mut resume = waiting(start);
    let late = resume.poll_timeout().unwrap();
    transmits(&mut resume, late);
    let heard = frame::Heard { id: 0, lane: 0, ack: Ack { received: 1, credit: 0 } };
    receive(&mut resume, late + ms(30), 1, &Frame::Heard(heard)).unwrap();
    resume.try_send(bytes(10)).unwrap();
    transmits(&mut resume, late + ms(30));
    let mut now = late;
    while now < late + ms(1_030) {
        now = resume.poll_timeout().unwrap().min(late + ms(1_030));
        resume.handle_timeout(now);
        let lanes: Vec<Lane> = transmits(&mut resume, now)
            .into_iter()
            .filter(|t| !matches!(Frame::decode(t.payload.clone()), Ok(Frame::Ping(_))))
            .map(|t| t.lane)
            .collect();
        let reliable = lanes.contains(&Lane::Reliable);
        assert_eq!(reliable, now == late + ms(1_030), "{lanes:?} after {:?}", now - late);
    }
}

#[test]
fn repeats_are_taken_in_order_once_and_answered() {
    let now = Instant::now();
    let mut resume = attached(now);
    transmits(&mut resume, now);
    events(&mut resume);
    receive(&mut resume, now, 1, &repeat(1, 1, "b")).unwrap();
    assert_eq!(events(&mut resume), [], "before its turn");
    let answer = |lane, received, id| {
        let credit = resume_credit();
        (1, Frame::Heard(frame::Heard { id, lane, ack: Ack { received, credit } }))
    };
    assert_eq!(frames(&mut resume, now), [answer(0, 0, 1)]);
    receive(&mut resume, now, 1, &repeat(2, 0, "a")).unwrap();
    receive(&mut resume, now, 1, &repeat(3, 0, "a")).unwrap();
    let delivered = |text: &'static str| Event::Message(Bytes::from_static(text.as_bytes()));
    assert_eq!(events(&mut resume), [delivered("a"), delivered("b")]);
    assert_eq!(frames(&mut resume, now), [answer(0, 2, 3)]);
    for (seq, text) in [(0, "a"), (1, "b"), (2, "c")] {
        receive(&mut resume, now, 1, &data(seq, text)).unwrap();
    }
    assert_eq!(events(&mut resume), [delivered("c")]);
    assert_eq!(resume.stats().duplicates, 3);
}

fn resume_credit() -> u64 {
    resume().inbox.ack().credit
}

#[test]
fn a_repeat_before_the_introduction_is_ignored_and_one_on_the_wrong_lane_is_an_error() {
    let now = Instant::now();
    let mut resume = resume();
    resume.attach(now, Generation(1), &memory::profile(196_608, 65_000)).unwrap();
    receive(&mut resume, now, 1, &repeat(1, 0, "a")).unwrap();
    assert_eq!(events(&mut resume), []);
    for frame in [
        repeat(1, 0, "a"),
        Frame::Heard(frame::Heard { id: 0, lane: 0, ack: Ack { received: 0, credit: 0 } }),
    ] {
        let mut resume = attached(now);
        let wrong = resume.handle_frame(now, Generation(1), Lane::Reliable, frame.encode());
        assert_eq!(wrong, Err(crate::resume::ProtocolError::WrongLane));
    }
}

#[test]
fn a_peer_cannot_have_more_held_than_its_bound_nor_deliver_beyond_its_credit() {
    let now = Instant::now();
    let mut resume = attached(now);
    events(&mut resume);
    let segment = |seq, len| Frame::Repeat {
        id: seq,
        data: Data { seq, end: End::Message, ack: None, payload: bytes(len) },
    };
    for seq in 1..10_000 {
        receive(&mut resume, now, 1, &segment(seq, 1_000)).unwrap();
    }
    receive(&mut resume, now, 1, &segment(u64::MAX, 1)).unwrap();
    receive(&mut resume, now, 1, &segment(0, 1_000)).unwrap();
    assert_eq!(events(&mut resume).len(), 16, "one, and 15 that were held");
    let beyond =
        (16..2_000).map(|seq| receive(&mut resume, now, 1, &segment(seq, 1_000))).find(Result::is_err);
    assert_eq!(beyond, Some(Err(crate::resume::ProtocolError::BeyondCredit)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_lost_on_either_lane_arrives_once_and_in_order(
        seed in any::<u64>(),
        loss in 0.0..0.6_f64,
        jitter in 0_u64..200,
        steps in proptest::collection::vec((0_u64..400, 0_usize..2, 0_usize..6, 0_u32..30), 1..80),
    ) {
        let mut road = Road::new(seed, loss);
        (road.jitter, road.echoes) = (ms(jitter), false);
        let mut sent: [Vec<Bytes>; 2] = Default::default();
        for (wait, from, size, switch) in steps {
            let number = sent[from].len() as u64;
            let len = [1, 40, 200, REPEATED, 5_000, 40_000][size];
            let message: Bytes = number.to_be_bytes().into_iter().chain(std::iter::repeat_n(7, len)).collect();
            sent[from].push(message.clone());
            road.send(from, message);
            if switch == 0 {
                road.attach();
            }
            road.run(ms(wait));
        }
        road.loss = 0.0;
        road.run(ms(3_600_000));
        for (from, sent) in sent.iter().enumerate() {
            let received: Vec<&Bytes> = road.received[1 - from].iter().map(|(_, message)| message).collect();
            prop_assert_eq!(received, sent.iter().collect::<Vec<_>>());
        }
    }
}
