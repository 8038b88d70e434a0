//! `beach-link send`: a file for whoever has the link.
//!
//! The receiver says what it has of the file and its hash; from there the sender goes on, or from the beginning when that
//! is not how the file begins. The hash at the end is that of the whole file.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::BytesMut;
use negotiator::{Access, Host, Session};
use sha2::{Digest, Sha256};
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt},
    time::timeout,
};

use super::{
    HANG_UP, newcomer,
    progress::Progress,
    stream::{deliver, next, refusal, tell},
    tell_link,
};
use crate::{
    args::SendArgs,
    exit::Failure,
    host::serve::refuse,
    signal::Interrupts,
    ui::{Lines, To},
    viewer::status::SILENT,
    wire::{CHUNK, Message, Refusal, Service, Sum},
};

/// Waits for a receiver and sends it the file; waits again when the receiver was lost.
///
/// # Errors
///
/// [`Failure`].
pub async fn send(args: SendArgs) -> Result<u8, Failure> {
    let source = Source::find(&args.file)?;
    let mut interrupts = Interrupts::listen()?;
    let mut lines = Lines::new(To::Stderr);
    let host = super::open_host(&args.meeting, &args.network, &mut lines, &mut interrupts).await?;
    tell_link(&host, args.link_file.as_deref(), "beach-link receive", &mut lines)?;
    let outcome = serve(&host, &source, &mut lines, &mut interrupts).await;
    host.close().await;
    lines.clear();
    Lines::new(To::Stdout).say(&sum_line(&outcome?, &source.name));
    Ok(0)
}

/// A file to be sent.
#[derive(Debug, Clone)]
pub struct Source {
    path: PathBuf,
    name: String,
    bytes: u64,
}

impl Source {
    /// Finds a plain file.
    ///
    /// # Errors
    ///
    /// [`Failure::Io`], or [`Failure::Usage`] for a folder, a device, a FIFO.
    pub fn find(path: &Path) -> Result<Self, Failure> {
        let metadata = path.metadata().map_err(Failure::io("the file"))?;
        let name = path.file_name().filter(|_| metadata.is_file());
        let Some(name) = name.map(|name| name.to_string_lossy().into_owned()) else {
            let words = format!(
                "{} is no plain file: `tar c … | beach-link pipe host` carries folders and streams",
                path.display()
            );
            return Err(Failure::Usage(words));
        };
        Ok(Self { path: path.to_owned(), name, bytes: metadata.len() })
    }

    /// Sends it to one receiver that was let in. Returns what was sent.
    ///
    /// # Errors
    ///
    /// [`Failure`]; the receiver was told.
    pub async fn give(
        &self,
        session: &Session,
        lines: &mut Lines,
        stop: impl Future<Output = Failure>,
    ) -> Result<Sum, Failure> {
        let outcome = tokio::select! {
            outcome = self.offer(session, lines) => outcome,
            failure = stop => Err(failure),
        };
        if let Err(failure) = &outcome {
            tell(session, failure).await;
        }
        outcome
    }

    async fn offer(&self, session: &Session, lines: &mut Lines) -> Result<Sum, Failure> {
        deliver(session, Message::Offer { bytes: self.bytes, name: self.name.clone() }).await?;
        let had = match next(session).await? {
            Message::From(had) => had,
            other => return Err(refusal(other)),
        };
        let mut file = File::open(&self.path).await.map_err(Failure::io("the file"))?;
        let (hash, start) = begin(&mut file, had, self.bytes).await?;
        deliver(session, Message::From(Sum { bytes: start, sha256: hash.clone().finalize().into() })).await?;

        let progress = Progress::new(&self.name, self.bytes).behind(start);
        let answer = next(session);
        tokio::pin!(answer);
        let sum = tokio::select! {
            sum = self.push(session, file, hash, start, &progress) => sum?,
            // Before the end it can only be bad news.
            early = &mut answer => return Err(refusal(early?)),
            never = progress.show(session, lines) => match never {},
        };
        match answer.await? {
            Message::Done(bytes) if bytes == sum.bytes => Ok(sum),
            Message::Done(_) => Err(Failure::Corrupt),
            other => Err(refusal(other)),
        }
    }

