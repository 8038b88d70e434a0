//! One session, whatever its ends are.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use conformance::history::{Stream, Verdict};

use crate::{library::Library, program::Programs, talk::Talk};

/// A session with a talk each way.
pub(crate) struct Pair {
    ends: Ends,
    talks: [Talk; 2],
    stop: Arc<AtomicBool>,
}

enum Ends {
    Library(Library),
    Programs(Programs),
}

/// How far both directions were written.
pub(crate) struct Mark([u64; 2]);

impl Pair {
    /// Connects both ends and begins to talk. Every other pair has processes at its ends.
    pub(crate) async fn start(url: String, folder: &Path, key: u64, number: u64) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stream = |stream| Stream { key, session: number, stream };
        let (ends, talks) = if number.is_multiple_of(2) {
            let (library, [viewer, host]) = Library::start(url).await;
            let there = Talk::start(viewer.clone(), host.clone(), stream(0), stop.clone());
            let back = Talk::start(host, viewer, stream(1), stop.clone());
            (Ends::Library(library), [there, back])
        } else {
            let (programs, [viewer, host]) = Programs::start(&url, folder, number).await;
            let there = Talk::start(viewer.0, host.1, stream(0), stop.clone());
            let back = Talk::start(host.0, viewer.1, stream(1), stop.clone());
            (Ends::Programs(programs), [there, back])
        };
        Self { ends, talks, stop }
    }

    /// Marks what was written up to now.
    pub(crate) fn mark(&self) -> Mark {
        Mark([0, 1].map(|way| self.talks[way].written()))
    }

    /// Says whether something that was written after `mark` arrived, in both directions.
    pub(crate) fn is_past(&self, mark: &Mark) -> bool {
        self.talks.iter().zip(mark.0).all(|(talk, mark)| talk.is_past(mark))
    }

    /// How often this session had no path.
    pub(crate) fn disconnects(&self) -> u64 {
        match &self.ends {
            Ends::Library(library) => library.disconnects(),
            Ends::Programs(programs) => programs.disconnects(),
        }
    }

    /// What its viewer knows.
    pub(crate) fn explain(&self) -> String {
        match &self.ends {
            Ends::Library(library) => library.explain(),
            Ends::Programs(programs) => programs.explain(),
        }
    }

    /// Stops talking, waits for the rest, and judges.
    pub(crate) async fn end(self) -> Verdict {
        self.stop.store(true, Ordering::Release);
        let mut verdict = Verdict::default();
        for talk in self.talks {
            verdict = verdict.and(talk.verdict().await);
        }
        match self.ends {
            Ends::Library(library) => library.end().await,
            Ends::Programs(programs) => programs.end().await,
        }
        verdict
    }
}
