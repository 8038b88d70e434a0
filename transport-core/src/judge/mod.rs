//! What one side of a session does about its paths: events in, actions out, sans-IO.
//!
//! Both sides run a [`Judge`]. The leading side's wraps the [`FallbackPolicy`](crate::policy::FallbackPolicy), dials
//! and announces its dials; the following side's takes part in what was announced, and says when the path looks
//! dead from there. The owner translates: what happens becomes an [`Event`], an [`Action`] becomes IO. It decides
//! nothing, so a recorded list of events gives the same actions again.
//!
//! The owner's loop:
//!
//! 1. [`handle_event`](Judge::handle_event) for what happened, or [`handle_timeout`](Judge::handle_timeout) when the
//!    time of 3 has come;
//! 2. [`poll_action`](Judge::poll_action) until it is `None`, carrying each one out;
//! 3. [`poll_timeout`](Judge::poll_timeout) for when to call again at the latest.
//!
//! | what | when | where |
//! |---|---|---|
//! | dial, switch, hold, return | leading | [`policy`] |
//! | announce a dial, repeat the announcement | leading | `lead` |
//! | take part, decline, dial the fallback again, complain | following | `follow` |
//! | wait for the leader at the fallback when no word comes through | following | `attend` |
//! | retire, drain and close links | both | `links` |
//! | notice a sleep or another network | both | `surroundings` |
//! | the meaning of a peer's words, the end of the session | both | here |

mod action;
mod attend;
mod event;
mod follow;
mod lead;
mod links;
mod mode;
mod surroundings;
#[cfg(test)]
mod tests;
mod view;

use std::collections::VecDeque;

use crate::time::{Duration, Instant};

pub use self::{
    action::{Action, Detail, Ending},
    event::Event,
    follow::FollowConfig,
    view::View,
};
use self::{follow::Follow, lead::Lead, links::Links, surroundings::Surroundings};
use crate::{
    close::{CloseCode, Closed},
    ids::Generation,
    policy::{self, ConfigError, LossCause, Override, PolicyConfig, Question, Reason, Standing},
    signaling::{ByeReason, Message},
};

/// Judges one side of a session. See the [module](self) for how to drive it.
#[derive(Debug, Clone)]
pub struct Judge {
    side: Side,
    links: Links,
    surroundings: Surroundings,
    /// The peer said goodbye where no link carried it, for this reason.
    left: Option<ByeReason>,
    /// The session has ended; nothing follows.
    over: bool,
    actions: VecDeque<Action>,
}

/// Which side, and what only that side knows.
#[derive(Debug, Clone)]
enum Side {
    Follow(Box<Follow>),
    Lead(Box<Lead>),
}

impl Judge {
    /// Judges for the side that leads, with these settings of its policy.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the first setting that cannot work.
    pub fn lead(config: PolicyConfig) -> Result<Self, ConfigError> {
        Ok(Self::new(Side::Lead(Box::new(Lead::new(config)?))))
    }

    /// Judges for the side that follows.
    pub fn follow(config: FollowConfig) -> Self {
        Self::new(Side::Follow(Box::new(Follow::new(config))))
    }

    fn new(side: Side) -> Self {
        Self {
            side,
            links: Links::default(),
            surroundings: Surroundings::default(),
            left: None,
            over: false,
            actions: VecDeque::new(),
        }
    }

