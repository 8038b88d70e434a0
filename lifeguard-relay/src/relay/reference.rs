//! The reference data path: `tokio-tungstenite`, one task that serves both directions.
//!
//! Built with the feature `reference-path` only, for tests. Slower than [`direct`](super::direct) and beyond suspicion: what one of the two does, the other must do
//! (`docs/adr/0006-the-relay-writes-directly.md`).

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use beach_lifeguard_client::websocket::Violation;
use bytes::Bytes;
use futures::{Sink, SinkExt, Stream, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error as WsError, Message, Utf8Bytes,
        protocol::{CloseFrame, Role as WsRole, WebSocketConfig},
    },
};

use super::{
    activity::Activity,
    ending::{ANSWER_DEADLINE, CLOSE_DEADLINE, Ending, NoHello, Order},
    guard::PeerGuard,
    inbound::Inbound,
    outbound::Outgoing,
    throttle::Throttle,
};

/// A WebSocket that belongs to the relay, before and after its hello.
pub(crate) type WebSocket<S> = WebSocketStream<Metered<S>>;

/// Takes over a socket whose upgrade is done. `leftover` is what the client sent ahead of our answer.
pub(crate) async fn open<S>(
    socket: S,
    leftover: Bytes,
    activity: Arc<Activity>,
    max_message: usize,
) -> WebSocket<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // The library allocates the read buffer at once and never gives up the write buffer: with its
    // defaults an idle connection costs 137 KiB (`docs/perf`).
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER + 2 * max_message)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message));
    let socket = Metered::new(socket, activity);
    if leftover.is_empty() {
        WebSocketStream::from_raw_socket(socket, WsRole::Server, Some(config)).await
    } else {
        WebSocketStream::from_partially_read(socket, leftover.to_vec(), WsRole::Server, Some(config)).await
    }
}

/// Waits for the first text or binary message.
///
/// # Errors
///
/// [`NoHello`] when none came.
pub(crate) async fn first_message<S>(ws: &mut WebSocket<S>) -> Result<Outgoing, NoHello>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match ws.next().await {
            Some(Ok(Message::Text(text))) => return Ok(Outgoing::Text(text.into())),
            Some(Ok(Message::Binary(bytes))) => return Ok(Outgoing::Binary(bytes)),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(_))) => return Err(NoHello::ClientClosed),
            Some(Err(error)) => return Err(NoHello::from(error)),
            None => return Err(NoHello::SocketClosed),
        }
    }
}

impl From<WsError> for NoHello {
    fn from(error: WsError) -> Self {
        match error {
            WsError::Capacity(_) => Self::TooBig,
            WsError::Protocol(_) | WsError::Utf8(_) => Self::Protocol,
            _ => Self::SocketClosed,
        }
    }
}

