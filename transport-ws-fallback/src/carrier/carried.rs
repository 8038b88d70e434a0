//! The relay's bytes, whatever carries them.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use beach_outbound::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pipe::Pipe;

/// A connection of its own, or a pair of HTTP's.
pub(crate) enum Carried {
    Http(Box<Pipe>),
    Socket(Stream),
}

macro_rules! forward {
    ($self:ident, $call:ident($($argument:expr),*)) => {
        match $self.get_mut() {
            Carried::Http(pipe) => Pin::new(&mut **pipe).$call($($argument),*),
            Carried::Socket(stream) => Pin::new(stream).$call($($argument),*),
        }
    };
}

impl AsyncRead for Carried {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self, poll_read(cx, buffer))
    }
}

impl AsyncWrite for Carried {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        forward!(self, poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, poll_shutdown(cx))
    }
}
