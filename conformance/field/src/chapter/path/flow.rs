//! A connection is lost without a word: a NAT forgot it, or one of its directions vanishes.

use super::{
    super::{
        home::{Home, Nat, Side},
        world::World,
    },
    seconds,
    session::{NO_UDP, relayed, stand},
};
use crate::{
    program::{Programs, RELAY_PORT},
    row::{Figure, Miss},
    topology::{Chain, Space},
    trouble::Trouble,
};

pub(super) fn viewer(programs: &Programs) -> Result<Figure, Miss> {
    let mut live = relayed(programs)?;
    lose(&live.world, &live.world.viewer, "to-viewer")?;
    live.silence()?.within(seconds(3))
}

pub(super) fn host(programs: &Programs) -> Result<Figure, Miss> {
    let mut live = relayed(programs)?;
    lose(&live.world, &live.world.host, "to-host")?;
    live.silence()?.within(seconds(3))
}

/// Drops all that comes on a machine's connections to the relay of this moment.
pub(super) fn lose(world: &World, machine: &Space, device: &str) -> Result<(), Trouble> {
    for port in ports(machine)? {
        world.wall.add(Chain::Forward, &format!("iifname {device} tcp sport {port} drop"))?;
        world.wall.add(Chain::Forward, &format!("oifname {device} tcp dport {port} drop"))?;
    }
    Ok(())
}

pub(super) fn one_way(programs: &Programs) -> Result<Figure, Miss> {
    let mut live = relayed(programs)?;
    for port in ports(&live.world.viewer)? {
        live.world.wall.add(Chain::Forward, &format!("oifname to-viewer tcp dport {port} drop"))?;
    }
    live.silence()?.within(seconds(6))
}

pub(super) fn nat_forgets(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    let home = Home::of(&world, Side::Viewer, Nat::Cone)?;
    let mut live = stand(world, "webrtc")?;
    home.forget()?;
    live.silence()?.within(seconds(3))
}

pub(super) fn nat_forgets_on_relay(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    let home = Home::of(&world, Side::Viewer, Nat::Cone)?;
    world.wall.add(Chain::Forward, NO_UDP)?;
    let mut live = stand(world, "ws-fallback")?;
    home.forget()?;
    live.silence()?.within(std::time::Duration::from_millis(2_500))
}

/// Ports of a machine's connections to the relay.
fn ports(space: &Space) -> Result<Vec<u16>, Trouble> {
    let listed = space.run("ss", &["-tnH", "state", "established", &format!("dport = :{RELAY_PORT}")])?;
    let local = listed.lines().filter_map(|line| line.split_whitespace().nth(2));
    let ports: Vec<u16> = local.filter_map(|local| local.rsplit(':').next()?.parse().ok()).collect();
    if ports.is_empty() {
        let name = "a connection to the relay".to_owned();
        return Err(Trouble::NotReady { name, said: listed });
    }
    Ok(ports)
}
