//! Runs the built binary and looks at how it ends.
#![allow(dead_code, unreachable_pub)]

pub mod terminal;

use std::{
    io::{Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// One run of `beach-link`, without the tester's environment.
pub struct Program(Command);

/// How it ended.
#[derive(Debug)]
pub struct End {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    pub fn new(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_beach-link"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("BEACH_") {
                command.env_remove(name);
            }
        }
        // The sockets of sessions belong into no tester's folders.
        command.env("XDG_RUNTIME_DIR", env!("CARGO_TARGET_TMPDIR"));
        command.env("XDG_CONFIG_HOME", env!("CARGO_TARGET_TMPDIR"));
        Self(command)
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    pub fn run(self) -> End {
        self.start().end()
    }

    pub fn start(mut self) -> Running {
        Running(self.0.spawn().unwrap())
    }

    /// Starts with something on standard input.
    pub fn start_with(mut self, input: Vec<u8>) -> Running {
        let mut child = self.0.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        thread::spawn(move || stdin.write_all(&input));
        Running(child)
    }
}

/// A run that has not ended yet. Dropping it ends it.
pub struct Running(Child);

impl Running {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end, a minute at most.
    pub fn end(self) -> End {
        let (code, stdout, stderr) = self.bytes();
        End { code, stdout: String::from_utf8_lossy(&stdout).into(), stderr }
    }

    /// As [`end`](Self::end), with standard output as bytes.
    pub fn bytes(mut self) -> (i32, Vec<u8>, String) {
        let mut stdout = self.0.stdout.take().unwrap();
        let mut stderr = self.0.stderr.take().unwrap();
        let stdout = thread::spawn(move || {
            let mut bytes = Vec::new();
            stdout.read_to_end(&mut bytes).map(|_| bytes)
        });
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).map(|_| text)
        });
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                let _ = self.0.kill();
                let (stdout, stderr) = (stdout.join().unwrap().unwrap(), stderr.join().unwrap().unwrap());
                panic!("still running after {LIMIT:?}:\n{}\n{stderr}", String::from_utf8_lossy(&stdout));
            }
            thread::sleep(Duration::from_millis(10));
        };
        (status.code().unwrap_or(-1), stdout.join().unwrap().unwrap(), stderr.join().unwrap().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl End {
    /// Asserts a failure: this code, and one line on standard error that holds `words`, behind the warning of a link
    /// that was an argument.
    #[track_caller]
    pub fn fails(&self, code: i32, words: &str) {
        assert_eq!(self.code, code, "{self:?}");
        let lines: Vec<_> = self.stderr.lines().filter(|line| !line.contains(SEEN)).collect();
        assert_eq!(lines.len(), 1, "not one line: {self:?}");
        assert!(lines[0].starts_with("beach-link: ") && lines[0].contains(words), "{self:?}");
    }
}

/// Part of the warning of a link that was an argument.
pub const SEEN: &str = "may have seen the link among the arguments";

pub fn run(arguments: &[&str]) -> End {
    Program::new(arguments).run()
}

/// Waits until `condition` holds, or panics.
#[track_caller]
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what} within {LIMIT:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits for a file that is written whole.
pub fn read_when_there(path: &Path) -> String {
    until("the file did not appear", || std::fs::read_to_string(path).ok()).trim().to_owned()
}

/// Says whether a process lives.
pub fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

const LIMIT: Duration = Duration::from_secs(60);
