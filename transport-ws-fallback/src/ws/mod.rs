//! The client's half of WebSocket (RFC 6455): one read for what came together, one copy for what leaves.
//!
//! [`Reader`](reader::Reader) and [`Writer`](writer::Writer) are sans-IO; [`WebSocket`] moves their bytes. A message
//! that arrives is a slice of what was read, one that leaves is written under its mask straight into what is sent
//! (`docs/adr/0013-the-clients-own-websocket.md`).

mod reader;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod refused;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod upgrade;
mod writer;

use std::io;

use beach_lifeguard_client::websocket::{Opcode, close_payload};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub use self::refused::UpgradeRefused;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub(crate) use self::upgrade::{BadUpgrade, upgrade};
use self::{reader::Reader, writer::Writer};
use crate::{
    runtime::{Instant, now},
    wire::{Item, Lost},
};

/// A WebSocket. Its halves are used side by side.
pub(crate) struct WebSocket<S> {
    pub(crate) source: Source<S>,
    pub(crate) sink: Sink<S>,
}

/// The half that reads.
pub(crate) struct Source<S> {
    io: ReadHalf<S>,
    reader: Reader,
    read_at: Instant,
}

/// The half that writes.
pub(crate) struct Sink<S> {
    io: WriteHalf<S>,
    writer: Writer,
}

/// A message as a client sends it.
pub(crate) fn written(opcode: Opcode, message: &[u8]) -> Bytes {
    let mut writer = Writer::default();
    writer.put(opcode, &[message], rand::random());
    Bytes::copy_from_slice(writer.pending())
}

/// Reads the first item, of up to `max` bytes; what came behind it is handed back.
pub(crate) async fn read_first(
    from: &mut (impl AsyncRead + Unpin),
    max: usize,
) -> Result<(Item, BytesMut), Lost> {
    let mut reader = Reader::new(BytesMut::new(), max);
    loop {
        if let Some(item) = reader.next()? {
            return Ok((item, reader.into_ahead()));
        }
        if from.read_buf(reader.room()).await? == 0 {
            return Err(Lost::HungUp);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Takes over a connection after its upgrade, with what was read `ahead`. Messages have up to `max` bytes.
    pub(crate) fn new(io: S, ahead: BytesMut, max: usize) -> Self {
        let (from, to) = split(io);
        Self {
            source: Source { io: from, reader: Reader::new(ahead, max), read_at: now() },
            sink: Sink { io: to, writer: Writer::default() },
        }
    }

    /// Says goodbye behind what was put, and waits for the other side's.
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    pub(crate) async fn close(&mut self, code: Option<u16>) -> io::Result<()> {
        close(&mut self.source, &mut self.sink, code).await
    }
}

/// Says goodbye behind what was put, and reads until the other side has hung up: unread bytes would turn our close into
/// a reset.
pub(crate) async fn close<S: AsyncRead + AsyncWrite>(
    source: &mut Source<S>,
    sink: &mut Sink<S>,
    code: Option<u16>,
) -> io::Result<()> {
    sink.put(Opcode::Close, &[&close_payload(code, "")]);
    sink.flush().await?;
    let mut unread = [0; 1_024];
    while source.io.read(&mut unread).await? > 0 {}
    Ok(())
}

impl<S: AsyncRead> Source<S> {
    /// Waits for the next item. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Item, Lost> {
        loop {
            if let Some(item) = self.reader.next()? {
                return Ok(item);
            }
            if self.io.read_buf(self.reader.room()).await? == 0 {
                return Err(Lost::HungUp);
            }
            self.read_at = now();
        }
    }

    /// When the last bytes came.
    pub(crate) fn read_at(&self) -> Instant {
        self.read_at
    }
}

impl<S: AsyncWrite> Sink<S> {
    /// Puts a message of `parts` behind what is to be sent.
    pub(crate) fn put(&mut self, opcode: Opcode, parts: &[&[u8]]) {
        self.writer.put(opcode, parts, rand::random());
    }

    /// Sends what was put. Cancel safe: what is left is sent by the next call.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while !self.writer.pending().is_empty() {
            match self.io.write(self.writer.pending()).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                sent => self.writer.sent(sent),
            }
        }
        self.io.flush().await
    }
}

#[cfg(test)]
mod tests;
