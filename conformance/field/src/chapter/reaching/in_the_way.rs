//! Web servers that answer in place of the service, or before it.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::super::world::{NAMES, PATIENCE, SITE, World, first_key};
use crate::{
    middlebox::WebServer,
    program::{CONTROL, Programs},
    row::{Figure, Miss, seconds},
    topology::Chain,
};

pub(super) fn portal_redirects(programs: &Programs) -> Result<Figure, Miss> {
    portal(programs, "return 302 https://login.portal.test/hello", "login.portal.test")
}

pub(super) fn portal_shows_page(programs: &Programs) -> Result<Figure, Miss> {
    portal(programs, "return 200 '<!DOCTYPE html><html><title>Welcome, guest</title></html>'", CONTROL)
}

/// The router sends what is for the control plane to a login page, until somebody has logged in.
fn portal(programs: &Programs, answer: &str, place: &str) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    let _names = world.usual_names()?;
    let (lab, router) = (&world.lab, &world.router);
    let _portal = WebServer::portal(lab, router, &world.service.identity, "10.0.0.1", answer)?;
    world.wall.add(Chain::Redirect, "iifname to-viewer tcp dport 443 dnat ip to 10.0.0.1:443")?;
    let (_share, link) = world.share(&world.usual())?;
    let started = Instant::now();
    let mut terminal = world.join(&link, &world.usual())?;
    let told = terminal.says(LOGIN, &["login page", place]);
    if told.is_none() {
        return Err(Miss::Due(format!("join said {:?}", terminal.said())));
    }
    thread::sleep(LOGIN.saturating_sub(started.elapsed()));
    if let Some(status) = terminal.ends(Duration::from_millis(10)) {
        return Err(Miss::Due(format!("join gave up with {status}: {:?}", terminal.said())));
    }
    world.wall.clear(Chain::Redirect)?;
    let login = started.elapsed();
    let usable = first_key(&mut terminal)?;
    let told = seconds(told.unwrap_or_default());
    Figure::of(usable.saturating_sub(login)).and(format!("told after {told}")).within(AFTER_LOGIN)
}

pub(super) fn upgrade_removed(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    let (front, upstream) = (NAMES.to_string(), format!("{SITE}:443"));
    let identity = &world.service.identity;
    let _proxy = WebServer::stripping(&world.lab, &world.router, identity, &front, &upstream)?;
    let (_share, link) = world.share(&world.usual())?;
    let mut zone = World::zone(&[SITE.into()]);
    zone.insert(CONTROL.to_owned(), vec![NAMES.into()]);
    let _names = world.names(zone, Duration::ZERO)?;
    let mut terminal = world.join(&link, &world.usual())?;
    match terminal.says(PATIENCE, &["proxy", "upgrade"]) {
        Some(took) => Figure::of(took).and("says so").within(COMPLAINT),
        None => Err(Miss::Due(format!("join said {:?}", terminal.said()))),
    }
}

/// When the person logs in.
const LOGIN: Duration = Duration::from_secs(6);

/// Within this time after the login a session is due.
const AFTER_LOGIN: Duration = Duration::from_secs(2);

/// Within this time an error is due.
const COMPLAINT: Duration = Duration::from_secs(15);
