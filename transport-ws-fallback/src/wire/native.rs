//! The socket of a machine: by a WebSocket of our own or over HTTP, on a connection of `beach-outbound`'s.

use beach_lifeguard_client::{ClientHello, hello::MAX_SERVER_HELLO_BYTES, websocket::Opcode};
use beach_outbound::{Cause, OutboundError, Stream};
use tokio_util::either::Either;
use transport_core::{ConnectError, ConnectErrorKind as Kind};

use super::{Opened, not_streamed};
use crate::{
    carrier::{self, Carrier, Pipe},
    dial::{Failed, Fault, Way, final_word, on_the_way},
    error::{because, failed, stage},
    runtime::timeout,
    ws::{BadUpgrade, Sink, Source, WebSocket, upgrade},
};

/// The relay's bytes, whatever carries them: a pair of HTTP's connections, or one of its own.
type Carried = Either<Box<Pipe>, Stream>;

/// A relay socket, plain on loopback, TLS elsewhere, whatever carries it.
pub(crate) type RelayStream = WebSocket<Carried>;

/// The half of it that reads.
pub(crate) type RelaySource = Source<Carried>;

/// The half of it that writes.
pub(crate) type RelaySink = Sink<Carried>;

/// Opens a socket by `carrier` and says hello on it.
pub(crate) async fn open(
    way: &Way<'_>,
    carrier: Carrier,
    hello: impl FnOnce() -> Result<ClientHello, Failed>,
) -> Result<Opened, Failed> {
    let answered = way.progress.clone();
    let outbound = way.outbound.on_answer(move || answered.mark_answered());
    let stream = outbound.open(way.url).await.map_err(|error| final_word(unreached(error)))?;
    let (stream, hello, sent) = match carrier {
        Carrier::WebSocket => {
            let mut stream = websocket(way, stream).await?;
            let hello = hello()?;
            stream.sink.put(Opcode::Text, &[hello.encode().as_bytes()]);
            let sent = stream.sink.flush().await;
            (stream, hello, sent)
        }
        Carrier::Http => {
            let hello = hello()?;
            let (pipe, ahead) = carrier::open(way, stream, &hello).await.map_err(not_streamed)?;
            let pipe = Carried::Left(Box::new(pipe));
            (WebSocket::new(pipe, ahead, MAX_SERVER_HELLO_BYTES), hello, Ok(()))
        }
    };
    Ok(Opened { stream, hello, sent })
}

async fn websocket(way: &Way<'_>, stream: Stream) -> Result<RelayStream, Failed> {
    let limit = way.deadlines.upgrade;
    match timeout(limit, upgrade(way.url, Carried::Right(stream))).await {
        Err(_) => Err(on_the_way(failed(stage::UPGRADE, Kind::TimedOut))),
        Ok(upgraded) => upgraded.map_err(not_upgraded),
    }
}

fn unreached(error: OutboundError) -> ConnectError {
    let kind = match error.cause {
        _ if error.is_timeout() => Kind::TimedOut,
        Cause::Url(_) => Kind::Misuse,
        _ if error.is_refused() => Kind::Unready,
        _ => Kind::Unreachable,
    };
    because(stage::DIAL, kind, error)
}

fn not_upgraded(error: BadUpgrade) -> Failed {
    let (kind, fault) = match &error {
        BadUpgrade::Status(refused) => (refused.kind(), refused.fault()),
        // What answers is no web server.
        BadUpgrade::Http(error) if error.is_parse() || error.is_parse_too_large() => {
            (Kind::Incompatible, Fault::Way)
        }
        BadUpgrade::Http(_) => (Kind::Unreachable, Fault::Way),
        BadUpgrade::Answer(_) => (Kind::Incompatible, Fault::Way),
        // It goes away with the login.
        BadUpgrade::Login(_) => (Kind::Unreachable, Fault::Way),
        BadUpgrade::Url(_) => (Kind::Misuse, Fault::Final),
    };
    let error = match error {
        BadUpgrade::Status(refused) => because(stage::UPGRADE, kind, refused),
        error => because(stage::UPGRADE, kind, error),
    };
    Failed { error, fault, unheard: true }
}
