//! *Behind NAT*: which path two homes find.

use crate::{
    chapter::{
        home::{Home, Nat, Side},
        world::{SITE, Session, World},
    },
    program::{Process, Programs, Setting},
    row::{Figure, Miss, Row, State},
    topology::Chain,
    trouble::Trouble,
};
use std::time::Duration;

/// All rows of the chapter.
pub(super) const ROWS: &[Row] = &[
    Row::new(
        "cone_cone_stun",
        "both behind cone NATs, a STUN server is configured",
        "direct, 0.3 s",
        "direct within 2 s",
        State::Due(|p| direct(homes(p, [Nat::Cone; 2], true)?, Duration::from_secs(2))),
    ),
    Row::new(
        "cone_cone",
        "the same without: only the service's own STUN server",
        "relay after 4.0 s",
        "direct within 2 s: the service offers STUN",
        State::Due(|p| direct(homes(p, [Nat::Cone; 2], false)?, Duration::from_secs(2))),
    ),
    Row::new(
        "symmetric_cone",
        "the viewer behind a symmetric NAT, with STUN and without TURN",
        "relay after 4.0 s",
        "the relay within 6 s",
        State::Due(|p| any(homes(p, [Nat::Symmetric, Nat::Cone], true)?)),
    ),
    Row::new(
        "symmetric_symmetric",
        "both behind symmetric NATs",
        "relay after 4.0 s",
        "the relay within 6 s",
        State::Nightly(|p| any(homes(p, [Nat::Symmetric; 2], true)?)),
    ),
    Row::new(
        "one_family_broken",
        "both have IPv4 and IPv6, and IPv4 between them is broken",
        "direct, 0.4 s",
        "direct within 2 s",
        State::Due(one_family),
    ),
];

fn homes(programs: &Programs, [viewer, host]: [Nat; 2], stun: bool) -> Result<Session, Miss> {
    let world = World::build(programs)?;
    let _homes = [Home::of(&world, Side::Viewer, viewer)?, Home::of(&world, Side::Host, host)?];
    let _names = world.usual_names()?;
    let _stun = stun.then(|| server(&world)).transpose()?;
    let setting = match stun {
        true => world.usual().arg("--ice-server").arg(&format!("stun:{SITE}:{STUN}")),
        false => world.usual(),
    };
    meet(&world, &setting)
}

fn one_family(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    world.router.run("ip", &["addr", "add", "fd01::1/64", "dev", "to-host", "nodad"])?;
    world.host.run("ip", &["addr", "add", "fd01::2/64", "dev", "eth0", "nodad"])?;
    world.host.route_through("fd01::1")?;
    world.wall.add(Chain::Forward, "ip saddr 10.0.0.0/24 ip daddr 10.0.1.0/24 drop")?;
    let _names = world.usual_names()?;
    direct(meet(&world, &world.usual())?, Duration::from_secs(2))
}

fn meet(world: &World, setting: &Setting) -> Result<Session, Miss> {
    let (_share, link) = world.share(setting)?;
    world.session(&link, setting)
}

fn direct(session: Session, due: Duration) -> Result<Figure, Miss> {
    match session.path.as_str() {
        "webrtc" => session.figure().within(due),
        path => Err(Miss::Due(format!("on {path}, not direct"))),
    }
}

fn any(session: Session) -> Result<Figure, Miss> {
    session.figure().within(Duration::from_secs(6))
}

/// A STUN server beside the service.
fn server(world: &World) -> Result<Process, Trouble> {
    let port = STUN.to_string();
    let mut command = world.site.command("turnserver");
    command.args(["-n", "--stun-only", "--no-cli", "-L", "10.0.2.2", "-p", &port, "--log-file", "stdout"]);
    let mut process = Process::start("turnserver", &mut command)?;
    process.listens(&world.site, STUN)?;
    Ok(process)
}

/// Beside that of the service's own.
const STUN: u16 = 3479;