    async fn push(
        &self,
        session: &Session,
        mut file: File,
        mut hash: Sha256,
        start: u64,
        progress: &Progress,
    ) -> Result<Sum, Failure> {
        let mut left = self.bytes - start;
        while left > 0 {
            let mut buffer = BytesMut::with_capacity(CHUNK);
            let mut room = (&mut file).take(left.min(CHUNK as u64));
            let read = room.read_buf(&mut buffer).await.map_err(Failure::io("the file"))?;
            if read == 0 {
                return Err(Failure::io("the file became shorter")(std::io::ErrorKind::UnexpectedEof.into()));
            }
            hash.update(&buffer);
            left -= read as u64;
            deliver(session, Message::Data(buffer.freeze())).await?;
            progress.add(read);
        }
        let sum = Sum { bytes: self.bytes, sha256: hash.finalize().into() };
        deliver(session, Message::End(sum)).await?;
        Ok(sum)
    }
}

/// Says from where to go on: behind what the receiver has when that is how the file begins.
async fn begin(file: &mut File, had: Sum, bytes: u64) -> Result<(Sha256, u64), Failure> {
    if had.bytes == 0 || had.bytes > bytes {
        return Ok((Sha256::new(), 0));
    }
    let hash = hash_of(file, had.bytes).await.map_err(Failure::io("the file"))?;
    if <[u8; 32]>::from(hash.clone().finalize()) == had.sha256 {
        return Ok((hash, had.bytes));
    }
    file.rewind().await.map_err(Failure::io("the file"))?;
    Ok((Sha256::new(), 0))
}

/// Hashes the next so many bytes of a file, or all that there are.
pub(super) async fn hash_of(file: &mut File, mut left: u64) -> std::io::Result<Sha256> {
    let mut hash = Sha256::new();
    let mut buffer = BytesMut::with_capacity(CHUNK);
    while left > 0 {
        let mut room = (&mut *file).take(left.min(CHUNK as u64));
        let read = room.read_buf(&mut buffer).await?;
        if read == 0 {
            break;
        }
        hash.update(&buffer);
        buffer.clear();
        left -= read as u64;
    }
    Ok(hash)
}

/// The line that `sha256sum` would print.
pub(super) fn sum_line(sum: &Sum, name: &str) -> String {
    let hex: String = sum.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex}  {name}")
}

/// Serves receivers until one has all of it. What fails at a receiver's end is waited out: it may come again.
async fn serve(
    host: &Host,
    source: &Source,
    lines: &mut Lines,
    interrupts: &mut Interrupts,
) -> Result<Sum, Failure> {
    let mut session = tokio::select! {
        session = newcomer(host, Service::File) => session?,
        failure = interrupts.next() => return Err(failure),
    };
    loop {
        let _ = session.send(Message::Welcome(Access::Full).encode()).await;
        let outcome = tokio::select! {
            outcome = source.give(&session, lines, interrupts.next()) => outcome,
            again = replacement(host, &session) => {
                session.abort("the receiver came again");
                session = again?;
                continue;
            }
        };
        if outcome.is_ok() {
            // The receiver hangs up first: whoever leaves first takes its last acknowledgement along.
            let _ = timeout(HANG_UP, session.ended()).await;
        }
        session.close().await;
        match outcome {
            Err(failure @ (Failure::Declined(_) | Failure::SessionLost(_))) => {
                lines.say(&format!("{failure}; waiting for the receiver to come again"));
            }
            outcome => return outcome,
        }
        session = tokio::select! {
            session = newcomer(host, Service::File) => session?,
            failure = interrupts.next() => return Err(failure),
        };
    }
}

/// Waits for a receiver that takes the place of one that fell silent; others are told that the file has its receiver.
async fn replacement(host: &Host, present: &Session) -> Result<Session, Failure> {
    loop {
        let session = newcomer(host, Service::File).await?;
        let status = present.status();
        if status.path.is_none() || status.last_heard.is_some_and(|silence| silence >= SILENT) {
            return Ok(session);
        }
        let words = format!("this file is being received; try again in {} s", PATIENCE.as_secs());
        refuse(&session, Refusal::Full, words).await;
        session.close().await;
    }
}

/// What a receiver is asked to wait while the one before it may still live.
const PATIENCE: Duration = Duration::from_secs(10);
