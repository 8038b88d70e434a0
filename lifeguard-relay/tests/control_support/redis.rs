//! A Redis of one's own: Debian's `redis-server` on a free port, gone with the test.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub struct Redis {
    process: Child,
    port: u16,
    folder: TempDir,
    options: Vec<String>,
    /// What `redis-cli` says first: a password, or how to speak TLS.
    entry: Vec<String>,
}

impl Redis {
    pub fn start() -> Self {
        Self::start_with(&[], &[])
    }

    /// With options of `redis-server`, and those `redis-cli` needs to enter it.
    pub fn start_with(options: &[&str], entry: &[&str]) -> Self {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let (options, entry) = (owned(options), owned(entry));
        let folder = tempfile::tempdir().unwrap();
        // The port was free a moment ago; whoever loses the race for it tries another.
        for _ in 0..5 {
            let port = free_port();
            let mut process = spawn(port, &folder, &options);
            if answers(port, &entry, &mut process) {
                return Self { process, port, folder, options, entry };
            }
        }
        panic!("redis-server does not start: is Debian's redis-server installed?");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Kills it; what it held is lost.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again on its port, empty.
    pub fn restart(&mut self) {
        self.kill();
        for _ in 0..20 {
            self.process = spawn(self.port, &self.folder, &self.options);
            if answers(self.port, &self.entry, &mut self.process) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("redis-server does not come back on its port");
    }

    /// Stops and continues it: it takes connections and says nothing.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.process.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Runs one command past our store and returns what Redis says, line by line.
    pub fn cli(&self, arguments: &[&str]) -> Vec<String> {
        let output = cli(self.port, &self.entry).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }

    /// Every key, sorted.
    pub fn keys(&self) -> Vec<String> {
        let mut keys = self.cli(&["--scan"]);
        keys.sort();
        keys
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // A stopped process does not die of a mere SIGTERM; this is SIGKILL.
        self.kill();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn cli(port: u16, entry: &[String]) -> Command {
    let mut command = Command::new("redis-cli");
    command.args(["-p", &port.to_string()]).args(entry);
    command
}

/// `PORT` in an option is the port.
fn spawn(port: u16, folder: &TempDir, options: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    if !options.iter().any(|option| option == "--sentinel") {
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.arg("--dir").arg(folder.path());
    }
    command
        .args(options.iter().map(|option| option.replace("PORT", &port.to_string())))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed (Debian: redis-server)")
}

fn answers(port: u16, entry: &[String], process: &mut Child) -> bool {
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline && matches!(process.try_wait(), Ok(None)) {
        let pong = cli(port, entry).arg("ping").output();
        if pong.is_ok_and(|output| output.stdout.starts_with(b"PONG")) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = process.kill();
    let _ = process.wait();
    false
}
