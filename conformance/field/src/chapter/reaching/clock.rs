//! Clocks that are wrong.

use std::time::Duration;

use super::super::world::{Session, World};
use crate::{
    program::Programs,
    row::{Figure, Miss},
};

pub(super) fn viewer(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    let _names = world.usual_names()?;
    let (_share, link) = world.share(&world.usual())?;
    works(world.session(&link, &world.usual().clock("+10m")))
}

pub(super) fn host(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    let _names = world.usual_names()?;
    let session = world
        .share(&world.usual().clock("-10m"))
        .and_then(|(_share, link)| world.session(&link, &world.usual()));
    works(session)
}

fn works(session: Result<Session, Miss>) -> Result<Figure, Miss> {
    session?.figure().within(DUE)
}

const DUE: Duration = Duration::from_secs(5);
