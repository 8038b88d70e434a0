//! The service is away when it is needed, or what is large does not arrive.

use std::{thread, time::Instant};

use super::{
    super::world::{World, first_key},
    flow::lose,
    seconds,
    session::{NO_UDP, direct, relayed, relayed_in, stand},
};
use crate::{
    program::{Memory, PRINTER, Programs, RELAY_PORT},
    row::{Figure, Miss},
    topology::Chain,
    trouble::Trouble,
};

pub(super) fn relay_down(programs: &Programs) -> Result<Figure, Miss> {
    let mut live = direct(programs)?;
    away(&live.world, RELAY_PORT)?;
    live.world.wall.add(Chain::Forward, NO_UDP)?;
    thread::sleep(seconds(20));
    live.world.wall.replace(Chain::Forward, NO_UDP)?;
    let back = Instant::now();
    live.usable_after(back)?.within(seconds(2))
}

pub(super) fn control_gone(programs: &Programs) -> Result<Figure, Miss> {
    let mut live = stand(World::with(programs, Memory::Shared)?, "webrtc")?;
    away(&live.world, CONTROL_PORT)?;
    live.world.wall.add(Chain::Forward, NO_UDP)?;
    live.silence()?.within(seconds(6))
}

pub(super) fn relay_restarts_alone(programs: &Programs) -> Result<Figure, Miss> {
    let mut live = relayed_in(World::with(programs, Memory::Shared)?)?;
    away(&live.world, CONTROL_PORT)?;
    thread::sleep(seconds(1));
    live.world.service.stop_relay();
    // Both sides are reset, and try in vain.
    thread::sleep(seconds(5));
    live.world.service.start_relay(&live.world.site, &live.world.programs)?;
    live.silence()?.within(seconds(6))
}

pub(in super::super) fn name_server_dies(programs: &Programs) -> Result<Figure, Miss> {
    let mut live = direct(programs)?;
    live.world.wall.add(Chain::Input, NO_NAMES)?;
    live.world.wall.add(Chain::Forward, NO_UDP)?;
    live.silence()?.within(seconds(8))
}

pub(in super::super) fn name_server_dies_on_relay(programs: &Programs) -> Result<Figure, Miss> {
    let mut live = relayed(programs)?;
    live.world.wall.add(Chain::Input, NO_NAMES)?;
    lose(&live.world, &live.world.viewer, "to-viewer")?;
    live.silence()?.within(seconds(8))
}

pub(super) fn large_packets_vanish(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    let _names = world.usual_names()?;
    for space in [&world.site, &world.viewer] {
        // Each packet by itself: between namespaces segments travel in bundles that no real network has.
        space.run("ip", &["link", "set", "dev", "eth0", "gso_max_segs", "1"])?;
    }
    let (_share, link) = world.share(&world.usual().command(&["perl", "-e", PRINTER, "100"]))?;
    world.wall.add(Chain::Forward, "oifname to-viewer meta length > 1200 drop")?;
    world.wall.add(Chain::Forward, "iifname to-viewer meta length > 1200 drop")?;
    let mut terminal = world.join(&link, &world.usual())?;
    let first = first_key(&mut terminal)?;
    let mut worst = seconds(0);
    for _ in 0..10 {
        let echo = terminal.key(seconds(15));
        worst = worst.max(echo.ok_or_else(|| Miss::Due("a key never came back".to_owned()))?);
    }
    let figure = Figure::of(worst).and(format!("first key after {}", crate::row::seconds(first)));
    figure.and(format!("on {}", terminal.path())).within(seconds(10))
}

/// Nobody listens on that port of the service, for what is open too.
fn away(world: &World, port: u16) -> Result<(), Trouble> {
    world.wall.add(Chain::Forward, &format!("tcp dport {port} reject with tcp reset"))
}

/// The name server is in the router.
const NO_NAMES: &str = "udp dport 53 drop";

const CONTROL_PORT: u16 = 443;
