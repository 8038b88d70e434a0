//! One dial, stage by stage. Dropping it closes what it opened and tells the peer.

use std::{future::pending, sync::Arc, time::Duration};

use rustls::ClientConfig;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout, timeout_at},
};
use transport_core::{
    Carriage, ConnectErrorKind, DialRole, Lane, Progress, Target,
    signaling::{LinkChannel, SignalingError},
};
use webrtc::data::data_channel::DataChannel;

use crate::{
    channel::Channel,
    config::WebRtcConfig,
    error::{Failure, Stage},
    message::{DeclineReason, LinkMessage, VERSION},
    peer::{IceState, Peer, PeerEvent, local_addresses},
    supervisor::{Link, supervise},
    transport::{Shared, WebRtcTransport, read_channel},
};

/// Dials, and leaves a supervisor behind that ends with the transport.
pub(crate) async fn dial(
    config: &WebRtcConfig,
    tls: &Arc<ClientConfig>,
    target: &Target,
    link: Arc<LinkChannel>,
) -> Result<WebRtcTransport, Failure> {
    let started = Instant::now();
    let mut farewell = Farewell { link: Some(link.clone()), reason: DeclineReason::GaveUp };
    let dialed = match target.role {
        DialRole::Offerer => Dial::offer(config, tls, target, link, started).await,
        DialRole::Answerer => Dial::answer(config, tls, target, link, started).await,
    };
    let done = match dialed {
        Ok(dial) => dial.run().await,
        Err(failure) => Err(failure),
    };
    match &done {
        Ok(_) => farewell.link = None,
        Err(failure) if failure.kind == ConnectErrorKind::Incompatible => {
            let own_network = matches!(failure.stage, Stage::Gathering | Stage::Checks);
            farewell.reason = if own_network { DeclineReason::NoUdp } else { DeclineReason::Incompatible };
        }
        Err(_) => {}
    }
    done
}

struct Dial<'a> {
    config: &'a WebRtcConfig,
    role: DialRole,
    progress: Progress,
    link: Arc<LinkChannel>,
    peer: Peer,
    shared: Arc<Shared>,
    started: Instant,
    /// The stage as last seen, and since when.
    stage: (Stage, Instant),
    gathering_since: Instant,
    /// Both descriptions are applied.
    described: bool,
    /// Remote candidates that came before the remote description.
    early: Vec<String>,
    local_candidates: usize,
    ice: bool,
    secured: bool,
    /// Whether the two sides agreed on a channel for datagrams.
    wants_datagram: bool,
    channels: [Option<Arc<Channel>>; 2],
    readers: [JoinSet<()>; 2],
    hearing: watch::Receiver<[bool; 2]>,
    knock: Interval,
    signaling_works: bool,
}

impl<'a> Dial<'a> {
    async fn offer(
        config: &'a WebRtcConfig,
        tls: &Arc<ClientConfig>,
        target: &Target,
        link: Arc<LinkChannel>,
        started: Instant,
    ) -> Result<Self, Failure> {
        let mut dial = Self::new(config, tls, target, link, started).await?;
        let sdp = dial.peer.offer(config).await.map_err(|e| incompatible(Stage::Signaling, e))?;
        dial.gathering_since = Instant::now();
        let term = config.datagram_channel.then(|| config.labels.term.clone());
        dial.say(LinkMessage::Offer { version: VERSION, sdp, ctrl: config.labels.ctrl.clone(), term })
            .await?;
        Ok(dial)
    }

    async fn answer(
        config: &'a WebRtcConfig,
        tls: &Arc<ClientConfig>,
        target: &Target,
        link: Arc<LinkChannel>,
        started: Instant,
    ) -> Result<Self, Failure> {
        let deadline = started + config.deadlines.signaling.min(config.deadlines.total);
        let mut early = Vec::new();
        let offer = timeout_at(deadline, wait_for_offer(config, &link, &mut early));
        let (sdp, term) = offer.await.unwrap_or_else(|_| Err(Failure::timed_out(Stage::Signaling)))?;
        // Nothing is opened before there is an offer.
        let mut dial = Self::new(config, tls, target, link, started).await?;
        dial.early = early;
        dial.wants_datagram = term && config.datagram_channel;
        let sdp = dial.peer.answer(sdp).await.map_err(|e| incompatible(Stage::Signaling, e))?;
        dial.gathering_since = Instant::now();
        let term = dial.wants_datagram.then(|| config.labels.term.clone());
        dial.say(LinkMessage::Answer { sdp, term }).await?;
        dial.describe().await;
        Ok(dial)
    }

