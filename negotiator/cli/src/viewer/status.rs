//! The discreet last row: which path, how fast, since when, why; and whether the other side is silent.

use std::time::Duration;

use negotiator::{Absence, Status};

use crate::terminal::line::{ATTENTION, CALM, painted};

/// What the status line tells.
#[derive(Debug)]
pub struct Line<'a> {
    /// The session's own account.
    pub status: &'a Status,
    /// Viewers present, this one included; 0 when not told yet.
    pub viewers: u16,
    /// This viewer may not type.
    pub read_only: bool,
    /// A text for the person, shown for a while.
    pub notice: Option<&'a str>,
    /// What the escape key is called, if there is one.
    pub escape: Option<&'a str>,
    /// The escape key was typed: the next key is a command.
    pub armed: bool,
}

/// Silence that is worth a word. The session pings every few seconds when idle.
pub const SILENT: Duration = Duration::from_secs(7);

impl Line<'_> {
    /// Draws the line into `columns` columns: dim while all is well, conspicuous when it is not.
    pub fn render(&self, columns: u16) -> String {
        let columns = usize::from(columns);
        if self.armed {
            return painted(ATTENTION, " e explain   h history   q quit   l redraw   ? help", "", columns);
        }
        if let Some(notice) = self.notice {
            return painted(ATTENTION, &format!(" {notice}"), "", columns);
        }
        let right = match (self.read_only, self.escape) {
            (true, Some(key)) => format!("read-only · {key} ? "),
            (true, None) => "read-only ".to_owned(),
            (false, Some(key)) => format!("{key} ? "),
            (false, None) => String::new(),
        };
        painted(if self.is_calm() { CALM } else { ATTENTION }, &self.left(), &right, columns)
    }

    fn is_calm(&self) -> bool {
        self.status.path.is_some() && self.silence().is_none()
    }

    fn silence(&self) -> Option<Duration> {
        self.status.last_heard.filter(|silence| *silence >= SILENT)
    }

    fn left(&self) -> String {
        let status = self.status;
        let mut parts = Vec::new();
        match (&status.path, status.since) {
            (Some(path), since) => {
                parts.push(format!(" {path}"));
                if let Some(rtt) = status.rtt.filter(|_| self.silence().is_none()) {
                    parts.push(milliseconds(rtt));
                }
                if let Some(silence) = self.silence() {
                    parts.push(format!("last heard {} ago", span(silence)));
                }
                if self.viewers > 1 {
                    parts.push(format!("{} viewers", self.viewers));
                }
                if let Some(since) = since {
                    parts.push(format!("for {}", span(since)));
                }
                parts.push(status.reason.text().to_owned());
            }
            (None, _) => {
                parts.push(" reconnecting".to_owned());
                let why = status.reason.text();
                parts.extend(away(status.absent, status.last_heard, why));
            }
        }
        if status.pending_bytes > 0 && !self.is_calm() {
            parts.push(format!("{} waiting", bytes(status.pending_bytes as u64)));
        }
        parts.join(" · ")
    }
}

/// What is said of a session without a path. Who is missing says more than why the policy moved last.
fn away(absent: Option<Absence>, silence: Option<Duration>, why: &str) -> Vec<String> {
    let silence = silence.map(span);
    let absence = |absent: Absence| absent.text("the host", silence.as_deref());
    match absent {
        Some(Absence::Peer) => vec![absence(Absence::Peer)],
        absent => {
            let heard = silence.as_ref().map(|silence| format!("last heard {silence} ago"));
            heard.into_iter().chain([absent.map_or_else(|| why.to_owned(), absence)]).collect()
        }
    }
}

/// Says a duration with one unit: `4 s`, `12 min`, `3 h`.
pub fn span(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

/// Says a round trip: `0.4 ms`, `23 ms`.
pub fn milliseconds(duration: Duration) -> String {
    let micros = duration.as_micros();
    if micros < 10_000 {
        format!("{}.{} ms", micros / 1000, micros % 1000 / 100)
    } else {
        format!("{} ms", micros / 1000)
    }
}

/// Says an amount: `512 B`, `3.4 KiB`, `120 MiB`.
pub fn bytes(count: u64) -> String {
    let mut amount = count as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = next;
    }
    if unit == "B" || amount >= 100.0 { format!("{amount:.0} {unit}") } else { format!("{amount:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_times_read_well() {
        assert_eq!(
            [0, 1023, 1024, 3500, 120 << 20].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "3.4 KiB", "120 MiB"]
        );
        assert_eq!(
            [5, 119, 120, 7200].map(|s| span(Duration::from_secs(s))),
            ["5 s", "119 s", "2 min", "2 h"]
        );
        assert_eq!([400, 23_400].map(|us| milliseconds(Duration::from_micros(us))), ["0.4 ms", "23 ms"]);
    }

    #[test]
    fn a_host_that_is_silent_is_told_from_a_relay_that_is_away() {
        let hours = Some(Duration::from_secs(3 * 3_600));
        let said = |absent, silence| away(absent, silence, "the link ended").join(" · ");
        assert_eq!(said(Some(Absence::Peer), hours), "the host is silent since 3 h; the relay answers");
        assert_eq!(said(Some(Absence::Relay), hours), "last heard 3 h ago · the relay cannot be reached");
        assert_eq!(said(Some(Absence::Peer), None), "the host is silent; the relay answers");
        assert_eq!(said(None, hours), "last heard 3 h ago · the link ended");
    }
}
