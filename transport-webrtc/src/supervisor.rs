//! Looks after one live link: measures, watches ICE, restarts it once, and takes it all down.

use std::{collections::BTreeSet, future::pending, net::IpAddr, sync::Arc};

use tokio::sync::mpsc;
use transport_core::{CloseCode, Closed, DialRole, Initiator, Lane, signaling::LinkChannel};

use crate::{
    channel::Channel,
    config::{IceRestart, WebRtcConfig},
    frame::Frame,
    message::LinkMessage,
    peer::{Peer, local_addresses},
    peer_event::{IceState, PeerEvent},
    runtime::{
        Duration, Instant, JoinSet, MissedTickBehavior, interval, now, sleep_until, timeout, timeout_at,
    },
    transport::{Shared, send_lane},
};

/// Everything one live link is made of.
pub(crate) struct Link {
    pub(crate) shared: Arc<Shared>,
    pub(crate) peer: Peer,
    pub(crate) signaling: Arc<LinkChannel>,
    pub(crate) role: DialRole,
    pub(crate) reliable: Arc<Channel>,
    /// Absent when datagrams travel on the reliable channel.
    pub(crate) datagram: Option<Arc<Channel>>,
    /// The reader of the reliable channel; it ends when the peer hangs up.
    pub(crate) reader: JoinSet<()>,
    /// The reader of the other one.
    pub(crate) _readers: JoinSet<()>,
    /// This machine's addresses when the path was found.
    pub(crate) addresses: BTreeSet<IpAddr>,
}

