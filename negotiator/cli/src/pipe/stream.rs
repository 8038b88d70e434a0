//! Two streams of bytes in opposite directions over one session. Each ends by itself, and each end is
//! confirmed by whoever wrote the last byte.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use negotiator::{Received, SendError, Session};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use crate::{
    exit::Failure,
    ui::Lines,
    viewer::status,
    wire::{BadMessage, CHUNK, Message, Sum},
};

/// What went through a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Bytes the other side confirmed to have written.
    pub sent: u64,
    /// Bytes written here.
    pub received: u64,
}

/// Sends all of `input` and writes all that comes to `output`. Returns when both streams have ended and both
/// sides have written every byte.
///
/// # Errors
///
/// [`Failure`]: a stream failed on either side, the session was lost, or the bytes are not the ones sent.
pub async fn carry(
    session: &Session,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
) -> Result<Totals, Failure> {
    carry_until(session, input, output, std::future::pending()).await
}

/// As [`carry`], and fails as soon as `stop` says why: the other side is told at once.
///
/// # Errors
///
/// [`Failure`], as [`carry`] does, or what `stop` says.
pub async fn carry_until(
    session: &Session,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
    stop: impl Future<Output = Failure>,
) -> Result<Totals, Failure> {
    run(session, input, output, None, stop).await
}

/// As [`carry_until`], and shows how it goes.
pub(super) async fn run(
    session: &Session,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
    lines: Option<&mut Lines>,
    stop: impl Future<Output = Failure>,
) -> Result<Totals, Failure> {
    let meter = Meter::default();
    let work = async {
        tokio::select! {
            outcome = async { tokio::try_join!(send(session, input, &meter), receive(session, output, &meter)) } => outcome,
            failure = stop => Err(failure),
        }
    };
    let outcome = match lines {
        None => work.await,
        Some(lines) => {
            let start = Instant::now();
            let outcome = tokio::select! {
                outcome = work => outcome,
                never = meter.show(session, lines) => match never {},
            };
            lines.say(&meter.line(session, start.elapsed()));
            outcome
        }
    };
    if let Err(failure) = &outcome {
        tell(session, failure).await;
    }
    let (sent, done) = outcome?;
    if done.confirmed != Some(sent) {
        return Err(Failure::Corrupt);
    }
    last_word(session).await?;
    Ok(Totals { sent, received: done.written })
}

async fn send(session: &Session, mut input: impl AsyncRead + Unpin, meter: &Meter) -> Result<u64, Failure> {
    let mut hash = Sha256::new();
    let mut count = 0;
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(CHUNK);
        let mut room = (&mut input).take(CHUNK as u64);
        let read = room.read_buf(&mut buffer).await.map_err(Failure::io("standard input"))?;
        if read == 0 {
            break;
        }
        hash.update(&buffer);
        count += read as u64;
        deliver(session, Message::Data(buffer.split().freeze())).await?;
        meter.sent.store(count, Ordering::Relaxed);
    }
    deliver(session, Message::End(Sum { bytes: count, sha256: hash.finalize().into() })).await?;
    Ok(count)
}

/// Waits until our last word has arrived, before we go; the resume window bounds it.
pub(super) async fn last_word(session: &Session) -> Result<(), Failure> {
    match session.flushed().await {
        // The other side closes as soon as it has it.
        Ok(()) | Err(negotiator::SessionEnd::Closed(_)) => Ok(()),
        Err(end) => Err(Failure::SessionLost(end)),
    }
}

/// Tells the other side that this one cannot go on: it should not wait for what will not come. It may be gone; then
/// nothing is lost. Behind more data than the path carries in that time the reason goes with the close.
pub(super) async fn tell(session: &Session, failure: &Failure) {
    let told = async {
        let _ = session.send(Message::Failed(failure.to_string()).encode()).await;
        let _ = session.flushed().await;
    };
    if timeout(TOLD, told).await.is_err() {
        session.abort(&failure.to_string());
    }
}

