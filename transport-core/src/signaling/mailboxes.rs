//! What peers said to dials of this side and was not read yet: bounded in bytes, and paid for by who says it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use tokio::sync::Notify;

use crate::ids::{Generation, PeerId, TransportId};

/// Which dial a channel belongs to: with whom, over what, which attempt.
pub(super) type LinkKey = (PeerId, TransportId, Generation);

/// The mailboxes of all dials, opened here or not yet: the other side may speak first.
#[derive(Debug, Default)]
pub(super) struct Mailboxes {
    boxes: BTreeMap<LinkKey, Mailbox>,
    /// What each peer holds, and all of them.
    held: BTreeMap<PeerId, usize>,
    total: usize,
    /// Counts the channels that were opened.
    opened: u64,
    closed: bool,
}

#[derive(Debug, Default)]
struct Mailbox {
    waiting: VecDeque<String>,
    /// The channel that reads it; `None` while nobody does.
    reader: Option<Reader>,
}

#[derive(Debug)]
struct Reader {
    ticket: u64,
    wake: Arc<Notify>,
}

/// What a reader finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is not read by this channel any more.
    Closed,
    /// Something that was said.
    Message(String),
    /// Nothing yet.
    Nothing,
}

impl Mailboxes {
    /// Opens the mailbox of a dial: what was said earlier is in it. A channel that read it before ends, and what waits for
    /// lower generations of the same peer and transport is forgotten. Returns the ticket to read with.
    pub(super) fn open(&mut self, key: &LinkKey, wake: Arc<Notify>) -> u64 {
        let older = |of: &LinkKey| (&of.0, &of.1) == (&key.0, &key.1) && of.2 < key.2;
        self.discard(|of, mailbox| older(of) && mailbox.reader.is_none());
        self.opened += 1;
        let ticket = self.opened;
        let mailbox = self.boxes.entry(key.clone()).or_insert_with(|| {
            *self.held.entry(key.0).or_default() += BOX_WEIGHT;
            self.total += BOX_WEIGHT;
            Mailbox::default()
        });
        if let Some(replaced) = mailbox.reader.replace(Reader { ticket, wake }) {
            // What waits was said to the one before.
            let freed = mailbox.waiting.drain(..).map(|message| weight(&message)).sum();
            replaced.wake.notify_one();
            self.release(key.0, freed);
        }
        ticket
    }

    /// Takes what waits for the holder of a ticket.
    pub(super) fn read(&mut self, key: &LinkKey, ticket: u64) -> Found {
        let mine =
            |mailbox: &&mut Mailbox| mailbox.reader.as_ref().is_some_and(|reader| reader.ticket == ticket);
        let Some(mailbox) = self.boxes.get_mut(key).filter(mine) else { return Found::Closed };
        match mailbox.waiting.pop_front() {
            Some(message) => {
                self.release(key.0, weight(&message));
                Found::Message(message)
            }
            None if self.closed => Found::Closed,
            None => Found::Nothing,
        }
    }

    /// Forgets a mailbox that was opened with this ticket. One that was opened since stays.
    pub(super) fn close(&mut self, key: &LinkKey, ticket: u64) {
        self.discard(|of, mailbox| {
            of == key && mailbox.reader.as_ref().is_some_and(|reader| reader.ticket == ticket)
        });
    }

    /// Keeps what a peer says until the dial reads it. What is beyond a bound is dropped: the dial's deadline deals with it.
    pub(super) fn deliver(&mut self, key: LinkKey, message: String) {
        if !self.boxes.contains_key(&key) && !self.make_room_for_a_box(&key) {
            return;
        }
        if self.boxes.get(&key).is_some_and(|mailbox| mailbox.waiting.len() >= MAILBOX) {
            return;
        }
        let needed = weight(&message) + if self.boxes.contains_key(&key) { 0 } else { BOX_WEIGHT };
        if !self.make_room(&key, needed) {
            return;
        }
        let mailbox = self.boxes.entry(key.clone()).or_default();
        mailbox.waiting.push_back(message);
        *self.held.entry(key.0).or_default() += needed;
        self.total += needed;
        if let Some(reader) = &mailbox.reader {
            reader.wake.notify_one();
        }
    }

    /// Frees what a peer said to dials that this side has not begun. Dials under way do not end with its place in the room.
    pub(super) fn left(&mut self, peer: PeerId) {
        self.discard(|of, mailbox| of.0 == peer && mailbox.reader.is_none());
    }

