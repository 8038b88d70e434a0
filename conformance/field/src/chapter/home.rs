//! A home's router between the world's and one machine, with or without address translation.

use super::world::World;
use crate::{
    topology::{Chain, End, Firewall, Space, link},
    trouble::Trouble,
};

/// Whose home it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The viewer's.
    Viewer,
    /// The host's.
    Host,
}

/// What a home's router does to addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nat {
    /// Nothing: it only routes.
    None,
    /// One outer port for each inner one, whoever is spoken to.
    Cone,
    /// Another outer port for everybody who is spoken to.
    Symmetric,
}

/// A home: a router with `lan` towards its machine and `wan` towards the world.
#[derive(Debug)]
pub struct Home {
    /// The router.
    pub space: Space,
    outer: &'static str,
    _wall: Firewall,
}

impl Home {
    /// Puts a router between the world and one of its machines, which gets another address. IPv6 ends there.
    ///
    /// # Errors
    ///
    /// [`Trouble`].
    pub fn of(world: &World, side: Side, nat: Nat) -> Result<Self, Trouble> {
        let (machine, place) = match side {
            Side::Viewer => (&world.viewer, &VIEWERS),
            Side::Host => (&world.host, &HOSTS),
        };
        let space = world.lab.space(place.name)?;
        space.forward()?;
        machine.run("ip", &["link", "del", "eth0"])?;
        let outside = End { space: &world.router, device: place.device, addresses: &[place.world_side] };
        link(End { space: &space, device: "wan", addresses: &[place.wan] }, outside)?;
        let inside = End { space: &space, device: "lan", addresses: &[place.lan] };
        link(End { space: machine, device: "eth0", addresses: &[place.machine] }, inside)?;
        space.route_through(place.outer)?;
        machine.route_through(place.inner)?;
        let wall = Firewall::raise(&space)?;
        if nat == Nat::None {
            world.router.run("ip", &["route", "add", place.network, "via", place.own])?;
        } else {
            // A stranger's packet that is answered here would take the port that the home's machine needs.
            wall.add(Chain::Input, "iifname wan ct state new drop")?;
            let random = if nat == Nat::Symmetric { " random" } else { "" };
            let rules = [
                "add table ip home".to_owned(),
                "add chain ip home out { type nat hook postrouting priority 100; }".to_owned(),
                format!("add rule ip home out oifname wan masquerade{random}"),
            ];
            rules.iter().try_for_each(|rule| space.run("nft", &[rule]).map(drop))?;
        }
        Ok(Self { space, outer: place.outer, _wall: wall })
    }

    /// Makes the router forget what it translated: what masquerades is forgotten with its device.
    ///
    /// # Errors
    ///
    /// [`Trouble`].
    pub fn forget(&self) -> Result<(), Trouble> {
        self.space.run("ip", &["link", "set", "wan", "down"])?;
        self.space.run("ip", &["link", "set", "wan", "up"])?;
        self.space.route_through(self.outer)
    }
}

/// The addresses of a home.
struct Place {
    name: &'static str,
    device: &'static str,
    world_side: &'static str,
    wan: &'static str,
    lan: &'static str,
    machine: &'static str,
    network: &'static str,
    outer: &'static str,
    own: &'static str,
    inner: &'static str,
}

const VIEWERS: Place = Place {
    name: "viewers-home",
    device: "to-viewer",
    world_side: "10.0.0.1/24",
    wan: "10.0.0.2/24",
    lan: "192.168.0.1/24",
    machine: "192.168.0.2/24",
    network: "192.168.0.0/24",
    outer: "10.0.0.1",
    own: "10.0.0.2",
    inner: "192.168.0.1",
};

const HOSTS: Place = Place {
    name: "hosts-home",
    device: "to-host",
    world_side: "10.0.1.1/24",
    wan: "10.0.1.2/24",
    lan: "192.168.1.1/24",
    machine: "192.168.1.2/24",
    network: "192.168.1.0/24",
    outer: "10.0.1.1",
    own: "10.0.1.2",
    inner: "192.168.1.1",
};
