//! Clients that misbehave beside sessions that talk: what the neighbours notice.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use beach_lifeguard_client::{Lane, LinkNumber, RELAY_PATH, Role, SUBPROTOCOL};
use conformance::relay::{Endpoint, RelayTarget, Session};
use futures::SinkExt;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_tungstenite::{
    MaybeTlsStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::{
    Failure,
    flow::{Script, pump},
    pair::pairs,
    report::Report,
    scenario::STAMP,
    target::{Target, Way},
};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Sessions that talk.
    pub(crate) sessions: usize,
    /// Payload of a message in bytes.
    pub(crate) size: usize,
    /// Payload of a session in bytes a second.
    pub(crate) rate: usize,
    /// Clients a second that misbehave.
    pub(crate) troublemakers: u32,
    /// Each half.
    pub(crate) lasting: Duration,
}

/// The same stream twice: alone, and among troublemakers.
pub(crate) async fn chaos(target: &Target, settings: Settings) -> Result<Report, Failure> {
    let Way::Relay(relay) = &target.way else {
        return Err(Failure("a reference has no neighbours".to_owned()));
    };
    let Settings { sessions, rate, troublemakers, lasting, .. } = settings;
    let size = settings.size.max(STAMP);
    let each = (rate as f64 * lasting.as_secs_f64() / size as f64) as u64;
    let script = Script { size, each, gap: Duration::from_secs_f64(size as f64 / rate as f64) };
    let (senders, receivers) = pairs(target, sessions).await?.into_iter().unzip();
    let calm = pump(senders, receivers, script).await?;
    let before = target.cost();
    let (came, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let trouble = make_trouble(relay, troublemakers, &came, &failed);
    let among = tokio::select! {
        pumped = pump(calm.senders, calm.receivers, script) => pumped?,
        never = trouble => match never {},
    };
    let asked = format!(
        "chaos: {sessions} sessions × {rate} B/s in messages of {size} B, then {troublemakers} troublemakers/s beside \
         them, each half {lasting:?}"
    );
    let (alone, beside) = (calm.latency.value_at_quantile(0.95), among.latency.value_at_quantile(0.95));
    let mut report = Report::new(target.name, asked);
    report.add("p95 alone", alone as f64 / 1e3, "ms");
    report.add("p95 among troublemakers", beside as f64 / 1e3, "ms");
    report.add("ratio of the two", beside as f64 / alone.max(1) as f64, "");
    report.add("worst among troublemakers", among.latency.max() as f64 / 1e3, "ms");
    report.add("lost", (2 * each * sessions as u64 - calm.received - among.received) as f64, "messages");
    report.add("sessions that broke", (sessions - among.senders.len()) as f64, "");
    report.add("troublemakers", came.load(Ordering::Relaxed) as f64, "");
    report.add("of them not let in", failed.load(Ordering::Relaxed) as f64, "");
    if let (Some(before), Some(after)) = (before, target.cost()) {
        report.add("resident grew by", after.resident as f64 - before.resident as f64, "KiB");
    }
    Ok(report)
}

/// One after the other, each in the next way.
async fn make_trouble(
    relay: &RelayTarget,
    each_second: u32,
    came: &AtomicU64,
    failed: &AtomicU64,
) -> std::convert::Infallible {
    let mut due = interval(Duration::from_secs(1) / each_second.max(1));
    due.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut here, mut turns) = (JoinSet::new(), Trouble::ALL.iter().cycle());
    loop {
        tokio::select! {
            _ = due.tick() => {
                let (relay, trouble) = (relay.clone(), turns.next().copied());
                came.fetch_add(1, Ordering::Relaxed);
                here.spawn(async move { trouble.unwrap_or(Trouble::ALL[0]).make(&relay).await });
            }
            Some(done) = here.join_next() => {
                failed.fetch_add(u64::from(!matches!(done, Ok(Ok(())))), Ordering::Relaxed);
            }
        }
    }
}

/// What a client can do wrong.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// Half a request, then nothing.
    HalfRequest,
    /// A reset before anything was said.
    ResetAtOnce,
    /// A reset in the middle of a frame.
    ResetInFrame,
    /// Bytes that are no frame.
    Garbage,
    /// A message that is no hello.
    NoHello,
    /// A viewer that does not read what its host says.
    Deaf,
}

impl Trouble {
    const ALL: [Self; 6] =
        [Self::HalfRequest, Self::ResetAtOnce, Self::ResetInFrame, Self::Garbage, Self::NoHello, Self::Deaf];

    async fn make(self, relay: &RelayTarget) -> Result<(), Failure> {
        let address = relay.relay.trim_start_matches("ws://");
        match self {
            Self::HalfRequest => {
                let mut stream = TcpStream::connect(address).await?;
                stream.write_all(b"GET / HTTP/1.1\r\nHost: ").await?;
                sleep(PATIENCE).await;
            }
            Self::ResetAtOnce => TcpStream::connect(address).await?.set_zero_linger()?,
            Self::ResetInFrame => {
                let (mut endpoint, _) = enter(relay).await?;
                let stream = tcp(&mut endpoint)?;
                // A binary frame of 64 KiB, and three bytes of it.
                stream.write_all(&[0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7]).await?;
                stream.set_zero_linger()?;
            }
            Self::Garbage => {
                let (mut endpoint, _) = enter(relay).await?;
                tcp(&mut endpoint)?.write_all(&[0xFF; 512]).await?;
                while endpoint.recv_any().await.is_ok() {}
            }
            Self::NoHello => {
                let mut request =
                    format!("{}{RELAY_PATH}", relay.relay).into_client_request().map_err(told)?;
                let protocol = HeaderValue::from_static(SUBPROTOCOL);
                request.headers_mut().insert("sec-websocket-protocol", protocol);
                let (mut socket, _) = connect_async(request).await.map_err(told)?;
                socket.send(Message::text("{")).await.map_err(told)?;
                sleep(PATIENCE).await;
            }
            Self::Deaf => {
                let (mut host, session) = enter(relay).await?;
                let deaf = session.join(Role::Viewer).await?;
                let payload = [0x5A; 16_384];
                for _ in 0..DEAF_MESSAGES {
                    host.send(Lane::Reliable, deaf.addr(), LinkNumber(1), &payload).await?;
                }
            }
        }
        Ok(())
    }
}

async fn enter(relay: &RelayTarget) -> Result<(Endpoint, Session), Failure> {
    let session = Session::register(relay).await?;
    Ok((session.join(Role::Host).await?, session))
}

fn tcp(endpoint: &mut Endpoint) -> Result<&mut TcpStream, Failure> {
    match endpoint.socket.get_mut() {
        MaybeTlsStream::Plain(stream) => Ok(stream),
        _ => Err(Failure("trouble is made over plain TCP".to_owned())),
    }
}

fn told(error: tokio_tungstenite::tungstenite::Error) -> Failure {
    Failure(error.to_string())
}

/// How long one that says nothing stays: longer than the relay lets it.
const PATIENCE: Duration = Duration::from_secs(6);
/// Messages of 16 KiB to one that does not read: more than it may fall behind.
const DEAF_MESSAGES: usize = 600;
