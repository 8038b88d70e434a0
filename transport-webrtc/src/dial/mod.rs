//! One dial, stage by stage. Dropping it closes what it opened and tells the peer.

mod farewell;
mod fault;
mod steps;

use std::{future::pending, sync::Arc};

use tokio::sync::watch;
use transport_core::{Carriage, ConnectErrorKind, DialRole, Lane, Progress, Target, signaling::LinkChannel};

use self::{
    farewell::Farewell,
    fault::{declined, incompatible, unreachable},
    steps::EARLY,
};
use crate::{
    channel::Channel,
    config::WebRtcConfig,
    error::{Failure, Stage},
    message::{DeclineReason, LinkMessage, VERSION},
    peer::{Peer, local_addresses},
    runtime::{
        Duration, Instant, Interval, JoinSet, MissedTickBehavior, interval, now, sleep_until, spawn,
        timeout_at,
    },
    supervisor::{Link, supervise},
    transport::{Shared, WebRtcTransport, index},
};

/// Dials, and leaves a supervisor behind that ends with the transport.
pub(crate) async fn dial(
    config: &WebRtcConfig,
    target: &Target,
    link: Arc<LinkChannel>,
) -> Result<WebRtcTransport, Failure> {
    let started = now();
    let mut farewell = Farewell { link: Some(link.clone()), reason: DeclineReason::GaveUp };
    let dialed = match target.role {
        DialRole::Offerer => Dial::offer(config, target, link, started).await,
        DialRole::Answerer => Dial::answer(config, target, link, started).await,
    };
    let done = match dialed {
        Ok(dial) => dial.run().await,
        Err(failure) => Err(failure),
    };
    match &done {
        Ok(_) => farewell.link = None,
        Err(failure) if failure.is_exhausted() => farewell.reason = DeclineReason::Exhausted,
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
        target: &Target,
        link: Arc<LinkChannel>,
        started: Instant,
    ) -> Result<Self, Failure> {
        let mut dial = Self::new(config, target, link, started).await?;
        let sdp = dial.peer.offer(config).await.map_err(|e| incompatible(Stage::Signaling, e))?;
        dial.gathering_since = now();
        let term = config.datagram_channel.then(|| config.labels.term.clone());
        dial.say(LinkMessage::Offer { version: VERSION, sdp, ctrl: config.labels.ctrl.clone(), term })
            .await?;
        Ok(dial)
    }

    async fn answer(
        config: &'a WebRtcConfig,
        target: &Target,
        link: Arc<LinkChannel>,
        started: Instant,
    ) -> Result<Self, Failure> {
        let deadline = started + config.deadlines.signaling.min(config.deadlines.total);
        let mut early = Vec::new();
        let offer = timeout_at(deadline, wait_for_offer(config, &link, &mut early));
        let (sdp, term) = offer.await.unwrap_or_else(|_| Err(Failure::timed_out(Stage::Signaling)))?;
        // Nothing is opened before there is an offer.
        let mut dial = Self::new(config, target, link, started).await?;
        dial.early = early;
        dial.wants_datagram = term && config.datagram_channel;
        let sdp = dial.peer.answer(sdp).await.map_err(|e| incompatible(Stage::Signaling, e))?;
        dial.gathering_since = now();
        let term = dial.wants_datagram.then(|| config.labels.term.clone());
        dial.say(LinkMessage::Answer { sdp, term }).await?;
        dial.describe().await;
        Ok(dial)
    }

    async fn new(
        config: &'a WebRtcConfig,
        target: &Target,
        link: Arc<LinkChannel>,
        started: Instant,
    ) -> Result<Self, Failure> {
        let peer = Peer::open(config).await?;
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
        // Without it the handshake fails, as it must.
        let binding = self.peer.channel_binding(self.role).await.unwrap_or_default();
        let [datagram, reliable] = self.channels;
        let [readers, reader] = self.readers;
        let carriage = if datagram.is_some() { Carriage::Native } else { Carriage::Emulated };
        let transport = WebRtcTransport::new(self.config, self.shared.clone(), carriage, path, binding);
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
            spawn(supervise(link, self.config.clone()));
        } else {
            self.shared.leave();
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
            self.stage = (stage, now());
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

/// Interval of the pings that ask whether a channel is open: a lost one must not cost the stage.
const KNOCK: Duration = Duration::from_millis(50);
