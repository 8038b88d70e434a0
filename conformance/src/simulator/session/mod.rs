//! One session: the judges of both sides between a person, a driver and the weather.
//!
//! The events and actions are those of [`transport_core::judge`], as in the negotiator's driver: what that driver tells
//! its judge (dials, links, samples, words of the peer, gates) is told here, at the times the models
//! give. The leader is the viewer, in whose weather everything happens; the follower hears the leader's words, sees the
//! same links, and complains to it. Words travel while the network lets signaling through.

mod links;
mod obey;
mod person;
mod sampling;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use transport_core::{
    CloseCode, Closed, ConnectErrorKind, Generation, TransportId,
    judge::{Event, FollowConfig, Judge},
    policy::{GateState, Gates, NetworkId, PolicyConfig, Rung},
    signaling::Message,
};

use self::{
    links::Way,
    obey::kill_switch,
    person::{gauss, habits, naps},
};
use super::{book::Book, calendar::Calendar, population::Kind, tally::Tally, track::Track, weather::Weather};

/// How often links are sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// Twice a second throughout, as the driver does.
    Always,
    /// Twice a second while a sample could say anything but "all is well": when the path is down,
    /// lossy, or was so a moment ago, and after a wake.
    WhenItMatters,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Session {
    kind: Kind,
    /// The kind of network it is on; another one after a move.
    pub(super) network: Kind,
    pub(super) weather: Weather,
    pub(super) busy: Track<bool>,
    elsewhere: Option<(Kind, Weather)>,
    sleeps: Vec<(Duration, Duration)>,
    length: Duration,
    sampling: Sampling,
    rng: ChaCha8Rng,
    leader: Judge,
    follower: Judge,
    origin: Instant,
    pub(super) now: Duration,
    agenda: BTreeMap<(Duration, u64), Plan>,
    planned: u64,
    dials: BTreeMap<Generation, Way>,
    links: BTreeMap<Generation, Way>,
    /// When each link opened, for as long as the session lasts.
    opened: BTreeMap<Generation, Duration>,
    current: Option<Generation>,
    /// Since when data is stuck on a path that does not carry it.
    stuck: Option<Duration>,
    token_until: Option<Duration>,
    /// Whether the policy was last told that every gate is open.
    pub(super) gates_open: bool,
    sample_planned: bool,
    /// Samples are taken until then, whatever the weather.
    watchful_until: Duration,
    book: Book,
}

#[derive(Debug, Clone)]
enum Plan {
    Answered(Generation),
    Attached(Generation),
    Change,
    Closed(Generation),
    Connected(Generation),
    End,
    Failed(Generation, ConnectErrorKind),
    FollowerHears(Message),
    LeaderHears(Message),
    LinkDies(Generation),
    MintingResumes,
    Sample,
    Sleep(usize),
    TokenHere(bool),
}

impl Session {
    pub(super) fn draw(
        kind: Kind,
        begins: Duration,
        calendar: &Calendar,
        sampling: Sampling,
        mut rng: ChaCha8Rng,
    ) -> Self {
        let awake = (1_500.0 * gauss(&mut rng).exp()).clamp(60.0, 21_600.0);
        let (sleeps, asleep) = if kind == Kind::Sleeping { naps(awake, &mut rng) } else { (Vec::new(), 0.0) };
        let length = Duration::from_secs_f64(awake + asleep);
        let weather = Weather::draw(kind, begins, length, calendar, &mut rng);
        let elsewhere = (!sleeps.is_empty() && rng.random_bool(0.3)).then(|| {
            let there = [Kind::Healthy, Kind::Slow, Kind::UdpBlocked][rng.random_range(0..3)];
            (there, Weather::draw(there, begins, length, calendar, &mut rng))
        });
        let mut rungs = vec![Rung::direct(WEBRTC)];
        if kind == Kind::SymmetricNat || rng.random_bool(0.3) {
            rungs.push(Rung::turn(TURN));
        }
        rungs.push(Rung::fallback(RELAY));
        let follower = Judge::follow(FollowConfig::new(rungs.clone()));
        let mut config = PolicyConfig::new(rungs);
        config.gates = Gates::all_open();
        config.seed = rng.random();
        let leader = Judge::lead(config).expect("the defaults are valid, as transport-core tests");
        Self {
            kind,
            network: kind,
            weather,
            busy: habits(length, &mut rng),
            elsewhere,
            sleeps,
            length,
            sampling,
            rng,
            leader,
            follower,
            origin: Instant::now(),
            now: Duration::ZERO,
            agenda: BTreeMap::new(),
            planned: 0,
            dials: BTreeMap::new(),
            links: BTreeMap::new(),
            opened: BTreeMap::new(),
            current: None,
            stuck: None,
            token_until: None,
            gates_open: true,
            sample_planned: false,
            watchful_until: Duration::ZERO,
            book: Book::default(),
        }
    }