    /// Frees everything of a peer, and ends its channels.
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.discard(|of, _| of.0 == peer);
    }

    /// Ends all channels, once they have read what waits.
    pub(super) fn end(&mut self) {
        self.closed = true;
        self.boxes.values().filter_map(|mailbox| mailbox.reader.as_ref()).for_each(|r| r.wake.notify_one());
    }

    /// Unopened mailboxes are somebody's future attempts: a few, of the newest generations.
    fn make_room_for_a_box(&mut self, key: &LinkKey) -> bool {
        let unopened = self.boxes.iter().filter(|(of, m)| of.0 == key.0 && m.reader.is_none());
        if unopened.count() < UNOPENED_PER_PEER {
            return true;
        }
        self.drop_oldest_unopened(key.0, Some(key.2))
    }

    /// Makes room at the cost of the peer itself, and then of whoever holds most.
    fn make_room(&mut self, key: &LinkKey, needed: usize) -> bool {
        let peer = key.0;
        while self.held.get(&peer).copied().unwrap_or(0) + needed > BYTES_PER_PEER {
            if !self.drop_oldest_unopened(peer, Some(key.2)) {
                return false;
            }
        }
        while self.total + needed > BYTES_IN_ALL {
            let held = |peer| self.held.get(&peer).copied().unwrap_or(0);
            let Some((&fullest, &most)) = self.held.iter().max_by_key(|(_, held)| **held) else {
                return false;
            };
            if held(peer) + needed >= most {
                return false;
            }
            if !self.drop_oldest_unopened(fullest, None) && self.empty(fullest) == 0 {
                return false;
            }
        }
        true
    }

    /// Drops the oldest unopened mailbox of a peer, if it is older than `than`. Says whether it did.
    fn drop_oldest_unopened(&mut self, peer: PeerId, than: Option<Generation>) -> bool {
        let unopened = self.boxes.iter().filter(|(of, mailbox)| of.0 == peer && mailbox.reader.is_none());
        let Some(oldest) = unopened.map(|(of, _)| of.clone()).min_by_key(|of| of.2) else { return false };
        if than.is_some_and(|than| oldest.2 >= than) {
            return false;
        }
        self.discard(|of, _| *of == oldest);
        true
    }

    /// Drops what waits in the opened mailboxes of a peer. Returns the bytes.
    fn empty(&mut self, peer: PeerId) -> usize {
        let mine = self.boxes.iter_mut().filter(|(of, _)| of.0 == peer);
        let freed =
            mine.flat_map(|(_, mailbox)| mailbox.waiting.drain(..)).map(|message| weight(&message)).sum();
        self.release(peer, freed);
        freed
    }

    fn discard(&mut self, which: impl Fn(&LinkKey, &Mailbox) -> bool) {
        let mut freed = Vec::new();
        self.boxes.retain(|key, mailbox| {
            let goes = which(key, mailbox);
            if goes {
                freed.push((key.0, BOX_WEIGHT + mailbox.waiting.iter().map(|m| weight(m)).sum::<usize>()));
                mailbox.reader.iter().for_each(|reader| reader.wake.notify_one());
            }
            !goes
        });
        freed.into_iter().for_each(|(peer, bytes)| self.release(peer, bytes));
    }

    fn release(&mut self, peer: PeerId, bytes: usize) {
        self.total -= bytes;
        if let Some(held) = self.held.get_mut(&peer) {
            *held -= bytes;
            if *held == 0 {
                self.held.remove(&peer);
            }
        }
    }
}

fn weight(message: &str) -> usize {
    message.len() + MESSAGE_WEIGHT
}

/// Messages that may wait in one mailbox: an offer, an answer and every candidate of a
/// machine with many interfaces.
pub(super) const MAILBOX: usize = 128;

/// Attempts of one peer that may speak before this side opens its channel.
const UNOPENED_PER_PEER: usize = 8;

/// Bytes that may wait for the dials of one peer: eight offers of the largest size.
const BYTES_PER_PEER: usize = 256 * 1024;

/// Bytes that may wait in all: 32 peers at their bound.
const BYTES_IN_ALL: usize = 8 * 1024 * 1024;

/// What a message and a mailbox cost beside the text.
const MESSAGE_WEIGHT: usize = 64;
const BOX_WEIGHT: usize = 512;

#[cfg(test)]
#[path = "mailboxes_tests.rs"]
mod tests;
