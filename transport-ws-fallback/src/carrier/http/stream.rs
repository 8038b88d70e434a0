//! Opens the HTTP carrier: the hello goes up, an answer without an end comes down.

use beach_lifeguard_client::{
    ClientHello, RELAY_PATH,
    hello::{HelloError, MAX_SERVER_HELLO_BYTES},
    stream::{Opened, STREAM_PATH},
    websocket::Opcode,
};
use beach_outbound::http::StatusCode;
use bytes::BytesMut;
use tokio::io::AsyncReadExt;

use super::{
    StreamFailed,
    exchange::{Answer, Requests, Via, ask},
    pipe::{Down, Pipe},
    refusal::{MAX_REFUSAL, reason_in},
    upload::Uploader,
};
use crate::{
    dial::Way,
    runtime::timeout,
    wire::{Item, Lost},
    ws::{read_first, written},
};

/// Sends `hello` to the relay, and reads the first record of the answer; what came behind it is handed back.
pub(crate) async fn open(
    way: &Way<'_>,
    via: Via,
    hello: &ClientHello,
) -> Result<(Pipe, BytesMut), StreamFailed> {
    let prefix = way.url.path().strip_suffix(RELAY_PATH).unwrap_or_default();
    let body = written(Opcode::Text, hello.encode().as_bytes());
    let mut down = check(ask(way, via, &format!("{prefix}{STREAM_PATH}"), body).await?).await?;
    let limit = way.deadlines.hello;
    let (first, ahead) = timeout(limit, read_first(&mut down, MAX_SERVER_HELLO_BYTES))
        .await
        .map_err(|_| StreamFailed::HeldBack(limit))??;
    let Item::Text(record) = first else { return Err(HelloError::InvalidPayload.into()) };
    let Opened { carrier, upload_bytes } = Opened::decode(&record)?;
    let uploader = Uploader::new(Requests::new(way), prefix.to_owned(), carrier, upload_bytes);
    Ok((Pipe::new(down, uploader), ahead))
}

/// Whether it is the relay that answers, and with a stream.
async fn check(answer: Answer) -> Result<Down, StreamFailed> {
    let Answer { status, is_relays, body } = answer;
    let down = Down::new(body);
    if status != StatusCode::OK {
        let mut refusal = Vec::new();
        let read = down.take(MAX_REFUSAL as u64 + 1).read_to_end(&mut refusal).await;
        let reason = if read.is_ok() { reason_in(&refusal) } else { None };
        return Err(StreamFailed::Status { status: status.as_u16(), reason });
    }
    if is_relays { Ok(down) } else { Err(StreamFailed::Content) }
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
