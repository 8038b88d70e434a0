//! Debian's tinyproxy: a proxy that nobody here wrote.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// A running proxy; dropping it ends it.
pub(crate) struct Tinyproxy {
    child: Child,
    port: u16,
    _files: TempDir,
}

impl Tinyproxy {
    /// `rules` are lines of its configuration.
    pub(crate) fn start(rules: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        let config = files.path().join("tinyproxy.conf");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let common = format!("Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\n");
        std::fs::write(&config, format!("{common}{rules}\n")).unwrap();
        let child = Command::new("tinyproxy")
            .args(["-d", "-c"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`tinyproxy` runs: install Debian's package `tinyproxy`");
        let proxy = Self { child, port, _files: files };
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "tinyproxy does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        proxy
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Tinyproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
