//! A row: one thing that the world does, what was seen, what is due, and how to try it.

use std::{fmt, time::Duration};

use crate::{program::Programs, trouble::Trouble};

/// One row of the field's table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The table it stands in, once it does.
    pub chapter: &'static str,
    /// Its name on the command line.
    pub name: &'static str,
    /// What the world does.
    pub what: &'static str,
    /// What the first edition did.
    pub seen: &'static str,
    /// What is due.
    pub due: &'static str,
    /// How it is tried.
    pub state: State,
}

/// Whether a row can be tried.
#[derive(Clone, Copy)]
pub enum State {
    /// It is tried and must meet its due, in the short half too.
    Due(Run),
    /// It is tried and must meet its due, and takes too long for the short half.
    Nightly(Run),
    /// It is tried to see how far it is. It is not promised yet, and never counts as passed.
    NotYet(Run),
    /// It cannot be tried, for this reason. It never counts as passed.
    Later(&'static str),
}

/// Tries a row once.
pub type Run = fn(&Programs) -> Result<Figure, Miss>;

/// What was measured in a run that met its due.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The time the row is about.
    pub took: Duration,
    /// The same in words, with what else is worth knowing.
    pub words: String,
}

/// Why a run did not meet its due.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Miss {
    /// The product did something else.
    #[error("{0}")]
    Due(String),
    /// The laboratory failed: nothing is known about the product.
    #[error("the laboratory: {0}")]
    Lab(#[from] Trouble),
}

impl State {
    /// How it is tried, if it can be.
    pub fn run(self) -> Option<Run> {
        match self {
            Self::Due(run) | Self::Nightly(run) | Self::NotYet(run) => Some(run),
            Self::Later(_) => None,
        }
    }

    /// Whether it is promised: a run that misses its due is a fault.
    pub fn is_promised(self) -> bool {
        matches!(self, Self::Due(_) | Self::Nightly(_))
    }
}

impl Row {
    /// Makes a row, which is of no chapter yet.
    pub(crate) const fn new(
        name: &'static str,
        what: &'static str,
        seen: &'static str,
        due: &'static str,
        state: State,
    ) -> Self {
        Self { chapter: "", name, what, seen, due, state }
    }

    /// Its name with its chapter's, as on the command line.
    pub fn path(&self) -> String {
        format!("{}::{}", self.chapter, self.name)
    }

    /// Says whether a filter names it: words of its path, or nothing at all.
    pub fn matches(&self, filter: Option<&str>) -> bool {
        filter.is_none_or(|filter| self.path().contains(filter))
    }
}

impl Figure {
    /// A time alone.
    pub fn of(took: Duration) -> Self {
        Self { took, words: seconds(took) }
    }

    /// Adds what else is worth knowing.
    #[must_use]
    pub fn and(mut self, words: impl fmt::Display) -> Self {
        self.words = format!("{}, {words}", self.words);
        self
    }

    /// Requires that it took no longer than `limit`.
    ///
    /// # Errors
    ///
    /// [`Miss::Due`] with both times.
    pub fn within(self, limit: Duration) -> Result<Self, Miss> {
        if self.took <= limit {
            Ok(self)
        } else {
            Err(Miss::Due(format!("took {}; due within {}", self.words, seconds(limit))))
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Due(_) => f.write_str("Due"),
            Self::Nightly(_) => f.write_str("Nightly"),
            Self::NotYet(_) => f.write_str("NotYet"),
            Self::Later(why) => f.debug_tuple("Later").field(why).finish(),
        }
    }
}

/// Says a time: `0.84 s`.
pub fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
