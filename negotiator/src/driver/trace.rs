//! What a driver told its judge, when, and what the judge asked for: for tests that replay it.

use std::cell::RefCell;

use transport_core::judge::{Action, Event, Judge};

use crate::runtime::Instant;

/// Keeps the record of one driver, and hands it over when the driver ends.
#[derive(Debug)]
pub(super) struct Trace(Record);

/// What one judge was told, from its start to its end.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// The judge as it was before the first event.
    pub(super) fresh: Judge,
    pub(super) steps: Vec<Step>,
}

/// One call into the judge, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) at: Instant,
    /// `None`: its time had come.
    pub(super) event: Option<Event>,
    pub(super) actions: Vec<Action>,
}

thread_local! {
    /// The records of drivers that ended on this thread.
    static FINISHED: RefCell<Vec<Record>> = const { RefCell::new(Vec::new()) };
}

/// Takes the records of drivers that ended on this thread.
pub(super) fn finished() -> Vec<Record> {
    FINISHED.take()
}

impl Trace {
    pub(super) fn new(judge: &Judge) -> Self {
        Self(Record { fresh: judge.clone(), steps: Vec::new() })
    }

    pub(super) fn told(&mut self, at: Instant, event: Option<Event>) {
        self.0.steps.push(Step { at, event, actions: Vec::new() });
    }

    pub(super) fn asked(&mut self, action: Action) {
        if let Some(step) = self.0.steps.last_mut() {
            step.actions.push(action);
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        FINISHED.with_borrow_mut(|finished| finished.push(self.0.clone()));
    }
}
