//! Opens the HTTP carrier: the hello goes up, an answer without an end comes down.

use beach_lifeguard_client::{
    ClientHello, RELAY_PATH,
    hello::{HelloError, MAX_SERVER_HELLO_BYTES},
    stream::{CONTENT_TYPE, Opened, STREAM_PATH},
    websocket::Opcode,
};
use beach_outbound::{Outbound, Stream, login_page};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use url::{Position, Url};

use super::{
    Carried, StreamFailed,
    pipe::{Down, Pipe},
    upload::Uploader,
};
use crate::{
    config::Deadlines,
    runtime::timeout,
    wire::{Item, Lost},
    ws::{WebSocket, read_first, refusal_reason, written},
};

/// Sends `hello` over `stream`, a connection to the relay at `url`, and reads the first record of the answer.
pub(crate) async fn open(
    url: &Url,
    stream: Stream,
    outbound: &Outbound,
    deadlines: &Deadlines,
    hello: &ClientHello,
) -> Result<WebSocket<Carried>, StreamFailed> {
    let prefix = url.path().strip_suffix(RELAY_PATH).unwrap_or_default();
    let body = written(Opcode::Text, hello.encode().as_bytes());
    let request = post(url, &format!("{prefix}{STREAM_PATH}"), body)?;
    let mut down = timeout(deadlines.upgrade, ask(url, stream, request))
        .await
        .unwrap_or(Err(StreamFailed::Silent(deadlines.upgrade)))?;
    let (first, ahead) = timeout(deadlines.hello, read_first(&mut down, MAX_SERVER_HELLO_BYTES))
        .await
        .map_err(|_| StreamFailed::HeldBack(deadlines.hello))??;
    let Item::Text(record) = first else { return Err(HelloError::InvalidPayload.into()) };
    let Opened { carrier, upload_bytes } = Opened::decode(&record)?;
    let uploader = Uploader::new(url.clone(), prefix.to_owned(), outbound.clone(), carrier, upload_bytes);
    let pipe = Carried::Left(Box::new(Pipe::new(down, uploader)));
    Ok(WebSocket::new(pipe, ahead, MAX_SERVER_HELLO_BYTES))
}

/// A request to the relay at `url`, with another path.
pub(super) fn post(url: &Url, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    Request::post(path)
        .header(header::HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(header::CONTENT_TYPE, CONTENT_TYPE)
        .header(header::CACHE_CONTROL, "no-store")
        .body(Full::new(body))
}

async fn ask(url: &Url, stream: Stream, request: Request<Full<Bytes>>) -> Result<Down, StreamFailed> {
    let (mut requests, mut connection) =
        http1::Builder::new().max_buf_size(MAX_BUFFER).handshake(TokioIo::new(stream)).await?;
    let (answer, over) = {
        let answered = async {
            let answer = requests.send_request(request).await?;
            check(url, answer).await
        };
        tokio::pin!(answered);
        tokio::select! {
            answer = &mut answered => (answer?, false),
            // It is over, well or badly: the answer knows.
            _ = &mut connection => (answered.await?, true),
        }
    };
    let connection = (!over).then_some(connection);
    Ok(Down { body: answer.into_body(), connection, _requests: requests, piece: Bytes::new() })
}

/// Whether it is the relay that answers.
async fn check(url: &Url, answer: Response<Incoming>) -> Result<Response<Incoming>, StreamFailed> {
    if let Some(login) = login_page(url, answer.status(), answer.headers()) {
        return Err(StreamFailed::Login(login));
    }
    if answer.status() != StatusCode::OK {
        let status = answer.status().as_u16();
        return Err(StreamFailed::Status { status, reason: refusal_reason(answer.into_body()).await });
    }
    let content = answer.headers().get(header::CONTENT_TYPE);
    if content.is_none_or(|content| content.as_bytes() != CONTENT_TYPE.as_bytes()) {
        return Err(StreamFailed::Content);
    }
    Ok(answer)
}

impl From<Lost> for StreamFailed {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::HungUp => Self::Broken("it ended".into()),
            Lost::Io(error) => Self::Broken(error.into()),
            Lost::Violation(violation) => Self::Garbled(violation.into()),
        }
    }
}

/// Of the answer's head, and of what is read at once.
const MAX_BUFFER: usize = 64 << 10;
