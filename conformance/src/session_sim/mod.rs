//! Whole sessions in simulated weather: the same seed, the same fate.
//!
//! A host and one to eight viewers talk in both directions over transports that are lost, stalled, delayed, cut
//! and replaced at random moments, on a paused clock. Afterwards the [`history`](crate::history)
//! must be whole. What happens is folded into a hash: a seed that runs twice must give it twice.

mod link;

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    num::NonZeroUsize,
    time::Duration,
};

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use tokio::time::{Instant, sleep_until, timeout_at};
use transport_core::{CloseCode, Generation, resume::Event, resume::ResumeConfig};

pub use self::link::{Limits, SimPath, SimTransport, open};
use crate::{
    case::{Failure, Result},
    ensure,
    history::{Author, Judge, OVERHEAD, Stream, Verdict},
    netlab::{Fault, LADDER, Way},
    party::{At, Duo},
};

/// What one seed came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fate {
    /// Sessions: a host and its viewers are one each.
    pub sessions: u64,
    /// Links that died, of whatever cause.
    pub disconnects: u64,
    /// Attachments after the first.
    pub switches: u64,
    /// The judge's findings over all directions.
    pub verdict: Verdict,
    /// Virtual time it took, in milliseconds.
    pub virtual_ms: u64,
    /// Everything that happened, folded.
    pub trace: u64,
}

/// Runs one seed to its end, on a paused clock of its own.
///
/// # Errors
///
/// What broke: a session that ended or did not finish, a history that is not whole.
pub fn run(seed: u64) -> Result<Fate> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let mut fate = Fate::default();
        let mut trace = DefaultHasher::new();
        let started = Instant::now();
        for viewer in 0..dice.random_range(1..=8u32).min(VIEWERS) {
            let outcome = Storm::new(seed, viewer).run().await?;
            fate.sessions += 1;
            fate.disconnects += outcome.disconnects;
            fate.switches += outcome.switches;
            fate.verdict = fate.verdict.and(outcome.verdict);
            outcome.trace.hash(&mut trace);
        }
        fate.virtual_ms = started.elapsed().as_millis() as u64;
        fate.trace = trace.finish();
        ensure!(fate.verdict.is_whole(), "the history is not whole: {}", fate.verdict);
        Ok(fate)
    })
}

/// One session under way.
struct Storm {
    dice: ChaCha8Rng,
    duo: Duo,
    paths: Vec<(Generation, SimPath)>,
    up: (Author, Judge),
    down: (Author, Judge),
    each: u64,
    /// Blows this storm has in all, and how many are left.
    blows: [u64; 2],
    fate: Fate,
    trace: DefaultHasher,
    started: Instant,
}

