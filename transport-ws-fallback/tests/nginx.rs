//! Behind Debian's nginx as it is unless told otherwise: HTTP/1.0 to the relay, and no upgrade.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod support;

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use beach_lifeguard_client::Role;
use bytes::Bytes;
use support::{Rig, end, hear, link, say, soon};
use tempfile::TempDir;
use tokio::{net::TcpListener, net::TcpStream, time::Instant, time::sleep};
use transport_core::{CloseCode, Closed, Lane, SessionId, TransportExt};

/// A running nginx; dropping it ends it.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _files: TempDir,
}

impl Nginx {
    /// Passes everything on to `relay`.
    async fn before(relay: SocketAddr) -> Self {
        let files = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let folder = files.path().display().to_string();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {folder}/{kind};\n"))
            .concat();
        let config = files.path().join("nginx.conf");
        let text = format!(
            "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n\
             http {{\n{temporary}access_log off;\nserver {{\nlisten {address};\n\
             location / {{ proxy_pass http://{relay}; }}\n}}\n}}\n"
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new("nginx")
            .arg("-p")
            .arg(files.path())
            .arg("-e")
            .arg(files.path().join("error.log"))
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`nginx` runs: install Debian's package `nginx-light`");
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).await.is_err() {
            assert!(Instant::now() < deadline, "nginx does not listen");
            sleep(Duration::from_millis(20)).await;
        }
        Self { child, address, _files: files }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_session_goes_through_a_proxy_that_removes_the_upgrade() {
    let rig = Rig::start().await;
    let nginx = Nginx::before(rig.address).await;
    let session = SessionId::random();
    let host = rig.endpoint(session, Role::Host);
    let viewer = rig.endpoint_via(session, Role::Viewer, nginx.address);
    let since = Instant::now();
    let (near, far) = soon(link(&host, &viewer, 1)).await;
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    assert_eq!(far.profile().path, "HTTP streaming through the relay at 127.0.0.1");
    // Keys one by one: nginx holds none of them back, nor their echo.
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let typed = Instant::now();
        say(&far, Lane::Reliable, "k").await;
        hear(&near).await;
        say(&near, Lane::Reliable, "K").await;
        hear(&far).await;
        slowest = slowest.max(typed.elapsed());
    }
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    // Much, both ways at once.
    let much = |n: u32| Bytes::from([&n.to_be_bytes()[..], &[7; 8_000]].concat());
    let both = async {
        tokio::join!(
            async {
                for n in 0..200 {
                    near.send(Lane::Reliable, much(n)).await.unwrap()
                }
            },
            async {
                for n in 0..200 {
                    far.send(Lane::Reliable, much(n)).await.unwrap()
                }
            },
            async {
                for n in 0..200 {
                    assert_eq!(near.recv().await.unwrap().payload, much(n))
                }
            },
            async {
                for n in 0..200 {
                    assert_eq!(far.recv().await.unwrap().payload, much(n))
                }
            },
        )
    };
    soon(both).await;
    far.close(CloseCode::NORMAL, "done");
    assert_eq!(end(&near).await, Closed::peer(CloseCode::NORMAL, "done"));
    soon(viewer.connector.dormant()).await;
}
