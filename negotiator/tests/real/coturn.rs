//! A real TURN server, Debian's `coturn`, that takes the control plane's credentials.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use lifeguard_relay::control::{Secret, TurnConfig};
use rand::Rng;

/// A running server; dropping it ends it.
pub struct Coturn {
    child: Child,
    ip: Ipv4Addr,
    port: u16,
    tls_port: u16,
    /// Its certificate, DER.
    pub root: Vec<u8>,
    _files: tempfile::TempDir,
}

impl Coturn {
    pub fn start() -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST)
    }

    /// Starts it at another address of this machine, for peers that try no candidate on loopback.
    pub fn start_at(ip: Ipv4Addr) -> Self {
        for _ in 0..5 {
            if let Some(running) = Self::try_start(ip) {
                return running;
            }
        }
        panic!("coturn does not listen on any of five pairs of ports");
    }

    /// `None` when a port was taken in between.
    fn try_start(ip: Ipv4Addr) -> Option<Self> {
        let files = tempfile::tempdir().unwrap();
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (cert, pkey) = (files.path().join("cert.pem"), files.path().join("key.pem"));
        std::fs::write(&cert, key.cert.pem()).unwrap();
        std::fs::write(&pkey, key.signing_key.serialize_pem()).unwrap();
        let (port, tls_port) = (free_port(ip), free_port(ip));
        let child = Command::new("turnserver")
            .args(["-n", "--no-cli"])
            .args([format!("--listening-ip={ip}"), format!("--relay-ip={ip}")])
            .args(["--use-auth-secret", "--realm=beach.test", "--allow-loopback-peers", "--fingerprint"])
            .arg(format!("--static-auth-secret={SECRET}"))
            .arg(format!("--listening-port={port}"))
            .arg(format!("--tls-listening-port={tls_port}"))
            .arg(format!("--cert={}", cert.display()))
            .arg(format!("--pkey={}", pkey.display()))
            .arg(format!("--pidfile={}", files.path().join("pid").display()))
            .arg(format!("--userdb={}", files.path().join("db").display()))
            .arg("--log-file=stdout")
            .current_dir(files.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`turnserver` runs: install Debian's package `coturn`");
        let mut coturn = Self { child, ip, port, tls_port, root: key.cert.der().to_vec(), _files: files };
        let deadline = Instant::now() + Duration::from_secs(20);
        while [port, tls_port].into_iter().any(|port| TcpStream::connect((ip, port)).is_err()) {
            if Instant::now() > deadline || !matches!(coturn.child.try_wait(), Ok(None)) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(coturn)
    }

    /// Where it takes UDP.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((self.ip, self.port))
    }

    pub fn udp(&self) -> String {
        format!("turn:{}:{}?transport=udp", self.ip, self.port)
    }

    pub fn tcp(&self) -> String {
        format!("turn:{}:{}?transport=tcp", self.ip, self.port)
    }

    pub fn tls(&self) -> String {
        format!("turns:localhost:{}?transport=tcp", self.tls_port)
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The control plane's settings for servers at `urls`.
pub fn offer(urls: impl IntoIterator<Item = String>) -> TurnConfig {
    let mut config = TurnConfig::default();
    config.urls = urls.into_iter().collect();
    config.secrets = vec![Secret::new(SECRET)];
    config.external_ip = Some("127.0.0.1".to_owned());
    config
}

/// A port free for TCP and UDP alike, below those that the system gives to whoever asks for any.
fn free_port(ip: Ipv4Addr) -> u16 {
    loop {
        let port = rand::rng().random_range(10_240..32_000);
        let address = (ip, port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return port;
        }
    }
}

const SECRET: &str = "north-of-the-beach";