    async fn new(
        config: &'a WebRtcConfig,
        tls: &Arc<ClientConfig>,
        target: &Target,
        link: Arc<LinkChannel>,
        started: Instant,
    ) -> Result<Self, Failure> {
        let peer = Peer::open(config, tls).await?;
        let shared = Shared::new(config);
        let hearing = shared.hearing();
        let mut knock = interval(KNOCK);
        knock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            config,
            role: target.role,
            progress: target.progress.clone(),
            link,
            peer,
            shared,
            started,
            stage: (Stage::Signaling, started),
            gathering_since: started,
            described: false,
            early: Vec::new(),
            local_candidates: 0,
            ice: false,
            secured: false,
            wants_datagram: config.datagram_channel,
            channels: [None, None],
            readers: [JoinSet::new(), JoinSet::new()],
            hearing,
            knock,
            signaling_works: true,
        })
    }

    async fn run(mut self) -> Result<WebRtcTransport, Failure> {
        loop {
            let deadline = self.deadline();
            if self.is_open(Lane::Reliable) && (!self.wants_datagram || self.is_open(Lane::Datagram)) {
                return Ok(self.finish().await);
            }
            let knocking = self.role == DialRole::Offerer && self.channels.iter().any(Option::is_some);
            let signaling =
                async { if self.signaling_works { self.link.recv().await } else { pending().await } };
            tokio::select! {
                event = self.peer.events.recv() => match event {
                    Some(event) => self.on_event(event).await?,
                    None => return Err(self.failure(ConnectErrorKind::Unreachable, "the connection closed")),
                },
                said = signaling => self.on_said(said).await?,
                _ = self.knock.tick(), if knocking => self.knock().await,
                _ = self.hearing.changed() => {}
                closed = self.shared.ended() => {
                    return Err(self.failure(ConnectErrorKind::Unreachable, closed));
                }
                () = sleep_until(deadline) => {
                    if self.is_open(Lane::Reliable) && self.stage.0 == Stage::ChannelOpen {
                        // The hidden reliability rule: the session goes on over the one channel.
                        self.channels[0] = None;
                        return Ok(self.finish().await);
                    }
                    return Err(Failure::timed_out(self.stage.0));
                }
            }
        }
    }

    /// Hands everything to a supervisor.
    async fn finish(self) -> WebRtcTransport {
        let path = self.peer.path().await.unwrap_or("udp");
        let [datagram, reliable] = self.channels;
        let [readers, reader] = self.readers;
        let carriage = if datagram.is_some() { Carriage::Native } else { Carriage::Emulated };
        let transport = WebRtcTransport::new(self.config, self.shared.clone(), carriage, path);
        if let Some(reliable) = reliable {
            let link = Link {
                shared: self.shared,
                peer: self.peer,
                signaling: self.link,
                role: self.role,
                reliable,
                datagram,
                reader,
                _readers: readers,
                addresses: local_addresses(),
            };
            tokio::spawn(supervise(link, self.config.clone()));
        }
        transport
    }

    /// Says whether the channel of `lane` works in both directions, as far as this side can know. The
    /// answerer's opens only when the peer's request arrived; the offerer's opens unilaterally, so
    /// it must hear something on it.
    fn is_open(&self, lane: Lane) -> bool {
        let open = self.channels[index(lane)].is_some();
        open && (self.role == DialRole::Answerer || self.shared.has_heard(lane))
    }

    /// Notes the stage and returns when it ends.
    fn deadline(&mut self) -> Instant {
        let stage = if !self.described {
            Stage::Signaling
        } else if self.local_candidates == 0 {
            Stage::Gathering
        } else if !self.ice {
            Stage::Checks
        } else if !self.secured {
            Stage::Dtls
        } else {
            Stage::ChannelOpen
        };
        if stage != self.stage.0 {
            tracing::debug!(target: "transport_webrtc", stage = stage.label(), "dial");
            self.stage = (stage, Instant::now());
        }
        let limits = &self.config.deadlines;
        let ends = match stage {
            Stage::Signaling => self.stage.1 + limits.signaling,
            Stage::Gathering => self.gathering_since + limits.gathering,
            Stage::Checks => self.stage.1 + limits.checks,
            Stage::Dtls => self.stage.1 + limits.dtls,
            Stage::ChannelOpen => self.stage.1 + limits.channel_open,
        };
        ends.min(self.started + limits.total)
    }

    async fn on_event(&mut self, event: PeerEvent) -> Result<(), Failure> {
        match event {
            PeerEvent::Candidate(candidate) => {
                self.local_candidates += 1;
                self.say(LinkMessage::Candidate { candidate }).await?;
            }
            PeerEvent::Gathered if self.local_candidates == 0 => return Err(self.no_candidate()),
            PeerEvent::Ice(IceState::Connected) => {
                self.progress.mark_answered();
                self.ice = true;
            }
            PeerEvent::Ice(IceState::Failed) => {
                return Err(self.failure(ConnectErrorKind::Unreachable, "no candidate pair answered"));
            }
            PeerEvent::Secured => (self.ice, self.secured) = (true, true),
            PeerEvent::Insecure => {
                return Err(self.failure(ConnectErrorKind::Unreachable, "the DTLS handshake failed"));
            }
            PeerEvent::Opened { label, raw } => self.on_opened(&label, raw)?,
            PeerEvent::Gathered | PeerEvent::Ice(_) => {}
        }
        Ok(())
    }

    fn no_candidate(&self) -> Failure {
        let kind = match self.config.policy {
            crate::IcePolicy::All => ConnectErrorKind::Incompatible,
            // The servers may answer later, or to other credentials.
            crate::IcePolicy::RelayOnly => ConnectErrorKind::Unreachable,
        };
        Failure::new(Stage::Gathering, kind, "no candidate: no UDP socket or no TURN server can be used")
    }

    fn on_opened(&mut self, label: &str, raw: Arc<DataChannel>) -> Result<(), Failure> {
        let lane = if label == self.config.labels.ctrl {
            Lane::Reliable
        } else if label == self.config.labels.term {
            if !self.wants_datagram {
                // Offered before this side could say that it does not want one.
                return Ok(());
            }
            Lane::Datagram
        } else {
            return Err(incompatible(Stage::ChannelOpen, "a channel that was not agreed on"));
        };
        let limit = match lane {
            Lane::Datagram => self.config.datagram_queue,
            Lane::Reliable => self.config.send_buffer,
        };
        let channel = Arc::new(Channel::new(raw, limit.get()));
        if self.channels[index(lane)].is_some() || !channel.fits(lane) {
            return Err(incompatible(Stage::ChannelOpen, "a channel of the wrong kind"));
        }
        self.readers[index(lane)].spawn(read_channel(self.shared.clone(), channel.clone(), lane));
        self.channels[index(lane)] = Some(channel);
        Ok(())
    }

    async fn on_said(&mut self, said: Result<String, SignalingError>) -> Result<(), Failure> {
        let body = match said {
            Ok(body) => body,
            Err(error) if !self.described => return Err(unreachable(error)),
            Err(_) => {
                self.signaling_works = false;
                return Ok(());
            }
        };
        let message = LinkMessage::decode(&body).map_err(|error| incompatible(Stage::Signaling, error))?;
        match message {
            Some(LinkMessage::Answer { sdp, term }) if !self.described => {
                if term.as_ref().is_some_and(|term| *term != self.config.labels.term) {
                    return Err(incompatible(Stage::Signaling, DeclineReason::Incompatible));
                }
                self.wants_datagram &= term.is_some();
                self.peer.accept(sdp).await.map_err(|error| incompatible(Stage::Signaling, error))?;
                self.describe().await;
            }
            Some(LinkMessage::Candidate { candidate }) if self.described => self.add(candidate).await,
            Some(LinkMessage::Candidate { candidate }) if self.early.len() < EARLY => {
                self.early.push(candidate)
            }
            Some(LinkMessage::Decline { reason }) => return Err(declined(self.stage.0, reason)),
            _ => {}
        }
        Ok(())
    }

    async fn describe(&mut self) {
        self.described = true;
        for candidate in std::mem::take(&mut self.early) {
            self.add(candidate).await;
        }
    }

    async fn add(&self, candidate: String) {
        // One candidate that cannot be used leaves the others.
        if let Err(error) = self.peer.add_candidate(candidate).await {
            tracing::debug!(target: "transport_webrtc", %error, "a remote candidate was not used");
        }
    }

    /// Asks for a sign of life on every channel that has given none.
    async fn knock(&self) {
        for lane in Lane::ALL {
            if let Some(channel) = &self.channels[index(lane)]
                && !self.shared.has_heard(lane)
            {
                channel.send_now_or_never(&self.shared.ping()).await;
            }
        }
    }

    async fn say(&mut self, message: LinkMessage) -> Result<(), Failure> {
        let deadline = self.deadline();
        match timeout_at(deadline, self.link.send(message.encode())).await {
            Ok(Ok(())) => Ok(()),
            // A candidate more or less does not decide once both sides know each other.
            _ if self.described => Ok(()),
            Ok(Err(error)) => Err(unreachable(error)),
            Err(_) => Err(Failure::timed_out(Stage::Signaling)),
        }
    }

    fn failure(
        &self,
        kind: ConnectErrorKind,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Failure {
        Failure::new(self.stage.0, kind, cause)
    }
}

