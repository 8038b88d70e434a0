//! From a URL to a greeted relay socket, stage by stage.

use std::{io, net::SocketAddr, sync::Arc};

use beach_lifeguard_client::{ClientHello, ServerHello, hello::HelloError, websocket::Opcode};
use futures::{StreamExt, stream::FuturesUnordered};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::MaybeTlsStream;
use transport_core::{ConnectError, ConnectErrorKind as Kind, Progress};
use url::Url;

use crate::{
    config::Deadlines,
    error::{UpgradeRefused, because, closed_at, failed, stage},
    runtime::{Duration, sleep, timeout},
    socket::closed_by_relay,
    ws::{BadUpgrade, Item, Lost, WebSocket, upgrade},
};

/// A WebSocket to the relay, plain on loopback, TLS elsewhere.
pub(crate) type RelayStream = WebSocket<MaybeTlsStream<TcpStream>>;

/// Opens the WebSocket: stages `dial` and `upgrade`. `progress` learns when a TCP handshake was answered.
pub(crate) async fn open(
    url: &Url,
    tls: &Arc<ClientConfig>,
    deadlines: &Deadlines,
    progress: &Progress,
) -> Result<RelayStream, ConnectError> {
    let stream = timeout(deadlines.dial, reach(url, tls, progress))
        .await
        .map_err(|_| failed(stage::DIAL, Kind::TimedOut))?
        .map_err(|error| because(stage::DIAL, Kind::Unreachable, error))?;
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

/// Name, TCP, TLS.
async fn reach(
    url: &Url,
    tls: &Arc<ClientConfig>,
    progress: &Progress,
) -> io::Result<MaybeTlsStream<TcpStream>> {
    let no_host = || io::Error::new(io::ErrorKind::InvalidInput, "the relay's URL names no host");
    let host = url.host_str().ok_or_else(no_host)?.trim_matches(['[', ']']);
    let port = url.port_or_known_default().ok_or_else(no_host)?;
    let stream = race(lookup_host((host, port)).await?.collect()).await?;
    progress.mark_answered();
    // Keystrokes do not wait for company.
    stream.set_nodelay(true)?;
    if url.scheme() != "wss" {
        return Ok(MaybeTlsStream::Plain(stream));
    }
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    Ok(MaybeTlsStream::Rustls(TlsConnector::from(tls.clone()).connect(name, stream).await?))
}

/// Tries all addresses, each a quarter of a second after the one before (RFC 8305 §5), families in
/// turn: a black hole on one must not cost the whole deadline.
async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let attempt = |(nth, address): (u32, SocketAddr)| async move {
        sleep(STAGGER * nth).await;
        TcpStream::connect(address).await
    };
    let mut attempts: FuturesUnordered<_> = (0..).zip(in_turn(addresses)).map(attempt).collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the relay's name has no address");
    while let Some(attempt) = attempts.next().await {
        match attempt {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The resolver's order, with the families alternating (RFC 8305 §4).
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut turns = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair.iter().all(Option::is_none) {
            return turns;
        }
        turns.extend(pair.into_iter().flatten());
    }
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

/// Between two attempts of a race (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_in_the_resolvers_order() {
        let addresses = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"].map(|text| text.parse().unwrap());
        let turns: Vec<String> = in_turn(addresses.to_vec()).iter().map(ToString::to_string).collect();
        assert_eq!(turns, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]);
    }
}
