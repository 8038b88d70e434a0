//! Figures of every session of this process, for the program's recorder of the [`metrics` facade](::metrics) (feature
//! `metrics`; without it, and without a recorder, nothing is counted).
//!
//! | name | kind, unit | labels | counts |
//! |---|---|---|---|
//! | `beach_negotiator_sessions` | gauge, sessions | `role` | sessions that live; at a host one for each viewer |
//! | `beach_negotiator_sessions_total` | counter, sessions | `role` | sessions that began |
//! | `beach_negotiator_events_total` | counter, events | `event`, `reason` | what [`Session::events`](crate::Session::events) tells |
//! | `beach_negotiator_path_changes_total` | counter, changes | `from`, `to`, `reason` | changes of a session's path; `none`: no path |
//! | `beach_negotiator_switch_silence_seconds` | histogram, s | | how long nothing was heard of the peer when a session was on its next path |
//! | `beach_negotiator_dials_total` | counter, dials | `transport`, `outcome`, `stage` | dials that ended: `up`, `abandoned`, or who is at fault and where it stopped |
//! | `beach_negotiator_segments_resent_total` | counter, segments | | sent again after a change of path |
//! | `beach_negotiator_segments_repeated_total` | counter, segments | | sent again because their acknowledgement was late |
//! | `beach_negotiator_duplicates_total` | counter, segments | | that arrived twice; the application saw them once |
//! | `beach_negotiator_datagrams_dropped_total` | counter, datagrams | | lost on this side: no path, no room, never complete |
//!
//! `role` is `host` or `viewer`, `event` a [`TransitionKind::name`](crate::TransitionKind::name), `reason` a
//! [`Reason::code`](crate::Reason::code), `from`, `to` and `transport` a [`TransportId`]; `outcome` is `up`,
//! `abandoned` (another won, or its time was over), `incompatible`, `misuse`, `rejected`, `timed_out` or `unreachable`, `stage` the transport's own. All are closed sets:
//! nothing of a person, a peer or a session becomes a label.
//!
//! The example `metrics` of this package prints them.

use ::metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use transport_core::{ConnectError, ConnectErrorKind, TransportId};

use crate::{event::NegotiationEvent, runtime::Duration, stats::SessionStats};

/// Tells the recorder what each metric means and its unit. Once, after the recorder is installed.
pub fn describe() {
    describe_gauge!(SESSIONS, Unit::Count, "Sessions that live.");
    describe_counter!(SESSIONS_TOTAL, Unit::Count, "Sessions that began.");
    describe_counter!(EVENTS_TOTAL, Unit::Count, "Negotiation events, by event and reason.");
    describe_counter!(PATH_CHANGES, Unit::Count, "Changes of a session's path, by reason.");
    describe_histogram!(
        SWITCH_SILENCE,
        Unit::Seconds,
        "How long the peer was not heard at a change of path."
    );
    describe_counter!(DIALS, Unit::Count, "Dials that ended, by transport, outcome and stage.");
    describe_counter!(SEGMENTS_RESENT, Unit::Count, "Segments sent again after a change of path.");
    describe_counter!(SEGMENTS_REPEATED, Unit::Count, "Segments sent again for a late acknowledgement.");
    describe_counter!(DUPLICATES, Unit::Count, "Segments that arrived twice.");
    describe_counter!(DATAGRAMS_DROPPED, Unit::Count, "Datagrams lost on this side.");
}

/// Counts what happens to one session.
#[derive(Debug)]
pub(crate) struct Meter {
    role: &'static str,
    /// What the counters of this session have been told so far.
    told: SessionStats,
}

impl Meter {
    pub(crate) fn new(is_host: bool) -> Self {
        let role = if is_host { "host" } else { "viewer" };
        gauge!(SESSIONS, "role" => role).increment(1.0);
        counter!(SESSIONS_TOTAL, "role" => role).increment(1);
        Self { role, told: SessionStats::default() }
    }

    pub(crate) fn event(&self, event: &NegotiationEvent) {
        let reason = event.reason.code();
        counter!(EVENTS_TOTAL, "event" => event.name.name(), "reason" => reason).increment(1);
        if event.from != event.to {
            let path = |id: &Option<TransportId>| id.as_ref().map_or("none".to_owned(), |id| id.to_string());
            counter!(PATH_CHANGES, "from" => path(&event.from), "to" => path(&event.to), "reason" => reason)
                .increment(1);
        }
    }

    pub(crate) fn attached(&self, silence: Option<Duration>) {
        // A first path follows nothing.
        if let Some(silence) = silence {
            histogram!(SWITCH_SILENCE).record(silence);
        }
    }

    pub(crate) fn dialled(&self, transport: &TransportId) {
        dial_ended(transport, "up", "up");
    }

    pub(crate) fn dial_abandoned(&self, transport: &TransportId) {
        dial_ended(transport, "abandoned", "dial");
    }

    pub(crate) fn dial_failed(&self, error: &ConnectError) {
        let outcome = match error.kind {
            ConnectErrorKind::Incompatible => "incompatible",
            ConnectErrorKind::Misuse => "misuse",
            ConnectErrorKind::Rejected => "rejected",
            ConnectErrorKind::TimedOut => "timed_out",
            ConnectErrorKind::Unreachable => "unreachable",
            ConnectErrorKind::Unready => "unready",
        };
        dial_ended(&error.transport, outcome, error.stage);
    }

    /// Counts what was added to the session's own counters.
    pub(crate) fn session(&mut self, stats: impl FnOnce() -> SessionStats) {
        let now = stats();
        let before = std::mem::replace(&mut self.told, now);
        for (name, before, now) in [
            (SEGMENTS_RESENT, before.segments_resent, now.segments_resent),
            (SEGMENTS_REPEATED, before.segments_repeated, now.segments_repeated),
            (DUPLICATES, before.duplicates, now.duplicates),
            (DATAGRAMS_DROPPED, before.datagrams_dropped, now.datagrams_dropped),
        ] {
            let added = now.saturating_sub(before);
            if added > 0 {
                counter!(name).increment(added);
            }
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        gauge!(SESSIONS, "role" => self.role).decrement(1.0);
    }
}

fn dial_ended(transport: &TransportId, outcome: &'static str, stage: &'static str) {
    counter!(DIALS, "transport" => transport.to_string(), "outcome" => outcome, "stage" => stage)
        .increment(1);
}

/// Gauge by `role`: sessions that live.
pub const SESSIONS: &str = "beach_negotiator_sessions";
/// Counter by `role`: sessions that began.
pub const SESSIONS_TOTAL: &str = "beach_negotiator_sessions_total";
/// Counter by `event` and `reason`.
pub const EVENTS_TOTAL: &str = "beach_negotiator_events_total";
/// Counter by `from`, `to` and `reason`.
pub const PATH_CHANGES: &str = "beach_negotiator_path_changes_total";
/// Histogram in seconds.
pub const SWITCH_SILENCE: &str = "beach_negotiator_switch_silence_seconds";
/// Counter by `transport`, `outcome` and `stage`.
pub const DIALS: &str = "beach_negotiator_dials_total";
/// Counter: sent again after a change of path.
pub const SEGMENTS_RESENT: &str = "beach_negotiator_segments_resent_total";
/// Counter: sent again because an acknowledgement was late.
pub const SEGMENTS_REPEATED: &str = "beach_negotiator_segments_repeated_total";
/// Counter: arrived twice.
pub const DUPLICATES: &str = "beach_negotiator_duplicates_total";
/// Counter: datagrams lost on this side.
pub const DATAGRAMS_DROPPED: &str = "beach_negotiator_datagrams_dropped_total";