/// Waits for the offer and returns its description and whether it offers a channel for datagrams.
async fn wait_for_offer(
    config: &WebRtcConfig,
    link: &LinkChannel,
    early: &mut Vec<String>,
) -> Result<(String, bool), Failure> {
    loop {
        let body = link.recv().await.map_err(unreachable)?;
        let message = LinkMessage::decode(&body).map_err(|error| incompatible(Stage::Signaling, error))?;
        match message {
            Some(LinkMessage::Offer { version, sdp, ctrl, term }) => {
                let labels = &config.labels;
                let same = ctrl == labels.ctrl && term.as_ref().is_none_or(|term| *term == labels.term);
                if version != VERSION || !same {
                    return Err(incompatible(Stage::Signaling, DeclineReason::Incompatible));
                }
                return Ok((sdp, term.is_some()));
            }
            Some(LinkMessage::Candidate { candidate }) if early.len() < EARLY => early.push(candidate),
            Some(LinkMessage::Decline { reason }) => return Err(declined(Stage::Signaling, reason)),
            _ => {}
        }
    }
}

/// Tells the peer that this side does not go on, unless it is defused.
struct Farewell {
    link: Option<Arc<LinkChannel>>,
    reason: DeclineReason,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        if let (Some(link), Ok(runtime)) = (self.link.take(), tokio::runtime::Handle::try_current()) {
            let message = LinkMessage::Decline { reason: self.reason }.encode();
            runtime.spawn(async move { timeout(FAREWELL, link.send(message)).await });
        }
    }
}

