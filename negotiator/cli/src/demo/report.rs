//! What the demo found: a table for a person, one JSON object for a program.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::show::Notes;
use crate::viewer::status;

/// The result of a run. The names are part of the command's interface.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Everything was as promised.
    pub ok: bool,
    /// What was not, in words.
    pub failures: Vec<String>,
    /// Transports that carried the session, in order.
    pub paths: Vec<String>,
    /// Bytes of the bulk stream that arrived on the reliable lane.
    pub reliable_bytes: u64,
    /// Records that never arrived.
    pub lost: u64,
    /// Records that arrived more than once.
    pub duplicated: u64,
    /// Records that arrived after a later one.
    pub reordered: u64,
    /// The received bytes have the hash of the sent ones.
    pub sha256_match: bool,
    /// Lines typed into the shell.
    pub typed_lines: u64,
    /// Lines the shell answered, each once and in turn.
    pub answered_lines: u64,
    /// From the first word to a usable session.
    pub connect_ms: u64,
    /// From the cut until the session noticed.
    pub detect_ms: Option<u64>,
    /// From the cut until a record came over the relay.
    pub fallback_ms: Option<u64>,
    /// From the repair until the session was back.
    pub return_ms: Option<u64>,
    /// For each change of path, the longest time around it in which nothing arrived. The first one holds the
    /// whole outage: the path died before its successor was looked for.
    pub switch_gap_ms: Vec<u64>,
    /// Most relay sockets open at any moment while the direct path carried the session undisturbed: before the
    /// cut, and again once the return had settled.
    pub relay_sockets_while_direct: usize,
    /// How often that was looked at.
    pub relay_socket_samples: u64,
    /// Every decision with its reason, in order.
    pub reasons: Vec<String>,
}

/// What the script measured itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Measured {
    /// From the first word to a usable session.
    pub connect: Duration,
    /// From the repair until the session was back.
    pub restore: Option<Duration>,
    /// See [`Report::relay_sockets_while_direct`].
    pub relay_sockets: usize,
    /// How often that was looked at.
    pub samples: u64,
}

impl Report {
    /// Draws the conclusions. `failure` is what ended the script early.
    pub fn new(notes: &Notes, measured: Measured, failure: Option<String>) -> Self {
        let balance = notes.ledger.balance();
        let switches = notes.story.switches();
        let mut report = Self {
            ok: false,
            failures: failure.into_iter().collect(),
            paths: notes.story.path_names(),
            reliable_bytes: balance.bytes,
            lost: balance.lost,
            duplicated: balance.duplicated,
            reordered: balance.reordered,
            sha256_match: balance.sha256_match,
            typed_lines: notes.typist.typed(),
            answered_lines: notes.typist.answered(),
            connect_ms: millis(measured.connect),
            detect_ms: notes.story.detection().map(millis),
            fallback_ms: notes.usable_again.and_then(|at| notes.story.since_cut(at)).map(millis),
            return_ms: measured.restore.map(millis),
            switch_gap_ms: switches.iter().map(|at| millis(notes.ledger.silence_around(*at))).collect(),
            relay_sockets_while_direct: measured.relay_sockets,
            relay_socket_samples: measured.samples,
            reasons: notes.story.reasons(),
        };
        report.judge(notes.typist.wrong());
        report
    }

    fn judge(&mut self, wrong_answers: u64) {
        let mut broken = Vec::new();
        let mut hold = |holds: bool, what: &str| {
            if !holds {
                broken.push(what.to_owned());
            }
        };
        hold(self.lost == 0, "records were lost");
        hold(self.duplicated == 0, "records arrived twice");
        hold(self.reordered == 0, "records arrived out of order");
        hold(self.reliable_bytes > 0 && self.sha256_match, "the received bytes are not the sent ones");
        hold(
            self.typed_lines > 0 && self.answered_lines == self.typed_lines,
            "typed lines were not answered",
        );
        hold(wrong_answers == 0, "the shell ran a line twice or out of turn");
        hold(self.paths == EXPECTED, "the session did not go to the relay and back");
        hold(
            self.relay_sockets_while_direct == 0,
            "a relay socket was open while the direct path was healthy",
        );
        hold(self.relay_socket_samples > 0, "nobody looked for relay sockets");
        self.failures.extend(broken);
        self.ok = self.failures.is_empty();
    }

    /// Draws the table.
    pub fn table(&self, notes: &Notes) -> Vec<String> {
        let ms = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), |ms| format!("{ms} ms"));
        let gaps: Vec<String> = self.switch_gap_ms.iter().map(|ms| format!("{ms} ms")).collect();
        let shell = notes.typist.median().map_or_else(|| "–".to_owned(), status::milliseconds);
        let rows = [
            ("paths", self.paths.join(" → ")),
            (
                "bulk stream",
                format!(
                    "{}, SHA-256 {}",
                    status::bytes(self.reliable_bytes),
                    if self.sha256_match { "equal" } else { "DIFFERS" }
                ),
            ),
            (
                "lost / twice / out of order",
                format!("{} / {} / {}", self.lost, self.duplicated, self.reordered),
            ),
            (
                "typed lines / answered",
                format!("{} / {}, median {shell}", self.typed_lines, self.answered_lines),
            ),
            ("connected in", ms(Some(self.connect_ms))),
            ("dead path noticed after", ms(self.detect_ms)),
            ("usable on the relay after", ms(self.fallback_ms)),
            ("back on the direct path after", ms(self.return_ms)),
            ("silence around each switch", gaps.join(", ")),
            (
                "relay sockets while direct",
                format!("{} in {} looks", self.relay_sockets_while_direct, self.relay_socket_samples),
            ),
        ];
        rows.into_iter().map(|(name, value)| format!("  {name:<30} {value}")).collect()
    }
}

/// Draws when which path carried the session.
pub fn chart(notes: &Notes) -> Vec<String> {
    notes.story.chart(Instant::now(), CHART).into_iter().map(|row| format!("  {row}")).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

const EXPECTED: [&str; 3] = ["webrtc", "ws-fallback", "webrtc"];

/// Columns of the chart.
const CHART: usize = 62;
