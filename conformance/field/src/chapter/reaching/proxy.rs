//! CONNECT proxies: the only way out, or named and dead.

use std::{thread, time::Duration};

use super::super::world::{World, first_key};
use crate::{
    middlebox::{ConnectProxy, Zone},
    program::{Programs, Setting},
    row::{Figure, Miss},
    topology::Chain,
};

pub(super) fn https_proxy(programs: &Programs) -> Result<Figure, Miss> {
    behind(programs, None, "HTTPS_PROXY", PROXY)
}

pub(super) fn all_proxy(programs: &Programs) -> Result<Figure, Miss> {
    behind(programs, None, "ALL_PROXY", PROXY)
}

pub(super) fn with_password(programs: &Programs) -> Result<Figure, Miss> {
    behind(programs, Some(ACCOUNT), "HTTPS_PROXY", "http://ada:sesame@10.0.0.1:3128")
}

/// A viewer on a network that lets nothing out but the proxy's tunnels, and whose names do not resolve.
fn behind(
    programs: &Programs,
    account: Option<(&str, &str)>,
    variable: &str,
    url: &str,
) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    world.enclose("to-viewer")?;
    let _names = world.names(Zone::new(), Duration::ZERO)?;
    let proxy = ConnectProxy::start(&world.lab, &world.router, account)?;
    world.leads(&world.viewer, url)?;
    let before = proxy.tunnels();
    let (_share, link) = world.share(&world.usual())?;
    let session = world.session(&link, &world.usual().env(variable, url))?;
    if session.path != RELAY_PATH {
        return Err(Miss::Due(format!("on {}, not on the relay", session.path)));
    }
    session.figure().and(format!("{} tunnels", proxy.tunnels() - before)).within(DUE)
}

pub(super) fn wants_password(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    world.enclose("to-viewer")?;
    let _proxy = ConnectProxy::start(&world.lab, &world.router, Some(ACCOUNT))?;
    complains(&world, &world.usual().env("HTTPS_PROXY", PROXY), &["the proxy 10.0.0.1:3128", "password"])
}

pub(super) fn host(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    world.enclose("to-host")?;
    world.host.etc("hosts", "127.0.0.1 localhost\n")?;
    world.host.etc("resolv.conf", "nameserver 10.0.1.1\n")?;
    let _names = world.usual_names()?;
    let (proxy, url) = (ConnectProxy::start(&world.lab, &world.router, None)?, "http://10.0.1.1:3128");
    world.leads(&world.host, url)?;
    let before = proxy.tunnels();
    let (_share, link) = world.share(&world.usual().env("HTTPS_PROXY", url))?;
    let session = world.session(&link, &world.usual())?;
    session.figure().and(format!("{} tunnels", proxy.tunnels() - before)).within(DUE)
}

pub(super) fn refuses(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    complains_both(&world)
}

pub(super) fn black_hole(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    world.wall.add(Chain::Input, "tcp dport 3128 drop")?;
    complains_both(&world)
}

pub(super) fn none(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    let _names = world.usual_names()?;
    let setting = world.usual().env("HTTPS_PROXY", PROXY).env("HTTP_PROXY", PROXY).arg("--no-proxy");
    let (_share, link) = world.share_from(&world.host, &setting)?;
    world.session(&link, &setting)?.figure().within(DUE)
}

pub(super) fn idle_timeout(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    world.enclose("to-viewer")?;
    let _names = world.names(Zone::new(), Duration::ZERO)?;
    let proxy = ConnectProxy::impatient(&world.lab, &world.router, IDLE)?;
    let (_share, link) = world.share(&world.usual())?;
    let mut terminal = world.join(&link, &world.usual().env("HTTPS_PROXY", PROXY))?;
    first_key(&mut terminal)?;
    thread::sleep(2 * IDLE);
    let before = proxy.tunnels();
    thread::sleep(4 * IDLE);
    let cut = proxy.tunnels() - before;
    let Some(echo) = terminal.key(COMPLAINT) else {
        return Err(Miss::Due(format!("no echo within 15 s; {cut} fresh tunnels in 40 s")));
    };
    let figure = Figure::of(echo).and(format!("{cut} fresh tunnels in the last 40 s"));
    if cut > 1 { Err(Miss::Due(figure.words)) } else { figure.within(Duration::from_secs(1)) }
}

/// Sharing and joining name the dead proxy alike.
fn complains_both(world: &World) -> Result<Figure, Miss> {
    let _names = world.usual_names()?;
    let setting = world.usual().env("HTTPS_PROXY", PROXY).env("HTTP_PROXY", PROXY);
    let said = world.share_in_vain(&world.viewer, &setting)?;
    if !said.contains(DEAD) {
        return Err(Miss::Due(format!("share said {said:?}")));
    }
    complains(world, &setting, &[DEAD])
}

fn complains(world: &World, setting: &Setting, words: &[&str]) -> Result<Figure, Miss> {
    let (_share, link) = world.share(&world.usual())?;
    let mut terminal = world.join(&link, setting)?;
    match terminal.says(COMPLAINT, words) {
        Some(took) => Figure::of(took).and("the error names it").within(COMPLAINT),
        None if first_key(&mut terminal).is_ok() => {
            Err(Miss::Due("join has a session although the proxy cannot be used".to_owned()))
        }
        None => Err(Miss::Due(format!("join said {:?}", terminal.said()))),
    }
}

const PROXY: &str = "http://10.0.0.1:3128";
const ACCOUNT: (&str, &str) = ("ada", "sesame");
const DEAD: &str = "the proxy 10.0.0.1:3128 (from HTTPS_PROXY) does not answer";
const RELAY_PATH: &str = "ws-fallback";
const DUE: Duration = Duration::from_secs(5);

/// What a proxy cuts after.
const IDLE: Duration = Duration::from_secs(10);

/// Within this time an error is due.
const COMPLAINT: Duration = Duration::from_secs(15);
