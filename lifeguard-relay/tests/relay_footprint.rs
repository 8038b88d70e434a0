//! What an idle connection costs, measured on the real binary: 2,000 plain and 2,000 with TLS.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod relay_support;

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use beach_lifeguard_client::{
    Role, SUBPROTOCOL,
    token::{KeyId, TokenSigner},
};
use futures::{SinkExt, StreamExt};
use relay_support::{ISSUER, SEED, claims, hello};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, client::IntoClientRequest, protocol::WebSocketConfig},
};
use uuid::Uuid;

const CONNECTIONS: usize = 2_000;

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Resident KiB.
    fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

fn signer() -> TokenSigner {
    TokenSigner::from_seed(KeyId::parse("test").unwrap(), &SEED).unwrap()
}

fn serve(extra: &[&str]) -> (Process, SocketAddr) {
    let key = format!("test:{}", signer().public_key());
    let mut child = Command::new(env!("CARGO_BIN_EXE_beach-lifeguard"))
        .args(["serve", "--listen-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"])
        .args(["--tokens-issuer", ISSUER, "--tokens-public-keys", &key, "--limits-address-connections", "0"])
        .args(extra)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").expect(&line).parse().unwrap();
    (Process(child), address)
}

async fn join<S>(stream: S, address: SocketAddr, session: Uuid) -> WebSocketStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = format!("ws://{address}/v2/ws").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse().unwrap());
    let small = WebSocketConfig::default().read_buffer_size(1_024).write_buffer_size(0);
    let (mut ws, _) = client_async_with_config(request, stream, Some(small)).await.unwrap();
    let peer = Uuid::new_v4();
    let token = signer().sign(&claims(session, peer, Role::Viewer)).unwrap();
    ws.send(Message::text(hello(session, peer, Role::Viewer, token).encode())).await.unwrap();
    assert!(matches!(ws.next().await, Some(Ok(Message::Text(_)))));
    ws
}

/// Resident KiB per connection, in sessions of four.
async fn cost<S, F>(process: &Process, address: SocketAddr, connect: impl Fn() -> F) -> f64
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = S>,
{
    let mut held = Vec::new();
    let mut session = Uuid::new_v4();
    // Code, caches and thread-local arenas are warm after the first few.
    for _ in 0..50 {
        held.push(join(connect().await, address, session).await);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = process.resident();
    for n in 0..CONNECTIONS {
        if n % 4 == 0 {
            session = Uuid::new_v4();
        }
        held.push(join(connect().await, address, session).await);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    (process.resident() - before) as f64 / CONNECTIONS as f64
}

#[tokio::test]
async fn an_idle_connection_costs_a_few_kib() {
    let (process, address) = serve(&[]);
    let plain = cost(&process, address, || async move { TcpStream::connect(address).await.unwrap() }).await;
    drop(process);

    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(vec!["relay.test".to_owned()]).unwrap();
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let (process, address) = serve(&["--listen-tls-certificate", cert, "--listen-tls-key", key]);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let tls = cost(&process, address, || async {
        let stream = TcpStream::connect(address).await.unwrap();
        connector.connect(ServerName::try_from("relay.test").unwrap(), stream).await.unwrap()
    });
    let tls = tls.await;
    println!("resident KiB per idle connection: {plain:.1} plain, {tls:.1} with TLS");
    assert!(plain <= 16.0 && tls <= 32.0, "{plain:.1} plain, {tls:.1} with TLS");
}
