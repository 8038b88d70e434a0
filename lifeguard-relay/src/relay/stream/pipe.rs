//! A carrier in the form of a stream of bytes.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use beach_lifeguard_client::stream::CarrierId;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::{Streams, uploads::Uploads};

/// Reads what uploads brought and writes what the answer carries. Dropped, the answer ends and the id is nobody's.
#[derive(Debug)]
pub(super) struct Pipe {
    uploads: Arc<Uploads>,
    down: DuplexStream,
    registered: (Arc<Streams>, CarrierId),
}

impl Pipe {
    pub(super) fn new(
        uploads: Arc<Uploads>,
        down: DuplexStream,
        registered: (Arc<Streams>, CarrierId),
    ) -> Self {
        Self { uploads, down, registered }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let (streams, id) = &self.registered;
        streams.remove(id);
        self.uploads.end();
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.uploads.poll_read(cx, buf).is_ready() {
            return Poll::Ready(Ok(()));
        }
        // The answer's side writes nothing: when there is something to read it is that the answer has ended, because
        // its connection did.
        Pin::new(&mut self.down).poll_read(cx, buf)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.down).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.down).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.down).poll_shutdown(cx)
    }
}
