//! The task that answers the door: hears what viewers say, starts their sessions, and says what has to be said.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use transport_core::{
    CloseCode, PeerId, Text,
    judge::{Event, FollowConfig, Judge},
    secure::{Access, LinkId},
    signaling::{ByeReason, Exchange, ExchangeEvent, Message},
};

use super::{
    approval::{Applicant, Approval, Decision},
    guests::Inside,
    host_state::{Errand, HostState, Knocked},
};
use crate::{
    assembly::{Assembled, Assembly, assemble},
    config::NetworkConfig,
    endpoint::{Endpoint, Ways},
    pump::Attach,
    rendezvous::{Missing, Rendezvous},
    runtime::{Duration, JoinSet, timeout},
    session::Session,
};

/// See the module.
#[derive(Debug)]
pub(super) struct Reception {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) host_state: Arc<HostState>,
    pub(super) ways: Ways,
    pub(super) missing: Arc<[Missing]>,
    pub(super) exchange: Arc<Exchange>,
    pub(super) rendezvous: Arc<dyn Rendezvous>,
    pub(super) approval: Option<Arc<dyn Approval>>,
    pub(super) network: NetworkConfig,
    pub(super) arrived: mpsc::Sender<Session>,
    /// Sessions, each until it has ended.
    pub(super) drivers: JoinSet<(PeerId, u64)>,
    /// Decisions under way.
    pub(super) decisions: JoinSet<Decided>,
    /// What is told to others beside.
    pub(super) errands: JoinSet<()>,
}

/// What was decided about a guest.
#[derive(Debug)]
pub(super) struct Decided {
    peer: PeerId,
    number: u64,
    decision: Decision,
}

/// A session asks for its seat.
#[derive(Debug)]
struct Usable {
    peer: PeerId,
    number: u64,
    seated: oneshot::Sender<()>,
}

