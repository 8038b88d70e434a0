//! Processes that are loaded: started, waited for, and what they cost.

use std::{path::PathBuf, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::Failure;

/// A process under load; it ends with this value.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// What it printed until it was ready.
    pub(crate) lines: Vec<String>,
}

/// What a process has cost so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// CPU seconds, user and system.
    pub(crate) cpu: f64,
    /// Resident KiB.
    pub(crate) resident: u64,
}

impl Process {
    /// Starts a process on the first `cores` cores, or on all, and waits for the line that `ready` accepts.
    pub(crate) async fn start(
        program: PathBuf,
        arguments: &[&str],
        cores: Option<usize>,
        ready: impl Fn(&str) -> bool,
    ) -> Result<Self, Failure> {
        let mut command = match cores {
            None => Command::new(&program),
            Some(cores) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &format!("0-{}", cores.max(1) - 1)]).arg(&program);
                command
            }
        };
        let mut child = command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Failure(format!("{} does not start: {error}", program.display())))?;
        let Some(stdout) = child.stdout.take() else { return Err(Failure("no output to read".to_owned())) };
        let mut output = BufReader::new(stdout).lines();
        let mut lines = Vec::new();
        let wanted = async {
            while let Ok(Some(line)) = output.next_line().await {
                let done = ready(&line);
                lines.push(line.trim().to_owned());
                if done {
                    return true;
                }
            }
            false
        };
        if !timeout(START, wanted).await.unwrap_or(false) {
            return Err(Failure(format!("{} did not say that it is ready", program.display())));
        }
        // Keep reading, or the process blocks on a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = output.next_line().await {} });
        Ok(Self { child, lines })
    }

    /// What follows `word` at the start of a line.
    pub(crate) fn said(&self, word: &str) -> Result<&str, Failure> {
        let found = self.lines.iter().find_map(|line| line.strip_prefix(word));
        found.map(str::trim).ok_or_else(|| Failure(format!("a process did not print its {word}")))
    }

    pub(crate) fn cost(&self) -> Option<Cost> {
        Cost::of(&self.child.id()?.to_string())
    }
}

impl Cost {
    /// What this process has cost: the ends of every connection, and the measuring.
    pub(crate) fn own() -> Option<Self> {
        Self::of("self")
    }

    fn of(pid: &str) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the name in parentheses, which may hold anything: fields 14 and 15 are ticks of 10 ms.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let resident = resident.trim().trim_end_matches(" kB").trim().parse().ok()?;
        Some(Self { cpu: (ticks(11)? + ticks(12)?) as f64 / 100.0, resident })
    }
}

/// A program that was built with this one.
pub(crate) fn sibling(name: &str) -> Result<PathBuf, Failure> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.exists() {
        return Ok(path);
    }
    Err(Failure(format!("{name} is not beside this program: cargo build --release -p beach-lifeguard")))
}

/// How long a process may take to be ready.
const START: Duration = Duration::from_secs(10);
