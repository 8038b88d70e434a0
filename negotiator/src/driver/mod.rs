//! The task of one session: feeds the judge with what happens and carries out what it decides.
//!
//! On the leading side the judge is [`FallbackPolicy`]; on the following side it is [`Follower`]. Nothing
//! is decided here.

mod dials;
mod follower;
mod hands;
pub(crate) mod lead;
mod network;
mod sampler;

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, watch};
use transport_core::{
    CloseCode, DialRole, PeerId,
    policy::{Reason, TransitionKind},
    signaling::{Exchange, Message},
};

use self::{
    dials::{DialNews, DialReport},
    follower::Follower,
    hands::Hands,
    lead::Lead,
    network::Watch,
    sampler::Sampler,
};
use crate::{
    config::FallbackMode,
    endpoint::{Endpoint, Ways},
    event::NegotiationEvent,
    explain::{LastError, Outlook},
    pump::Attach,
    rendezvous::FORGOTTEN,
    runtime::{
        Duration, Instant, MissedTickBehavior, SystemTime, interval, now, sleep, sleep_until, timeout,
        wall_clock,
    },
    session::Command,
    shared::{Report, Shared},
};

/// Everything a driver is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) ways: Ways,
    pub(crate) peer: PeerId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) inbox: mpsc::Receiver<Message>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) outlook: watch::Sender<Outlook>,
    pub(crate) events: broadcast::Sender<NegotiationEvent>,
    /// Whether to notice by itself that the machine moved to another network.
    pub(crate) watch_network: bool,
}

/// Which side this is, and its judge.
#[derive(Debug)]
enum Judge {
    Follow(Follower),
    Lead(Box<Lead>),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Driver {
    judge: Judge,
    hands: Hands,
    inbox: mpsc::Receiver<Message>,
    commands: mpsc::Receiver<Command>,
    /// The peer said goodbye through signaling, for this reason.
    left: Option<String>,
    network: Option<Watch>,
}

impl Driver {
    pub(crate) fn lead(parts: Parts, mode: FallbackMode, lead: Lead) -> Self {
        Self::new(parts, mode, Judge::Lead(Box::new(lead)))
    }

    pub(crate) fn follow(parts: Parts, mode: FallbackMode) -> Self {
        Self::new(parts, mode, Judge::Follow(Follower::default()))
    }

    fn new(parts: Parts, mode: FallbackMode, judge: Judge) -> Self {
        let network = parts.watch_network.then(Watch::start);
        let (hands, inbox, commands) = Hands::new(parts, mode);
        Self { judge, hands, inbox, commands, left: None, network }
    }