/// One admitted peer: its socket, and what its messages mean.
#[derive(Debug)]
pub(crate) struct Peer<S> {
    ws: WebSocket<S>,
    inbound: Inbound,
    /// Written to the library, not yet flushed.
    dirty: bool,
    throttle: Throttle,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) fn new(ws: WebSocket<S>, inbound: Inbound) -> Self {
        Self { ws, inbound, dirty: false, throttle: Throttle::default() }
    }

    /// Serves the peer until it ends, then lets go of what `guard` holds.
    ///
    /// One block over captured values, and the rare goodbye boxed: this future is what an idle connection
    /// keeps, and an `async fn` would keep its arguments twice.
    #[expect(clippy::manual_async_fn, reason = "an idle connection would cost 0.8 KiB more")]
    pub(crate) fn run(mut self, guard: PeerGuard) -> impl Future<Output = ()> {
        async move {
            let ending = poll_fn(|cx| self.poll(cx)).await;
            match ending {
                Ending::Lost => {}
                // The library has the answer to the peer's close frame ready.
                Ending::Peer => {
                    let _ = Box::pin(timeout(CLOSE_DEADLINE, self.ws.flush())).await;
                }
                Ending::Relay(order) => Box::pin(close(&mut self.ws, self.inbound.spoken(order))).await,
            }
            guard.ended(ending);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        self.inbound.handle.register(cx.waker());
        if let Some(order) = self.inbound.handle.order() {
            return Poll::Ready(Ending::Relay(order));
        }
        if let Poll::Ready(ending) = self.poll_read(cx) {
            return Poll::Ready(ending);
        }
        // Our own frames may have ended us: a peer that does not read the answers to its mistakes.
        if let Some(order) = self.inbound.handle.order() {
            return Poll::Ready(Ending::Relay(order));
        }
        self.poll_write(cx)
    }

    /// Reads until there is nothing to read; the runtime's budget ends a loop that would starve others.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        loop {
            if let Some(order) = ready!(self.throttle.poll(cx, &mut self.inbound)) {
                return Poll::Ready(Ending::Relay(order));
            }
            let taken = match ready!(Pin::new(&mut self.ws).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.inbound.take(&Outgoing::Binary(bytes)),
                Some(Ok(Message::Text(text))) => self.inbound.take(&Outgoing::Text(text.into())),
                // The library answers pings; they cost the sender like any message.
                Some(Ok(Message::Ping(bytes) | Message::Pong(bytes))) => {
                    self.inbound.tab.charge(bytes.len());
                    Ok(())
                }
                Some(Ok(Message::Frame(_))) => Ok(()),
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ending::Peer),
                Some(Err(error)) => return Poll::Ready(ending_of(&error)),
            };
            if let Err(order) = taken {
                return Poll::Ready(Ending::Relay(order));
            }
        }
    }

    /// Hands all that is queued to the socket and flushes once.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        loop {
            match Pin::new(&mut self.ws).poll_ready(cx) {
                Poll::Pending => {
                    self.inbound.handle.blocked();
                    return Poll::Pending;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(ending_of(&error)),
                Poll::Ready(Ok(())) => {}
            }
            let message = match self.inbound.handle.pop() {
                Some(Outgoing::Binary(bytes)) => Message::Binary(bytes),
                // Was valid UTF-8 when it came in; anything else would be a bug, and is not sent.
                Some(Outgoing::Text(bytes)) => match Utf8Bytes::try_from(bytes) {
                    Ok(text) => Message::Text(text),
                    Err(_) => continue,
                },
                Some(Outgoing::Ping) => Message::Ping(Bytes::new()),
                Some(Outgoing::Pong(bytes)) => Message::Pong(bytes),
                None => break,
            };
            self.dirty = true;
            if let Err(error) = Pin::new(&mut self.ws).start_send(message) {
                return Poll::Ready(ending_of(&error));
            }
        }
        if !self.dirty {
            return Poll::Pending;
        }
        match Pin::new(&mut self.ws).poll_flush(cx) {
            Poll::Pending => self.inbound.handle.blocked(),
            Poll::Ready(Err(error)) => return Poll::Ready(ending_of(&error)),
            Poll::Ready(Ok(())) => {
                self.dirty = false;
                self.inbound.handle.flushed();
            }
        }
        Poll::Pending
    }
}

/// Sends a close frame, then lets the peer answer: closing a socket with unread input would make the
/// kernel send a reset that overtakes the code. What is queued is not waited for.
pub(crate) async fn close<S>(ws: &mut WebSocket<S>, order: Order)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let frame = CloseFrame { code: order.code.get().into(), reason: order.reason.into() };
    if timeout(CLOSE_DEADLINE, ws.send(Message::Close(Some(frame)))).await.is_ok_and(|sent| sent.is_ok()) {
        let answered = async { while let Some(Ok(_)) = ws.next().await {} };
        let _ = timeout(ANSWER_DEADLINE, answered).await;
    }
}

fn ending_of(error: &WsError) -> Ending {
    Ending::Relay(match error {
        WsError::Capacity(_) => Violation::TooBig.into(),
        WsError::Protocol(_) if !is_lost(error) => Violation::Protocol.into(),
        WsError::Utf8(_) => Violation::Utf8.into(),
        _ => return Ending::Lost,
    })
}

/// The library calls a connection that just ends a protocol error.
fn is_lost(error: &WsError) -> bool {
    use tokio_tungstenite::tungstenite::error::ProtocolError;
    matches!(error, WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake))
}

/// A socket that notes when bytes move: a message that drips in is activity, and so is any byte the
/// kernel takes from us.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    socket: S,
    activity: Arc<Activity>,
}

impl<S> Metered<S> {
    pub(crate) fn new(socket: S, activity: Arc<Activity>) -> Self {
        Self { socket, activity }
    }

    fn wrote(&self, result: &Poll<io::Result<usize>>) {
        if matches!(result, Poll::Ready(Ok(1..))) {
            self.activity.note_written();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.socket).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.note_read();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.wrote(&result);
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Bytes read at once; allocated for every connection, idle or not.
const READ_BUFFER: usize = 3 * 1024;
/// Bytes the library may collect before it writes.
const WRITE_BUFFER: usize = 16 * 1024;
