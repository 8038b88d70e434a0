//! What is left of a laboratory: removed at its end, after Ctrl-C, and at the start of the next run.
//!
//! Names carry the pid of the process that made them. What belongs to a process that no longer runs is a leftover.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
    thread,
    time::Duration,
};

use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use crate::trouble::output;

/// Where `ip` keeps namespaces.
pub(super) const SPACES: &str = "/var/run/netns";

/// The beginning of all names that this process gives.
pub(super) fn own_prefix() -> String {
    format!("{NAMES}{}-", process::id())
}

/// A folder for a laboratory's files.
pub(super) fn folder(prefix: &str) -> std::io::Result<TempDir> {
    tempfile::Builder::new().prefix(&format!("{prefix}-")).tempdir()
}

/// Where a namespace's own `/etc` is.
pub(super) fn etc_of(name: &str) -> PathBuf {
    Path::new(ETC).join(name)
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
    remove_of(|pid| !Path::new("/proc").join(pid.to_string()).exists());
}

/// Removes namespaces and folders of the processes that `gone` names.
fn remove_of(gone: impl Fn(u32) -> bool) {
    let gone = |name: &String| owner(name).is_some_and(&gone);
    names(&[Path::new(SPACES), Path::new(ETC)])
        .iter()
        .filter(|name| gone(name))
        .for_each(|name| remove(name));
    let temporary = env::temp_dir();
    for folder in names(&[&temporary]).iter().filter(|name| gone(name)) {
        let _ = fs::remove_dir_all(temporary.join(folder));
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
            remove_of(|pid| pid == process::id());
            process::exit(130);
        }
    });
}

/// What in `folders` bears a laboratory's name.
fn names(folders: &[&Path]) -> BTreeSet<String> {
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|n| owner(n).is_some()).collect()
}

/// The process that made a namespace, from its name.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(NAMES)?.split('-').next()?.parse().ok()
}

/// Where `ip netns exec` looks for a namespace's own `/etc`.
const ETC: &str = "/etc/netns";

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
