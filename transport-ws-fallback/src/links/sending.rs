//! What is written next: urgent frames first, then one message of each link in turn.

use beach_lifeguard_client::Header;
use transport_core::Inbound;

use super::Links;
use crate::{
    entry::Entry,
    outcome::{Batch, Outgoing},
    runtime::Instant,
};

impl Links {
    /// Collects what is to be written: urgent frames first, then one message of each link in turn.
    pub(crate) fn next_batch(&mut self, now: Instant) -> Batch {
        let windows = self.windows.drain(..).map(Outgoing::Frame);
        let mut frames: Vec<Outgoing> = self.urgent.drain(..).chain(windows).collect();
        let held = self.held_until.filter(|until| now < *until);
        let (mut bytes, mut leaving, mut awaits) = (0, Vec::new(), false);
        while held.is_none() && bytes < BATCH_BYTES {
            let Some(frame) = self.next_frame(now, &mut leaving) else { break };
            bytes += frame.len();
            awaits |= self.heartbeat.on_said(now);
            frames.push(frame);
        }
        if !frames.is_empty() {
            self.heartbeat.on_sent(now);
            let ahead = self.ahead();
            let riding = self.open.values().filter_map(|entry| {
                let window = entry.link.move_window(ahead, ahead / RIDING)?;
                Some(Outgoing::Frame(window.frame(entry.link.key.peer, entry.link.key.link)))
            });
            frames.extend(riding);
        }
        let done = frames.is_empty() && self.dials == 0 && self.open.is_empty();
        if done {
            self.retired_at.get_or_insert(now);
        }
        Batch { frames, leaving, done, resume_at: held, awaits }
    }

    pub(super) fn next_frame(&mut self, now: Instant, leaving: &mut Vec<Entry>) -> Option<Outgoing> {
        loop {
            let key = self.ready.pop_front()?;
            let Some(entry) = self.open.get_mut(&key) else { continue };
            let overdue = entry.ending.as_ref().is_some_and(|ending| ending.until <= now);
            if let Some(Inbound { lane, payload }) = if overdue { None } else { entry.next_message() } {
                self.ready.push_back(key);
                return Some(Outgoing::Data(Header::data(lane, key.peer, key.link), payload));
            }
            entry.ready = false;
            if entry.is_blocked() && !overdue {
                continue;
            }
            if let Some(ending) = entry.ending.take() {
                leaving.extend(self.open.remove(&key));
                self.remember_ended(key);
                let close = Header::close(key.peer, key.link).frame(&ending.close.encode());
                return Some(Outgoing::Frame(close));
            }
        }
    }
}

/// Bytes written before one flush: enough to make the system call cheap, little enough that a
/// keystroke of another link waits for one batch only.
const BATCH_BYTES: usize = 64 << 10;

/// The part of a window that must have been read before the window goes out with whatever is written anyway, an
/// acknowledgement most of the time.
const RIDING: u64 = 8;
