//! Names that take long, and addresses that lead nowhere.

use std::time::Duration;

use super::super::world::{SITE, SITE_V6, World};
use crate::{
    program::Programs,
    row::{Figure, Miss, seconds},
    topology::Chain,
};

pub(super) fn ipv6_black_hole(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    let _names = world.names(World::zone(&[SITE_V6.into(), SITE.into()]), Duration::ZERO)?;
    let (_share, link) = world.share(&world.usual())?;
    let open = world.session(&link, &world.usual())?;
    world.wall.add(Chain::Forward, "meta nfproto ipv6 drop")?;
    let session = world.session(&link, &world.usual())?;
    session.figure().and(format!("{} without the fault", seconds(open.took))).within(open.took + RACE)
}

pub(super) fn four_seconds(programs: &Programs) -> Result<Figure, Miss> {
    slow(programs, Duration::from_secs(4), Duration::from_secs(6))
}

pub(super) fn six_seconds(programs: &Programs) -> Result<Figure, Miss> {
    slow(programs, Duration::from_secs(6), Duration::from_secs(9))
}

fn slow(programs: &Programs, delay: Duration, due: Duration) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    let _names = world.names(World::zone(&[SITE.into()]), delay)?;
    let (_share, link) = world.share(&world.usual())?;
    world.session(&link, &world.usual())?.figure().within(due)
}

pub(super) fn first_dead(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    world.wall.add(Chain::Forward, "ip daddr 10.0.2.3 udp dport 53 drop")?;
    world.viewer.etc("resolv.conf", "nameserver 10.0.2.3\nnameserver 10.0.0.1\noptions timeout:3\n")?;
    let _names = world.usual_names()?;
    let (_share, link) = world.share(&world.usual())?;
    world.session(&link, &world.usual())?.figure().within(Duration::from_secs(5))
}

/// What the race between address families may cost.
const RACE: Duration = Duration::from_secs(1);
