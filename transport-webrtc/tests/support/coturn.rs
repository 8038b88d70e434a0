//! A real TURN server, Debian's `coturn`, on free ports of 127.0.0.1.

use std::{
    net::{TcpListener, TcpStream, UdpSocket},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustls_pki_types::CertificateDer;
use transport_webrtc::IceServer;

/// A running server; dropping it kills it.
pub(crate) struct Coturn {
    child: Child,
    port: u16,
    tls_port: u16,
    pub(crate) root: CertificateDer<'static>,
    _files: tempfile::TempDir,
}

/// What the clients are allowed to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    Everything,
    /// As on a network that lets no UDP through.
    StreamsOnly,
}

impl Coturn {
    pub(crate) fn start(reach: Reach) -> Self {
        let files = tempfile::tempdir().unwrap();
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (cert, pkey) = (files.path().join("cert.pem"), files.path().join("key.pem"));
        std::fs::write(&cert, key.cert.pem()).unwrap();
        std::fs::write(&pkey, key.signing_key.serialize_pem()).unwrap();
        let (port, tls_port) = (free_port(), free_port());
        let mut command = Command::new("turnserver");
        command
            .args(["-n", "--no-cli", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1"])
            .args(["--lt-cred-mech", "--realm=beach.test", "--user=user:secret", "--allow-loopback-peers"])
            .args(["--log-file=stdout", "--fingerprint"])
            .arg(format!("--listening-port={port}"))
            .arg(format!("--tls-listening-port={tls_port}"))
            .arg(format!("--cert={}", cert.display()))
            .arg(format!("--pkey={}", pkey.display()))
            .arg(format!("--pidfile={}", files.path().join("pid").display()))
            .arg(format!("--userdb={}", files.path().join("db").display()))
            .current_dir(files.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if reach == Reach::StreamsOnly {
            command.args(["--no-udp", "--no-dtls"]);
        }
        let child = command.spawn().expect("`turnserver` runs: install Debian's package `coturn`");
        let coturn = Self { child, port, tls_port, root: key.cert.der().clone(), _files: files };
        let deadline = Instant::now() + Duration::from_secs(10);
        while [port, tls_port].into_iter().any(|port| TcpStream::connect(("127.0.0.1", port)).is_err()) {
            assert!(Instant::now() < deadline, "coturn does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        coturn
    }

    pub(crate) fn udp(&self) -> IceServer {
        self.server(format!("turn:127.0.0.1:{}", self.port))
    }

    pub(crate) fn tcp(&self) -> IceServer {
        self.server(format!("turn:127.0.0.1:{}?transport=tcp", self.port))
    }

    pub(crate) fn tls(&self) -> IceServer {
        self.server(format!("turns:localhost:{}", self.tls_port))
    }

    fn server(&self, url: String) -> IceServer {
        IceServer::new([url.parse().unwrap()]).with_credentials("user", "secret")
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port free for TCP and UDP alike.
fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
