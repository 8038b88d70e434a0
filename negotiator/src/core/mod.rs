//! The core of a session: what the application's handle, the link pumps and the driver share.
//!
//! It holds the resume state and wakes each of the three when something concerns it. The state decides; this moves
//! bytes between it and the links.

mod input;
mod state;
mod traffic;

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, futures::Notified, watch};
use transport_core::{
    CloseCode, Closed, Generation, Inbound, Initiator, Refusal, Refused, Transport,
    resume::{Expiry, Resume, SEGMENT, StaleGeneration},
    secure::Access,
    signaling::ByeReason,
};

pub use self::input::RefusedInput;
use self::state::{State, Told};
pub(crate) use self::traffic::Traffic;
use crate::{
    config::Questions,
    error::{SendError, SessionEnd},
    runtime::{Duration, Instant, now},
    session::Received,
    stats::SessionStats,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct SessionCore {
    state: Mutex<State>,
    /// Something may be ready to leave: wakes every pump.
    transmit: Notify,
    /// Something arrived for the application, or the session ended.
    readable: Notify,
    /// The outbox has room again, or the session ended.
    room: Notify,
    /// Something was reported to the driver.
    reported: Notify,
    ended: watch::Sender<Option<SessionEnd>>,
}

/// What the driver must know. At most a few for each generation.
#[derive(Debug, PartialEq)]
pub(crate) enum Report {
    /// Both sides introduced themselves on this generation.
    Attached {
        generation: Generation,
        /// So many segments go out again.
        resent_segments: u64,
        /// Between the last that was heard of the peer on any link and this; `None` on the first.
        silence: Option<Duration>,
    },
    /// The peer says nothing more on this older generation.
    Drained(Generation),
    /// The peer sent something although it may only look; told once.
    InputRefused,
    /// The transport ended, and what it delivered was handled.
    LinkEnded(Generation, Closed),
    /// The session ended.
    SessionEnded,
}

/// What a pump needs to know before it waits.
#[derive(Debug)]
pub(crate) struct Wait {
    /// The transport refused a frame: wait until it is writable.
    pub(crate) blocked: bool,
    /// When [`SessionCore::handle_timeout`] must be called at the latest.
    pub(crate) deadline: Option<Instant>,
}

impl SessionCore {
    /// `from_viewer`: the peer is a viewer, so what it sends passes only when it may send, or is one of `questions`.
    pub(crate) fn new(resume: Resume, from_viewer: bool, questions: Option<Questions>) -> Self {
        Self {
            state: Mutex::new(State::new(resume, from_viewer, questions)),
            transmit: Notify::new(),
            readable: Notify::new(),
            room: Notify::new(),
            reported: Notify::new(),
            ended: watch::Sender::new(None),
        }
    }

    // ---- for the application's handle ----

    /// Accepts a message as far as the session may hold more.
    pub(crate) fn try_send(&self, payload: Bytes) -> Result<(), SendError> {
        self.accept(self.state.lock(), payload)
    }

    /// Accepts a message as far as the path is busy with what it has. For those who wait for
    /// [`room`](Self::room).
    pub(crate) fn try_send_paced(&self, payload: Bytes) -> Result<(), SendError> {
        let mut state = self.state.lock();
        let admitted = state.send_limit.admits(state.resume.pending_bytes(), payload.len());
        if state.resume.current().is_some() && !admitted {
            state.send_limit.held_back(now());
            return Err(SendError::Full { payload });
        }
        self.accept(state, payload)
    }

    /// What bulk is best cut into on the path of this moment.
    pub(crate) fn bulk_length(&self) -> usize {
        let state = self.state.lock();
        if state.resume.current().is_some() { state.send_limit.ahead().segment } else { SEGMENT }
    }

    fn accept(&self, mut state: MutexGuard<'_, State>, payload: Bytes) -> Result<(), SendError> {
        let bytes = payload.len() as u64;
        state.resume.try_send(payload).map_err(send_error)?;
        state.accepted_bytes += bytes;
        self.send_now(state);
        Ok(())
    }

    pub(crate) fn try_send_datagram(&self, payload: Bytes) -> Result<(), SendError> {
        let bytes = payload.len() as u64;
        let mut state = self.state.lock();
        state.resume.try_send_datagram(payload).map_err(send_error)?;
        state.datagram_bytes += bytes;
        self.send_now(state);
        Ok(())
    }

    /// Wakes when [`try_send`](Self::try_send) may succeed. Create it before trying.
    pub(crate) fn room(&self) -> Notified<'_> {
        self.room.notified()
    }

    /// Wakes when [`take`](Self::take) may give something. Create it before taking.
    pub(crate) fn readable(&self) -> Notified<'_> {
        self.readable.notified()
    }

    /// Takes what arrived next, and gives its credit back to the peer.
    pub(crate) fn take(&self) -> Option<Received> {
        let mut state = self.state.lock();
        let received = state.inbox.pop_front()?;
        if let Received::Message(bytes) = &received {
            state.resume.consumed(bytes.len());
        }
        let more = !state.inbox.is_empty();
        self.send_now(state);
        if more {
            self.readable.notify_one();
        }
        Some(received)
    }

    pub(crate) fn finish(&self) {
        let mut state = self.state.lock();
        state.resume.finish();
        self.send_now(state);
    }

    pub(crate) fn is_flushed(&self) -> bool {
        self.state.lock().resume.is_flushed()
    }

    pub(crate) fn close(&self, code: CloseCode, reason: &str) {
        let mut state = self.state.lock();
        state.resume.close(code, reason);
        // Say goodbye on the links while they live.
        state.flush(now());
        self.settle(now(), state);
    }

    /// Ends the session because the host shows its viewer out. What it sent and nobody has taken yet is gone.
    pub(crate) fn show_out(&self, why: ByeReason) {
        let mut state = self.state.lock();
        state.shown_out.get_or_insert(why);
        state.inbox.clear();
        drop(state);
        self.close(CloseCode::REMOVED, why.code());
    }

    /// Ends the session because its viewer came back in another life. Nobody is told: the viewer of before is gone.
    pub(crate) fn supersede(&self) {
        self.state.lock().superseded = true;
        self.close(CloseCode::SUPERSEDED, "the viewer came back");
    }

    /// Whether it ended so.
    pub(crate) fn is_superseded(&self) -> bool {
        self.state.lock().superseded
    }

    /// Whether the peer ended it with a goodbye.
    pub(crate) fn was_left(&self) -> bool {
        matches!(&*self.ended.borrow(), Some(SessionEnd::Closed(closed)) if closed.initiator == Initiator::Peer)
    }

    /// The reason for a goodbye from this side.
    pub(crate) fn farewell(&self) -> ByeReason {
        // Nobody meant a session to end that waited too long: whoever comes back may enter anew.
        let expired = matches!(*self.ended.borrow(), Some(SessionEnd::Expired { .. }));
        let why = if expired { ByeReason::Forgotten } else { ByeReason::Closed };
        self.state.lock().shown_out.unwrap_or(why)
    }

    /// Ends the session because the peer said goodbye where no link could carry it.
    pub(crate) fn peer_left(&self, reason: ByeReason) {
        let mut state = self.state.lock();
        let end = SessionEnd::by_word(reason);
        state.resume.close(CloseCode::GOING_AWAY, "the peer left");
        self.end(&mut state, end);
        self.settle(now(), state);
    }

    /// Ends the session because the peer kept it no longer.
    pub(crate) fn peer_forgot(&self) {
        let mut state = self.state.lock();
        let unacknowledged = state.resume.pending_bytes();
        state.resume.close(CloseCode::GAP, "the peer kept the session no longer");
        self.end(&mut state, SessionEnd::Expired { why: Expiry::PeerRestarted, unacknowledged });
        self.settle(now(), state);
    }

    /// What the viewer of this session may do; `None` before its first handshake.
    pub(crate) fn access(&self) -> Option<Access> {
        self.state.lock().input.access()
    }

    /// What this viewer sent although it may only look.
    pub(crate) fn refused_input(&self) -> RefusedInput {
        self.state.lock().input.refused()
    }

    pub(crate) fn ended(&self) -> watch::Receiver<Option<SessionEnd>> {
        self.ended.subscribe()
    }

    // ---- for the host ----

    /// Lets the viewer do at most this, from the next message on.
    pub(crate) fn allow(&self, access: Access) {
        self.state.lock().input.allow(access);
    }

    /// Notes what the viewer asked for in a handshake; at the viewer, what it was granted.
    pub(crate) fn asked(&self, access: Access) {
        self.state.lock().input.ask(access);
    }

    // ---- for the driver ----

    /// Starts an attachment over `link`, whose pump the caller runs.
    pub(crate) fn attach(
        &self,
        generation: Generation,
        link: Arc<dyn Transport>,
    ) -> Result<(), StaleGeneration> {
        let mut state = self.state.lock();
        state.resume.attach(now(), generation, link.profile())?;
        state.links.insert(generation, link);
        drop(state);
        self.transmit.notify_waiters();
        Ok(())
    }

    pub(crate) fn traffic(&self) -> Traffic {
        let now = now();
        let state = self.state.lock();
        let stats = state.resume.stats();
        Traffic {
            accepted_bytes: state.accepted_bytes,
            datagram_bytes: state.datagram_bytes,
            pending_bytes: stats.pending_bytes,
            under_way: stats.in_flight,
            oldest_unacked: state.resume.oldest_unacked_age(now).unwrap_or_default(),
            last_heard: state.resume.silence(now).unwrap_or_default(),
            rtt: stats.rtt,
            current: stats.current,
            heard: state.heard,
        }
    }

    pub(crate) fn stats(&self) -> SessionStats {
        let state = self.state.lock();
        let resume = state.resume.stats();
        SessionStats {
            accepted_bytes: state.accepted_bytes,
            acknowledged_bytes: state.accepted_bytes - resume.pending_bytes as u64,
            datagram_bytes: state.datagram_bytes,
            messages_received: resume.messages_received,
            datagrams_dropped: resume.datagrams_dropped,
            segments_resent: resume.segments_resent,
            segments_repeated: resume.segments_repeated,
            duplicates: resume.duplicates,
            links: resume.attachments,
            unacknowledged_bytes: resume.pending_bytes,
            unread_bytes: resume.unread_bytes,
            rtt: resume.rtt,
        }
    }

    /// Wakes when [`report`](Self::report) may give something. Create it before asking.
    pub(crate) fn reported(&self) -> Notified<'_> {
        self.reported.notified()
    }

    pub(crate) fn report(&self) -> Option<Report> {
        self.state.lock().reports.pop_front()
    }

    pub(crate) fn handle_timeout(&self) {
        let mut state = self.state.lock();
        state.resume.handle_timeout(now());
        self.settle(now(), state);
        self.transmit.notify_waiters();
    }

    // ---- for the pumps ----

    /// Wakes when there may be something to send. Create it before [`flush`](Self::flush).
    pub(crate) fn kicked(&self) -> Notified<'_> {
        self.transmit.notified()
    }

    /// Sends everything that may leave, and says what the pump of `generation` must wait for.
    pub(crate) fn flush(&self, generation: Generation) -> Wait {
        let mut state = self.state.lock();
        state.flush(now());
        Wait {
            blocked: state.resume.blocked().any(|blocked| blocked == generation),
            deadline: state.resume.poll_timeout(),
        }
    }

    pub(crate) fn unblocked(&self, generation: Generation) {
        self.state.lock().resume.unblocked(generation);
    }

    /// Handles one frame. An error has closed the link; the session lives on.
    pub(crate) fn receive(&self, generation: Generation, link: &dyn Transport, inbound: Inbound) {
        let now = now();
        let mut state = self.state.lock();
        state.silence = state.heard.replace(now).map(|heard| now.saturating_duration_since(heard));
        if let Err(error) = state.resume.handle_frame(now, generation, inbound.lane, inbound.payload) {
            tracing::warn!(%generation, %error, "the peer broke the session protocol");
            link.close(CloseCode::PROTOCOL_ERROR, "session protocol");
        }
        self.settle(now, state);
    }

    /// Says that a transport ended and everything it delivered was handled.
    pub(crate) fn link_ended(&self, generation: Generation, closed: Closed) {
        let mut state = self.state.lock();
        state.links.remove(&generation);
        state.resume.detach(now(), generation);
        state.reports.push_back(Report::LinkEnded(generation, closed));
        self.settle(now(), state);
        self.reported.notify_one();
    }

    /// Sends what may leave in the caller's own task: waking a pump for it would cost more than sealing it does. The
    /// pumps are woken only when there is something new to wait for.
    fn send_now(&self, mut state: MutexGuard<'_, State>) {
        let (deadline, blocked) = state.waits();
        state.flush(now());
        let (sooner, more_blocked) = state.waits();
        drop(state);
        let rescheduled = sooner.is_some_and(|sooner| deadline.is_none_or(|deadline| sooner < deadline));
        if rescheduled || more_blocked > blocked {
            self.transmit.notify_waiters();
        }
    }

    /// Hands out what the state has to tell, and wakes whom it concerns.
    fn settle(&self, now: Instant, mut state: MutexGuard<'_, State>) {
        let Told { mut arrived, mut reported, end } = state.take_events(now);
        let end = end.or_else(|| state.resume.ended().cloned().map(SessionEnd::Closed));
        if end.is_some_and(|end| self.end(&mut state, end)) {
            (arrived, reported) = (true, true);
        }
        // After the fin nothing is writable any more; whoever waits for it to be acknowledged is woken too.
        let room = state.resume.writable() || state.resume.is_flushed() || state.resume.ended().is_some();
        drop(state);
        if arrived {
            self.readable.notify_one();
        }
        if reported {
            self.reported.notify_one();
        }
        if room {
            self.room.notify_waiters();
        }
    }
}

impl SessionCore {
    /// Notes how the session ended; the first end wins. Says whether this was it.
    fn end(&self, state: &mut State, end: SessionEnd) -> bool {
        let first = self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            *ended = ended.take().or(Some(end));
            first
        });
        if first {
            state.reports.push_back(Report::SessionEnded);
            self.reported.notify_one();
            self.readable.notify_one();
            self.room.notify_waiters();
        }
        first
    }
}

fn send_error(Refused { payload, why }: Refused) -> SendError {
    match why {
        Refusal::Closed(_) => SendError::Ended { payload },
        Refusal::Full => SendError::Full { payload },
        Refusal::Empty | Refusal::TooLarge { .. } => SendError::Size { payload },
    }
}
