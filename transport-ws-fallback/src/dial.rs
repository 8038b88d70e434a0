//! From a URL to a greeted relay, stage by stage, by either carrier.

use std::io;

use beach_lifeguard_client::{ClientHello, ServerHello, hello::HelloError, websocket::Opcode};
use beach_outbound::{Cause, Outbound, OutboundError, Stream};
use transport_core::{ConnectError, ConnectErrorKind as Kind, Progress};
use url::Url;

use crate::{
    carrier::{self, Carried, Carrier},
    config::Deadlines,
    error::{NeitherCarrier, StreamFailed, because, closed_at, failed, stage},
    runtime::timeout,
    socket::closed_by_relay,
    ws::{BadUpgrade, Item, Lost, WebSocket, upgrade},
};

/// A relay socket, plain on loopback, TLS elsewhere, whatever carries it.
pub(crate) type RelayStream = WebSocket<Carried>;

/// Where the relay is, and how to get there.
pub(crate) struct Way<'a> {
    pub(crate) url: &'a Url,
    pub(crate) outbound: &'a Outbound,
    pub(crate) deadlines: &'a Deadlines,
    /// Learns when a TCP handshake was answered.
    pub(crate) progress: &'a Progress,
}

/// A carrier that did not get as far as the relay's hello.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: ConnectError,
    /// Something on the way is at fault that may let another carrier through.
    pub(crate) elsewhere: bool,
}

/// Reaches the relay and exchanges the hellos. `hello` is asked once, when there is somebody to say it to.
pub(crate) async fn reach(
    way: &Way<'_>,
    carrier: Carrier,
    hello: impl FnOnce() -> Option<ClientHello>,
) -> Result<(RelayStream, ServerHello), Failed> {
    let said = || hello().ok_or_else(|| final_word(failed(stage::HELLO, Kind::Misuse)));
    let answered = way.progress.clone();
    let outbound = way.outbound.on_answer(move || answered.mark_answered());
    let stream = outbound.open(way.url).await.map_err(|error| final_word(unreached(error)))?;
    let (mut stream, hello, sent) = match carrier {
        Carrier::WebSocket => {
            let mut stream = websocket(way, stream).await?;
            let hello = said()?;
            stream.sink.put(Opcode::Text, &[hello.encode().as_bytes()]);
            let sent = stream.sink.flush().await;
            (stream, hello, sent)
        }
        Carrier::Http => {
            let hello = said()?;
            let opened = carrier::open(way.url, stream, way.outbound, way.deadlines, &hello).await;
            (opened.map_err(not_streamed)?, hello, Ok(()))
        }
    };
    let answer = timeout(way.deadlines.hello, answer(&mut stream, &hello, sent)).await;
    let answer = answer.unwrap_or_else(|_| Err(on_the_way(failed(stage::HELLO, Kind::TimedOut))))?;
    Ok((stream, answer))
}

/// Says what became of both carriers.
pub(crate) fn neither(earlier: (Carrier, ConnectError), later: (Carrier, ConnectError)) -> ConnectError {
    let kinds = [earlier.1.kind, later.1.kind];
    // Whichever may do at another moment.
    let kind = [Kind::TimedOut, Kind::Unreachable].into_iter().find(|kind| kinds.contains(kind));
    let (stage, kind) = (later.1.stage, kind.unwrap_or(later.1.kind));
    let (websocket, http) = match earlier.0 {
        Carrier::WebSocket => (earlier.1, later.1),
        Carrier::Http => (later.1, earlier.1),
    };
    because(stage, kind, NeitherCarrier { websocket: websocket.chain(), http: http.chain() })
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
        _ => Kind::Unreachable,
    };
    because(stage::DIAL, kind, error)
}

fn not_upgraded(error: BadUpgrade) -> Failed {
    let (kind, elsewhere) = match &error {
        BadUpgrade::Status(refused) => (refused.kind(), !refused.is_said_by_relay()),
        // What answers is no web server.
        BadUpgrade::Http(error) if error.is_parse() || error.is_parse_too_large() => {
            (Kind::Incompatible, true)
        }
        BadUpgrade::Http(_) => (Kind::Unreachable, true),
        BadUpgrade::Answer(_) => (Kind::Incompatible, true),
        // It goes away with the login.
        BadUpgrade::Login(_) => (Kind::Unreachable, true),
        BadUpgrade::Url(_) => (Kind::Misuse, false),
    };
    let error = match error {
        BadUpgrade::Status(refused) => because(stage::UPGRADE, kind, refused),
        error => because(stage::UPGRADE, kind, error),
    };
    Failed { error, elsewhere }
}

fn not_streamed(error: StreamFailed) -> Failed {
    let elsewhere = !error.is_said_by_relay();
    Failed { error: because(stage::STREAM, error.kind(), error), elsewhere }
}

async fn answer(
    stream: &mut RelayStream,
    hello: &ClientHello,
    sent: io::Result<()>,
) -> Result<ServerHello, Failed> {
    loop {
        let text = match stream.source.next().await {
            Ok(Item::Text(text)) => text,
            Ok(Item::Close(goodbye)) => {
                return Err(final_word(closed_at(stage::HELLO, closed_by_relay(goodbye))));
            }
            Ok(Item::Ping(payload)) => {
                stream.sink.put(Opcode::Pong, &[&payload]);
                let _ = stream.sink.flush().await;
                continue;
            }
            Ok(Item::Pong) => continue,
            Ok(Item::Binary(_)) => return Err(unreadable(HelloError::InvalidPayload)),
            Err(error @ Lost::Violation(_)) => {
                return Err(on_the_way(because(stage::HELLO, Kind::Incompatible, error)));
            }
            Err(error) => {
                // When sending failed the relay's close, with its reason, may still have been there to read.
                let error = sent.err().map_or(error, Lost::Io);
                return Err(on_the_way(because(stage::HELLO, Kind::Unreachable, error)));
            }
        };
        let answer = ServerHello::decode(&text).map_err(unreadable)?;
        if answer.client_nonce != hello.client_nonce {
            return Err(unreadable(HelloError::InvalidPayload));
        }
        return Ok(answer);
    }
}

fn unreadable(error: HelloError) -> Failed {
    final_word(because(stage::HELLO, Kind::Incompatible, error))
}

/// The relay has spoken, or no carrier can do better.
fn final_word(error: ConnectError) -> Failed {
    Failed { error, elsewhere: false }
}

fn on_the_way(error: ConnectError) -> Failed {
    Failed { error, elsewhere: true }
}