    pub(super) fn run(mut self, tally: &mut Tally) {
        self.plan(self.length, Plan::End);
        for (index, (at, _)) in self.sleeps.clone().into_iter().enumerate() {
            self.plan(at, Plan::Sleep(index));
        }
        self.plan_change();
        let start = Event::Start { network: Some(NetworkId(1)) };
        self.tell_follower(start.clone());
        self.tell(start);
        loop {
            self.keep_books();
            let timers = [self.leader.poll_timeout(), self.follower.poll_timeout()];
            let timer =
                timers.into_iter().flatten().min().map(|at| at.saturating_duration_since(self.origin));
            let Some((&(at, number), _)) = self.agenda.first_key_value() else { break };
            if let Some(timer) = timer.filter(|timer| *timer < at) {
                self.now = self.now.max(timer);
                self.leader.handle_timeout(self.origin + self.now);
                self.obey();
                self.follower.handle_timeout(self.origin + self.now);
                self.obey_follower();
                continue;
            }
            let Some(plan) = self.agenda.remove(&(at, number)) else { break };
            self.now = self.now.max(at);
            if matches!(plan, Plan::End) {
                break;
            }
            self.carry_out(plan);
        }
        let asleep: Duration = self.sleeps.iter().map(|(_, length)| *length).sum();
        let lived = self.length.saturating_sub(asleep);
        std::mem::take(&mut self.book).close(&self, self.kind, lived, tally);
    }

    fn carry_out(&mut self, plan: Plan) {
        match plan {
            Plan::Answered(generation) => {
                if self.dials.contains_key(&generation) {
                    self.tell(Event::DialAnswered { generation });
                }
            }
            Plan::Attached(generation) => {
                if self.links.contains_key(&generation) {
                    let attached = Event::Attached { generation, resent_segments: 0 };
                    self.tell_follower(attached.clone());
                    self.tell(attached);
                }
            }
            Plan::Change => self.plan_change(),
            Plan::Closed(generation) => {
                self.link_ended(
                    generation,
                    Closed::peer(CloseCode::NORMAL, ""),
                    Closed::local(CloseCode::NORMAL, ""),
                );
            }
            Plan::Connected(generation) => self.connected(generation),
            Plan::End => {}
            Plan::Failed(generation, kind) => {
                if self.dials.remove(&generation).is_some_and(|way| way == Way::Relay) {
                    self.learn_of_pause(kind);
                }
                self.tell(Event::DialFailed { generation, kind });
            }
            Plan::FollowerHears(message) => self.tell_follower(Event::Heard(message)),
            Plan::LeaderHears(message) => self.tell(Event::Heard(message)),
            Plan::LinkDies(generation) => {
                if self.links.remove(&generation).is_some() {
                    self.current.take_if(|current| *current == generation);
                    self.link_ended(generation, Closed::network(""), Closed::network(""));
                }
            }
            Plan::MintingResumes => {
                let state =
                    if self.weather.minting.at(self.now) { GateState::Open } else { GateState::Closed };
                self.tell(kill_switch(state));
                if state == GateState::Closed {
                    self.plan_resumption();
                }
            }
            Plan::Sample => {
                self.sample_planned = false;
                self.sample();
            }
            Plan::Sleep(index) => self.sleep(index),
            Plan::TokenHere(minted) => {
                self.token_until = minted.then_some(self.now + TOKEN_LIFE);
            }
        }
    }

    /// Nothing runs; then everything that was open is dead, and the radio needs a moment.
    fn sleep(&mut self, index: usize) {
        let (_, length) = self.sleeps[index];
        self.agenda.retain(|_, plan| matches!(plan, Plan::End | Plan::MintingResumes | Plan::Sleep(_)));
        self.now += length;
        let radio = self.now + Duration::from_secs_f64(self.rng.random_range(0.0..0.8));
        let moved = self.elsewhere.take();
        if let Some((kind, weather)) = moved.clone() {
            (self.network, self.weather) = (kind, weather);
        }
        self.weather.access.overlay(self.now, radio, false);
        self.plan_change();
        for generation in self.links.keys().copied().collect::<Vec<_>>() {
            let noticed = self.now + Duration::from_secs_f64(self.rng.random_range(2.0..8.0));
            self.plan(noticed, Plan::LinkDies(generation));
        }
        self.sample_planned = false;
        self.token_until = None;
        self.stuck = None;
        self.book.woke(radio, moved.is_some());
        self.watchful_until = self.now + WATCHFUL;
        self.dials.clear();
        self.tell(if moved.is_some() {
            Event::NetworkChanged { network: Some(NetworkId(2)) }
        } else {
            Event::Woke
        });
    }

    fn keep_books(&mut self) {
        let passes = self.passes();
        if passes {
            self.stuck = None;
        } else if self.stuck.is_none() && self.busy.at(self.now) {
            self.stuck = Some(self.now);
        }
        let mut book = std::mem::take(&mut self.book);
        book.observe(self, passes);
        self.book = book;
        self.plan_sample(passes);
    }

    fn plan_change(&mut self) {
        if let Some(at) = self.weather.next_change(self.now) {
            self.plan(at, Plan::Change);
        }
    }

    fn plan(&mut self, at: Duration, plan: Plan) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), plan);
    }
}

const WEBRTC: TransportId = TransportId::from_static("webrtc");
const TURN: TransportId = TransportId::from_static("webrtc-turn");
const RELAY: TransportId = TransportId::from_static("ws-fallback");
/// How long sampling goes on once all seems well.
const WATCHFUL: Duration = Duration::from_secs(5);
const TOKEN_LIFE: Duration = Duration::from_secs(60);
