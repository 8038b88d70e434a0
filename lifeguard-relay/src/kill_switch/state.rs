//! What can be ordered, and the state that orders leave. No IO.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What the operator orders. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verb {
    /// No new tokens. Who holds one may still come in.
    PauseMinting,
    /// Nobody new comes in. Who is inside stays.
    RefuseNew,
    /// Who is inside is asked to leave, spread over time.
    Drain,
    /// Who is inside is cut off.
    Stop,
}

impl Verb {
    /// Every verb, the mildest first.
    pub const ALL: [Verb; 4] = [Verb::PauseMinting, Verb::RefuseNew, Verb::Drain, Verb::Stop];

    /// Returns its name on the wire and in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::PauseMinting => "pause_minting",
            Self::RefuseNew => "refuse_new",
            Self::Drain => "drain",
            Self::Stop => "stop",
        }
    }
}

/// One order, with who gave it and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// What is ordered.
    pub verb: Verb,
    /// Why, for whoever reads it at 3 a.m.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When, Unix seconds.
    pub since: u64,
}

/// The whole switch. Fields of a later release are read over, so that releases can share a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchState {
    /// Rises with each order; a store keeps the highest.
    pub revision: u64,
    /// The order for everybody.
    pub everybody: Option<Pause>,
    /// Orders for single cohorts.
    pub cohorts: BTreeMap<String, Pause>,
    /// What was ordered before, newest last, at most 64.
    pub audit: Vec<Audit>,
}

/// One use of the switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Tells two equal orders apart, and the same order that reached the store twice.
    pub id: Uuid,
    /// When, Unix seconds.
    pub at: u64,
    /// Who.
    pub by: String,
    /// Which cohort; `None` for everybody.
    pub cohort: Option<String>,
    /// What was ordered; `None` when the order was lifted.
    pub verb: Option<Verb>,
    /// Why.
    pub reason: String,
}

impl Audit {
    /// An order given now. What people wrote is cut to 200 characters without control characters.
    pub(super) fn now(cohort: Option<&str>, verb: Option<Verb>, by: &str, reason: &str) -> Self {
        let shorten = |text: &str| text.chars().filter(|c| !c.is_control()).take(TEXT).collect::<String>();
        Self {
            id: Uuid::new_v4(),
            at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            by: shorten(by),
            cohort: cohort.map(shorten),
            verb,
            reason: shorten(reason),
        }
    }
}

impl SwitchState {
    /// The strongest order that concerns `cohort`.
    pub fn order(&self, cohort: &str) -> Option<&Pause> {
        self.everybody.iter().chain(self.cohorts.get(cohort)).max_by_key(|pause| pause.verb)
    }

    /// Carries out one order; an order it has carried out before changes nothing.
    pub(super) fn apply(&mut self, order: &Audit) {
        if self.audit.iter().any(|known| known.id == order.id) {
            return;
        }
        let pause = order.verb.map(|verb| Pause {
            verb,
            reason: order.reason.clone(),
            by: order.by.clone(),
            since: order.at,
        });
        match (&order.cohort, pause) {
            (None, pause) => self.everybody = pause,
            (Some(cohort), Some(pause)) => {
                self.cohorts.insert(cohort.clone(), pause);
            }
            (Some(cohort), None) => {
                self.cohorts.remove(cohort);
            }
        }
        self.audit.push(order.clone());
        if self.audit.len() > AUDIT {
            self.audit.remove(0);
        }
        self.revision += 1;
    }

    /// Whether one more cohort may have an order of its own.
    pub(super) fn has_room_for(&self, cohort: &str) -> bool {
        self.cohorts.len() < COHORTS || self.cohorts.contains_key(cohort)
    }
}

/// Uses of the switch that are remembered.
const AUDIT: usize = 64;
/// Cohorts that may have an order of their own.
const COHORTS: usize = 256;
/// Characters of a name or reason.
const TEXT: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_carried_out_once() {
        let mut state = SwitchState::default();
        let pause = Audit::now(None, Some(Verb::PauseMinting), "op", "because\n\u{1b}[31m");
        state.apply(&pause);
        let resume = Audit::now(None, None, "op", "over");
        state.apply(&resume);
        let after = state.clone();
        state.apply(&pause);
        assert_eq!(state, after, "the pause is over, however often it arrives");
        assert_eq!(state.revision, 2);
        assert_eq!(state.audit[0].reason, "because[31m");
    }

    #[test]
    fn the_trail_and_the_cohorts_are_bounded() {
        let mut state = SwitchState::default();
        for n in 0..AUDIT + 10 {
            state.apply(&Audit::now(Some(&format!("c{n}")), Some(Verb::Stop), "op", ""));
        }
        assert_eq!(state.audit.len(), AUDIT);
        for n in state.cohorts.len()..COHORTS {
            state.apply(&Audit::now(Some(&format!("d{n}")), Some(Verb::Stop), "op", ""));
        }
        assert!(state.has_room_for("c1") && !state.has_room_for("another"));
    }

    #[test]
    fn a_later_release_may_add_fields() {
        let json = r#"{"revision":3,"everybody":null,"cohorts":{},"audit":[],"moon":"full"}"#;
        assert_eq!(serde_json::from_str::<SwitchState>(json).unwrap().revision, 3);
    }
}