/// Tells those who wait for the end, also when the supervisor is dropped.
struct Leaving(Arc<Shared>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// What is known about a path that went silent.
#[derive(Debug, Clone, Copy)]
struct Silence {
    /// When the link is given up, unless the path comes back first.
    until: Instant,
    /// ICE is restarted once at most.
    restarted: bool,
}

impl Link {
    /// Says whether this machine's addresses are others than when the path was found.
    fn has_moved(&self) -> bool {
        local_addresses() != self.addresses
    }
}

/// Runs `link` until it has ended and everything it opened is closed. Whoever waits for
/// [`closed`](transport_core::Transport::closed) waits for its goodbye.
pub(crate) async fn supervise(mut link: Link, config: WebRtcConfig) {
    let leaving = Leaving(link.shared.clone());
    let mut senders = JoinSet::new();
    senders.spawn(send_lane(link.shared.clone(), link.reliable.clone(), Lane::Reliable, true));
    let own = link.datagram.is_some();
    let datagrams = link.datagram.as_ref().unwrap_or(&link.reliable).clone();
    let mut others = JoinSet::new();
    others.spawn(send_lane(link.shared.clone(), datagrams.clone(), Lane::Datagram, own));
    others.spawn(ping(link.shared.clone(), datagrams, config.ping_interval));
    let (words, said) = mpsc::channel(WORDS);
    others.spawn(speak(link.signaling.clone(), said));

    let closed = watch(&mut link, &words, &config).await;

    if closed.initiator == Initiator::Local {
        goodbye(&mut link, senders, &closed).await;
    }
    // What the stack still does when it is taken down tells the peer nothing new.
    drop(leaving);
    drop(others);
    link.peer.close().await;
}

/// Waits for the end of the link, doing what must be done meanwhile.
async fn watch(link: &mut Link, words: &mpsc::Sender<LinkMessage>, config: &WebRtcConfig) -> Closed {
    let shared = link.shared.clone();
    let asks = link.role == DialRole::Offerer && config.ice_restart != IceRestart::Never;
    let mut ask = interval(ASK);
    let mut signaling_works = true;
    let mut silence: Option<Silence> = None;
    loop {
        tokio::select! {
            closed = shared.ended() => return closed,
            event = link.peer.events.recv() => match event {
                Some(PeerEvent::Ice(IceState::Connected)) => silence = None,
                Some(PeerEvent::Ice(IceState::Disconnected)) if silence.is_none() => {
                    let until = now() + config.ice_timeouts.failed;
                    silence = Some(Silence { until, restarted: false });
                    ask.reset_immediately();
                }
                Some(PeerEvent::Ice(IceState::Failed)) | None => {
                    shared.end(Closed::network("ICE found no way to the peer"));
                }
                Some(PeerEvent::Insecure) => {
                    shared.end(Closed::network("DTLS ended"));
                }
                Some(PeerEvent::Candidate(candidate)) => say(words, LinkMessage::Candidate { candidate }),
                // Too late to be used, or not wanted: datagrams already have their way.
                Some(PeerEvent::Opened { label, .. })
                    if link.datagram.is_none() && label == config.labels.term => {}
                Some(PeerEvent::Opened { .. }) => {
                    shared.end(Closed::local(CloseCode::PROTOCOL_ERROR, "a further channel"));
                }
                Some(PeerEvent::Ice(_) | PeerEvent::Gathered | PeerEvent::Secured) => {}
            },
            body = link.signaling.recv(), if signaling_works => match body {
                Ok(body) => hear(link, words, config, &body, &mut silence).await,
                Err(_) => signaling_works = false,
            },
            // An address may come a while after the old one went, and signaling with it.
            _ = ask.tick(), if asks && silence.is_some_and(|silence| !silence.restarted) => {
                say(words, LinkMessage::RestartAsk);
            }
            () = until(silence) => {
                shared.end(Closed::network("the path went silent"));
            }
        }
    }
}

async fn until(silence: Option<Silence>) {
    match silence {
        Some(silence) => sleep_until(silence.until).await,
        None => pending().await,
    }
}

/// Takes one message of the peer's supervisor. What cannot be used is ignored: the path decides
/// about the link, not signaling.
async fn hear(
    link: &mut Link,
    words: &mpsc::Sender<LinkMessage>,
    config: &WebRtcConfig,
    body: &str,
    silence: &mut Option<Silence>,
) {
    let Ok(Some(message)) = LinkMessage::decode(body) else { return };
    let done = match (message, link.role) {
        (LinkMessage::Candidate { candidate }, _) => link.peer.add_candidate(candidate).await,
        (LinkMessage::RestartAsk, DialRole::Answerer) => {
            say(words, LinkMessage::RestartReady { moved: link.has_moved() });
            Ok(())
        }
        (LinkMessage::RestartReady { moved }, DialRole::Offerer) => match silence {
            Some(silence)
                if !silence.restarted
                    && (moved || config.ice_restart == IceRestart::Always || link.has_moved()) =>
            {
                silence.restarted = true;
                link.addresses = local_addresses();
                let offer = link.peer.restart().await;
                offer.map(|sdp| say(words, LinkMessage::RestartOffer { sdp }))
            }
            _ => Ok(()),
        },
        (LinkMessage::RestartOffer { sdp }, DialRole::Answerer) => {
            link.addresses = local_addresses();
            let answer = link.peer.answer(sdp).await;
            answer.map(|sdp| say(words, LinkMessage::RestartAnswer { sdp }))
        }
        (LinkMessage::RestartAnswer { sdp }, DialRole::Offerer) => link.peer.accept(sdp).await,
        _ => Ok(()),
    };
    if let Err(error) = done {
        tracing::debug!(target: "transport_webrtc", %error, "ICE restart: a step failed");
    }
}

/// Flushes, tells the peer, and gives it a moment to hang up: everything within [`GOODBYE`].
async fn goodbye(link: &mut Link, mut senders: JoinSet<()>, closed: &Closed) {
    let abandoned = link.shared.is_abandoned();
    let deadline = now() + if abandoned { HASTY_GOODBYE } else { GOODBYE };
    if abandoned {
        link.shared.outbound().clear_lane(Lane::Reliable);
    }
    let last_words = async {
        // The sender ends once the closed queue is empty.
        senders.join_next().await;
        let close = Frame::Close { code: closed.code, reason: closed.detail.clone() };
        if link.reliable.send(&close).await.is_ok() {
            // The peer hangs up when it has read everything up to here.
            link.reader.join_next().await;
        }
    };
    let _ = timeout_at(deadline, last_words).await;
}

/// Measures the round trip. In a task of its own: the stack's queue is bounded for both channels together, so on a
/// path that takes nothing even a ping waits, and the supervisor must not.
async fn ping(shared: Arc<Shared>, datagrams: Arc<Channel>, every: Duration) {
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut passed_over, mut received) = (0, 0);
    loop {
        tick.tick().await;
        let before = std::mem::replace(&mut received, shared.received());
        // On a narrow path each packet beside bulk counts, and bulk that moves is the better witness.
        if (shared.is_busy() || received - before > BULK) && passed_over < PASSED_OVER {
            passed_over += 1;
            continue;
        }
        passed_over = 0;
        shared.probed(&datagrams).send_now_or_never(&shared.ping()).await;
    }
}

/// Says things in order without making the supervisor wait.
async fn speak(signaling: Arc<LinkChannel>, mut said: mpsc::Receiver<LinkMessage>) {
    while let Some(message) = said.recv().await {
        // The room may be gone with the path; the next message may find it back.
        let _ = timeout(SPEAK, signaling.send(message.encode())).await;
    }
}

fn say(words: &mpsc::Sender<LinkMessage>, message: LinkMessage) {
    // Full: signaling is not moving, and a restart will not succeed.
    let _ = words.try_send(message);
}

/// Time for flushing and for the peer to hang up.
const GOODBYE: Duration = Duration::from_secs(2);

/// The same when the last handle was dropped: nothing is flushed, the peer is only told.
const HASTY_GOODBYE: Duration = Duration::from_millis(500);

/// Bytes received between two pings that are bulk: 32 kbit/s at the default interval.
const BULK: u64 = 2_048;

/// Pings left out in a row while bulk is under way.
const PASSED_OVER: u32 = 3;

/// Interval of asking whether a restart makes sense.
const ASK: Duration = Duration::from_secs(1);

/// Time for one message to signaling.
const SPEAK: Duration = Duration::from_secs(1);

/// Messages to signaling that may wait: one restart and its candidates.
const WORDS: usize = 64;
