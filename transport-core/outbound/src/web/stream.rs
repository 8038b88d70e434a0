//! An answer without an end: its body is read as it comes.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::sync::{mpsc, oneshot};
use wasm_bindgen_futures::spawn_local;

use super::{
    cause::Cause,
    fetch::{Abort, Begun, begin},
};
use crate::request::Request;

/// An answer whose body is still coming, whatever its status.
#[derive(Debug)]
#[non_exhaustive]
pub struct Streaming {
    /// The status.
    pub status: StatusCode,
    /// The headers that the browser shows.
    pub headers: HeaderMap,
    /// What comes behind them.
    pub body: Body,
}

/// The body of an answer. Dropped, the request is aborted. Who does not read holds the sender back.
#[derive(Debug)]
pub struct Body(mpsc::Receiver<Result<Bytes, Cause>>);

impl Body {
    /// Polls for the next piece; `None` at the end.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cause>>> {
        self.0.poll_recv(cx)
    }
}

/// Sends the request, and waits for the head of the answer. Dropped, the request is aborted.
pub(super) async fn stream(request: Request) -> Result<Streaming, Cause> {
    let (mut to_asker, answer) = oneshot::channel();
    spawn_local(async move {
        let abort = Abort::new();
        let begun = tokio::select! {
            begun = begin(&request, &abort) => begun,
            () = to_asker.closed() => return abort.now(),
        };
        let Begun { status, headers, body: mut pieces } = match begun {
            Ok(begun) => begun,
            Err(cause) => return drop(to_asker.send(Err(cause))),
        };
        let (to_reader, body) = mpsc::channel(1);
        if to_asker.send(Ok(Streaming { status, headers, body: Body(body) })).is_err() {
            return abort.now();
        }
        loop {
            let piece = tokio::select! {
                piece = pieces.next() => piece.transpose(),
                () = to_reader.closed() => return abort.now(),
            };
            let Some(piece) = piece else { return };
            let is_last = piece.is_err();
            if to_reader.send(piece).await.is_err() {
                return abort.now();
            }
            if is_last {
                return;
            }
        }
    });
    answer.await.unwrap_or(Err(Cause::Blocked))
}