    /// Takes note of something that happened at `now`. Times never go back.
    pub fn handle_event(&mut self, now: Instant, event: Event) {
        if self.over {
            return;
        }
        match event {
            Event::Attached { generation, resent_segments } => {
                self.attached(now, generation, resent_segments);
            }
            Event::Called { transport, generation } => {
                if let Side::Follow(follow) = &mut self.side {
                    self.actions.extend(follow.called(now, transport, generation));
                }
            }
            Event::Clock { ahead } => {
                if Surroundings::slept(ahead) {
                    self.woke(now);
                }
            }
            Event::DialAnswered { generation } => {
                self.tell_policy(now, policy::Event::DialProgressed { generation });
            }
            Event::DialFailed { generation, kind } => match &mut self.side {
                Side::Follow(follow) => follow.dial_failed(now, generation, kind),
                Side::Lead(lead) => lead.dial_failed(now, generation, kind),
            },
            Event::DialSucceeded { generation } => self.dial_succeeded(now, generation),
            Event::Drained { generation } => self.actions.extend(self.links.drained(generation)),
            Event::Ended => self.ended(now),
            Event::GatesChanged(gates) => {
                if let Side::Lead(lead) = &mut self.side {
                    lead.gates_changed(now, gates);
                }
            }
            Event::HandlesDropped => self.actions.push_back(Action::End(Ending::HandlesDropped)),
            Event::Health { generation, sample } => match &mut self.side {
                Side::Follow(follow) if self.links.carrying() == Some(generation) => {
                    self.actions.extend(follow.observe(now, generation, &sample));
                }
                Side::Follow(_) => {}
                Side::Lead(lead) => lead.event(now, policy::Event::Health { generation, sample }),
            },
            Event::Heard(message) => self.hear(now, message),
            Event::LinkEnded { generation, closed } => self.link_ended(now, generation, closed),
            Event::ModeSet(mode) => match &mut self.side {
                Side::Follow(follow) => self.actions.extend(follow.set_mode(mode)),
                Side::Lead(lead) => lead.set_mode(now, mode),
            },
            Event::NetworkChanged { network } => {
                self.surroundings.set(network);
                self.moved(now);
            }
            Event::NetworkSeen { network } => {
                if self.surroundings.see(network) {
                    self.moved(now);
                }
            }
            Event::PeerPresent => self.peer_present(now),
            Event::SignalingFound | Event::SignalingLost => {
                if let Side::Follow(follow) = &mut self.side {
                    self.actions.extend(follow.set_signaling(event == Event::SignalingFound));
                }
            }
            Event::Start { network } => {
                self.surroundings.set(network);
                let network = self.surroundings.network();
                self.tell_policy(now, policy::Event::Start { network });
            }
            Event::Woke => self.woke(now),
        }
        self.obey_policy(now);
    }

