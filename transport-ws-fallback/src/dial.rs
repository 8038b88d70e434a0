//! From a URL to a greeted relay, stage by stage, by either carrier.

use std::io;

use beach_lifeguard_client::{
    ClientHello, ServerHello, hello::HelloError, stream::reason, websocket::Opcode,
};
use beach_outbound::Outbound;
use transport_core::{ConnectError, ConnectErrorKind as Kind, Progress};
use url::Url;

use crate::{
    carrier::Carrier,
    config::Deadlines,
    error::{NeitherCarrier, because, closed_at, failed, stage},
    runtime::timeout,
    socket::closed_by_relay,
    wire::{self, Item, Lost, Opened, RelayStream},
};

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
    pub(crate) fault: Fault,
    /// If a hello was said at all, it did not come to the relay: its token is as good as before.
    pub(crate) unheard: bool,
}

/// What another carrier can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: the relay has spoken, or the way is the same for both.
    Final,
    /// Whoever answers has no relay at hand now; another carrier may be led to another one. Says nothing about this one.
    Moment,
    /// Something on the way is at fault that may let another carrier through.
    Way,
}

impl Fault {
    /// Of an answer with another status than the one that was asked for.
    pub(crate) fn of_answer(status: u16, said_by_relay: bool, reason: Option<&str>) -> Self {
        match reason {
            Some(reason::DRAINING) => Self::Moment,
            _ if said_by_relay => Self::Final,
            // A gateway behind which nobody is there, or that has too much to do.
            None if matches!(status, 502..=504) => Self::Moment,
            _ => Self::Way,
        }
    }
}

/// Reaches the relay and exchanges the hellos. `hello` is asked once, when there is somebody to say it to.
pub(crate) async fn reach(
    way: &Way<'_>,
    carrier: Carrier,
    hello: impl FnOnce() -> Option<ClientHello>,
) -> Result<(RelayStream, ServerHello), Failed> {
    let said = || hello().ok_or_else(|| final_word(failed(stage::HELLO, Kind::Misuse)));
    let Opened { mut stream, hello, sent } = wire::open(way, carrier, said).await?;
    let answer = timeout(way.deadlines.hello, answer(&mut stream, &hello, sent)).await;
    let answer = answer.unwrap_or_else(|_| Err(on_the_way(failed(stage::HELLO, Kind::TimedOut))))?;
    Ok((stream, answer))
}

/// Says what became of both carriers.
pub(crate) fn neither(earlier: (Carrier, ConnectError), later: (Carrier, ConnectError)) -> ConnectError {
    let kinds = [earlier.1.kind, later.1.kind];
    // Whichever may do at another moment.
    let kind =
        [Kind::TimedOut, Kind::Unreachable, Kind::Unready].into_iter().find(|kind| kinds.contains(kind));
    let (stage, kind) = (later.1.stage, kind.unwrap_or(later.1.kind));
    let (websocket, http) = match earlier.0 {
        Carrier::WebSocket => (earlier.1, later.1),
        Carrier::Http => (later.1, earlier.1),
    };
    because(stage, kind, NeitherCarrier { websocket: websocket.chain(), http: http.chain() })
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
pub(crate) fn final_word(error: ConnectError) -> Failed {
    Failed { error, fault: Fault::Final, unheard: false }
}

pub(crate) fn on_the_way(error: ConnectError) -> Failed {
    Failed { error, fault: Fault::Way, unheard: false }
}