impl Reception {
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let (exchange, host_state) = (self.exchange.clone(), self.host_state.clone());
        let (usable, mut seats) = mpsc::channel(SEATS);
        let mut signaling = true;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                event = exchange.next(), if signaling => match event {
                    Ok(event) => self.event(event, &usable).await,
                    Err(error) => {
                        tracing::error!(%error, "signaling ended: no new viewer can join, those here stay");
                        signaling = false;
                    }
                },
                Some(Usable { peer, number, seated }) = seats.recv() => {
                    if host_state.seat(peer, number) {
                        let _ = seated.send(());
                    }
                }
                Some(decided) = self.decisions.join_next() => {
                    // An error is a decision that was dropped with its guest.
                    if let Ok(decided) = decided {
                        self.decided(decided, &usable).await;
                    }
                }
                errand = host_state.errand() => self.run_errand(errand),
                Some(ended) = self.drivers.join_next() => {
                    if let Ok((peer, number)) = ended
                        && host_state.left(peer, number)
                    {
                        exchange.forget(peer);
                    }
                }
                Some(_) = self.errands.join_next() => {}
            }
        }
        for inside in host_state.everybody() {
            inside.core.close(CloseCode::GOING_AWAY, "the host stopped sharing");
        }
        // The drivers say goodbye over signaling too, which needs nobody to listen.
        while self.drivers.join_next().await.is_some() {}
    }

    async fn event(&mut self, event: ExchangeEvent, usable: &mpsc::Sender<Usable>) {
        match event {
            ExchangeEvent::Message { from, link, message, .. } => {
                self.hear(from, link, message, usable).await
            }
            ExchangeEvent::Down { .. } => self.tell_everybody(&Event::SignalingLost),
            ExchangeEvent::Up => self.tell_everybody(&Event::SignalingFound),
            ExchangeEvent::Joined { peer } => self.tell(peer, None, Event::PeerPresent),
            ExchangeEvent::Left { peer } => self.host_state.left_room(peer),
            ExchangeEvent::Refused { from, why } => tracing::info!(%from, %why, "an envelope was refused"),
        }
    }

    async fn hear(&mut self, from: PeerId, link: LinkId, message: Message, usable: &mpsc::Sender<Usable>) {
        match message {
            Message::Knock { version, .. } if version != Message::VERSION => {
                // It reads the version in the answer and gives up.
                self.answer(from, &self.welcome(from)).await;
            }
            Message::Knock { name, life, .. } => {
                if let Some(answer) = self.knocked(from, link, name, life, usable) {
                    self.answer(from, &answer).await;
                }
            }
            Message::Dial { .. } if self.host_state.inside(from, Some(link)).is_none() => {
                // It was away for longer than its session was kept, and must not dial for ever.
                self.answer(from, &Message::Bye { reason: ByeReason::Forgotten }).await;
            }
            message => self.tell(from, Some(link), Event::Heard(message)),
        }
    }

    /// Brings something to the driver of a viewer that has one.
    fn tell(&self, viewer: PeerId, link: Option<LinkId>, event: Event) {
        if let Some(inside) = self.host_state.inside(viewer, link) {
            // Full: the driver is far behind; what it misses is repeated or times out.
            let _ = inside.inbox.try_send(event);
        }
    }

    /// Brings something to the drivers of all viewers.
    fn tell_everybody(&self, event: &Event) {
        for inside in self.host_state.everybody() {
            let _ = inside.inbox.try_send(event.clone());
        }
    }

    fn welcome(&self, viewer: PeerId) -> Message {
        let (transports, life) = (self.ways.transports(), self.host_state.life(viewer));
        Message::Welcome { version: Message::VERSION, transports, life }
    }

    /// Lets a viewer in, has it decided about, or says why not. One that is inside already is welcomed again, or begins
    /// anew in the place it has.
    fn knocked(
        &mut self,
        from: PeerId,
        link: LinkId,
        name: Option<Text>,
        life: Option<u64>,
        usable: &mpsc::Sender<Usable>,
    ) -> Option<Message> {
        let number = match self.host_state.knock(from, link, name.clone(), life.unwrap_or_default()) {
            Knocked::Welcome => return Some(self.welcome(from)),
            Knocked::Pending => return Some(Message::Pending),
            Knocked::Unheard => return None,
            Knocked::Bye(reason) => return Some(Message::Bye { reason }),
            Knocked::New { number, pushed_out } => {
                pushed_out.into_iter().for_each(|peer| self.exchange.forget(peer));
                number
            }
            Knocked::Returned { number, pushed_out, access } => {
                pushed_out.into_iter().for_each(|peer| self.exchange.forget(peer));
                tracing::info!(peer = %from, %link, "a viewer is back in another life");
                self.exchange.restart(from);
                self.admit(from, number, access, usable);
                return Some(self.welcome(from));
            }
        };
        let Some(access) = self.host_state.allowed(from) else {
            return Some(Message::Bye { reason: ByeReason::LinkRevoked });
        };
        Some(match self.approval.clone() {
            None => {
                self.admit(from, number, access, usable);
                self.welcome(from)
            }
            Some(approval) => {
                let applicant = Applicant { peer: from, name, link, access };
                let decision = self.decisions.spawn(async move {
                    Decided { peer: from, number, decision: approval.decide(applicant).await }
                });
                self.host_state.asked(from, number, decision);
                Message::Pending
            }
        })
    }

    async fn decided(&mut self, decided: Decided, usable: &mpsc::Sender<Usable>) {
        let Decided { peer, number, decision } = decided;
        match (decision, self.host_state.allowed(peer)) {
            (_, None) => {}
            (Decision::Admit(at_most), Some(by_link)) => {
                self.admit(peer, number, at_most.min(by_link), usable);
                self.answer(peer, &self.welcome(peer)).await;
            }
            (Decision::Refuse, Some(_)) => {
                if self.host_state.refuse(peer, number) {
                    self.answer(peer, &Message::Bye { reason: ByeReason::Refused }).await;
                }
            }
            (Decision::Unanswered, Some(_)) => {
                self.host_state.left(peer, number);
                self.answer(peer, &Message::Bye { reason: ByeReason::Unanswered }).await;
            }
        }
    }

    async fn answer(&self, to: PeerId, answer: &Message) {
        if let Ok(Err(error)) = timeout(WORD, self.exchange.send(to, answer)).await {
            tracing::debug!(%error, "a viewer was not answered");
        }
    }

    fn run_errand(&mut self, errand: Errand) {
        match errand {
            Errand::Tell(peer, message) => {
                let exchange = self.exchange.clone();
                self.errands.spawn(async move {
                    let _ = timeout(WORD, exchange.send(peer, &message)).await;
                });
            }
            Errand::Evict(peer, inside) => {
                let rendezvous = self.rendezvous.clone();
                self.errands.spawn(async move {
                    // Its goodbye goes first; who does not want to hear it is not waited for.
                    let _ = timeout(EVICT, over(inside)).await;
                    rendezvous.evict(peer).await;
                });
            }
        }
    }

    /// Starts the session of a guest.
    fn admit(&mut self, peer: PeerId, number: u64, access: Access, usable: &mpsc::Sender<Usable>) {
        let mut following = FollowConfig::new(self.ways.rungs());
        following.mode = self.network.mode.into();
        // Sessions must not move in step.
        following.seed = rand::random();
        let Assembled { session, driver, inbox } = assemble(Assembly {
            judge: Judge::follow(following),
            attach: Attach::ByFirstFrame,
            gates: None,
            endpoint: self.endpoint.clone(),
            ways: self.ways.clone(),
            missing: self.missing.clone(),
            peer,
            exchange: self.exchange.clone(),
            config: &self.network,
        });
        let inside = Inside { inbox, core: session.core().clone(), outlook: session.outlook() };
        if !self.host_state.arriving(peer, number, access, inside) {
            return;
        }
        let (arrived, usable) = (self.arrived.clone(), usable.clone());
        self.drivers.spawn(async move {
            let introduce = async {
                if timeout(INTRODUCE, is_usable(&session)).await.is_ok_and(|usable| usable)
                    && has_seat(peer, number, &usable).await
                {
                    let _ = arrived.send(session).await;
                }
                // Dropping the only handle of a viewer that never came ends its driver.
            };
            tokio::join!(driver.run(), introduce);
            (peer, number)
        });
    }
}

async fn has_seat(peer: PeerId, number: u64, usable: &mpsc::Sender<Usable>) -> bool {
    let (seated, seat) = oneshot::channel();
    usable.send(Usable { peer, number, seated }).await.is_ok() && seat.await.is_ok()
}

/// Waits for the first path; says whether it came before the end.
async fn is_usable(session: &Session) -> bool {
    loop {
        let changed = session.changed();
        if session.status().path.is_some() {
            return true;
        }
        if session.end().is_some() {
            return false;
        }
        changed.await;
    }
}

/// Waits until a session has ended and everything it had to say has left.
async fn over(mut inside: Inside) {
    while inside.outlook.changed().await.is_ok() {}
}

/// How long a viewer that knocked may take to become usable.
const INTRODUCE: Duration = Duration::from_secs(60);
/// How long one answer may take to leave.
const WORD: Duration = Duration::from_secs(5);
/// How long a goodbye may take before the relay is asked to show its listener out.
const EVICT: Duration = Duration::from_millis(500);
/// Usable sessions that may wait for a seat.
const SEATS: usize = 64;
