//! Packets that get lost at random.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    super::world::{World, first_key},
    echo::{Echoes, WINDOW},
    line::Way,
};
use crate::{
    program::{Programs, Terminal},
    row::{Figure, Miss},
    topology::Chain,
};

/// Typing while so many of a hundred packets of the viewer are lost, in each direction.
pub(super) fn typing(programs: &Programs, percent: u32, way: Way, due: Duration) -> Result<Figure, Miss> {
    let (world, mut terminal, _rest) = start(programs, way)?;
    lose(&world, percent, "")?;
    let echoes = Echoes::typed(&mut terminal, way.path(), KEYS, WINDOW);
    let figure = Figure::of(echoes.at(95)).and(echoes.words());
    let left = echoes.left.map_or(String::new(), |left| format!("left for {left:?}"));
    figure.and(left).within(due)
}

/// So many of a hundred UDP packets are lost: how long until the session has left for the relay.
pub(super) fn leaves(programs: &Programs, percent: u32, due: Duration) -> Result<Figure, Miss> {
    let (world, mut terminal, _rest) = start(programs, Way::Direct)?;
    lose(&world, percent, "meta l4proto udp ")?;
    let started = Instant::now();
    while terminal.path() != Way::Relay.path() {
        if started.elapsed() > Duration::from_secs(60) {
            return Err(Miss::Due("still on WebRTC after 60 s".to_owned()));
        }
        let _ = terminal.key(Duration::from_secs(8));
        thread::sleep(Duration::from_millis(200));
    }
    Figure::of(started.elapsed()).and("then on the relay").within(due)
}

/// A session at rest, and what must not be dropped before it.
fn start(programs: &Programs, way: Way) -> Result<(World, Terminal, impl Sized), Miss> {
    let world = World::build(programs)?;
    let names = world.usual_names()?;
    let (share, link) = world.share(&world.usual())?;
    let mut terminal = world.join(&link, &way.setting(&world))?;
    first_key(&mut terminal)?;
    thread::sleep(Duration::from_secs(2));
    Ok((world, terminal, (share, names)))
}

fn lose(world: &World, percent: u32, of: &str) -> Result<(), Miss> {
    for way in ["iifname", "oifname"] {
        let rule = format!("{way} to-viewer {of}numgen random mod 100 < {percent} drop");
        world.wall.add(Chain::Forward, &rule)?;
    }
    Ok(())
}

const KEYS: usize = 100;
