//! What stands before the relay alone and lets no WebSocket through. The control plane is reached freely.

use std::{
    fs,
    time::{Duration, Instant},
};

use super::super::world::{NAMES, SITE, World, first_key};
use crate::{
    middlebox::WebServer,
    program::{Programs, RELAY_PORT},
    row::{Figure, Miss, seconds},
    topology::Chain,
    trouble::Trouble,
};

/// What a web server before the relay does with an upgrade; what it does not name it passes on.
const IN_THE_WAY: [(&str, &str); 4] = [
    ("redirected", "location = /v2/ws { return 302 https://login.portal.test/hello; }"),
    ("answered", "location = /v2/ws { default_type text/html; return 200 '<!DOCTYPE html><p>Welcome'; }"),
    ("stripped", ""),
    // An address where nobody is: nothing ever answers.
    ("swallowed", "location = /v2/ws { proxy_pass https://10.0.2.99; }"),
];

pub(super) fn no_websocket(programs: &Programs) -> Result<Figure, Miss> {
    let (mut worst, mut words) = (Duration::ZERO, Vec::new());
    for (name, site) in IN_THE_WAY {
        let world = World::build(programs)?;
        let _names = world.usual_names()?;
        let _proxy = before_relay(&world, site)?;
        let (_share, link) = world.share(&world.usual())?;
        let session = world.session(&link, &world.usual().arg("--relay-only"));
        let took = session.map_err(|miss| named(name, miss))?.took;
        worst = worst.max(took);
        words.push(format!("{name} {}", seconds(took)));
    }
    Figure::of(worst).and(words.join(", ")).within(TAKES_OVER)
}

/// Each upgraded connection is closed after a second: three of them, then no key waits.
pub(super) fn closed_soon(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    let _names = world.usual_names()?;
    let upgrading = format!(
        "location = /v2/ws {{ proxy_pass https://{SITE}:{RELAY_PORT}; proxy_http_version 1.1; \
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_read_timeout 1s; }}"
    );
    let _proxy = before_relay(&world, &upgrading)?;
    let (_share, link) = world.share(&world.usual())?;
    let mut terminal = world.join(&link, &world.usual().arg("--relay-only"))?;
    first_key(&mut terminal)?;
    std::thread::sleep(CUTS);
    let (since, mut slowest) = (Instant::now(), Duration::ZERO);
    while since.elapsed() < TYPED {
        let Some(echo) = terminal.key(TYPED) else {
            return Err(Miss::Due("a key never came back".to_owned()));
        };
        slowest = slowest.max(echo);
        std::thread::sleep(Duration::from_millis(700));
    }
    let log = world.lab.folder().join("nginx").join("access.log");
    let log = fs::read_to_string(log).map_err(Trouble::io("nginx's log"))?;
    let upgrades = log.lines().filter(|line| line.contains("GET /v2/ws")).count();
    if upgrades > MOST_UPGRADES {
        return Err(Miss::Due(format!("{upgrades} upgrades in {}", seconds(CUTS + TYPED))));
    }
    Figure::of(slowest).and(format!("{upgrades} upgrades in all")).within(ECHO)
}

fn before_relay(world: &World, site: &str) -> Result<WebServer, Miss> {
    let upstream = format!("{SITE}:{RELAY_PORT}");
    let (front, identity) = (NAMES.to_string(), &world.service.identity);
    let proxy = WebServer::selective(&world.lab, &world.router, identity, &front, &upstream, site)?;
    let detour = format!("iifname to-viewer tcp dport {RELAY_PORT} dnat ip to {NAMES}:443");
    world.wall.add(Chain::Redirect, &detour)?;
    Ok(proxy)
}

fn named(name: &str, miss: Miss) -> Miss {
    match miss {
        Miss::Due(words) => Miss::Due(format!("{name}: {words}")),
        lab => lab,
    }
}

/// For HTTP to take over, from the start of `join`.
const TAKES_OVER: Duration = Duration::from_secs(10);
/// For three WebSockets to be cut.
const CUTS: Duration = Duration::from_secs(8);
/// How long keys are typed then.
const TYPED: Duration = Duration::from_secs(7);
/// For one of them.
const ECHO: Duration = Duration::from_secs(1);
/// Three, and one that was being opened.
const MOST_UPGRADES: usize = 4;
