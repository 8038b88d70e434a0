//! Two ends of one session in this process: one asks, the other answers.

use std::time::{Duration, Instant};

use bytes::Bytes;
use negotiator::{Host, HostConfig, Negotiator, NetworkConfig, Received, Session};
use serde::Serialize;
use tokio::time::timeout;

use crate::{exit::Failure, wire::Message};

/// How well one path works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// The transport that was used.
    pub transport: String,
    /// From the first word to a usable session, in milliseconds.
    pub setup_ms: u64,
    /// Median round trip of a small message, in microseconds.
    pub rtt_us: u64,
    /// The worst of them.
    pub worst_rtt_us: u64,
    /// Payload that arrived, in bytes per second.
    pub bytes_per_second: u64,
    /// By how much the median round trip grew while the path was full, in microseconds.
    pub queueing_us: u64,
}

/// Measures one path for about twice `length`.
///
/// # Errors
///
/// [`Failure`].
pub(super) async fn measure(config: HostConfig, length: Duration) -> Result<Figures, Failure> {
    let network = config.network.clone();
    let host = Host::share(config).await?;
    let outcome = between(&host, network, length).await;
    host.close().await;
    outcome
}

async fn between(host: &Host, network: NetworkConfig, length: Duration) -> Result<Figures, Failure> {
    let start = Instant::now();
    let session = Negotiator::new(host.link().clone(), network).connect().await?;
    let setup = start.elapsed();
    let Ok(Some(other)) = timeout(ARRIVAL, host.accept()).await else { return Err(Failure::HostAbsent) };
    let ask = async {
        let idle = ping_for(&session, length, None).await?;
        let loaded = ping_for(&session, length, Some(Bytes::from(vec![0x5A; LOAD]))).await?;
        Ok(Figures {
            transport: session.status().path.map_or_else(String::new, |path| path.to_string()),
            setup_ms: u64::try_from(setup.as_millis()).unwrap_or(u64::MAX),
            rtt_us: micros(median(&idle.round_trips)),
            worst_rtt_us: micros(idle.round_trips.last().copied().unwrap_or_default()),
            bytes_per_second: loaded.bytes_per_second(),
            queueing_us: micros(median(&loaded.round_trips).saturating_sub(median(&idle.round_trips))),
        })
    };
    let outcome = tokio::select! {
        outcome = ask => outcome,
        failure = answer(&other) => Err(failure),
    };
    session.close().await;
    outcome
}

/// What a row of pings found. Round trips are sorted.
struct Pings {
    round_trips: Vec<Duration>,
    load_bytes: u64,
    elapsed: Duration,
}

impl Pings {
    fn bytes_per_second(&self) -> u64 {
        (self.load_bytes as f64 / self.elapsed.as_secs_f64().max(0.001)) as u64
    }
}

/// Pings one after another. With a load, each ping goes out behind as much of it as the session takes.
async fn ping_for(session: &Session, length: Duration, load: Option<Bytes>) -> Result<Pings, Failure> {
    let start = Instant::now();
    let mut pings = Pings { round_trips: Vec::new(), load_bytes: 0, elapsed: Duration::ZERO };
    for number in 0.. {
        if start.elapsed() >= length {
            break;
        }
        if let Some(body) = &load {
            let load = Message::Data(body.clone()).encode();
            while session.try_send(load.clone()).is_ok() {
                pings.load_bytes += body.len() as u64;
            }
        }
        let asked = Instant::now();
        send(session, Message::Record { number, body: Bytes::new() }).await?;
        loop {
            match next(session).await? {
                Message::Record { number: answered, .. } if answered == number => break,
                _ => {}
            }
        }
        pings.round_trips.push(asked.elapsed());
        if load.is_none() {
            tokio::time::sleep(PAUSE).await;
        }
    }
    pings.elapsed = start.elapsed();
    pings.round_trips.sort_unstable();
    Ok(pings)
}

/// Sends every record back, and swallows the load.
async fn answer(session: &Session) -> Failure {
    loop {
        let outcome = match next(session).await {
            Ok(record @ Message::Record { .. }) => send(session, record).await,
            Ok(_) => Ok(()),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = outcome {
            return failure;
        }
    }
}

async fn send(session: &Session, message: Message) -> Result<(), Failure> {
    match session.send(message.encode()).await {
        Ok(()) => Ok(()),
        Err(_) => Err(Failure::SessionLost(session.ended().await)),
    }
}

async fn next(session: &Session) -> Result<Message, Failure> {
    let message = async {
        loop {
            match session.recv().await {
                Ok(Received::Message(bytes)) => {
                    return Message::decode(bytes).map_err(Failure::Unintelligible);
                }
                Ok(_) => {}
                Err(end) => return Err(Failure::SessionLost(end)),
            }
        }
    };
    timeout(ANSWER, message).await.map_err(|_| Failure::NoPath("no answer in time".to_owned()))?
}

fn median(sorted: &[Duration]) -> Duration {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// How long the host's side of a session that is usable may take to come up.
const ARRIVAL: Duration = Duration::from_secs(10);

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(20);

/// Between two pings on an idle path.
const PAUSE: Duration = Duration::from_millis(10);

/// Bytes in a message of load.
const LOAD: usize = 15 * 1024;
