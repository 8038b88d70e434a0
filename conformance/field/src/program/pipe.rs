//! `beach-link pipe` from one namespace to another: bytes in here, bytes out there.

use std::{
    io::{Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{Programs, Service, Setting, process::TICK};
use crate::{
    topology::{Lab, Space},
    trouble::Trouble,
};

/// A pipe whose host has a link, and which somebody joins. Dropping it ends both.
#[derive(Debug)]
pub struct Pipe {
    host: Child,
    join: Child,
    input: ChildStdin,
    put: u64,
    arrived: Arc<AtomicU64>,
}

impl Pipe {
    /// Opens a pipe from `from` to `to` and waits for nothing but its link.
    ///
    /// # Errors
    ///
    /// [`Trouble`], also when the host has no link in time.
    pub fn open(
        lab: &Lab,
        programs: &Programs,
        (from, to): (&Space, &Space),
        setting: &Setting,
    ) -> Result<Self, Trouble> {
        let file = lab.folder().join("pipe.link");
        let begin = |space: &Space| {
            let words = setting.prefix(&programs.link);
            let mut command = space.command(&words[0]);
            command.args(&words[1..]).arg("pipe").envs(setting.environment.iter().cloned());
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
            command
        };
        let mut host = begin(from);
        host.arg("host").args(&setting.arguments).arg("--link-file").arg(&file);
        let mut host = spawn(host.args(["--control-plane", &Service::control_plane()]))?;
        let ended = |host: &mut Child| {
            let _ = host.kill();
            let said = "no link within 20 s".to_owned();
            Trouble::NotReady { name: "beach-link pipe host".to_owned(), said }
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        let link = loop {
            match std::fs::read_to_string(&file) {
                Ok(link) if !link.trim().is_empty() => break link,
                _ if Instant::now() >= deadline => return Err(ended(&mut host)),
                _ => thread::sleep(TICK),
            }
        };
        let mut join = begin(to);
        join.args(["join", "-n"]).args(&setting.arguments).arg(link.trim());
        let mut join = spawn(&mut join)?;
        let arrived = Arc::new(AtomicU64::new(0));
        if let Some(mut output) = join.stdout.take() {
            let arrived = arrived.clone();
            thread::spawn(move || {
                let mut buffer = [0; 16384];
                while let Ok(count @ 1..) = output.read(&mut buffer) {
                    arrived.fetch_add(count as u64, Ordering::Relaxed);
                }
            });
        }
        let input = host.stdin.take().ok_or_else(|| ended(&mut host))?;
        Ok(Self { host, join, input, put: 0, arrived })
    }

    /// Puts `amount` bytes in and waits until they came out; the time that took, or how many came within `limit`.
    ///
    /// # Errors
    ///
    /// [`Trouble::Io`] when the host takes nothing any more.
    pub fn carry(&mut self, amount: u64, limit: Duration) -> Result<Result<Duration, u64>, Trouble> {
        let (started, before) = (Instant::now(), self.arrived.load(Ordering::Relaxed));
        self.put += amount;
        let (goal, input) = (self.put, &mut self.input);
        let bytes = vec![b'.'; usize::try_from(amount).unwrap_or(usize::MAX)];
        thread::scope(|scope| {
            // The host takes no more than it can send: this would wait for ever on a path that is dead.
            let putting = scope.spawn(move || input.write_all(&bytes));
            let outcome = loop {
                if self.arrived.load(Ordering::Relaxed) >= goal {
                    break Ok(started.elapsed());
                }
                if started.elapsed() >= limit {
                    let _ = self.host.kill();
                    break Err(self.arrived.load(Ordering::Relaxed).saturating_sub(before));
                }
                thread::sleep(TICK);
            };
            match putting.join() {
                Ok(Err(error)) if outcome.is_ok() => Err(Trouble::io("the pipe's input")(error)),
                _ => Ok(outcome),
            }
        })
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        for child in [&mut self.host, &mut self.join] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spawn(command: &mut Command) -> Result<Child, Trouble> {
    command.spawn().map_err(Trouble::io("beach-link pipe"))
}
