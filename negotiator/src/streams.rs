//! Sessions, messages and events in the shapes of `futures`: for `select!`, combinators and whatever else takes one.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::{
    FutureExt, Sink,
    future::BoxFuture,
    stream::{self, BoxStream, StreamExt},
};

use crate::{
    error::{SendError, SessionEnd},
    host::Host,
    session::{Received, Session},
};

impl Session {
    /// Returns what arrives, as a stream. Its last item says how the session ended.
    ///
    /// It takes from the same inbox as [`recv`](Self::recv): each message goes to one of them.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use futures::StreamExt;
    /// use negotiator::{Received, Session};
    ///
    /// async fn print(session: Session) {
    ///     let mut arriving = session.incoming();
    ///     while let Some(Ok(Received::Message(bytes))) = arriving.next().await {
    ///         println!("{} bytes", bytes.len());
    ///     }
    /// }
    /// ```
    pub fn incoming(&self) -> BoxStream<'static, Result<Received, SessionEnd>> {
        stream::unfold(Some(self.clone()), |session| async move {
            let session = session?;
            match session.recv().await {
                Ok(received) => Some((Ok(received), Some(session))),
                Err(end) => Some((Err(end), None)),
            }
        })
        .fuse()
        .boxed()
    }

    /// Returns a sink for messages. Flushed means accepted; closing it says that this side sends no more, as
    /// [`finish`](Self::finish) does, and does not close the session.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use futures::{SinkExt, stream, StreamExt};
    /// use negotiator::{SendError, Session};
    ///
    /// async fn count(session: &Session) -> Result<(), SendError> {
    ///     let numbers = stream::iter(1..=100).map(|number| Ok(format!("{number}\n").into()));
    ///     numbers.forward(session.outgoing()).await
    /// }
    /// ```
    pub fn outgoing(&self) -> MessageSink {
        MessageSink { session: self.clone(), sending: None }
    }
}

impl Host {
    /// Returns each viewer whose session is usable, as a stream that ends when the host is closed. It takes from where
    /// [`accept`](Self::accept) does.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use futures::StreamExt;
    /// use negotiator::Host;
    ///
    /// async fn greet(host: &Host) {
    ///     // Thirty-two viewers at a time are greeted.
    ///     host.viewers().for_each_concurrent(32, |viewer| async move {
    ///         let _ = viewer.send("welcome".into()).await;
    ///     }).await;
    /// }
    /// ```
    pub fn viewers(&self) -> BoxStream<'_, Session> {
        stream::unfold(self, |host| async move { Some((host.accept().await?, host)) }).fuse().boxed()
    }
}

/// Takes messages for a session: [`Session::outgoing`].
pub struct MessageSink {
    pub(crate) session: Session,
    sending: Option<BoxFuture<'static, Result<(), SendError>>>,
}

impl MessageSink {
    /// Begins to send a message; the one before must have been accepted.
    pub(crate) fn take(&mut self, message: Bytes) {
        let session = self.session.clone();
        self.sending = Some(async move { session.send(message).await }.boxed());
    }

    /// Waits until the message that was taken last is accepted.
    pub(crate) fn poll_accepted(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        if let Some(sending) = &mut self.sending {
            let sent = ready!(sending.poll_unpin(cx));
            self.sending = None;
            sent?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Sink<Bytes> for MessageSink {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.get_mut().poll_accepted(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Bytes) -> Result<(), SendError> {
        self.get_mut().take(message);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.get_mut().poll_accepted(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let sink = self.get_mut();
        ready!(sink.poll_accepted(cx))?;
        sink.session.finish();
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for MessageSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageSink")
            .field("session", &self.session)
            .field("sending", &self.sending.is_some())
            .finish()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test brings the runtime")]
mod tests {
    use futures::{SinkExt, TryStreamExt};

    use super::*;
    use crate::testing::MemoryNetwork;

    #[tokio::test(start_paused = true)]
    async fn what_goes_into_the_sink_comes_out_of_the_stream_and_closing_it_ends_one_direction() {
        let pair = MemoryNetwork::new().pair().await.unwrap();
        let numbers = stream::iter(0..5_000u32).map(|number| Ok(number.to_be_bytes().to_vec().into()));
        let sent = numbers.forward(pair.viewer.outgoing());
        let heard = pair
            .hosted
            .incoming()
            .try_take_while(|received| futures::future::ready(Ok(*received != Received::Finished)));
        let (sent, heard) = futures::join!(sent, heard.try_collect::<Vec<_>>());
        sent.unwrap();
        let wanted = (0..5_000u32).map(|number| Received::Message(number.to_be_bytes().to_vec().into()));
        assert!(heard.unwrap().into_iter().eq(wanted));
        // The other direction goes on.
        pair.hosted.outgoing().send("still".into()).await.unwrap();
        assert_eq!(pair.viewer.recv().await.unwrap(), Received::Message("still".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_stream_says_how_it_ended_and_then_nothing_and_the_sink_hands_the_message_back() {
        let pair = MemoryNetwork::new().pair().await.unwrap();
        let (mut arriving, mut sink) = (pair.hosted.incoming(), pair.hosted.outgoing());
        pair.viewer.send("last words".into()).await.unwrap();
        pair.viewer.close().await;
        assert_eq!(arriving.next().await.unwrap().unwrap(), Received::Message("last words".into()));
        assert_eq!(arriving.next().await.unwrap().unwrap(), Received::Finished);
        assert!(matches!(arriving.next().await, Some(Err(SessionEnd::Closed(_)))));
        assert_eq!(arriving.next().await, None);
        let error = sink.send("too late".into()).await.unwrap_err();
        assert!(matches!(error, SendError::Ended { payload } if payload == "too late"));
    }

    #[tokio::test(start_paused = true)]
    async fn viewers_and_events_are_streams() {
        let network = MemoryNetwork::new();
        let host = network.share(MemoryNetwork::host_config()).await.unwrap();
        let mut viewers = host.viewers();
        let joining = network.viewer(&host, crate::NetworkConfig::default()).connect();
        let (viewer, hosted) = futures::join!(joining, viewers.next());
        let (viewer, _hosted) = (viewer.unwrap(), hosted.unwrap());
        let events = viewer.events();
        network.primary.cut();
        let names: Vec<_> = StreamExt::map(events, |event| event.name).take(1).collect().await;
        assert_eq!(names.len(), 1);
        host.close().await;
        assert!(viewers.next().await.is_none());
    }
}
