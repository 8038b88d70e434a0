//! A certificate that a company's own authority has signed.

use std::time::Duration;

use super::super::world::{PATIENCE, World};
use crate::{
    program::{AUTHORITY, Programs, Setting},
    row::{Figure, Miss},
};

pub(super) fn system_store(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    let pem = world.service.authority.pem()?;
    for space in [&world.host, &world.viewer] {
        // The whole folder is replaced: this authority is the only one the system trusts.
        space.etc("ssl/certs/ca-certificates.crt", &pem)?;
    }
    works(&world, &Setting::default())
}

pub(super) fn ssl_cert_file(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    works(&world, &world.usual())
}

pub(super) fn flag(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    let file = world.service.authority.certificate.display().to_string();
    works(&world, &Setting::default().arg("--ca").arg(&file))
}

pub(super) fn untrusted(programs: &Programs) -> Result<Figure, Miss> {
    let world = World::build(programs)?;
    let _names = world.usual_names()?;
    let said = world.share_in_vain(&world.host, &Setting::default())?;
    if !names_issuer(&said) {
        return Err(Miss::Due(format!("share said {said:?}")));
    }
    let (_share, link) = world.share(&world.usual())?;
    let mut terminal = world.join(&link, &Setting::default())?;
    match terminal.says(PATIENCE, &[AUTHORITY, "--ca"]) {
        Some(took) => Figure::of(took).and("names the issuer").within(DUE),
        None => Err(Miss::Due(format!("join said {:?}", terminal.said()))),
    }
}

fn works(world: &World, setting: &Setting) -> Result<Figure, Miss> {
    let _names = world.usual_names()?;
    let (_share, link) = world.share(setting)?;
    world.session(&link, setting)?.figure().within(DUE)
}

fn names_issuer(said: &str) -> bool {
    said.contains(AUTHORITY) && said.contains("--ca")
}

const DUE: Duration = Duration::from_secs(5);
