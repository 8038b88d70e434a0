//! A service for friends: `beach-lifeguard up`, whose certificate nobody signed. Lines are copied as they were printed.

use std::time::Duration;

use super::super::world::{PATIENCE, World};
use crate::{
    program::{Programs, Setting, Share, Up},
    row::{Figure, Miss},
    topology::Space,
};

/// `up` beside the host.
pub(super) fn beside(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    let up = Up::start(&world.host, programs)?;
    if up.here != "beach-link share" {
        return Err(Miss::Due(format!("the line to share is {:?}", up.here)));
    }
    works(&world, &up.here)
}

/// `up` on a third machine.
pub(super) fn elsewhere(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    let up = Up::start(&world.site, programs)?;
    works(&world, &up.elsewhere)
}

/// Shares by the line, and joins by the link alone: on the path that is found, and over the relay.
fn works(world: &World, line: &str) -> Result<Figure, Miss> {
    let (_share, link) = share(world, &world.host, line)?;
    let figure = world.session(&link, &Setting::default())?.figure().within(DUE)?;
    let relayed = world.session(&link, &Setting::default().arg("--relay-only"))?;
    Ok(figure.and(format!("and in {:.2} s on {}", relayed.took.as_secs_f64(), relayed.path)))
}

fn share(world: &World, space: &Space, line: &str) -> Result<(Share, String), Miss> {
    let mut share = Share::by_line(space, &world.programs, line)?;
    match share.link(PATIENCE) {
        Some(link) => Ok((share, link)),
        None => Err(Miss::Due(format!("share has no link: {}", share.said()))),
    }
}

const DUE: Duration = Duration::from_secs(5);