impl Storm {
    fn new(seed: u64, viewer: u32) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed ^ (u64::from(viewer) << 48));
        let direction = |number| {
            let stream = Stream { key: seed, session: viewer.into(), stream: number };
            (Author::new(stream), Judge::new(stream))
        };
        Self {
            duo: Duo::new(&ResumeConfig::default(), dice.random()),
            paths: Vec::new(),
            up: direction(0),
            down: direction(1),
            each: dice.random_range(20..120),
            blows: [dice.random_range(0..20); 2],
            fate: Fate::default(),
            trace: DefaultHasher::new(),
            started: Instant::now(),
            dice,
        }
    }

    async fn run(mut self) -> Result<Fate> {
        let deadline = self.started + PATIENCE;
        let mut next = self.started;
        self.dial()?;
        while self.up.1.next() < self.each || self.down.1.next() < self.each {
            self.write()?;
            // Messages come out between the blows, and afterwards in peace.
            let blow = async {
                if self.blows[1] > 0 || self.paths.is_empty() {
                    sleep_until(next).await
                } else {
                    std::future::pending().await
                }
            };
            let event = tokio::select! {
                biased;
                event = timeout_at(deadline, self.duo.next()) => Some(event),
                () = blow => None,
            };
            match event {
                None => {
                    self.blows[1] = self.blows[1].saturating_sub(1);
                    self.strike()?;
                    if self.blows[1] == 0 {
                        // The storm is over: what it left stalled or half dead makes way.
                        self.dial()?;
                    }
                    next = Instant::now() + Duration::from_millis(self.dice.random_range(1..1500));
                }
                Some(Ok((at, event))) => self.happened(at, event)?,
                Some(Err(_late)) => {
                    return Err(Failure(format!(
                        "after {PATIENCE:?} of virtual time {} and {} of {} messages are through",
                        self.up.1.next(),
                        self.down.1.next(),
                        self.each
                    )));
                }
            }
            self.bury();
        }
        self.fate.verdict =
            self.up.1.verdict(self.up.0.written()).and(self.down.1.verdict(self.down.0.written()));
        self.fate.trace = self.trace.finish();
        Ok(self.fate)
    }

    /// Both sides write as long as they may, but not so fast that the storm comes too late.
    fn write(&mut self) -> Result<()> {
        let [blows, left] = self.blows;
        let so_far = self.each * (blows - left + 1) / (blows + 1);
        for (party, (author, _)) in [(&mut self.duo.near, &mut self.up), (&mut self.duo.far, &mut self.down)]
        {
            while author.written() < so_far && party.resume().writable() {
                let len = [OVERHEAD, 64, 64, 700, 1_500, 5_000, 20_000]
                    .choose(&mut self.dice)
                    .copied()
                    .unwrap_or(OVERHEAD);
                party.try_send(author.write(len))?;
            }
        }
        Ok(())
    }

    fn happened(&mut self, at: At, event: Event) -> Result<()> {
        (at, self.started.elapsed().as_micros() as u64).hash(&mut self.trace);
        match event {
            Event::Message(message) => {
                message.hash(&mut self.trace);
                let judge = if at == At::Far { &mut self.up.1 } else { &mut self.down.1 };
                judge.delivered(&message);
            }
            Event::Attached { generation, resent_segments } => {
                (generation.0, resent_segments).hash(&mut self.trace)
            }
            ended @ (Event::Expired { .. } | Event::Gap { .. } | Event::PeerClosed { .. }) => {
                return Err(Failure(format!("the session ended at {at:?}: {ended:?}")));
            }
            Event::Drained { generation } => generation.0.hash(&mut self.trace),
            Event::Datagram(_) | Event::PeerFin | Event::RttSample(_) => {}
        }
        Ok(())
    }

    /// One blow of the storm.
    fn strike(&mut self) -> Result<()> {
        let blow = self.dice.random_range(0..100);
        (blow, self.paths.len()).hash(&mut self.trace);
        let last = self.paths.len().checked_sub(1);
        match (blow, last) {
            // Nothing carries the session, or a better path was found: a switch.
            (_, None) | (0..=24, _) => self.dial()?,
            (25..=44, Some(last)) => {
                // Silent death, found out by each side in its own time; the next dial need not wait for it.
                let detect = [0, 0].map(|_: u64| Duration::from_millis(self.dice.random_range(0..8_000)));
                self.paths[last].1.cut(detect);
                self.fate.disconnects += 1;
                if self.dice.random_bool(0.5) {
                    self.dial()?;
                }
            }
            (45..=59, Some(last)) => {
                let (generation, _path) = self.paths.remove(last);
                self.fate.disconnects += 1;
                // A reset: both ends, or only one of them, hear of it at once.
                if self.dice.random_bool(0.7) {
                    self.duo.near.detach(generation, CloseCode::CONNECTION_LOST);
                }
                self.duo.far.detach(generation, CloseCode::CONNECTION_LOST);
                self.dial()?;
            }
            (60..=74, Some(last)) => {
                let stalled = if self.dice.random_bool(0.5) {
                    Fault::up(Way::STALLED)
                } else {
                    Fault::down(Way::STALLED)
                };
                self.paths[last].1.set(stalled);
            }
            (_, Some(last)) => {
                let weather = self.weather();
                self.paths[last].1.set(weather);
            }
        }
        Ok(())
    }

    fn dial(&mut self) -> Result<()> {
        let size = |bytes| NonZeroUsize::new(bytes).unwrap_or(NonZeroUsize::MIN);
        let max_message = *[1_200, 4_096, 16_384, 65_536].choose(&mut self.dice).unwrap_or(&16_384);
        let queue_bytes = *[8_192, 65_536, 196_608].choose(&mut self.dice).unwrap_or(&65_536);
        let limits = Limits { max_message: size(max_message), queue_bytes: size(queue_bytes) };
        let (near, far, path) = open(self.weather(), limits);
        let generation = self.duo.switch(Box::new(near), Box::new(far))?;
        self.paths.push((generation, path));
        self.fate.switches += u64::from(generation.0 > 1);
        Ok(())
    }

    fn weather(&mut self) -> Fault {
        let seed = self.dice.random();
        LADDER.choose(&mut self.dice).map_or(Fault::NONE, |rung| rung.fault(seed))
    }

    /// Forgets paths that neither side uses any more.
    fn bury(&mut self) {
        let duo = &self.duo;
        self.paths.retain(|(generation, _)| {
            duo.near.generations().any(|used| used == *generation)
                || duo.far.generations().any(|used| used == *generation)
        });
    }
}

/// Viewers of one seed at most.
const VIEWERS: u32 = 8;

/// Virtual time after which a session is stuck.
const PATIENCE: Duration = Duration::from_secs(600);
