//! A session whose two ends are processes: `beach-link pipe host` and `beach-link pipe join`. A message is a length
//! (`u32` big-endian) and its bytes; the end of the file is the last word.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::{sleep, timeout},
};

use crate::{
    service::program,
    talk::{Ear, Mouth},
};

/// Both processes.
pub(crate) struct Programs {
    ends: [Child; 2],
    log: PathBuf,
}

/// The two streams of one process.
pub(crate) type Streams = (ChildStdin, BufReader<ChildStdout>);

impl Programs {
    /// Starts both over the relay alone; the second streams are the host's. Link and log go to `folder`.
    pub(crate) async fn start(url: &str, folder: &Path, number: u64) -> (Self, [Streams; 2]) {
        let (link, log) = (folder.join(format!("{number}.link")), folder.join(format!("{number}.log")));
        let link_file = link.display().to_string();
        let mut host =
            spawn(&["pipe", "host", "--relay-only", "--control-plane", url, "--link-file", &link_file]);
        let written = timeout(Duration::from_secs(60), async {
            loop {
                match std::fs::read_to_string(&link) {
                    Ok(link) => return link.trim().to_owned(),
                    Err(_) => sleep(Duration::from_millis(20)).await,
                }
            }
        });
        let link = written.await.expect("the link is written");
        let log_file = log.display().to_string();
        let mut viewer = spawn(&["pipe", "join", "--relay-only", "--log-file", &log_file, &link]);
        let streams = [streams(&mut viewer), streams(&mut host)];
        (Self { ends: [viewer, host], log }, streams)
    }

    /// What the joining process wrote down.
    pub(crate) fn disconnects(&self) -> u64 {
        let lost = self
            .explain()
            .lines()
            .filter(|line| line.contains("transition") && line.contains("lost"))
            .count();
        lost as u64
    }

    pub(crate) fn explain(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Both have said all and heard all: they end by themselves, and well.
    pub(crate) async fn end(self) {
        for mut end in self.ends {
            let status =
                timeout(Duration::from_secs(60), end.wait()).await.expect("it ends").expect("a status");
            assert!(status.success(), "beach-link pipe: {status}");
        }
    }
}

impl Mouth for ChildStdin {
    async fn say(&mut self, message: Bytes) {
        let length = u32::try_from(message.len()).expect("short").to_be_bytes();
        self.write_all(&[&length[..], &message].concat()).await.expect("the process reads");
    }

    async fn hush(mut self) {
        self.shutdown().await.expect("the process reads");
    }
}

impl Ear for BufReader<ChildStdout> {
    async fn hear(&mut self) -> Option<Bytes> {
        // An end within a message shows as a message that is missing.
        let length = self.read_u32().await.ok()?;
        let mut message = vec![0; length as usize];
        self.read_exact(&mut message).await.ok()?;
        Some(message.into())
    }
}

fn spawn(arguments: &[&str]) -> Child {
    Command::new(program("beach-link", "beach-link"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("beach-link's process")
}

fn streams(child: &mut Child) -> Streams {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    (stdin.expect("piped"), BufReader::new(stdout.expect("piped")))
}