    /// Does what is due at `now`. Calling it early or often does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.over {
            return;
        }
        self.actions.extend(self.links.close_due(now));
        match &mut self.side {
            Side::Follow(follow) => self.actions.extend(follow.handle_timeout(now)),
            Side::Lead(lead) => self.actions.extend(lead.handle_timeout(now)),
        }
        self.obey_policy(now);
    }

    /// Takes the next action. Order matters; none may be skipped.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Says when to call [`handle_timeout`](Self::handle_timeout) at the latest; `None` when only an event can
    /// change anything.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let own = match &self.side {
            Side::Follow(follow) => follow.poll_timeout(),
            Side::Lead(lead) => lead.poll_timeout(),
        };
        own.into_iter().chain(self.links.next_due()).min()
    }

    /// Says when a sample of the link that carries the session says more than the last one did. Asked after each sample; a
    /// time that is over asks for nothing. `None` when the usual one is soon enough.
    pub fn next_look(&self) -> Option<Instant> {
        match &self.side {
            Side::Follow(follow) => follow.next_look(),
            Side::Lead(lead) => lead.next_look(),
        }
    }

    /// Says where the session stands.
    pub fn standing(&self) -> &Standing {
        match &self.side {
            Side::Follow(follow) => follow.standing(),
            Side::Lead(lead) => lead.standing(),
        }
    }

    /// Describes the session at `now`, for [`View`]'s readers.
    pub fn view(&self, now: Instant) -> View {
        let mut view = match &self.side {
            Side::Follow(follow) => follow.view(self.links.carrying()),
            Side::Lead(lead) => lead.view(now),
        };
        if self.over {
            (view.path, view.reason) = (None, Reason::Closed);
        }
        view
    }

    /// Links from before are drained by both sides, then closed.
    fn attached(&mut self, now: Instant, generation: Generation, resent_segments: u64) {
        self.links.attached(now, generation);
        if let Side::Follow(follow) = &mut self.side
            && let Some(transport) = self.links.transport(generation)
        {
            self.actions.push_back(follow.moved(now, transport.clone(), generation, resent_segments));
            self.actions.extend(follow.arrive(generation));
        }
    }

    fn dial_succeeded(&mut self, now: Instant, generation: Generation) {
        let transport = match &mut self.side {
            Side::Follow(follow) => follow.dial_succeeded(generation),
            Side::Lead(lead) => lead.dialled(generation),
        };
        let Some(transport) = transport else {
            // Given up a moment ago; whoever carries actions out had not heard it yet.
            return self.actions.push_back(Action::Close {
                generation,
                code: CloseCode::NORMAL,
                detail: "not needed",
            });
        };
        self.links.opened(generation, transport);
        self.tell_policy(now, policy::Event::DialSucceeded { generation });
    }

    fn link_ended(&mut self, now: Instant, generation: Generation, closed: Closed) {
        let Some(link) = self.links.ended(generation) else { return };
        if link.is_retired() || self.leave() {
            return;
        }
        // What took the link may have taken the way to the room, and a fresh dial needs it.
        self.actions.push_back(Action::DoubtSignaling);
        self.actions
            .push_back(Action::Remember { transport: link.transport.clone(), closed: closed.clone() });
        match &mut self.side {
            Side::Follow(follow) => {
                let stranded = self.links.carrying().is_none();
                self.actions.extend(follow.link_ended(now, link.transport, generation, closed, stranded));
            }
            Side::Lead(lead) => {
                lead.event(now, policy::Event::Lost { generation, cause: LossCause::from(&closed) });
            }
        }
    }

    /// The meaning of every word of a peer.
    fn hear(&mut self, now: Instant, message: Message) {
        match (message, &mut self.side) {
            (Message::Dial { transport, generation, reason }, Side::Follow(follow)) => {
                self.actions.extend(follow.announced(now, transport, generation, reason));
            }
            (Message::Ask { generation, number, heard }, Side::Follow(follow)) => {
                self.actions.extend(follow.asked(now, generation, number, heard));
            }
            (Message::Ask { generation, number, heard }, Side::Lead(lead)) => {
                lead.event(now, policy::Event::PeerAsks { generation, number, heard });
            }
            (Message::Answer { generation, number, heard }, Side::Follow(follow)) => {
                follow.answered(now, generation, number, heard);
            }
            (Message::Answer { generation, number, heard }, Side::Lead(lead)) => {
                lead.event(now, policy::Event::PeerAnswers { generation, number, heard });
            }
            (Message::Decline { generation, .. }, Side::Lead(lead)) => {
                self.actions.extend(lead.declined(now, generation));
            }
            (Message::Lost { reason: Reason::NetworkChanged, .. }, Side::Lead(_)) => {
                // The path is in doubt, not lost: it stays until a fresh one has won the race against it.
                self.surroundings.peer_moved();
                let network = self.surroundings.network();
                self.tell_policy(now, policy::Event::NetworkChanged { network });
            }
            (Message::Lost { reason: Reason::Woke, .. }, Side::Lead(_)) => {
                self.tell_policy(now, policy::Event::Woke);
            }
            (Message::Lost { generation, reason: Reason::PathDead }, Side::Lead(_)) => {
                self.tell_policy(now, policy::Event::PeerReportsDead { generation });
            }
            (Message::Lost { generation, .. }, Side::Lead(_)) => {
                self.tell_policy(now, policy::Event::PeerReportsLost { generation });
            }
            (Message::Mode { mode }, Side::Lead(lead)) => lead.peer_allows(now, mode),
            // It keeps nothing of this session, so whatever is open here leads nowhere.
            (Message::Bye { reason: ByeReason::Forgotten }, Side::Lead(_)) => {
                self.actions.push_back(Action::End(Ending::PeerForgot));
            }
            (Message::Bye { reason }, _) => {
                // With a link alive its own close comes, behind the data before it; but a peer that exits may cut
                // it off, so what was said here counts once the last link is gone.
                self.left = Some(reason);
                self.leave();
            }
            // What the owner of the session acts upon; or both sides lead, or both follow, and the other is a newer
            // program. These words do no harm.
            (
                Message::Access { .. }
                | Message::Decline { .. }
                | Message::Dial { .. }
                | Message::Knock { .. }
                | Message::Link { .. }
                | Message::Lost { .. }
                | Message::Mode { .. }
                | Message::Pending
                | Message::Welcome { .. },
                _,
            ) => {}
        }
    }

    /// Ends the session when the peer said goodbye and no link can bring anything more of it.
    fn leave(&mut self) -> bool {
        let left = self.left.filter(|_| self.links.is_empty());
        if let Some(reason) = left {
            self.actions.push_back(Action::End(Ending::PeerLeft(reason)));
        }
        left.is_some()
    }

    fn peer_present(&mut self, now: Instant) {
        match &mut self.side {
            Side::Follow(follow) => self.actions.extend(follow.repeat()),
            Side::Lead(lead) => {
                // It may have missed what was said meanwhile, and what is tried again may succeed now.
                self.actions.extend(lead.repeat());
                lead.event(now, policy::Event::PeerPresent);
            }
        }
    }

    fn moved(&mut self, now: Instant) {
        let network = self.surroundings.network();
        self.doubt(now, policy::Event::NetworkChanged { network }, Reason::NetworkChanged);
    }

    fn woke(&mut self, now: Instant) {
        self.doubt(now, policy::Event::Woke, Reason::Woke);
    }

    /// Something happened here that puts every path in doubt. The leader judges; the follower tells it, and without a
    /// path the leader may be waiting out a backoff.
    fn doubt(&mut self, now: Instant, event: policy::Event, reason: Reason) {
        // Every word about what comes next goes through the room.
        self.actions.push_back(Action::DoubtSignaling);
        match &mut self.side {
            Side::Follow(_) => {
                let generation = self.links.carrying().unwrap_or_default();
                self.actions.push_back(Action::Say(Message::Lost { generation, reason }));
            }
            Side::Lead(lead) => lead.event(now, event),
        }
    }

    fn ended(&mut self, now: Instant) {
        self.actions.push_back(Action::Say(Message::Bye { reason: ByeReason::Closed }));
        match &mut self.side {
            Side::Follow(follow) => {
                self.actions.extend(follow.cancel_dials());
                self.actions.extend(follow.leave());
            }
            Side::Lead(lead) => lead.event(now, policy::Event::Closed),
        }
        self.obey_policy(now);
        self.actions.extend(self.links.close_all());
        self.over = true;
    }

    fn tell_policy(&mut self, now: Instant, event: policy::Event) {
        if let Side::Lead(lead) = &mut self.side {
            lead.event(now, event);
        }
    }

    fn obey_policy(&mut self, now: Instant) {
        if let Side::Lead(lead) = &mut self.side {
            lead.obey(now, &mut self.links, &mut self.actions);
        }
    }
}

/// Asks the peer what it heard. What took the link may have taken the way to the room, so that is tried out too.
fn ask(generation: Generation, question: Question) -> Vec<Action> {
    let Question { number, heard, first } = question;
    let doubt = first.then_some(Action::DoubtSignaling);
    let ask = Action::Say(Message::Ask { generation, number, heard });
    std::iter::once(ask).chain(doubt).collect()
}

/// How long a replaced link may stay when the other side does not say that it is drained.
const LINGER: Duration = Duration::from_secs(2);

/// What an application allows that says nothing.
const UNSAID: Override = Override::Auto;
