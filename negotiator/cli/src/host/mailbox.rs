//! What waits to be sent to one viewer, bounded in bytes.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::wire::Message;

/// A queue of messages for one viewer. No IO.
///
/// Output is cheap to skip, because the screen can be drawn anew; everything else is small and rare. A
/// viewer that cannot follow therefore loses intermediate pictures and never the last one.
#[derive(Debug, Default)]
pub struct Mailbox {
    queue: VecDeque<Message>,
    output_bytes: usize,
    skipped: u64,
    /// Bytes of output that were skipped since this was last told.
    untold: u64,
}

impl Mailbox {
    /// Says whether the viewer is behind: more than [`LIMIT`] bytes of output wait.
    pub fn is_full(&self) -> bool {
        self.output_bytes >= LIMIT || self.untold > 0
    }

    /// Adds output.
    pub fn push_output(&mut self, bytes: Bytes) {
        self.output_bytes += bytes.len();
        self.queue.push_back(Message::Output(bytes));
    }

    /// Drops `latest` and all output that waits, snapshots included: a new one must follow.
    pub fn skip_output(&mut self, latest: &Bytes) {
        let mut bytes = latest.len();
        self.queue.retain(|message| match message {
            Message::Output(output) => {
                bytes += output.len();
                false
            }
            Message::Snapshot { .. } => false,
            _ => true,
        });
        self.output_bytes = 0;
        self.untold += bytes as u64;
        self.skipped += bytes as u64;
    }

    /// Adds a message that is not output. A newer snapshot replaces everything that waits to be drawn.
    pub fn push(&mut self, message: Message) {
        if matches!(message, Message::Snapshot { .. }) {
            self.queue.retain(|old| !matches!(old, Message::Snapshot { .. } | Message::Output(_)));
            self.output_bytes = 0;
        }
        if let Message::Viewers(_) = message {
            self.queue.retain(|old| !matches!(old, Message::Viewers(_)));
        }
        if matches!(message, Message::Notice(_)) && self.queue.contains(&message) {
            return;
        }
        self.queue.push_back(message);
    }

    /// Takes the next message.
    pub fn pop(&mut self) -> Option<Message> {
        let message = self.queue.pop_front()?;
        if let Message::Output(bytes) = &message {
            self.output_bytes -= bytes.len();
        }
        Some(message)
    }

    /// Returns how much output was skipped since the last call: if any, a snapshot is due.
    pub fn take_skipped(&mut self) -> u64 {
        std::mem::take(&mut self.untold)
    }

    /// Returns how much output was skipped in all.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Says whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.untold == 0
    }
}

/// Bytes of output that may wait for one viewer. As much again may be unacknowledged in its session.
pub const LIMIT: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Size;

    fn output(bytes: usize) -> Bytes {
        vec![b'x'; bytes].into()
    }

    #[test]
    fn a_viewer_is_behind_exactly_at_the_limit() {
        let mut mailbox = Mailbox::default();
        mailbox.push_output(output(LIMIT - 1));
        assert!(!mailbox.is_full());
        mailbox.push_output(output(1));
        assert!(mailbox.is_full());
        mailbox.pop();
        assert!(!mailbox.is_full());
    }

    #[test]
    fn skipping_keeps_everything_but_pictures_and_counts_the_bytes() {
        let mut mailbox = Mailbox::default();
        mailbox.push_output(output(10));
        mailbox.push(Message::Exit(3));
        mailbox.skip_output(&output(5));
        assert!(mailbox.is_full());
        assert_eq!((mailbox.take_skipped(), mailbox.take_skipped(), mailbox.skipped()), (15, 0, 15));
        assert_eq!((mailbox.pop(), mailbox.pop()), (Some(Message::Exit(3)), None));
    }

    #[test]
    fn a_snapshot_replaces_what_it_shows() {
        let mut mailbox = Mailbox::default();
        let size = Size { columns: 1, rows: 1 };
        mailbox.push_output(output(10));
        mailbox.push(Message::Snapshot { size, bytes: output(1) });
        mailbox.push_output(output(2));
        assert_eq!(mailbox.pop(), Some(Message::Snapshot { size, bytes: output(1) }));
        assert_eq!(mailbox.pop(), Some(Message::Output(output(2))));
        assert!(mailbox.is_empty());
    }
}
