//! The browser's peer connection: made from our configuration, observed through one channel of events, closed whatever
//! happens.

use std::{collections::BTreeSet, net::IpAddr, pin::Pin, rc::Rc};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use transport_core::{DialRole, Lane};
use wasm_bindgen_futures::spawn_local;

use super::{connection::Connection, error::BrowserError};
use crate::{config::WebRtcConfig, error::Failure, fingerprint::fingerprint, peer_event::PeerEvent};

/// A peer connection. Dropping it closes it.
pub(crate) struct Peer {
    pub(crate) events: mpsc::Receiver<PeerEvent>,
    /// To the task that owns the connection.
    jobs: mpsc::Sender<Job>,
    /// Ends that task when it is dropped, whatever the browser still owes it.
    _alive: oneshot::Sender<()>,
}

/// What that task does next.
type Job = Box<dyn FnOnce(Rc<Connection>) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

impl Peer {
    pub(crate) async fn open(config: &WebRtcConfig) -> Result<Self, Failure> {
        let (sender, events) = mpsc::channel(EVENTS);
        let (jobs, mut asked) = mpsc::channel::<Job>(1);
        let (to_opener, opened) = oneshot::channel();
        let (alive, abandoned) = oneshot::channel();
        let config = config.clone();
        spawn_local(async move {
            let connection = match Connection::open(&config, sender) {
                Ok(connection) => Rc::new(connection),
                Err(failure) => return drop(to_opener.send(Err(failure))),
            };
            let _ = to_opener.send(Ok(()));
            let work = async {
                while let Some(job) = asked.recv().await {
                    job(connection.clone()).await;
                }
            };
            tokio::select! {
                () = work => {}
                _ = abandoned => {}
            }
        });
        opened.await.unwrap_or(Ok(()))?;
        Ok(Self { events, jobs, _alive: alive })
    }

    /// Makes the channels and the offer, and begins to gather.
    pub(crate) async fn offer(&self, config: &WebRtcConfig) -> Result<String, BrowserError> {
        let mut channels = vec![(Lane::Reliable, config.labels.ctrl.clone())];
        if config.datagram_channel {
            channels.push((Lane::Datagram, config.labels.term.clone()));
        }
        self.ask(async move |connection| connection.offer(channels).await).await
    }

    /// Takes an offer, makes the answer, and begins to gather.
    pub(crate) async fn answer(&self, offer: String) -> Result<String, BrowserError> {
        self.ask(async move |connection| connection.answer(&offer).await).await
    }

    pub(crate) async fn accept(&self, answer: String) -> Result<(), BrowserError> {
        self.ask(async move |connection| connection.accept(&answer).await).await
    }

    /// Tries one more candidate of the peer, unless it is [refused](crate::remote::RemoteCandidates).
    pub(crate) async fn add_candidate(&self, candidate: String) -> Result<(), BrowserError> {
        self.ask(async move |connection| connection.add_candidate(&candidate).await).await
    }

    /// Gives the path up and makes an offer for another one.
    pub(crate) async fn restart(&self) -> Result<String, BrowserError> {
        self.ask(async move |connection| connection.restart().await).await
    }

    /// Describes the path in words, without addresses.
    pub(crate) async fn path(&self) -> Option<&'static str> {
        let relayed = self.ask(async move |connection| connection.is_relayed().await).await.ok()??;
        Some(if relayed { "through a TURN server" } else { "udp, direct" })
    }

    /// SHA-256 of the two certificates that DTLS runs between, the offerer's first: 64 bytes. The browser holds both
    /// sides to what the descriptions promise. `None` where they promise nothing or more than one.
    pub(crate) async fn channel_binding(&self, role: DialRole) -> Option<Bytes> {
        let described = self.ask(async move |connection| Ok(connection.descriptions())).await.ok()?;
        let [ours, theirs] = described.map(|sdp| fingerprint(&sdp.unwrap_or_default()));
        Some(match role {
            DialRole::Offerer => [ours?, theirs?].concat().into(),
            DialRole::Answerer => [theirs?, ours?].concat().into(),
        })
    }

    pub(crate) async fn close(self) {}

    /// Has the task do something with the connection.
    async fn ask<T, F, J>(&self, job: J) -> Result<T, BrowserError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, BrowserError>> + 'static,
        J: FnOnce(Rc<Connection>) -> F + Send + 'static,
    {
        let (done, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            Box::pin(async move {
                // Nobody waits any more: what was done is of no use.
                let _ = done.send(job(connection).await);
            })
        });
        self.jobs.send(job).await.map_err(|_| BrowserError::gone())?;
        answer.await.unwrap_or_else(|_| Err(BrowserError::gone()))
    }
}

/// A page does not learn of its machine's addresses: to itself it never moves.
pub(crate) fn local_addresses() -> BTreeSet<IpAddr> {
    BTreeSet::new()
}

/// A page has no file descriptors that could run out.
pub(crate) async fn exhausted(_: &WebRtcConfig) -> Option<Failure> {
    None
}

/// Events that may wait. The browser cannot be held back, so they are more than a connection has.
const EVENTS: usize = 256;
