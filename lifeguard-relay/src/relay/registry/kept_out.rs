//! Who stays out of sessions that nobody is in at the moment: a token that was minted before its holder was put out must not
//! let it in when the session opens again.

use std::collections::{HashMap, VecDeque};

use uuid::Uuid;

/// Two halves: what the young one was told turns old, and then is forgotten. So everything is kept for as long as one turn
/// lasts, and for two at most.
#[derive(Debug, Default)]
pub(super) struct KeptOut {
    young: Half,
    old: Half,
}

#[derive(Debug, Default)]
struct Half {
    sessions: HashMap<Uuid, VecDeque<Uuid>>,
    peers: usize,
}

impl KeptOut {
    /// Remembers who stays out of a session that ended. Turns early when there is too much of it.
    pub(super) fn keep(&mut self, session: Uuid, peers: VecDeque<Uuid>) {
        if peers.is_empty() {
            return;
        }
        self.young.peers += peers.len();
        if let Some(before) = self.young.sessions.insert(session, peers) {
            self.young.peers -= before.len();
        }
        if self.young.peers >= MOST_KEPT {
            self.turn();
        }
    }

    /// Who stays out of a session that opens. It is not forgotten by that: whoever opens it may be refused.
    pub(super) fn of(&self, session: Uuid) -> VecDeque<Uuid> {
        let kept = self.young.sessions.get(&session).or_else(|| self.old.sessions.get(&session));
        kept.cloned().unwrap_or_default()
    }

    /// Lets what is young turn old, and forgets what was.
    pub(super) fn turn(&mut self) {
        self.old = std::mem::take(&mut self.young);
    }
}

/// Peers of all sessions in one half: 1 MiB of names.
const MOST_KEPT: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(from: u128, count: u128) -> VecDeque<Uuid> {
        (from..from + count).map(Uuid::from_u128).collect()
    }

    #[test]
    fn everything_is_kept_for_a_whole_turn_and_no_longer_than_two() {
        let (mut kept, session) = (KeptOut::default(), Uuid::from_u128(1));
        kept.turn();
        kept.keep(session, names(1, 2));
        kept.keep(Uuid::from_u128(2), VecDeque::new());
        kept.turn();
        assert_eq!(kept.of(session), names(1, 2));
        // The newer list is the longer one.
        kept.keep(session, names(1, 3));
        assert_eq!(kept.of(session), names(1, 3));
        assert!(kept.of(Uuid::from_u128(2)).is_empty());
        kept.turn();
        assert_eq!(kept.of(session), names(1, 3));
        kept.turn();
        assert!(kept.of(session).is_empty());
    }

    #[test]
    fn a_flood_of_names_makes_room_by_forgetting_the_oldest() {
        let mut kept = KeptOut::default();
        let (first, often) = (Uuid::from_u128(1), Uuid::from_u128(2));
        kept.keep(first, names(0, 1_024));
        // One session that ends again and again counts once.
        for _ in 0..1_000 {
            kept.keep(often, names(0, 1_024));
        }
        assert_eq!((kept.young.peers, kept.old.peers), (2_048, 0));
        for session in 3..=64 {
            kept.keep(Uuid::from_u128(session), names(0, 1_024));
        }
        assert_eq!((kept.young.peers, kept.old.peers), (0, MOST_KEPT));
        assert_eq!(kept.of(first).len(), 1_024);
        for session in 65..=128 {
            kept.keep(Uuid::from_u128(session), names(0, 1_024));
        }
        assert_eq!((kept.young.peers, kept.old.peers), (0, MOST_KEPT));
        assert!(kept.of(first).is_empty() && !kept.of(Uuid::from_u128(65)).is_empty());
    }
}