fn declined(stage: Stage, reason: DeclineReason) -> Failure {
    let kind = match reason {
        // Its own dial failed; that says as much about the path as ours failing.
        DeclineReason::GaveUp => ConnectErrorKind::Unreachable,
        DeclineReason::Incompatible | DeclineReason::NoUdp => ConnectErrorKind::Incompatible,
        DeclineReason::Other => ConnectErrorKind::Rejected,
    };
    Failure::new(stage, kind, reason)
}

fn incompatible(stage: Stage, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(stage, ConnectErrorKind::Incompatible, cause)
}

fn unreachable(error: SignalingError) -> Failure {
    let kind = match error {
        SignalingError::Refused { .. } => ConnectErrorKind::Rejected,
        _ => ConnectErrorKind::Unreachable,
    };
    Failure::new(Stage::Signaling, kind, error)
}

const fn index(lane: Lane) -> usize {
    match lane {
        Lane::Datagram => 0,
        Lane::Reliable => 1,
    }
}

/// Interval of the pings that ask whether a channel is open: a lost one must not cost the stage.
const KNOCK: Duration = Duration::from_millis(50);

/// Remote candidates kept until the remote description is there.
const EARLY: usize = 64;

/// Time for telling the peer that this side gave up.
const FAREWELL: Duration = Duration::from_secs(1);
