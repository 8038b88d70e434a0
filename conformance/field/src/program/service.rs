//! The service under test: control plane and relay, each a `beach-lifeguard` with TLS.

use std::{net::IpAddr, path::Path, process::Command};

use super::{Authority, Identity, Process, Programs, Store, process::READY};
use crate::{
    topology::{Lab, Space},
    trouble::{Trouble, output},
};

/// Both planes, running. Dropping it ends them.
#[derive(Debug)]
pub struct Service {
    /// Who signed its certificate.
    pub authority: Authority,
    /// Its certificate, for whoever stands in its place.
    pub identity: Identity,
    _control: Process,
    /// None while it is stopped.
    relay: Option<Process>,
    relay_arguments: Vec<String>,
    _store: Option<Store>,
}

/// Where the planes keep what they know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Each in its own process: a relay honours no grant then, and gives no ticket.
    Apart,
    /// In one Redis, as a deployment does.
    Shared,
}

impl Service {
    /// Starts both on every address of `space`.
    ///
    /// # Errors
    ///
    /// [`Trouble`] when one does not become ready.
    pub fn start(lab: &Lab, space: &Space, programs: &Programs, memory: Memory) -> Result<Self, Trouble> {
        let folder = lab.folder();
        let authority = Authority::make(folder)?;
        let identity = authority.sign(folder, &[CONTROL, RELAY])?;
        let key = folder.join("token.pem");
        let mut keys = Command::new(&programs.lifeguard);
        let public = output(keys.args(["keys", "generate", "--id", "field", "--out"]).arg(&key))?;
        let store = (memory == Memory::Shared).then(|| Store::start(space)).transpose()?;
        let redis: Vec<String> =
            store.iter().flat_map(|_| ["--store-redis-url".to_owned(), Store::url()]).collect();
        let relay = ["serve", "--tokens-public-keys", public.trim(), "--admin-addr", "127.0.0.1:9444"];
        let relay_arguments = [&relay.map(str::to_owned)[..], &redis].concat();
        let relay = plane(space, programs, &identity, &relay_arguments, RELAY_PORT)?;
        let (key, url) = (key.display().to_string(), format!("wss://{RELAY}:{RELAY_PORT}/v2/ws"));
        let control = [
            "control-plane",
            "--control-fallback-ws-enabled",
            "true",
            "--control-relay-url",
            &url,
            "--tokens-key-id",
            "field",
            "--tokens-signing-key-file",
            &key,
            "--admin-addr",
            "127.0.0.1:9445",
            "--stun-listen-addr",
            "[::]:3478",
            "--stun-urls",
            &format!("stun:{CONTROL}:3478"),
        ];
        let control = [&control.map(str::to_owned)[..], &redis].concat();
        let control = plane(space, programs, &identity, &control, 443)?;
        let relay = Some(relay);
        Ok(Self { authority, identity, _control: control, relay, relay_arguments, _store: store })
    }

    /// Kills the relay: whoever is connected is reset.
    pub fn stop_relay(&mut self) {
        self.relay = None;
    }

    /// Starts it again; it remembers nothing.
    ///
    /// # Errors
    ///
    /// [`Trouble`] when it does not become ready.
    pub fn start_relay(&mut self, space: &Space, programs: &Programs) -> Result<(), Trouble> {
        self.relay = Some(plane(space, programs, &self.identity, &self.relay_arguments, RELAY_PORT)?);
        Ok(())
    }

    /// Where sessions meet.
    pub fn control_plane() -> String {
        format!("https://{CONTROL}")
    }

    /// Lines for `/etc/hosts` that name the service at `address`.
    pub fn hosts(address: IpAddr) -> String {
        format!("127.0.0.1 localhost\n{address} {CONTROL} {RELAY}\n")
    }
}

fn plane(
    space: &Space,
    programs: &Programs,
    identity: &Identity,
    arguments: &[String],
    port: u16,
) -> Result<Process, Trouble> {
    let mut command = space.command(&programs.lifeguard);
    command.args(arguments).args(["--listen-addr", &format!("[::]:{port}")]);
    let pem = |path: &Path| path.display().to_string();
    command.args(["--listen-tls-certificate", &pem(&identity.certificate)]);
    command.args(["--listen-tls-key", &pem(&identity.key)]);
    let mut process = Process::start(&arguments[0], &mut command)?;
    let ready = process.until(READY, |line| line.starts_with("listening on ").then_some(()));
    ready.ok_or_else(|| process.not_ready())?;
    Ok(process)
}

/// The control plane's name.
pub const CONTROL: &str = "control.beach.test";
/// The relay's name.
pub const RELAY: &str = "relay.beach.test";
/// The relay's port.
pub const RELAY_PORT: u16 = 8443;
