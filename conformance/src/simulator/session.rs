//! One session: the judges of both sides between a person, a driver and the weather.
//!
//! The events and actions are those of [`transport_core::judge`], as in the negotiator's driver: what that driver tells
//! its judge (dials, links, samples, words of the peer, gates, a fetched token) is told here, at the times the models
//! give. The leader is the viewer, in whose weather everything happens; the follower hears the leader's words, sees the
//! same links, and complains to it. Words travel while the network lets signaling through.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use transport_core::{
    CloseCode, Closed, ConnectErrorKind, Generation, Lane, TransportId,
    judge::{Action, Event, FollowConfig, Judge},
    policy::{Gate, GateState, Gates, HealthSample, NetworkId, PolicyConfig, Rung, Standing},
    signaling::Message,
};

use super::{
    book::Book,
    calendar::Calendar,
    dialing::{self, Outcome},
    population::Kind,
    tally::Tally,
    track::Track,
    weather::Weather,
};

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

/// How a link travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Direct,
    Relay,
    Turn,
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
                self.tell(if minted { Event::PrefetchDone } else { Event::PrefetchFailed });
            }
        }
    }

    /// The token service said no: the driver passes on why, and asks now and then whether it is over.
    fn learn_of_pause(&mut self, kind: ConnectErrorKind) {
        if kind == ConnectErrorKind::Rejected {
            self.gates_open = false;
            self.tell(kill_switch(GateState::Closed));
            self.plan_resumption();
        }
    }

    fn plan_resumption(&mut self) {
        let over = if self.weather.minting.at(self.now) {
            self.now
        } else {
            self.weather.minting.next_change(self.now).unwrap_or(self.length)
        };
        let heard = over + Duration::from_secs_f64(self.rng.random_range(0.0..30.0));
        self.plan(heard, Plan::MintingResumes);
    }

    fn connected(&mut self, generation: Generation) {
        let Some(way) = self.dials.remove(&generation) else { return };
        self.links.insert(generation, way);
        if let Some(at) = self.end_of(way) {
            self.plan(at, Plan::LinkDies(generation));
        }
        self.tell_follower(Event::DialSucceeded { generation });
        self.tell(Event::DialSucceeded { generation });
    }

    /// Both sides learn at one time how a link ended, each in its own words.
    fn link_ended(&mut self, generation: Generation, there: Closed, here: Closed) {
        self.tell_follower(Event::LinkEnded { generation, closed: there });
        self.tell(Event::LinkEnded { generation, closed: here });
    }

    /// Returns when a link that opens now will be noticed to be dead without any traffic: ICE after
    /// 5 to 6.5 s without an answer, a WebSocket when the relay resets it or after 20 to 45 s.
    fn end_of(&mut self, way: Way) -> Option<Duration> {
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

    fn sample(&mut self) {
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

    fn measure(&mut self, way: Way) -> HealthSample {
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

    fn loss_on(&mut self, way: Way) -> Option<f32> {
        match way {
            Way::Relay => None,
            _ if !self.weather.probes(self.now, way == Way::Turn) => Some(1.0),
            _ => Some((self.weather.loss * self.rng.random_range(0.6..1.4)) as f32),
        }
    }

    fn way(&self) -> Option<Way> {
        self.current.and_then(|current| self.links.get(&current)).copied()
    }

    /// Says whether the link in use carries data at this moment.
    pub(super) fn passes(&self) -> bool {
        // What was open before a sleep is dead at the other end.
        self.book.link_is_younger_than_wake()
            && self.way().is_some_and(|way| match way {
                Way::Relay => self.weather.relay_reachable(self.now),
                Way::Direct | Way::Turn => self.weather.carries(self.now, way == Way::Turn),
            })
    }

    pub(super) fn on_relay(&self) -> bool {
        self.way() == Some(Way::Relay)
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

    fn plan_sample(&mut self, passes: bool) {
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

    fn tell(&mut self, event: Event) {
        self.leader.handle_event(self.origin + self.now, event);
        self.obey();
    }

    fn tell_follower(&mut self, event: Event) {
        self.follower.handle_event(self.origin + self.now, event);
        self.obey_follower();
    }

    fn obey(&mut self) {
        while let Some(action) = self.leader.poll_action() {
            match action {
                Action::Attach { generation } => {
                    self.current = Some(generation);
                    self.book.switched(self.now);
                    self.plan(self.now + self.weather.rtt, Plan::Attached(generation));
                }
                Action::CancelDial { generation } => {
                    self.dials.remove(&generation);
                }
                Action::Close { generation, .. } => {
                    self.links.remove(&generation);
                    self.current.take_if(|current| *current == generation);
                    self.plan(self.now, Plan::Closed(generation));
                }
                Action::Dial { transport, generation, .. } => self.dial(&transport, generation),
                Action::PrefetchToken { .. } => {
                    let minted = self.weather.access.at(self.now) && self.weather.minting.at(self.now);
                    self.plan(self.now + 3 * self.weather.rtt, Plan::TokenHere(minted));
                }
                Action::Say(message) => self.say(Plan::FollowerHears(message)),
                Action::Tell { transition, .. } => {
                    let mut book = std::mem::take(&mut self.book);
                    book.transition(self, &transition);
                    self.book = book;
                }
                // Nothing here can end a session, and there is nobody to read errors.
                _ => {}
            }
        }
    }

    /// The follower's dials are the other half of the leader's, and its links the other ends.
    fn obey_follower(&mut self) {
        while let Some(action) = self.follower.poll_action() {
            if let Action::Say(message) = action {
                self.say(Plan::LeaderHears(message));
            }
        }
    }

    /// Signaling is TCP: a word gets through as soon as anything does.
    fn say(&mut self, heard: Plan) {
        if let Some(online) = self.weather.online_from(self.now).filter(|at| *at < self.now + WORD) {
            self.plan(online + self.weather.rtt, heard);
        }
    }

    fn dial(&mut self, transport: &TransportId, generation: Generation) {
        let (way, outcome) = if *transport == RELAY {
            let token = self.token_until.take().is_some_and(|until| self.now < until);
            (Way::Relay, dialing::relay(self.now, &self.weather, token, &mut self.rng))
        } else {
            let turn = *transport == TURN;
            let way = if turn { Way::Turn } else { Way::Direct };
            (way, dialing::webrtc(self.now, &self.weather, turn, &mut self.rng))
        };
        self.dials.insert(generation, way);
        let Outcome { answered, end } = outcome;
        if let Some(at) = answered {
            self.plan(at, Plan::Answered(generation));
        }
        match end {
            Some((at, Ok(()))) => self.plan(at, Plan::Connected(generation)),
            Some((at, Err(kind))) => self.plan(at, Plan::Failed(generation, kind)),
            None => {}
        }
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

fn kill_switch(state: GateState) -> Event {
    Event::GatesChanged(Gates::all_open().with(Gate::KillSwitch, state))
}

/// Work and rest: about a minute of typing and output, then about three of nothing.
fn habits(length: Duration, rng: &mut impl Rng) -> Track<bool> {
    let mut track = Track::constant(true);
    let mut at = Duration::ZERO;
    let mut pause = |mean: f64| Duration::from_secs_f64(-mean * rng.random::<f64>().max(1e-12).ln());
    while at < length {
        let rest = at + pause(60.0);
        at = rest + pause(180.0);
        track.overlay(rest, at, false);
    }
    track
}

/// One to three sleeps of two minutes to eight hours; returns them and their sum in seconds.
fn naps(awake: f64, rng: &mut impl Rng) -> (Vec<(Duration, Duration)>, f64) {
    let count = rng.random_range(1..=3);
    let mut naps = Vec::new();
    let mut asleep = 0.0;
    for number in 0..count {
        let worked = awake * (f64::from(number) + rng.random_range(0.2..0.9)) / f64::from(count);
        let nap = (rng.random_range(120f64.ln()..28_800f64.ln())).exp();
        naps.push((Duration::from_secs_f64(worked + asleep), Duration::from_secs_f64(nap)));
        asleep += nap;
    }
    (naps, asleep)
}

/// A normal deviate, near enough: twelve dice.
fn gauss(rng: &mut impl Rng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

const WEBRTC: TransportId = TransportId::from_static("webrtc");
const TURN: TransportId = TransportId::from_static("webrtc-turn");
const RELAY: TransportId = TransportId::from_static("ws-fallback");
/// Between two samples, as in the driver.
const SAMPLE: Duration = Duration::from_millis(500);
/// How long a word has to leave, as in the driver.
const WORD: Duration = Duration::from_secs(5);
/// How long sampling goes on once all seems well.
const WATCHFUL: Duration = Duration::from_secs(5);
const TOKEN_LIFE: Duration = Duration::from_secs(60);
