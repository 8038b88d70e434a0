//! Makes the relay an echo server, which is what WebSocket test suites such as Autobahn talk to.
//!
//! For each connection a session of the deployed wire (version 1, which broadcasts whole messages unchanged) is opened
//! with two peers: one sends everything back; the other's socket, once admitted, is spliced byte for byte to the
//! suite's. So each frame of the suite is read by the relay itself, and each answer is the relay's own.
//!
//! `cargo run -p beach-conformance --example websocket_echo -- 127.0.0.1:9001`, then point the suite at `ws://127.0.0.1:9001`.

use std::error::Error;

use beach_lifeguard_client::{membership::Identity, session::SessionDocument, v1};
use futures::{SinkExt, StreamExt};
use lifeguard_relay::{Dev, DevConfig, relay::Rate};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, accept_async, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};
use uuid::Uuid;

type Failure = Box<dyn Error + Send + Sync>;

/// Larger than any message of the suites: 16 MiB.
const ROOM: usize = 32 << 20;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let listener = TcpListener::bind(std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:9001")).await?;
    let mut config = DevConfig::default();
    config.relay.v1_max_message = ROOM;
    config.relay.reliable_budget = 2 * ROOM;
    config.relay.limits.connection_bytes = Rate::UNLIMITED;
    config.relay.limits.connection_frames = Rate::UNLIMITED;
    config.relay.limits.session_bytes = Rate::UNLIMITED;
    let dev = Dev::start(config).await?;
    println!("echoing at ws://{}", listener.local_addr()?);
    let origin = dev.public_url();
    loop {
        let (stream, _) = listener.accept().await?;
        let origin = origin.clone();
        tokio::spawn(async move {
            if let Err(error) = serve(stream, &origin).await {
                eprintln!("a connection: {error}");
            }
        });
    }
}

async fn serve(stream: TcpStream, origin: &str) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let http = reqwest::Client::new();
    let host = Identity::from_seed(&rand::random());
    let document = SessionDocument::new(host.public(), 1);
    let (session, register) = (document.session_id, document.sign(&host));
    http.post(format!("{origin}/v1/sessions")).json(&register).send().await?.error_for_status()?;
    let mut echo = admitted(&http, origin, session).await?;
    let mut relay = admitted(&http, origin, session).await?.into_inner();
    // Nothing was said by either side yet, so nothing is lost with the library's buffers.
    let mut suite = accept_async(stream).await?.into_inner();
    let answering = tokio::spawn(async move {
        while let Some(Ok(message)) = echo.next().await {
            if matches!(message, Message::Text(_) | Message::Binary(_)) && echo.send(message).await.is_err() {
                return;
            }
        }
    });
    let done = copy_bidirectional(&mut suite, &mut relay).await;
    answering.abort();
    done.map(|_| ()).map_err(Into::into)
}

/// A peer of `session` whose hello was answered.
async fn admitted(
    http: &reqwest::Client,
    origin: &str,
    session: Uuid,
) -> Result<WebSocketStream<TcpStream>, Failure> {
    let request = serde_json::json!({ "session_id": session, "telemetry_opt_in": false });
    let answer = http.post(format!("{origin}{}", v1::TOKEN_PATH)).json(&request).send().await?;
    let answer: serde_json::Value = answer.error_for_status()?.json().await?;
    let token = answer["token"].as_str().ok_or("no token in the answer")?;
    let host = origin.trim_start_matches("http://");
    let stream = TcpStream::connect(host).await?;
    stream.set_nodelay(true)?;
    let room = WebSocketConfig::default().max_message_size(Some(ROOM)).max_frame_size(Some(ROOM));
    let url = format!("ws://{host}{}?token={token}", v1::RELAY_PATH);
    let (mut socket, _) = client_async_with_config(url, stream, Some(room)).await?;
    let hello = serde_json::json!({
        "session_id": session, "protocol_version": 1, "compression": "None", "telemetry": "Disabled",
    });
    socket.send(Message::text(hello.to_string())).await?;
    match socket.next().await {
        Some(Ok(Message::Text(_))) => Ok(socket),
        other => Err(format!("the hello was answered with {other:?}").into()),
    }
}
