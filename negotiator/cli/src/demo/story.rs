//! What happened, when: path changes, events, and the moments the script itself made.

use std::time::{Duration, Instant};

use negotiator::{NegotiationEvent, TransitionKind, TransportId};

/// The record of one run.
#[derive(Debug)]
pub struct Story {
    start: Instant,
    paths: Vec<(Instant, Option<TransportId>)>,
    events: Vec<(Instant, NegotiationEvent)>,
    cut: Option<Instant>,
    restored: Option<Instant>,
}

impl Story {
    /// Begins.
    pub fn new(start: Instant) -> Self {
        Self { start, paths: Vec::new(), events: Vec::new(), cut: None, restored: None }
    }

    /// The session is on this path, or on none.
    pub fn path(&mut self, now: Instant, path: Option<TransportId>) {
        if self.paths.last().is_none_or(|(_, last)| *last != path) {
            self.paths.push((now, path));
        }
    }

    /// The session told a decision.
    pub fn event(&mut self, now: Instant, event: NegotiationEvent) {
        self.events.push((now, event));
    }

    /// The script cut the path.
    pub fn cut(&mut self, now: Instant) {
        self.cut = Some(now);
    }

    /// The script restored the path.
    pub fn restored(&mut self, now: Instant) {
        self.restored = Some(now);
    }

    /// Returns the time since the beginning.
    pub fn since_start(&self, now: Instant) -> Duration {
        now.duration_since(self.start)
    }

    /// Returns the paths in order, consecutive ones distinct.
    pub fn path_names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.paths.iter().flat_map(|(_, path)| path).map(ToString::to_string).collect();
        names.dedup();
        names
    }

    /// Returns when the session came onto another path than the one before.
    pub fn switches(&self) -> Vec<Instant> {
        let mut switches = Vec::new();
        let mut last = None;
        for (at, path) in &self.paths {
            let Some(path) = path else { continue };
            if last.is_some_and(|last| last != path) {
                switches.push(*at);
            }
            last = Some(path);
        }
        switches
    }

    /// Returns the time from the cut until the session noticed: its first word that the path is lost, or that it
    /// looks for another.
    pub fn detection(&self) -> Option<Duration> {
        let cut = self.cut?;
        let notices = |kind| {
            matches!(
                kind,
                TransitionKind::Lost | TransitionKind::Connecting | TransitionKind::FallbackConsidered
            )
        };
        let first = self.events.iter().find(|(at, event)| *at >= cut && notices(event.name))?;
        Some(first.0.duration_since(cut))
    }

    /// Returns the time since the cut.
    pub fn since_cut(&self, now: Instant) -> Option<Duration> {
        Some(now.duration_since(self.cut?))
    }

    /// Returns the reasons of the events that moved the session, in order.
    pub fn reasons(&self) -> Vec<String> {
        let told = self.events.iter().map(|(_, event)| format!("{}: {}", event.name, event.reason.code()));
        let mut reasons: Vec<String> = told.collect();
        reasons.dedup();
        reasons
    }

    /// Draws which path carried the session when, in `width` columns.
    pub fn chart(&self, end: Instant, width: usize) -> Vec<String> {
        let total = end.duration_since(self.start).as_secs_f64().max(0.001);
        let column = |at: Instant| {
            ((at.duration_since(self.start).as_secs_f64() / total * width as f64) as usize).min(width - 1)
        };
        let mut names: Vec<&TransportId> = Vec::new();
        for path in self.paths.iter().flat_map(|(_, path)| path) {
            if !names.contains(&path) {
                names.push(path);
            }
        }
        let mut rows: Vec<Vec<char>> = vec![vec![' '; width]; names.len()];
        for (index, (at, path)) in self.paths.iter().enumerate() {
            let until = self.paths.get(index + 1).map_or(end, |(next, _)| *next);
            let Some(row) = path.as_ref().and_then(|path| names.iter().position(|name| *name == path)) else {
                continue;
            };
            for cell in &mut rows[row][column(*at)..=column(until)] {
                *cell = '━';
            }
        }
        let mut marks = vec![' '; width];
        for (at, mark) in [(self.cut, '✂'), (self.restored, '✚')] {
            if let Some(at) = at {
                marks[column(at)] = mark;
            }
        }
        let drawn = names
            .iter()
            .zip(&rows)
            .map(|(name, row)| format!("{:<12} {}", name.as_str(), row.iter().collect::<String>()));
        let mut chart: Vec<String> = drawn.collect();
        chart.push(format!("{:<12} {}", "udp path", marks.iter().collect::<String>()));
        chart.push(format!("{:<12} 0 s{:>rest$.1} s", "", total, rest = width.saturating_sub(5)));
        chart
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story() -> (Story, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        let at = move |ms| start + Duration::from_millis(ms);
        let mut story = Story::new(start);
        let direct = TransportId::from_static("webrtc");
        let relay = TransportId::from_static("ws-fallback");
        story.path(at(0), Some(direct.clone()));
        story.path(at(500), Some(direct.clone()));
        story.cut(at(3_000));
        story.path(at(5_000), None);
        story.path(at(6_000), Some(relay));
        story.restored(at(8_000));
        story.path(at(9_000), Some(direct));
        (story, at)
    }

    #[test]
    fn paths_are_told_once_each_and_switches_when_they_happened() {
        let (story, at) = story();
        assert_eq!(story.path_names(), ["webrtc", "ws-fallback", "webrtc"]);
        assert_eq!(story.switches(), [at(6_000), at(9_000)]);
    }

    #[test]
    fn the_chart_shows_gaps_and_marks() {
        let (story, at) = story();
        let chart = story.chart(at(10_000), 20);
        assert_eq!(chart[0], "webrtc       ━━━━━━━━━━━       ━━");
        assert_eq!(chart[1], "ws-fallback              ━━━━━━━ ");
        assert_eq!(chart[2], "udp path           ✂         ✚   ");
    }
}
