//! What a pipe gets out of a narrow link, and what it puts into it.

use std::time::Duration;

use super::{
    super::world::World,
    line::{Way, narrow},
};
use crate::{
    program::{Pipe, Programs},
    row::{Figure, Miss},
    topology::{Chain, Queue},
};

pub(super) fn of(programs: &Programs, kilobits: u32, way: Way) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    let _names = world.usual_names()?;
    let ends = (&world.host, &world.viewer);
    let mut pipe = Pipe::open(&world.lab, programs, ends, &way.setting(&world))?;
    if let Err(_none) = pipe.carry(1, CONNECT)? {
        return Err(Miss::Due("the pipe carried nothing on an open link".to_owned()));
    }
    let _narrow = narrow(&world, kilobits, Queue::Long(QUEUE))?;
    // Before the queue: what is dropped there was sent all the same.
    world.wall.add(Chain::Forward, "oifname to-viewer counter")?;
    let amount = u64::from(kilobits) * 1_000 / 8 * SECONDS;
    let took = match pipe.carry(amount, Duration::from_secs(4 * SECONDS))? {
        Ok(took) => took,
        Err(arrived) => {
            let (sent, of) = (world.wall.counted(Chain::Forward)?, amount / 1_000);
            let [arrived, sent] = [arrived, sent].map(|bytes| bytes / 1_000);
            return Err(Miss::Due(format!(
                "{arrived} of {of} KB arrived in {} s, {sent} KB were sent",
                4 * SECONDS
            )));
        }
    };
    let sent = world.wall.counted(Chain::Forward)?;
    let share = amount as f64 * 8.0 / f64::from(kilobits) / 1_000.0 / took.as_secs_f64();
    let cost = sent as f64 / amount as f64;
    let figure =
        Figure::of(took).and(format!("{:.0} % of the link, sent ÷ arrived {cost:.2}", share * 100.0));
    if share >= LEAST_SHARE && cost <= MOST_COST { Ok(figure) } else { Err(Miss::Due(figure.words)) }
}

/// So much is sent that an ideal link would take this long.
const SECONDS: u64 = 15;

const CONNECT: Duration = Duration::from_secs(20);
const QUEUE: Duration = Duration::from_millis(400);

/// T18.
const LEAST_SHARE: f64 = 0.85;
const MOST_COST: f64 = 1.15;
