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
    works_or_tells(world.session(&link, &world.usual().clock("+10m")))
}

pub(super) fn host(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    let _names = world.usual_names()?;
    let session = world
        .share(&world.usual().clock("-10m"))
        .and_then(|(_share, link)| world.session(&link, &world.usual()));
    works_or_tells(session)
}

/// The second best is an error that says how far the clock is off.
fn works_or_tells(session: Result<Session, Miss>) -> Result<Figure, Miss> {
    match session {
        Ok(session) => session.figure().within(DUE),
        Err(Miss::Due(said)) if tells(&said) => {
            Ok(Figure::of(Duration::ZERO).and("the error says how far the clock is off"))
        }
        Err(miss) => Err(miss),
    }
}

/// Names the clock, and how far it is off.
fn tells(said: &str) -> bool {
    said.contains("clock") && ["10 min", "600 s"].iter().any(|offset| said.contains(offset))
}

const DUE: Duration = Duration::from_secs(5);