/// What it means that the other side says this instead of what it should.
pub(super) fn refusal(message: Message) -> Failure {
    match message {
        Message::Failed(why) => Failure::Declined(format!("the other side failed: {why}")),
        other => Failure::Unintelligible(BadMessage::Kind(other.encode()[0])),
    }
}

/// Sends a message.
pub(super) async fn deliver(session: &Session, message: Message) -> Result<(), Failure> {
    match session.send(message.encode()).await {
        Ok(()) => Ok(()),
        // Refused, but the session lives: its end would be waited for in vain.
        Err(SendError::Size { .. }) => Err(Failure::io("a message")(io::ErrorKind::InvalidInput.into())),
        Err(_) => Err(Failure::SessionLost(session.ended().await)),
    }
}

/// Where the incoming direction stands.
#[derive(Debug, Default)]
struct Incoming {
    written: u64,
    ended: bool,
    /// Bytes the other side says it wrote of ours.
    confirmed: Option<u64>,
}

async fn receive(
    session: &Session,
    mut output: impl AsyncWrite + Unpin,
    meter: &Meter,
) -> Result<Incoming, Failure> {
    let mut hash = Sha256::new();
    let mut incoming = Incoming::default();
    while !(incoming.ended && incoming.confirmed.is_some()) {
        match next(session).await? {
            Message::Data(bytes) if !incoming.ended => {
                hash.update(&bytes);
                incoming.written += bytes.len() as u64;
                write(&mut output, bytes).await?;
                meter.received.store(incoming.written, Ordering::Relaxed);
            }
            Message::End(sum) if !incoming.ended => {
                let sha256: [u8; 32] = std::mem::take(&mut hash).finalize().into();
                if sum != (Sum { bytes: incoming.written, sha256 }) {
                    return Err(Failure::Corrupt);
                }
                output.flush().await.map_err(Failure::io("standard output"))?;
                output.shutdown().await.map_err(Failure::io("standard output"))?;
                incoming.ended = true;
                deliver(session, Message::Done(incoming.written)).await?;
            }
            Message::Done(bytes) => incoming.confirmed = Some(bytes),
            other => return Err(refusal(other)),
        }
    }
    Ok(incoming)
}

/// Waits for the next message.
pub(super) async fn next(session: &Session) -> Result<Message, Failure> {
    loop {
        match session.recv().await {
            Ok(Received::Message(bytes)) => return Message::decode(bytes).map_err(Failure::Unintelligible),
            Ok(_) => {}
            Err(end) => return Err(Failure::SessionLost(end)),
        }
    }
}

async fn write(output: &mut (impl AsyncWrite + Unpin), bytes: Bytes) -> Result<(), Failure> {
    output.write_all(&bytes).await.map_err(Failure::io("standard output"))?;
    // Whoever reads the other end may wait for just this.
    output.flush().await.map_err(Failure::io("standard output"))
}

/// Counts what went by, for the progress line.
#[derive(Debug, Default)]
struct Meter {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Meter {
    async fn show(&self, session: &Session, lines: &mut Lines) -> std::convert::Infallible {
        let start = Instant::now();
        loop {
            lines.show(&[self.line(session, start.elapsed())]);
            tokio::time::sleep(REFRESH).await;
        }
    }

    fn line(&self, session: &Session, elapsed: Duration) -> String {
        let (sent, received) = (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed));
        let speed = (sent + received) as f64 / elapsed.as_secs_f64().max(0.001);
        let status = session.status();
        let path = status.path.map_or_else(|| "no path".to_owned(), |path| path.to_string());
        format!(
            "sent {} · received {} · {}/s · {path}: {}",
            status::bytes(sent),
            status::bytes(received),
            status::bytes(speed as u64),
            status.reason.text()
        )
    }
}

/// How long telling the other side of a failure may take.
const TOLD: Duration = Duration::from_secs(2);

/// How often the progress line is drawn anew.
pub(super) const REFRESH: Duration = Duration::from_millis(200);
