//! What a session's core guards with one lock.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use transport_core::{
    CloseCode, Generation, Refusal, Refused, Transport,
    resume::{Event, Resume, Transmit},
    signaling::ByeReason,
};

use super::{
    Report,
    input::{Input, Verdict},
};
use crate::{
    config::Questions,
    error::SessionEnd,
    runtime::{Duration, Instant},
    send_limit::SendLimit,
    session::Received,
};

#[derive(Debug)]
pub(super) struct State {
    pub(super) resume: Resume,
    pub(super) links: BTreeMap<Generation, Arc<dyn Transport>>,
    /// What arrived for the application.
    pub(super) inbox: VecDeque<Received>,
    /// What the driver has not heard yet.
    pub(super) reports: VecDeque<Report>,
    /// When anything was last heard from the peer.
    pub(super) heard: Option<Instant>,
    /// Between that and what was heard before it.
    pub(super) silence: Option<Duration>,
    pub(super) accepted_bytes: u64,
    pub(super) datagram_bytes: u64,
    pub(super) send_limit: SendLimit,
    /// What may pass from the peer to the application.
    pub(super) input: Input,
    /// Why this side showed the peer out, if it did.
    pub(super) shown_out: Option<ByeReason>,
    /// The peer has come back in another life: no word of this session must reach that one.
    pub(super) superseded: bool,
}

/// Whom the events of the resume state concern.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The application.
    pub(super) arrived: bool,
    /// The driver.
    pub(super) reported: bool,
    /// Everybody: the session ended.
    pub(super) end: Option<SessionEnd>,
}

impl State {
    pub(super) fn new(resume: Resume, from_viewer: bool, questions: Option<Questions>) -> Self {
        Self {
            resume,
            links: BTreeMap::new(),
            inbox: VecDeque::new(),
            reports: VecDeque::new(),
            heard: None,
            silence: None,
            accepted_bytes: 0,
            datagram_bytes: 0,
            send_limit: SendLimit::new(),
            input: Input::new(from_viewer, questions),
            shown_out: None,
            superseded: false,
        }
    }

    /// What pumps wait for: the next deadline, and so many links to be writable.
    pub(super) fn waits(&self) -> (Option<Instant>, usize) {
        (self.resume.poll_timeout(), self.resume.blocked().count())
    }

    /// Sends what may leave. A frame that a link refuses goes back; the link's pump finds out why.
    pub(super) fn flush(&mut self, now: Instant) {
        while let Some(Transmit { generation, lane, payload }) = self.resume.poll_transmit(now) {
            let Some(link) = self.links.get(&generation) else {
                self.resume.detach(now, generation);
                continue;
            };
            if let Err(Refused { payload, why }) = link.try_send(lane, payload) {
                if matches!(why, Refusal::TooLarge { .. } | Refusal::Empty) {
                    link.close(CloseCode::INTERNAL, "a frame does not fit its own profile");
                }
                self.resume.unsend(Transmit { generation, lane, payload });
            }
        }
    }

    /// Takes every event of the resume state to whom it concerns.
    pub(super) fn take_events(&mut self, now: Instant) -> Told {
        let mut told = Told::default();
        while let Some(event) = self.resume.poll_event() {
            let received = match event {
                Event::Message(bytes) => match self.input.message(&bytes) {
                    Verdict::Passes => Some(Received::Message(bytes)),
                    verdict => {
                        // The credit goes back: the peer's library must not wait for an application that never sees it.
                        self.resume.consumed(bytes.len());
                        self.refuse(verdict, &mut told);
                        None
                    }
                },
                Event::Datagram(bytes) => match self.input.datagram(bytes.len()) {
                    Verdict::Passes => Some(Received::Datagram(bytes)),
                    verdict => {
                        self.refuse(verdict, &mut told);
                        None
                    }
                },
                Event::PeerFin => Some(Received::Finished),
                Event::Attached { generation, resent_segments } => {
                    self.send_limit.moved(&mut self.resume);
                    let silence = self.silence;
                    self.report(Report::Attached { generation, resent_segments, silence }, &mut told);
                    None
                }
                Event::Drained { generation } => {
                    self.report(Report::Drained(generation), &mut told);
                    None
                }
                Event::Expired { why, unacknowledged } => {
                    told.end = Some(SessionEnd::Expired { why, unacknowledged });
                    None
                }
                Event::Gap { from, to } => {
                    told.end = Some(SessionEnd::Gap { from, to });
                    None
                }
                Event::PeerClosed { code, reason } => {
                    told.end = Some(SessionEnd::by_peer(code, reason));
                    None
                }
                Event::RttSample(sample) => {
                    self.send_limit.round_trip(now, sample);
                    None
                }
            };
            told.arrived |= received.is_some();
            self.inbox.extend(received);
        }
        if let Some(bytes) = self.send_limit.follow(now, &mut self.resume, self.accepted_bytes)
            && let Some(link) = self.resume.current().and_then(|current| self.links.get(&current))
        {
            link.set_ahead(bytes);
        }
        told
    }

    fn refuse(&mut self, verdict: Verdict, told: &mut Told) {
        if verdict == (Verdict::Refused { first: true }) {
            self.report(Report::InputRefused, told);
        }
    }

    fn report(&mut self, report: Report, told: &mut Told) {
        self.reports.push_back(report);
        told.reported = true;
    }
}
