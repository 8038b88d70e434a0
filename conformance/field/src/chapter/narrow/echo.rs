//! Keys whose echo has to come through output without end.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    super::world::{World, first_key},
    line::{QUEUES, Way, narrow},
};
use crate::{
    program::{PRINTER, Programs, Share, Terminal},
    row::{Figure, Miss},
    topology::Queue,
};

/// The worse p95 of both queues.
pub(super) fn behind(programs: &Programs, kilobits: u32, way: Way) -> Result<Figure, Miss> {
    let (mut worst, mut words) = (Duration::ZERO, Vec::new());
    for queue in QUEUES {
        let echoes = on_link(programs, kilobits, Queue::Long(queue), way)?;
        worst = worst.max(echoes.at(95));
        words.push(format!("queue {} ms: {}", queue.as_millis(), echoes.words()));
        if let Some(left) = echoes.left {
            return Err(Miss::Due(format!("{}, and left for {left:?}", words.join("; "))));
        }
    }
    Figure::of(worst).and(words.join("; ")).within(due(kilobits))
}

/// T16, and T17 for what is narrower.
fn due(kilobits: u32) -> Duration {
    Duration::from_millis(if kilobits < 256 { 800 } else { 250 })
}

pub(super) fn on_link(programs: &Programs, kilobits: u32, queue: Queue, way: Way) -> Result<Echoes, Miss> {
    let world = World::build(programs)?;
    let _names = world.usual_names()?;
    let (_share, link) = flood(&world, kilobits)?;
    let mut terminal = world.join(&link, &way.setting(&world))?;
    first_key(&mut terminal)?;
    let _narrow = narrow(&world, kilobits, queue)?;
    thread::sleep(SETTLE);
    Ok(Echoes::typed(&mut terminal, way.path(), KEYS, WINDOW))
}

/// Shares a program that prints without end, half as much again as a link of `kilobits` carries: that is never idle, and
/// this machine is.
pub(super) fn flood(world: &World, kilobits: u32) -> Result<(Share, String), Miss> {
    let rate = (kilobits * 3 / 2 / 8).clamp(100, 800).to_string();
    world.share(&world.usual().command(&["perl", "-e", PRINTER, &rate]))
}

/// How long echoes took.
#[derive(Debug)]
pub(super) struct Echoes {
    took: Vec<Duration>,
    lost: usize,
    /// The path it left for.
    pub(super) left: Option<String>,
}

impl Echoes {
    /// Types `keys` keys, or as many as fit into `window`, and watches whether the session stays on `path`.
    pub(super) fn typed(terminal: &mut Terminal, path: &str, keys: usize, window: Duration) -> Self {
        let (started, mut echoes) = (Instant::now(), Self { took: Vec::new(), lost: 0, left: None });
        while echoes.took.len() < keys && started.elapsed() < window {
            let echo = terminal.key(LOST);
            echoes.lost += usize::from(echo.is_none());
            echoes.took.push(echo.unwrap_or(LOST));
            let now = terminal.path();
            if now != path {
                echoes.left.get_or_insert(now);
            }
            thread::sleep(BETWEEN);
        }
        echoes.took.sort_unstable();
        echoes
    }

    /// The time within which so many of a hundred came.
    pub(super) fn at(&self, percent: usize) -> Duration {
        let last = self.took.len().saturating_sub(1);
        self.took.get((self.took.len() * percent / 100).min(last)).copied().unwrap_or(LOST)
    }

    pub(super) fn words(&self) -> String {
        let [p50, p95, worst] = [50, 95, 100].map(|percent| self.at(percent).as_millis());
        let lost = if self.lost > 0 { format!(", {} never came", self.lost) } else { String::new() };
        format!("p50 {p50} ms, p95 {p95} ms, worst {worst} ms of {}{lost}", self.took.len())
    }
}

/// Output fills the queues first.
pub(super) const SETTLE: Duration = Duration::from_secs(4);

pub(super) const KEYS: usize = 50;

/// How long the typing takes at most.
pub(super) const WINDOW: Duration = Duration::from_secs(25);

/// A person's pace.
const BETWEEN: Duration = Duration::from_millis(150);

/// A key that takes as long counts as lost.
const LOST: Duration = Duration::from_secs(8);
