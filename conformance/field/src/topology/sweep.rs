//! What is left of a laboratory: removed at its end, after Ctrl-C, and at the start of the next run.
//!
//! Names carry the pid of the process that made them. What belongs to a process that no longer runs is a leftover.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
    thread,
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};

use crate::trouble::output;

/// Where `ip` keeps namespaces.
pub(super) const SPACES: &str = "/var/run/netns";

/// The beginning of all names that this process gives.
pub(super) fn own_prefix() -> String {
    format!("{NAMES}{}-", process::id())
}

/// Where a namespace's own `/etc` is.
pub(super) fn etc_of(name: &str) -> PathBuf {
    Path::new("/etc/netns").join(name)
}

/// Ends what runs in a namespace, and removes it. One that was never made is no error.
pub(super) fn remove(name: &str) {
    for _ in 0..ENDINGS {
        let Ok(pids) = output(Command::new("ip").args(["netns", "pids", name])) else { break };
        if pids.trim().is_empty() {
            break;
        }
        let _ = Command::new("kill").arg("-KILL").args(pids.split_whitespace()).output();
        thread::sleep(Duration::from_millis(5));
    }
    let _ = output(Command::new("ip").args(["netns", "del", name]));
    let _ = fs::remove_dir_all(etc_of(name));
}

/// Removes what processes left that no longer run. Call it before the first laboratory.
pub fn leftovers() {
    for name in names() {
        if owner(&name).is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            remove(&name);
        }
    }
}

/// From here on Ctrl-C and SIGTERM remove this process's namespaces and end it.
pub fn on_interrupt() {
    let wait = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut terminate = signal(SignalKind::terminate())?;
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            Ok::<_, std::io::Error>(())
        })
    };
    thread::spawn(move || {
        if wait().is_ok() {
            names().iter().filter(|name| name.starts_with(&own_prefix())).for_each(|name| remove(name));
            process::exit(130);
        }
    });
}

/// All names that a laboratory gave, of namespaces and of their `/etc`.
fn names() -> Vec<String> {
    let folders = [Path::new(SPACES), Path::new("/etc/netns")];
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|n| owner(n).is_some())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The process that made a namespace, from its name.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(NAMES)?.split('-').next()?.parse().ok()
}

const NAMES: &str = "beach-field-";

/// How often processes inside are looked for: one may start another while it is ended.
const ENDINGS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_owner() {
        assert_eq!(owner("beach-field-4711-0-router"), Some(4711));
        assert_eq!(owner("beach-field-x-router"), None);
        assert_eq!(owner("beach-4711-router"), None);
        assert_eq!(owner(&format!("{}0-router", own_prefix())), Some(process::id()));
    }
}
