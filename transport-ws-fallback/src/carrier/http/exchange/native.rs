//! HTTP/1.1 on connections of `beach-outbound`'s.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use beach_lifeguard_client::stream::CONTENT_TYPE;
use beach_outbound::{
    Outbound, Stream,
    http::{StatusCode, header},
    login_page,
};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{self, Body},
    client::conn::http1::{self, Connection, SendRequest},
};
use hyper_util::rt::TokioIo;
use url::{Position, Url};

use super::{super::StreamFailed, Answer};
use crate::{dial::Way, runtime::timeout};

/// What the stream is asked for on: a connection to the relay.
pub(crate) type Via = Stream;

/// The body of an answer, which reads its connection.
pub(in super::super) struct Incoming {
    body: body::Incoming,
    /// `None` once it is over.
    connection: Option<Connection<TokioIo<Stream>, Full<Bytes>>>,
    /// Without it the connection would take itself for unused.
    _requests: SendRequest<Full<Bytes>>,
}

impl Incoming {
    /// Polls for the next bytes; `None` at the end.
    pub(in super::super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(connection) = &mut self.connection
            && Pin::new(connection).poll(cx).is_ready()
        {
            // Well or badly: the body knows.
            self.connection = None;
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => Ok(frame.into_data().unwrap_or_default()),
            Err(error) => Err(io::Error::other(error)),
        }))
    }
}

/// Posts `body` to `path` of the relay, and waits for the head of the answer.
pub(in super::super) async fn ask(
    way: &Way<'_>,
    via: Via,
    path: &str,
    body: Bytes,
) -> Result<Answer, StreamFailed> {
    let request = post(way.url, path, body)?;
    let limit = way.deadlines.upgrade;
    timeout(limit, answered(way.url, via, request)).await.unwrap_or(Err(StreamFailed::Silent(limit)))
}

async fn answered(url: &Url, stream: Stream, request: Request<Full<Bytes>>) -> Result<Answer, StreamFailed> {
    let (mut requests, mut connection) =
        http1::Builder::new().max_buf_size(MAX_BUFFER).handshake(TokioIo::new(stream)).await?;
    let (answer, over) = {
        let answered = requests.send_request(request);
        tokio::pin!(answered);
        tokio::select! {
            answer = &mut answered => (answer?, false),
            // It is over, well or badly: the answer knows.
            _ = &mut connection => (answered.await?, true),
        }
    };
    if let Some(login) = login_page(url, answer.status(), answer.headers()) {
        return Err(StreamFailed::Login(login));
    }
    let content = answer.headers().get(header::CONTENT_TYPE);
    Ok(Answer {
        status: answer.status(),
        is_relays: content.is_some_and(|content| content.as_bytes() == CONTENT_TYPE.as_bytes()),
        body: Incoming {
            body: answer.into_body(),
            connection: (!over).then_some(connection),
            _requests: requests,
        },
    })
}

/// Requests one after the other, on a connection that is kept while it stands.
pub(in super::super) struct Requests {
    relay: Url,
    outbound: Outbound,
    /// From the request before, if it still stands.
    kept: Option<Kept>,
}

struct Kept {
    requests: SendRequest<Full<Bytes>>,
    work: Connection<TokioIo<Stream>, Full<Bytes>>,
}

impl Requests {
    pub(in super::super) fn new(way: &Way<'_>) -> Self {
        Self { relay: way.url.clone(), outbound: way.outbound.clone(), kept: None }
    }

    /// Posts `body` to `path`, and returns the status of the answer.
    pub(in super::super) async fn post(&mut self, path: &str, body: Bytes) -> io::Result<StatusCode> {
        let mut connection = match self.kept.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let request = post(&self.relay, path, body).map_err(io::Error::other)?;
        let (answer, over) = connection.ask(request).await;
        let status = answer.map_err(io::Error::other)?.status();
        // An answer with a body is not read: its connection is of no use.
        self.kept = (!over && status == StatusCode::NO_CONTENT).then_some(connection);
        Ok(status)
    }

    async fn connect(&self) -> io::Result<Kept> {
        let stream = self.outbound.open(&self.relay).await.map_err(io::Error::other)?;
        let (requests, work) =
            http1::Builder::new().handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        Ok(Kept { requests, work })
    }
}

impl Kept {
    /// Returns the answer, and whether the connection is over.
    async fn ask(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> (hyper::Result<Response<body::Incoming>>, bool) {
        let Self { requests, work } = self;
        let answered = async {
            requests.ready().await?;
            requests.send_request(request).await
        };
        tokio::pin!(answered);
        tokio::select! {
            answer = &mut answered => (answer, false),
            // Well or badly: the answer knows.
            _ = work => (answered.await, true),
        }
    }
}

fn post(url: &Url, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    Request::post(path)
        .header(header::HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(header::CONTENT_TYPE, CONTENT_TYPE)
        .header(header::CACHE_CONTROL, "no-store")
        .body(Full::new(body))
}

/// Of the answer's head, and of what is read at once.
const MAX_BUFFER: usize = 64 << 10;
