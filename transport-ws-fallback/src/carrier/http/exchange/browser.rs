//! By `fetch`. Connections, and which of them is kept, are the browser's.
//!
//! Bodies go without a type: with one the browser would ask a relay of another origin, before each upload, whether it
//! may send it.

use std::{
    io,
    task::{Context, Poll, ready},
};

use beach_lifeguard_client::stream::CONTENT_TYPE;
use beach_outbound::{
    Body, Outbound, OutboundError, Request,
    http::{StatusCode, header},
};
use bytes::Bytes;
use url::Url;

use super::{super::StreamFailed, Answer};
use crate::dial::Way;

/// What the stream is asked for on: the browser decides.
pub(crate) type Via = ();

/// The body of an answer.
pub(in super::super) struct Incoming(Body);

impl Incoming {
    /// Polls for the next bytes; `None` at the end.
    pub(in super::super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let piece = ready!(self.0.poll_next(cx));
        Poll::Ready(piece.map(|piece| piece.map_err(|cause| io::Error::other(cause.to_string()))))
    }
}

/// Posts `body` to `path` of the relay, and waits for the head of the answer.
pub(in super::super) async fn ask(
    way: &Way<'_>,
    (): Via,
    path: &str,
    body: Bytes,
) -> Result<Answer, StreamFailed> {
    let answered = way.progress.clone();
    let outbound = way.outbound.on_answer(move || answered.mark_answered());
    let answer = outbound.stream(post(way.url, path, body)).await.map_err(unanswered)?;
    let content = answer.headers.get(header::CONTENT_TYPE);
    Ok(Answer {
        status: answer.status,
        is_relays: content.is_some_and(|content| content.as_bytes() == CONTENT_TYPE.as_bytes()),
        body: Incoming(answer.body),
    })
}

/// Requests one after the other.
pub(in super::super) struct Requests {
    relay: Url,
    outbound: Outbound,
}

impl Requests {
    pub(in super::super) fn new(way: &Way<'_>) -> Self {
        Self { relay: way.url.clone(), outbound: way.outbound.clone() }
    }

    /// Posts `body` to `path`, and returns the status of the answer.
    pub(in super::super) async fn post(&mut self, path: &str, body: Bytes) -> io::Result<StatusCode> {
        let answer = self.outbound.http(post(&self.relay, path, body)).await;
        Ok(answer.map_err(|error| io::Error::other(error.to_string()))?.status)
    }
}

fn unanswered(error: OutboundError) -> StreamFailed {
    if error.is_login_page() { StreamFailed::Login(error) } else { StreamFailed::Unreached(error) }
}

/// The same service by HTTP: `ws` has the ports of `http`, `wss` those of `https`.
fn post(relay: &Url, path: &str, body: Bytes) -> Request {
    let mut url = relay.clone();
    let scheme = if relay.scheme() == "ws" { "http" } else { "https" };
    // Both are special schemes, between which a URL may change.
    let _ = url.set_scheme(scheme);
    url.set_path(path);
    url.set_query(None);
    Request::post_untyped(url, body)
}
