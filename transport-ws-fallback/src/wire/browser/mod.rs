//! The socket of a page: a WebSocket of the browser's, or HTTP by its `fetch`.

mod websocket;

use std::io;

use beach_lifeguard_client::{ClientHello, hello::MAX_SERVER_HELLO_BYTES, websocket::Opcode};
use beach_outbound::Cause;
use transport_core::ConnectErrorKind as Kind;

use super::{Item, Lost, Opened, not_streamed};
use crate::{
    carrier::{self, Carrier, Pipe},
    dial::{Failed, Way, on_the_way},
    error::{because, failed, stage},
    runtime::{Instant, timeout},
    ws::{self, WebSocket},
};

/// A relay socket. Its halves are used side by side.
pub(crate) struct RelayStream {
    pub(crate) source: RelaySource,
    pub(crate) sink: RelaySink,
}

/// The half of it that reads.
pub(crate) enum RelaySource {
    Http(ws::Source<Pipe>),
    WebSocket(websocket::Source),
}

/// The half of it that writes.
pub(crate) enum RelaySink {
    Http(ws::Sink<Pipe>),
    WebSocket(websocket::Sink),
}

/// Opens a socket by `carrier` and says hello on it.
pub(crate) async fn open(
    way: &Way<'_>,
    carrier: Carrier,
    hello: impl FnOnce() -> Result<ClientHello, Failed>,
) -> Result<Opened, Failed> {
    match carrier {
        Carrier::WebSocket => {
            // What swallows an upgrade must leave a dial the time for the other carrier.
            let opened = timeout(way.deadlines.upgrade, websocket::open(way)).await;
            let opened = opened.map_err(|_| on_the_way(failed(stage::DIAL, Kind::TimedOut)))?;
            let (source, sink) = opened.map_err(|error| {
                let kind = match error.cause {
                    _ if error.is_timeout() => Kind::TimedOut,
                    Cause::Url(_) => Kind::Misuse,
                    _ => Kind::Unreachable,
                };
                // Whether the host, the upgrade or the relay is at fault, a browser does not say.
                on_the_way(because(stage::DIAL, kind, error))
            })?;
            let (source, sink) = (RelaySource::WebSocket(source), RelaySink::WebSocket(sink));
            let (mut stream, hello) = (RelayStream { source, sink }, hello()?);
            stream.sink.put(Opcode::Text, &[hello.encode().as_bytes()]);
            let sent = stream.sink.flush().await;
            Ok(Opened { stream, hello, sent })
        }
        Carrier::Http => {
            let hello = hello()?;
            let (pipe, ahead) = carrier::open(way, (), &hello).await.map_err(not_streamed)?;
            let WebSocket { source, sink } = WebSocket::new(pipe, ahead, MAX_SERVER_HELLO_BYTES);
            let (source, sink) = (RelaySource::Http(source), RelaySink::Http(sink));
            Ok(Opened { stream: RelayStream { source, sink }, hello, sent: Ok(()) })
        }
    }
}

impl RelayStream {
    /// Says goodbye behind what was put, and waits for the other side's.
    pub(crate) async fn close(&mut self, code: Option<u16>) -> io::Result<()> {
        match (&mut self.source, &mut self.sink) {
            (RelaySource::Http(source), RelaySink::Http(sink)) => ws::close(source, sink, code).await,
            (_, RelaySink::WebSocket(sink)) => {
                sink.close(code).await;
                Ok(())
            }
            // Both halves are of one carrier.
            _ => Ok(()),
        }
    }
}

impl RelaySource {
    /// Waits for the next item. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Item, Lost> {
        match self {
            Self::Http(source) => source.next().await,
            Self::WebSocket(source) => source.next().await,
        }
    }

    /// When the last item came.
    pub(crate) fn read_at(&self) -> Instant {
        match self {
            Self::Http(source) => source.read_at(),
            Self::WebSocket(source) => source.read_at(),
        }
    }
}

impl RelaySink {
    /// Puts a message of `parts` behind what is to be sent. The pongs of a WebSocket are the browser's.
    pub(crate) fn put(&mut self, opcode: Opcode, parts: &[&[u8]]) {
        match self {
            Self::Http(sink) => sink.put(opcode, parts),
            Self::WebSocket(sink) => sink.put(opcode, parts),
        }
    }

    /// Sends what was put, and waits until little of it is in the browser's hands, or an upload was answered. Cancel
    /// safe.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Http(sink) => sink.flush().await,
            Self::WebSocket(sink) => sink.flush().await,
        }
    }
}
