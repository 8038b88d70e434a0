//! A cable between two namespaces.

use std::process::Command;

use super::Space;
use crate::trouble::{Trouble, output};

/// One end of a cable.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// Where it is plugged in.
    pub space: &'a Space,
    /// What the device is called there, 15 characters at most.
    pub device: &'a str,
    /// Its addresses, with their prefix lengths.
    pub addresses: &'a [&'a str],
}

/// Lays a cable between two ends and switches it on.
///
/// # Errors
///
/// [`Trouble::Command`].
pub fn link(near: End<'_>, far: End<'_>) -> Result<(), Trouble> {
    let mut pair = Command::new("ip");
    pair.args(["link", "add", near.device, "netns", near.space.name(), "type", "veth"]);
    pair.args(["peer", "name", far.device, "netns", far.space.name()]);
    output(&mut pair)?;
    for End { space, device, addresses } in [near, far] {
        space.run("ip", &["link", "set", device, "up"])?;
        for address in addresses {
            // Nobody else can have an address here: there is no need to ask the neighbours for a second.
            let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
            space.run("ip", &[&["addr", "add", address, "dev", device], nodad].concat())?;
        }
    }
    Ok(())
}
