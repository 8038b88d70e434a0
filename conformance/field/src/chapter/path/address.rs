//! A machine's address becomes another one, or goes away for a while.

use std::{thread, time::Instant};

use super::super::world::World;
use super::{
    seconds,
    session::{Live, direct, relayed, stand},
};
use crate::{
    program::Programs,
    row::{Figure, Miss},
    topology::{Chain, End, Space, link},
    trouble::Trouble,
};

pub(super) fn viewer(programs: &Programs) -> Result<Figure, Miss> {
    let mut live = direct(programs)?;
    replace(&live.world.viewer, "10.0.0.2/24", "10.0.0.7/24", "10.0.0.1")?;
    live.silence()?.within(std::time::Duration::from_millis(1_500))
}

pub(super) fn viewer_on_relay(programs: &Programs) -> Result<Figure, Miss> {
    let mut live = relayed(programs)?;
    replace(&live.world.viewer, "10.0.0.2/24", "10.0.0.7/24", "10.0.0.1")?;
    live.silence()?.within(RELAY)
}

pub(super) fn host_on_relay(programs: &Programs) -> Result<Figure, Miss> {
    let mut live = relayed(programs)?;
    replace(&live.world.host, "10.0.1.2/24", "10.0.1.7/24", "10.0.1.1")?;
    live.silence()?.within(seconds(3))
}

pub(super) fn second_uplink(programs: &Programs) -> Result<Figure, Miss> {
    takes_over(stand(two_uplinks(programs)?, "webrtc")?)?.within(seconds(2))
}

pub(super) fn second_uplink_on_relay(programs: &Programs) -> Result<Figure, Miss> {
    let world = two_uplinks(programs)?;
    world.wall.add(Chain::Forward, super::session::NO_UDP)?;
    takes_over(stand(world, "ws-fallback")?)?.within(RELAY)
}

pub(super) fn none_for_30s(programs: &Programs) -> Result<Figure, Miss> {
    let mut live = direct(programs)?;
    let viewer = &live.world.viewer;
    viewer.run("ip", &["addr", "del", "10.0.0.2/24", "dev", "eth0"])?;
    thread::sleep(seconds(30));
    viewer.run("ip", &["addr", "add", "10.0.0.2/24", "dev", "eth0"])?;
    viewer.route_through("10.0.0.1")?;
    let back = Instant::now();
    live.usable_after(back)?.within(seconds(2))
}

/// The old address is gone before the new one is there, as with a fresh lease.
fn replace(space: &Space, old: &str, new: &str, gateway: &str) -> Result<(), Trouble> {
    space.run("ip", &["addr", "del", old, "dev", "eth0"])?;
    space.run("ip", &["addr", "add", new, "dev", "eth0"])?;
    space.route_through(gateway)
}

/// The viewer has a second way out, which is not used yet.
fn two_uplinks(programs: &Programs) -> Result<World, Trouble> {
    let world = World::build(programs)?;
    let far = End { space: &world.router, device: "to-viewer-2", addresses: &["10.0.3.1/24"] };
    link(End { space: &world.viewer, device: "eth1", addresses: &["10.0.3.2/24"] }, far)?;
    Ok(world)
}

fn takes_over(mut live: Live) -> Result<Figure, Miss> {
    let viewer = &live.world.viewer;
    // The name server's address must be reached by the second one too.
    viewer.run("ip", &["route", "add", "10.0.0.1", "via", "10.0.3.1", "metric", "9"])?;
    viewer.run("ip", &["link", "set", "eth0", "down"])?;
    viewer.route_through("10.0.3.1")?;
    live.silence()
}

const RELAY: std::time::Duration = std::time::Duration::from_millis(2_500);