    /// Runs until the session has ended and its links are closed.
    pub(crate) async fn run(mut self) {
        let mut tick = interval(SAMPLE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut clocks, mut looked) = ((wall_clock(), now()), now());
        let mut signaling = true;
        let gate = match &self.judge {
            Judge::Lead(lead) => lead.gate(),
            Judge::Follow(_) => None,
        };
        loop {
            let shared = self.hands.shared.clone();
            let reported = shared.reported();
            while let Some(report) = shared.report() {
                if report == Report::SessionEnded {
                    return self.finish().await;
                }
                self.report(report);
            }
            self.decide();
            let timeout = self.timeout();
            tokio::select! {
                () = reported => {}
                message = self.inbox.recv(), if signaling => match message {
                    Some(message) => self.hear(message),
                    None => signaling = false,
                },
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command),
                    // The last handle is gone.
                    None => self.hands.shared.close(CloseCode::GOING_AWAY, "the other side went away"),
                },
                report = self.hands.dials.next() => self.dialled(report),
                () = async {
                    match &gate {
                        Some(gate) => gate.changed().await,
                        None => std::future::pending().await,
                    }
                } => if let (Judge::Lead(lead), Some(gate)) = (&mut self.judge, &gate) {
                    lead.gates_changed(gate.gates());
                },
                _ = tick.tick() => {
                    if slept(&mut clocks) {
                        self.command(Command::Woke);
                    }
                    if now().saturating_duration_since(looked) >= LOOK {
                        looked = now();
                        if self.network.as_mut().is_some_and(Watch::moved) {
                            self.command(Command::NetworkChanged);
                        }
                    }
                    self.sample();
                }
                () = sleep_until(timeout.unwrap_or_else(now)), if timeout.is_some() => {
                    if let Judge::Lead(lead) = &mut self.judge {
                        lead.policy.handle_timeout(now());
                    }
                }
            }
        }
    }

    fn timeout(&self) -> Option<Instant> {
        match &self.judge {
            Judge::Lead(lead) => lead.policy.poll_timeout(),
            Judge::Follow(_) => None,
        }
    }

    /// Carries out what was decided, and publishes where the session stands.
    fn decide(&mut self) {
        match &mut self.judge {
            Judge::Lead(lead) => lead.act(&mut self.hands),
            Judge::Follow(_) => {}
        }
        let outlook = match &self.judge {
            Judge::Lead(lead) => lead.outlook(&self.hands),
            Judge::Follow(follower) => self.hands.followed(follower),
        };
        self.hands.outlook.send_if_modified(|old| {
            let changed = *old != outlook;
            *old = outlook;
            changed
        });
    }

    fn report(&mut self, report: Report) {
        match report {
            Report::Attached(generation, resent) => {
                self.hands.retire_before(generation);
                match &mut self.judge {
                    Judge::Lead(lead) => lead.attached(generation, resent),
                    Judge::Follow(follower) => self.hands.tell_followed(follower, generation, resent),
                }
            }
            Report::Drained(generation) => {
                // Only once this side too sends on a newer one: its own last frames may still be inside.
                if self.hands.shared.traffic().current > Some(generation) {
                    self.hands.close(generation, CloseCode::NORMAL, "moved");
                }
            }
            Report::LinkEnded(generation, closed) => {
                let Some(link) = self.hands.links.remove(&generation) else { return };
                let replaced = link.retire.is_some();
                tracing::debug!(%generation, transport = %link.transport, %closed, replaced, "link ended");
                if replaced || self.leave() {
                    return;
                }
                // What took the link may have taken the way to the room, and a fresh dial needs it.
                self.hands.exchange.doubt();
                let error = LastError { text: closed.to_string(), refusal: None };
                self.hands.errors.insert(link.transport.clone(), error);
                match &mut self.judge {
                    Judge::Lead(lead) => lead.lost(generation, &closed),
                    Judge::Follow(_) => {
                        let reason = Reason::LinkClosed;
                        self.hands.say(Message::Lost { generation, reason: reason.code().into() });
                        if self.hands.shared.traffic().current.is_none() {
                            let (from, detail) = (Some(link.transport), closed.to_string());
                            self.hands.tell(
                                TransitionKind::Lost,
                                reason,
                                from,
                                None,
                                Some(generation),
                                detail,
                            );
                        }
                    }
                }
            }
            Report::SessionEnded => {}
        }
    }

    /// Ends the session when the peer said goodbye and no link can bring anything more of it.
    fn leave(&mut self) -> bool {
        match &self.left {
            Some(reason) if self.hands.links.is_empty() => {
                self.hands.shared.peer_left(reason);
                true
            }
            _ => false,
        }
    }

    fn hear(&mut self, message: Message) {
        match (message, &mut self.judge) {
            (Message::Dial { transport, generation, reason }, Judge::Follow(follower)) => {
                if !follower.announced(generation, &reason) {
                    return;
                }
                match self.hands.allowed(&transport) {
                    Ok(()) => {
                        let deadline = now() + FOLLOW;
                        self.hands.dial(&transport, generation, DialRole::Answerer, deadline);
                    }
                    Err(reason) => {
                        let reason = reason.code().into();
                        self.hands.say(Message::Decline { generation, reason });
                    }
                }
            }
            (Message::Decline { generation, reason }, Judge::Lead(lead)) => {
                if self.hands.dials.cancel(generation) {
                    lead.declined(generation, &reason);
                }
            }
            // The path is in doubt, not lost: it stays until a fresh one has won the race against it.
            (Message::Lost { reason, .. }, Judge::Lead(lead)) if reason == Reason::NetworkChanged.code() => {
                lead.peer_moved();
            }
            (Message::Lost { reason, .. }, Judge::Lead(lead)) if reason == Reason::Woke.code() => lead.woke(),
            (Message::Lost { generation, .. }, Judge::Lead(lead)) => lead.peer_lost(generation),
            // It keeps nothing of this session, so whatever is open here leads nowhere.
            (Message::Bye { reason }, Judge::Lead(_)) if reason == FORGOTTEN => {
                self.hands.shared.peer_forgot();
            }
            (Message::Bye { reason }, _) => {
                // With a link alive its own close comes, behind the data before it; but a peer that exits
                // may cut it off, so what was said here counts once the last link is gone.
                self.left = Some(reason.into());
                self.leave();
            }
            // Both sides lead, or both follow: the other is a newer program. Its words do no harm.
            (message, _) => tracing::debug!(?message, "a signaling message that is not for this side"),
        }
    }

    fn command(&mut self, command: Command) {
        if matches!(command, Command::NetworkChanged | Command::Woke) {
            // Every word about what comes next goes through the room.
            self.hands.exchange.doubt();
        }
        match (command, &mut self.judge) {
            (Command::SetMode(mode), judge) => {
                self.hands.mode = mode;
                if let Judge::Lead(lead) = judge {
                    lead.set_mode(mode);
                }
            }
            (Command::NetworkChanged, Judge::Lead(lead)) => lead.network_changed(),
            (Command::Woke, Judge::Lead(lead)) => lead.woke(),
            (Command::PeerPresent, Judge::Lead(lead)) => lead.peer_present(&self.hands),
            (Command::PeerPresent, Judge::Follow(_)) => {}
            // The leader judges; without a path it may be waiting out a backoff.
            (Command::NetworkChanged, Judge::Follow(_)) => self.hands.doubt(Reason::NetworkChanged),
            (Command::Woke, Judge::Follow(_)) => self.hands.doubt(Reason::Woke),
        }
    }

    fn dialled(&mut self, DialReport { generation, transport, news }: DialReport) {
        match news {
            DialNews::Answered => {
                if let Judge::Lead(lead) = &mut self.judge {
                    lead.answered(generation);
                }
            }
            DialNews::Again(error) => {
                tracing::debug!(%generation, error = error.chain(), "dialling again");
                let last = LastError { text: error.chain(), refusal: error.refusal };
                self.hands.errors.insert(transport, last);
            }
            DialNews::Failed(error) => {
                tracing::info!(%generation, error = error.chain(), "dial failed");
                let last = LastError { text: error.chain(), refusal: error.refusal };
                self.hands.errors.insert(transport, last);
                if let Judge::Lead(lead) = &mut self.judge {
                    lead.failed(generation, error.kind);
                }
            }
            DialNews::Succeeded(sealed) => {
                self.hands.errors.remove(&transport);
                let attach = match &self.judge {
                    Judge::Lead(_) => Attach::ByDriver,
                    Judge::Follow(_) => Attach::ByFirstFrame,
                };
                self.hands.stand_by(generation, transport, sealed, attach);
                if let Judge::Lead(lead) = &mut self.judge {
                    lead.succeeded(generation);
                }
            }
        }
    }

    /// Twice a second: measure, and move the session's own clock.
    fn sample(&mut self) {
        let now = now();
        self.hands.shared.handle_timeout();
        self.hands.close_retired(now);
        let traffic = self.hands.shared.traffic();
        match &mut self.judge {
            Judge::Lead(lead) => {
                for (&generation, link) in self.hands.links.iter().filter(|(_, link)| link.retire.is_none()) {
                    let stats = link.sealed.link.stats();
                    if traffic.current == Some(generation) {
                        for sample in self.hands.sampler.carrying(now, traffic, stats) {
                            lead.health(generation, sample);
                        }
                    } else {
                        lead.health(generation, Sampler::standing_by(stats));
                    }
                }
            }
            Judge::Follow(follower) => {
                if let Some(generation) = traffic.current
                    && follower.complains(now, generation, traffic.oldest_unacked)
                {
                    let reason = Reason::PathDead.code().into();
                    self.hands.say(Message::Lost { generation, reason });
                }
            }
        }
    }

    /// Says goodbye on every link and through signaling, within [`GOODBYE`].
    async fn finish(mut self) {
        self.hands.say(Message::Bye { reason: Reason::Closed.code().into() });
        if let Judge::Lead(lead) = &mut self.judge {
            lead.closed(&mut self.hands);
        }
        for generation in self.hands.links.keys().copied().collect::<Vec<_>>() {
            self.hands.close(generation, CloseCode::NORMAL, "the session ended");
        }
        let mut outlook = self.hands.outlook.borrow().clone();
        outlook.path = None;
        outlook.reason = Reason::Closed;
        self.hands.outlook.send_replace(outlook);
        let goodbye = async {
            while self.hands.pumps.join_next().await.is_some() {}
            // The words have left when nobody holds them any more.
            let capacity = self.hands.say.max_capacity();
            let _all = self.hands.say.reserve_many(capacity).await;
        };
        let _ = timeout(GOODBYE, goodbye).await;
        // Transports send their last bytes in tasks of their own and tell nobody when those have left: a
        // program that exits as soon as its session is closed must not cut them off.
        sleep(FAREWELL).await;
    }
}

/// Whether the wall clock ran ahead of the monotonic one, which stands still while a machine sleeps.
fn slept(clocks: &mut (SystemTime, Instant)) -> bool {
    let (wall, monotonic) = (wall_clock(), now());
    let (wall_before, monotonic_before) = std::mem::replace(clocks, (wall, monotonic));
    let wall_passed = wall.duration_since(wall_before).unwrap_or_default();
    wall_passed > monotonic.saturating_duration_since(monotonic_before) + SLEPT
}

/// Between two health samples: the policy needs several within its 5.5 s to call a path dead.
const SAMPLE: Duration = Duration::from_millis(500);
/// Between two looks at which network this is.
const LOOK: Duration = Duration::from_secs(2);
/// How long the end of a session may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// How long transports have for their last bytes after that: one retransmission on a good path.
const FAREWELL: Duration = Duration::from_millis(250);
/// How long a follower takes part in a dial: the leader's budget for an attempt, and a little.
const FOLLOW: Duration = Duration::from_secs(12);
/// A jump of the wall clock that means sleep and not a correction by NTP.
const SLEPT: Duration = Duration::from_secs(10);
