//! A network namespace: a machine of its own as far as the network goes.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::sweep;
use crate::trouble::{Trouble, output};

/// A network namespace with its loopback up. Dropping it ends what runs inside and removes it.
#[derive(Debug)]
pub struct Space {
    name: String,
    /// Home of the programs that run inside.
    home: PathBuf,
}

impl Space {
    pub(super) fn make(name: String, home: &Path) -> Result<Self, Trouble> {
        output(Command::new("ip").args(["netns", "add", &name]))?;
        let space = Self { name, home: home.to_owned() };
        space.run("ip", &["link", "set", "lo", "up"])?;
        space.run("sh", &["-c", &format!("echo cubic >{CONGESTION} || echo reno >{CONGESTION}")])?;
        Ok(space)
    }

    /// Its name, as `ip netns` lists it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that runs inside, with nothing of this process's environment but the search path.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program).env_clear();
        command.env("PATH", SEARCH_PATH).env("HOME", &self.home);
        command
    }

    /// Runs a command inside to its end and returns what it printed.
    ///
    /// # Errors
    ///
    /// [`Trouble::Command`] unless it succeeded.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String, Trouble> {
        output(self.command(program).args(arguments))
    }

    /// Does `work` on a thread inside: sockets it opens belong to this namespace wherever they are used later.
    /// Only the network is the namespace's; files, `/etc` too, are this process's.
    ///
    /// # Errors
    ///
    /// [`Trouble::Io`] when the namespace cannot be entered or the work fails.
    pub fn enter<T: Send>(
        &self,
        what: &str,
        work: impl FnOnce() -> std::io::Result<T> + Send,
    ) -> Result<T, Trouble> {
        let inside = || {
            let door = File::open(Path::new(sweep::SPACES).join(&self.name))?;
            move_into_link_name_space(door.as_fd(), Some(LinkNameSpaceType::Network))?;
            work()
        };
        let outcome = thread::scope(|scope| scope.spawn(inside).join());
        let panicked = || Err(std::io::Error::other("the thread inside panicked"));
        outcome.unwrap_or_else(|_| panicked()).map_err(Trouble::io(format!("{what} in {}", self.name)))
    }

    /// Puts a file into this namespace's own `/etc`: programs inside see it in place of the machine's. A file in
    /// a folder replaces the whole folder.
    ///
    /// # Errors
    ///
    /// [`Trouble::Io`].
    pub fn etc(&self, file: &str, text: &str) -> Result<(), Trouble> {
        let path = sweep::etc_of(&self.name).join(file);
        let write = || {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(&path, text)
        };
        write().map_err(Trouble::io(path.display().to_string()))
    }

    /// The processes inside.
    ///
    /// # Errors
    ///
    /// [`Trouble::Command`].
    pub fn pids(&self) -> Result<Vec<String>, Trouble> {
        let pids = output(Command::new("ip").args(["netns", "pids", &self.name]))?;
        Ok(pids.split_whitespace().map(str::to_owned).collect())
    }

    /// Sends a signal to processes that [`pids`](Self::pids) named.
    ///
    /// # Errors
    ///
    /// [`Trouble::Command`].
    pub fn signal(&self, signal: &str, pids: &[String]) -> Result<(), Trouble> {
        output(Command::new("kill").arg(format!("-{signal}")).args(pids)).map(drop)
    }

    /// Adds a default route.
    ///
    /// # Errors
    ///
    /// [`Trouble::Command`].
    pub fn route_through(&self, gateway: &str) -> Result<(), Trouble> {
        let family = if gateway.contains(':') { "-6" } else { "-4" };
        self.run("ip", &[family, "route", "replace", "default", "via", gateway]).map(drop)
    }

    /// Makes it a router.
    ///
    /// # Errors
    ///
    /// [`Trouble::Command`].
    pub fn forward(&self) -> Result<(), Trouble> {
        let both = "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding";
        self.run("sh", &["-c", both]).map(drop)
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        sweep::remove(&self.name);
    }
}

/// How TCP of a namespace adapts to a path. By Linux' default, whatever this machine's is: BBR takes the microseconds in which a link
/// answers before it is narrowed for the path's own round trip, and holds four packets under way for ten seconds.
const CONGESTION: &str = "/proc/sys/net/ipv4/tcp_congestion_control";
/// Where programs are looked for inside.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
