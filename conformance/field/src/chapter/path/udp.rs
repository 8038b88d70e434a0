//! The direct path dies: UDP is dropped.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    seconds,
    session::{Live, NO_UDP, direct},
};
use crate::{
    program::{Programs, RELAY_PORT},
    row::{Figure, Miss},
    topology::Chain,
    trouble::Trouble,
};

pub(super) fn dies(programs: &Programs) -> Result<Figure, Miss> {
    let mut live = direct(programs)?;
    live.world.wall.add(Chain::Forward, NO_UDP)?;
    live.silence()?.within(seconds(6))
}

/// UDP comes back after so many seconds.
pub(super) fn pauses(programs: &Programs, outage: u64) -> Result<Figure, Miss> {
    let mut live = direct(programs)?;
    let Live { terminal, world, .. } = &mut live;
    world.wall.add(Chain::Forward, NO_UDP)?;
    let began = Instant::now();
    let mut sockets = 0;
    let (echo, lifted) = thread::scope(|scope| {
        let typing = scope.spawn(|| terminal.key(seconds(30)));
        while began.elapsed() < seconds(outage) {
            sockets = sockets.max(relay_sockets(&world.site).unwrap_or_default());
            thread::sleep(Duration::from_millis(100));
        }
        let lifted = world.wall.clear(Chain::Forward);
        (typing.join().ok().flatten(), lifted)
    });
    lifted?;
    let echo = echo.ok_or_else(|| Miss::Due("no echo within 30 s".to_owned()))?;
    let figure = Figure::of(echo).and(format!("on {}, {sockets} relay sockets", terminal.path()));
    if outage <= LEAST_OUTAGE && sockets > 0 {
        return Err(Miss::Due(format!("took {}; due without a relay socket", figure.words)));
    }
    figure.within(seconds(outage + 1))
}

pub(super) fn dies_idle(programs: &Programs) -> Result<Figure, Miss> {
    let mut live = direct(programs)?;
    live.world.wall.add(Chain::Forward, NO_UDP)?;
    thread::sleep(seconds(3));
    live.silence()?.within(seconds(4))
}

pub(super) fn dies_one_way(programs: &Programs) -> Result<Figure, Miss> {
    let ways = ["iifname to-host oifname to-viewer", "iifname to-viewer oifname to-host"];
    let mut worst: Option<Figure> = None;
    for way in ways {
        let mut live = direct(programs)?;
        live.world.wall.add(Chain::Forward, &format!("{way} {NO_UDP}"))?;
        let figure = live.silence()?;
        if worst.as_ref().is_none_or(|worst| figure.took > worst.took) {
            worst = Some(figure);
        }
    }
    worst.ok_or_else(|| Miss::Due("not tried".to_owned()))?.within(seconds(6))
}

/// Connections to the relay that are open.
pub(super) fn relay_sockets(site: &crate::topology::Space) -> Result<usize, Trouble> {
    let filter = format!("sport = :{RELAY_PORT}");
    Ok(site.run("ss", &["-tnH", "state", "established", &filter])?.lines().count())
}

/// A shorter outage is sat out.
const LEAST_OUTAGE: u64 = 3;
