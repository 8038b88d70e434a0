//! Four viewers whose host has one narrow uplink; and a link that drops what it cannot carry.

use std::{thread, time::Duration};

use super::{
    super::{
        home::{Home, Nat, Side},
        world::{World, first_key},
    },
    echo::{Echoes, KEYS, SETTLE, WINDOW, flood, on_link},
    line::Way,
};
use crate::{
    program::{Programs, Terminal},
    row::{Figure, Miss},
    topology::{Queue, Shaper},
};

/// One of four viewers types; all stay on their path.
pub(super) fn on_uplink(programs: &Programs, kilobits: u32, way: Way) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    let home = Home::of(&world, Side::Host, Nat::None)?;
    let _names = world.usual_names()?;
    let (_share, link) = flood(&world, kilobits)?;
    let mut viewers: Vec<Terminal> = Vec::new();
    for _ in 0..VIEWERS {
        let mut viewer = world.join(&link, &way.setting(&world))?;
        first_key(&mut viewer)?;
        viewers.push(viewer);
    }
    let _up = Shaper::narrow(&home.space, "wan", kilobits, Queue::Long(QUEUE))?;
    let _down = Shaper::narrow(&world.router, "to-host", kilobits, Queue::Long(QUEUE))?;
    thread::sleep(SETTLE);
    let echoes = Echoes::typed(&mut viewers[0], way.path(), KEYS, WINDOW);
    let paths: Vec<String> = viewers.iter().map(Terminal::path).collect();
    if echoes.left.is_some() || paths.iter().any(|path| path != way.path()) {
        return Err(Miss::Due(format!("{}; the four are on {}", echoes.words(), paths.join(", "))));
    }
    Figure::of(echoes.at(95)).and(echoes.words()).within(DUE)
}

/// As the echo rows, on a link without a queue.
pub(super) fn policed(programs: &Programs, kilobits: u32, way: Way) -> Result<Figure, Miss> {
    let echoes = on_link(programs, kilobits, Queue::None, way)?;
    match &echoes.left {
        Some(left) => Err(Miss::Due(format!("{}, and left for {left:?}", echoes.words()))),
        None => Figure::of(echoes.at(95)).and(echoes.words()).within(Duration::from_millis(250)),
    }
}

const VIEWERS: usize = 4;
const QUEUE: Duration = Duration::from_millis(400);

/// T17.
const DUE: Duration = Duration::from_millis(800);
