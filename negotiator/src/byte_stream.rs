//! A session as a stream of bytes, for whatever reads and writes those: copies, framed codecs, TLS.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use futures::{FutureExt, future::BoxFuture};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    error::SessionEnd,
    session::{Received, Session},
    streams::MessageSink,
};

/// Bytes both ways over one session, in order, each direction ended on its own: [`Session::into_bytes`].
///
/// Messages are its buffers and nothing more: how they were cut does not show. A write is done when its bytes are held here, a
/// flush when the session has accepted them, `shutdown` when the peer was told that no more come. *Accepted* is not
/// *delivered*: a program that ends goes on to [`Session::close`].
///
/// Reading ends with 0 bytes after the other side shut its direction down, and with an error when the session ended before that.
/// Datagrams that arrive are passed over: they have no place in an order.
pub struct ByteStream {
    sink: MessageSink,
    /// What arrived and was not read.
    unread: Bytes,
    finished: bool,
    receiving: Option<BoxFuture<'static, Result<Received, SessionEnd>>>,
    shut: bool,
}

impl Session {
    /// Takes this handle as a stream of bytes. Other clones remain, for `explain()`, events and `close()`; none of them
    /// should send or receive.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use negotiator::Session;
    /// use tokio::io::AsyncWriteExt;
    ///
    /// async fn upload(session: Session, mut file: tokio::fs::File) -> std::io::Result<()> {
    ///     let mut bytes = session.clone().into_bytes();
    ///     tokio::io::copy(&mut file, &mut bytes).await?;
    ///     bytes.shutdown().await?; // no more from here; what the other side says still arrives
    ///     session.close().await;
    ///     Ok(())
    /// }
    /// ```
    pub fn into_bytes(self) -> ByteStream {
        ByteStream {
            sink: self.outgoing(),
            unread: Bytes::new(),
            finished: false,
            receiving: None,
            shut: false,
        }
    }
}

impl ByteStream {
    /// Returns the session below.
    pub fn session(&self) -> &Session {
        &self.sink.session
    }

    fn poll_accepted(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sink.poll_accepted(cx).map_err(|error| io::Error::new(io::ErrorKind::BrokenPipe, error))
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        while stream.unread.is_empty() && !stream.finished && into.remaining() > 0 {
            let session = &stream.sink.session;
            let receiving = stream.receiving.get_or_insert_with(|| {
                let session = session.clone();
                async move { session.recv().await }.boxed()
            });
            let received = ready!(receiving.poll_unpin(cx));
            stream.receiving = None;
            match received {
                Ok(Received::Message(bytes)) => stream.unread = bytes,
                Ok(Received::Finished) => stream.finished = true,
                Ok(Received::Datagram(_)) => {}
                Err(end) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, end))),
            }
        }
        let length = stream.unread.len().min(into.remaining());
        into.put_slice(&stream.unread[..length]);
        stream.unread.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        if stream.shut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(stream.poll_accepted(cx))?;
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        // What a person types on another clone would stand behind a longer one.
        let length = bytes.len().min(stream.session().bulk_length());
        stream.sink.take(Bytes::copy_from_slice(&bytes[..length]));
        // Most are accepted at once; the rest is waited for by the next write or flush.
        match stream.poll_accepted(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(length)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_accepted(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        ready!(stream.poll_accepted(cx))?;
        if !stream.shut {
            stream.shut = true;
            stream.session().finish();
        }
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStream")
            .field("session", self.session())
            .field("unread_bytes", &self.unread.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test brings the runtime")]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::testing::MemoryNetwork;

    #[tokio::test(start_paused = true)]
    async fn a_megabyte_goes_through_a_change_of_path_and_each_direction_ends_on_its_own() {
        let network = MemoryNetwork::new();
        let pair = network.pair().await.unwrap();
        let (mut up, mut down) = (pair.viewer.clone().into_bytes(), pair.hosted.clone().into_bytes());
        let sent: Vec<u8> = (0..1_000_000u32).map(|byte| byte.to_le_bytes()[1]).collect();
        let write = async {
            for (number, part) in sent.chunks(250_000).enumerate() {
                up.write_all(part).await.unwrap();
                if number == 1 {
                    network.primary.block();
                }
            }
            up.shutdown().await.unwrap();
            assert_eq!(up.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            let mut answer = String::new();
            up.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "all of it");
        };
        let read = async {
            let mut heard = Vec::new();
            down.read_to_end(&mut heard).await.unwrap();
            assert!(heard == sent);
            down.write_all(b"all of it").await.unwrap();
            down.shutdown().await.unwrap();
        };
        futures::join!(write, read);
        assert!(pair.viewer.stats().links >= 2, "{:?}", pair.viewer.stats());
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_without_a_goodbye_is_an_error_and_not_an_end_of_file() {
        let pair = MemoryNetwork::new().pair().await.unwrap();
        let mut bytes = pair.hosted.clone().into_bytes();
        pair.viewer.abort("gone");
        let error = bytes.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(bytes.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
