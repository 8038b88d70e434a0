//! A stream that only its owner knows: inside `hyper`, or one that is no connection at all.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Any stream of bytes.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin> Duplex for S {}

/// Such a stream cannot say that it has become writable; it can only be asked to write. So when it takes nothing
/// it is owed a few bytes, and whoever waits for it writes those.
#[derive(Debug)]
pub(super) struct Foreign<S = Box<dyn Duplex>> {
    stream: S,
    /// Accepted, and not yet taken by the stream.
    owed: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Foreign<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, owed: Vec::new() }
    }

    /// Writes what the stream takes. When it takes nothing and nothing is owed yet, a few bytes are accepted all
    /// the same.
    pub(super) fn poll_accept(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_owed(cx))?;
        match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Pending => {
                let accepted = bytes.len().min(OWED);
                self.owed.extend_from_slice(&bytes[..accepted]);
                Poll::Ready(Ok(accepted))
            }
            written => written,
        }
    }

    fn poll_owed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.owed.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.owed))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.owed.drain(..written),
            };
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Foreign<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Foreign<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_owed(cx))?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_owed(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_owed(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Bytes a stream is owed at most.
const OWED: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Waker};

    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_a_full_stream_accepted_arrives_when_it_is_waited_for() {
        let (ours, mut theirs) = duplex(8);
        let mut stream = Foreign::new(ours);
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(matches!(stream.poll_accept(&mut nobody, b"12345678"), Poll::Ready(Ok(8))));
        assert!(matches!(stream.poll_accept(&mut nobody, b"90"), Poll::Ready(Ok(2))), "owed");
        assert!(stream.poll_accept(&mut nobody, b"ab").is_pending(), "full, and owed already");
        let reader = tokio::spawn(async move {
            let mut read = [0; 10];
            theirs.read_exact(&mut read).await.map(|_| read)
        });
        poll_fn(|cx| Pin::new(&mut stream).poll_flush(cx)).await.unwrap();
        assert_eq!(&reader.await.unwrap().unwrap(), b"1234567890");
    }
}
