//! How far a file has come: a line that is drawn anew.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use negotiator::Session;

use super::stream::REFRESH;
use crate::{ui::Lines, viewer::status};

/// How far a file has come.
#[derive(Debug)]
pub(super) struct Progress {
    name: String,
    total: u64,
    /// What was there before this began.
    first: u64,
    done: AtomicU64,
    start: Instant,
}

impl Progress {
    pub(super) fn new(name: &str, total: u64) -> Self {
        Self { name: name.to_owned(), total, first: 0, done: AtomicU64::new(0), start: Instant::now() }
    }

    /// It goes on behind so many bytes.
    #[must_use]
    pub(super) fn behind(mut self, first: u64) -> Self {
        (self.first, self.done) = (first, AtomicU64::new(first));
        self
    }

    pub(super) fn add(&self, bytes: usize) {
        self.done.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Shows the line until it is dropped.
    pub(super) async fn show(&self, session: &Session, lines: &mut Lines) -> std::convert::Infallible {
        loop {
            let status = session.status();
            let path = status.path.map_or_else(|| "no path".to_owned(), |path| path.to_string());
            lines.show(&[format!("{} · {path}", self.line(self.start.elapsed()))]);
            tokio::time::sleep(REFRESH).await;
        }
    }

    fn line(&self, elapsed: Duration) -> String {
        let done = self.done.load(Ordering::Relaxed);
        let percent = (done * 100).checked_div(self.total).unwrap_or(100).min(100);
        let speed = (done - self.first) as f64 / elapsed.as_secs_f64().max(0.001);
        let (have, total) = (status::bytes(done), status::bytes(self.total));
        let mut line =
            format!("{} · {have} of {total} · {percent} % · {}/s", self.name, status::bytes(speed as u64));
        if speed >= 1.0 && done < self.total {
            let left = Duration::from_secs_f64((self.total - done) as f64 / speed);
            line.push_str(&format!(" · {} left", status::span(left)));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_much_how_fast_and_how_long() {
        let progress = Progress::new("photos.tar", 100 << 20).behind(10 << 20);
        progress.add(15 << 20);
        assert_eq!(
            progress.line(Duration::from_secs(3)),
            "photos.tar · 25.0 MiB of 100 MiB · 25 % · 5.0 MiB/s · 15 s left"
        );
        assert_eq!(Progress::new("empty", 0).line(Duration::ZERO), "empty · 0 B of 0 B · 100 % · 0 B/s");
    }
}
