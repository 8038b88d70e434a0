//! The last look before the fallback is taken: was it the direct path that failed, or everything?
//!
//! When the whole network was down, the failures gathered meanwhile say nothing about the direct
//! path, and the moment the fallback connects is the moment the network is back. So a fallback that
//! connected late, or while a primary was just answering, waits in reserve for one more fair race.

use crate::{ids::Generation, time::Instant};

use super::{
    Action, FallbackPolicy,
    campaign::{Dial, Purpose},
    gate::Override,
    ladder::Class,
};

/// An open fallback link that is taken unless a primary connects in time.
#[derive(Debug, Clone)]
pub(super) struct Reserve {
    pub(super) generation: Generation,
    pub(super) rung: usize,
    began: Instant,
    pub(super) until: Instant,
}

impl FallbackPolicy {
    /// Says whether the evidence against the primaries may have been a dead network.
    pub(super) fn doubts_verdict(&self, now: Instant, fallback: &Dial) -> bool {
        let Some(campaign) = &self.campaign else { return false };
        let searching = matches!(campaign.purpose, Purpose::First | Purpose::Live);
        if !searching || self.tenure || self.mode != Override::Auto {
            return false;
        }
        let hopeful =
            |rung: &usize| campaign.spared != Some(*rung) && !self.ladder.rungs[*rung].is_condemned(now);
        let recent = |at: Instant| now.saturating_duration_since(at) < self.config.dial.confirm;
        // One that answered long ago and never connected passes probes and nothing else.
        let first_answer = |rung: &usize| {
            self.dials.values().filter(|dial| dial.rung == *rung).filter_map(|d| d.answered).min()
        };
        let answering = self.primaries(now).iter().filter_map(first_answer).any(recent);
        let slow = now.saturating_duration_since(fallback.began) >= self.config.dial.slow_fallback;
        self.primaries(now).iter().any(hopeful) && (answering || slow || campaign.fallback_failed)
    }

    /// Keeps the fallback ready and dials every primary once more.
    pub(super) fn put_in_reserve(&mut self, now: Instant, generation: Generation, rung: usize) {
        let until = now + self.config.dial.confirm;
        self.reserve = Some(Reserve { generation, rung, began: now, until });
        for rung in self.primaries(now) {
            let answering = |dial: &Dial| dial.rung == rung && dial.answered.is_some();
            if !self.dials.values().any(answering) {
                // Whatever is open was sent into a dead network; a fresh one finds the way sooner.
                let stale = self.dials.iter().find(|(_, dial)| dial.rung == rung).map(|(number, _)| *number);
                if let Some(stale) = stale.filter(|_| !self.has_room(rung)) {
                    self.dials.remove(&stale);
                    self.actions.push_back(Action::CancelDial { generation: stale });
                }
                self.ladder.rungs[rung].next_dial = Some(now);
            }
        }
    }

    /// Takes the fallback when its rivals had their time; one that answers gets a little more.
    pub(super) fn confirm(&mut self, now: Instant) {
        let Some(reserve) = &mut self.reserve else { return };
        if now < reserve.until {
            return;
        }
        let extended = reserve.began + self.config.dial.silence;
        let primary = |dial: &Dial| self.ladder.rungs[dial.rung].rung.class == Class::Primary;
        let lively = |at: Instant| now.saturating_duration_since(at) < self.config.dial.answered_stagger;
        let answers = |dial: &Dial| primary(dial) && dial.answered.is_some_and(lively);
        if now < extended && self.dials.values().any(answers) {
            reserve.until = extended;
        } else if let Some(reserve) = self.reserve.take() {
            self.adopt(now, reserve.generation, reserve.rung);
        }
    }

    pub(super) fn drop_reserve(&mut self) {
        if let Some(reserve) = self.reserve.take() {
            self.actions.push_back(Action::Drain { generation: reserve.generation });
        }
    }
}
