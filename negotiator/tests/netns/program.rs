//! A running part of the play.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use super::role::ROLE;
use crate::PATIENCE;

/// A process that speaks in lines; dropping it kills it.
pub(crate) struct Program {
    name: String,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Closing it asks the program to come to its end.
    stdin: Option<ChildStdin>,
    heard: Vec<String>,
}

impl Program {
    pub(crate) fn start(space: &str, role: &str, argument: &str) -> Self {
        let mut child = Command::new("ip")
            .args(["netns", "exec", space])
            .arg(std::env::current_exe().unwrap())
            .arg(argument)
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let stdin = child.stdin.take();
        Self { name: role.to_owned(), child, lines, stdin, heard: Vec::new() }
    }

    /// Waits for a line that begins with `words`, and returns the rest of it.
    pub(crate) async fn expect(&mut self, words: &str) -> String {
        let found = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if let Some(rest) = line.strip_prefix(words) {
                    return Some(rest.to_owned());
                }
                self.heard.push(line);
            }
            None
        };
        let found = timeout(PATIENCE, found).await.ok().flatten();
        found.unwrap_or_else(|| panic!("{} did not say {words:?} but {:#?}", self.name, self.heard))
    }

    /// Asks it to come to its end, and waits for its last words and a good exit.
    pub(crate) async fn finish(mut self, words: &str) -> String {
        self.stdin = None;
        let rest = self.expect(words).await;
        self.end().await;
        rest
    }

    /// Asks it to come to its end and waits for a good exit.
    pub(crate) async fn end(mut self) {
        self.stdin = None;
        let status = timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{} ended with {status}: {:#?}", self.name, self.heard);
    }
}
