//! The streaming answer: the first record at once, then whatever the socket writes.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use beach_lifeguard_client::{
    stream::{CONTENT_TYPE, Opened},
    websocket::{HeadBytes, Opcode},
};
use bytes::Bytes;
use http::{HeaderName, header};
use hyper::body::Frame;
use tokio::io::{AsyncRead, DuplexStream, ReadBuf};

/// Answers with `opened` and then with everything that `from` gives, until it ends.
pub(super) fn answer(opened: &Opened, from: DuplexStream) -> Response {
    let record = opened.encode();
    let head = HeadBytes::server(Opcode::Text, record.len());
    let first = Bytes::from([head.as_bytes(), record.as_bytes()].concat());
    let headers = [
        (header::CONTENT_TYPE, CONTENT_TYPE),
        // `no-transform`: a proxy that compresses would collect bytes first.
        (header::CACHE_CONTROL, "no-store, no-transform"),
        // nginx passes each piece on as it comes.
        (X_ACCEL_BUFFERING, "no"),
    ];
    (headers, Body::new(Answer { first: Some(first), from })).into_response()
}

struct Answer {
    first: Option<Bytes>,
    from: DuplexStream,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let mut bytes = [MaybeUninit::uninit(); PIECE_BYTES];
        let mut piece = ReadBuf::uninit(&mut bytes);
        ready!(Pin::new(&mut self.from).poll_read(cx, &mut piece))?;
        let piece = piece.filled();
        let frame = (!piece.is_empty()).then(|| Ok(Frame::data(Bytes::copy_from_slice(piece))));
        Poll::Ready(frame)
    }
}

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Handed to `hyper` at once, which holds little more than that.
const PIECE_BYTES: usize = 16 * 1024;
