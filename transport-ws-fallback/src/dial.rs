//! From a URL to a greeted relay socket, stage by stage.

use beach_lifeguard_client::{ClientHello, ServerHello, hello::HelloError, websocket::Opcode};
use beach_outbound::{Cause, Outbound, OutboundError, Stream};
use transport_core::{ConnectError, ConnectErrorKind as Kind, Progress};
use url::Url;

use crate::{
    config::Deadlines,
    error::{UpgradeRefused, because, closed_at, failed, stage},
    runtime::{Duration, timeout},
    socket::closed_by_relay,
    ws::{BadUpgrade, Item, Lost, WebSocket, upgrade},
};

/// A WebSocket to the relay, plain on loopback, TLS elsewhere.
pub(crate) type RelayStream = WebSocket<Stream>;

/// Opens the WebSocket: stages `dial` and `upgrade`. `progress` learns when a TCP handshake was answered.
pub(crate) async fn open(
    url: &Url,
    outbound: &Outbound,
    deadlines: &Deadlines,
    progress: &Progress,
) -> Result<RelayStream, ConnectError> {
    let answered = progress.clone();
    let outbound = outbound.on_answer(move || answered.mark_answered());
    let stream = outbound.open(url).await.map_err(unreached)?;
    timeout(deadlines.upgrade, upgrade(url, stream))
        .await
        .map_err(|_| failed(stage::UPGRADE, Kind::TimedOut))?
        .map_err(refused)
}

/// Exchanges the hellos: stage `hello`.
pub(crate) async fn greet(
    stream: &mut RelayStream,
    hello: &ClientHello,
    deadline: Duration,
) -> Result<ServerHello, ConnectError> {
    timeout(deadline, exchange(stream, hello)).await.map_err(|_| failed(stage::HELLO, Kind::TimedOut))?
}

fn unreached(error: OutboundError) -> ConnectError {
    let kind = match error.cause {
        _ if error.is_timeout() => Kind::TimedOut,
        Cause::Url(_) => Kind::Misuse,
        _ => Kind::Unreachable,
    };
    because(stage::DIAL, kind, error)
}

fn refused(error: BadUpgrade) -> ConnectError {
    let kind = match &error {
        BadUpgrade::Status(status) => {
            let refused = UpgradeRefused { status: status.as_u16() };
            return because(stage::UPGRADE, refused.kind(), refused);
        }
        // What answers is no web server.
        BadUpgrade::Http(error) if error.is_parse() || error.is_parse_too_large() => Kind::Incompatible,
        BadUpgrade::Http(_) => Kind::Unreachable,
        BadUpgrade::Answer(_) => Kind::Incompatible,
        // It goes away with the login.
        BadUpgrade::Login(_) => Kind::Unreachable,
        BadUpgrade::Url(_) => Kind::Misuse,
    };
    because(stage::UPGRADE, kind, error)
}

async fn exchange(stream: &mut RelayStream, hello: &ClientHello) -> Result<ServerHello, ConnectError> {
    stream.sink.put(Opcode::Text, &[hello.encode().as_bytes()]);
    // When sending fails the relay's close, with its reason, may still be there to read.
    let sent = stream.sink.flush().await;
    loop {
        let text = match stream.source.next().await {
            Ok(Item::Text(text)) => text,
            Ok(Item::Close(goodbye)) => return Err(closed_at(stage::HELLO, closed_by_relay(goodbye))),
            Ok(Item::Ping(payload)) => {
                stream.sink.put(Opcode::Pong, &[&payload]);
                let _ = stream.sink.flush().await;
                continue;
            }
            Ok(Item::Pong) => continue,
            Ok(Item::Binary(_)) => return Err(unreadable(HelloError::InvalidPayload)),
            Err(error @ Lost::Violation(_)) => return Err(because(stage::HELLO, Kind::Incompatible, error)),
            Err(error) => {
                let error = sent.err().map_or(error, Lost::Io);
                return Err(because(stage::HELLO, Kind::Unreachable, error));
            }
        };
        let answer = ServerHello::decode(&text).map_err(unreadable)?;
        if answer.client_nonce != hello.client_nonce {
            return Err(unreadable(HelloError::InvalidPayload));
        }
        return Ok(answer);
    }
}

fn unreadable(error: HelloError) -> ConnectError {
    because(stage::HELLO, Kind::Incompatible, error)
}
