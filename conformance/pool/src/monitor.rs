//! What is asked of Redis, command by command.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::sleep;

use crate::service::redis::Redis;

/// Listens to everything that Redis is asked from here on (`MONITOR`).
#[derive(Debug)]
pub struct Monitor {
    process: Child,
    folder: TempDir,
}

/// What was asked of Redis for sessions and their members. What nodes ask for themselves, whoever is there, is apart.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Commands that arrived, by name and kind of key.
    pub sent: BTreeMap<String, u64>,
    /// Commands that scripts ran.
    pub inside: u64,
    /// Commands that arrived for the nodes themselves.
    pub of_nodes: u64,
}

impl Monitor {
    /// Begins, and returns once Redis says that it does.
    pub async fn begin(redis: &Redis) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let heard = File::create(folder.path().join("heard")).expect("a file");
        let mut command = Command::new("redis-cli");
        command.args(["-p", &redis.port().to_string(), "MONITOR"]);
        let process = command.stdin(Stdio::null()).stdout(heard).stderr(Stdio::null()).spawn();
        let monitor = Self { process: process.expect("Debian's redis-tools"), folder };
        while !monitor.heard().starts_with("OK") {
            sleep(Duration::from_millis(10)).await;
        }
        monitor
    }

    /// Ends, once nothing more is under way.
    pub async fn end(self) -> Asked {
        sleep(Duration::from_millis(500)).await;
        Asked::read(&self.heard())
    }

    fn heard(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("heard")).expect("a file")
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Asked {
    /// Commands that arrived, for each of `many`.
    pub fn each(&self, many: u64) -> f64 {
        self.sent.values().sum::<u64>() as f64 / many as f64
    }

    /// Commands that scripts ran, for each of `many`.
    pub fn inside_each(&self, many: u64) -> f64 {
        self.inside as f64 / many as f64
    }

    /// A script's own commands follow it.
    fn read(heard: &str) -> Self {
        let (mut asked, mut of_node) = (Self::default(), false);
        for line in heard.lines() {
            let Some((from, words)) = line.split_once("] ") else { continue };
            if from.ends_with(" lua") {
                asked.inside += u64::from(!of_node);
                continue;
            }
            let words: Vec<_> = words.split("\" \"").map(|word| word.trim_matches('"')).collect();
            let command = words[0].to_ascii_uppercase();
            let key = if command.starts_with("EVAL") { words.get(3) } else { words.get(1) };
            let kind = key.map_or("", |key| kind_of(key));
            of_node =
                kind.is_empty() || OF_NODES.contains(&kind) || words.iter().any(|word| word.contains("echo"));
            if of_node {
                asked.of_nodes += 1;
            } else {
                *asked.sent.entry(format!("{command} {kind}")).or_default() += 1;
            }
        }
        asked
    }
}

/// A key without what tells it from others of its kind.
fn kind_of(key: &str) -> &str {
    let parts = key.match_indices(':').map(|(at, _)| at).nth(1);
    parts.map_or(key, |at| &key[..at])
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (what, count) in &self.sent {
            write!(f, "{between}{count} {what}")?;
            between = ", ";
        }
        write!(f, "; {} inside of scripts", self.inside)
    }
}

/// What nodes keep and say about themselves.
const OF_NODES: [&str; 9] = [
    "fallback:batch",
    "fallback:metrics",
    "fallback:rules",
    "fallback:switch",
    "fallback:ticket-seed",
    "lib-name",
    "lifeguard:nodes",
    "lifeguard:relays",
    "SETINFO",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_counted_by_kind_and_those_of_nodes_and_scripts_apart() {
        let heard = r#"OK
1.1 [0 127.0.0.1:5] "GET" "lifeguard:session:aa"
1.2 [0 127.0.0.1:5] "EVALSHA" "ff" "1" "lifeguard:relays" "1 2" "{\"id\":1}"
1.3 [0 lua] "TIME"
1.4 [0 127.0.0.1:5] "evalsha" "ff" "1" "lifeguard:owner:{aa}" "90000"
1.5 [0 lua] "GET" "lifeguard:owner:{aa}"
1.6 [0 lua] "SET" "lifeguard:owner:{aa}" "b"
1.7 [0 127.0.0.1:5] "GET" "lifeguard:session:bb"
1.8 [0 127.0.0.1:5] "PUBLISH" "lifeguard:node:1" "{\"word\":\"echo\"}""#;
        let asked = Asked::read(heard);
        let sent = [("EVALSHA lifeguard:owner", 1), ("GET lifeguard:session", 2)];
        assert_eq!(asked.sent, BTreeMap::from(sent.map(|(what, count)| (what.to_owned(), count))));
        assert_eq!((asked.inside, asked.of_nodes), (2, 2));
    }
}
