//! A signaling room in memory, for tests and for two peers of one process.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{MAX_ENVELOPE, Signaling, SignalingError, SignalingEvent};
use crate::ids::PeerId;

/// A room that peers of one process join.
#[derive(Debug, Clone, Default)]
pub struct MemoryRoom(Arc<Mutex<Room>>);

#[derive(Debug, Default)]
struct Room {
    peers: BTreeMap<PeerId, mpsc::Sender<SignalingEvent>>,
    silent: bool,
}

impl MemoryRoom {
    /// Enters as `local`; the newest of two with the same id wins.
    pub fn join(&self, local: PeerId) -> MemorySignaling {
        let (inbox, events) = mpsc::channel(INBOX);
        let mut room = self.0.lock();
        let _ = inbox.try_send(SignalingEvent::Up);
        for (&peer, other) in &room.peers {
            let _ = other.try_send(SignalingEvent::Joined { peer: local });
            let _ = inbox.try_send(SignalingEvent::Joined { peer });
        }
        room.peers.insert(local, inbox.clone());
        MemorySignaling { room: self.clone(), local, inbox, events: tokio::sync::Mutex::new(events) }
    }

    /// Loses every envelope from now on (`true`), as an unreachable service would, or stops doing so.
    pub fn set_silent(&self, silent: bool) {
        self.0.lock().silent = silent;
    }
}

/// One peer's place in a [`MemoryRoom`]; dropping it leaves.
#[derive(Debug)]
pub struct MemorySignaling {
    room: MemoryRoom,
    local: PeerId,
    /// Tells this membership from a newer one of the same peer.
    inbox: mpsc::Sender<SignalingEvent>,
    events: tokio::sync::Mutex<mpsc::Receiver<SignalingEvent>>,
}

#[async_trait]
impl Signaling for MemorySignaling {
    async fn send(&self, to: PeerId, envelope: Bytes) -> Result<(), SignalingError> {
        if envelope.len() > MAX_ENVELOPE {
            return Err(SignalingError::TooLarge);
        }
        let inbox = {
            let room = self.room.0.lock();
            // One that a newer connection of the same peer has replaced is out of the room.
            let is_inside = room.peers.get(&self.local).is_some_and(|inbox| inbox.same_channel(&self.inbox));
            if room.silent || !is_inside { None } else { room.peers.get(&to).cloned() }
        };
        if let Some(inbox) = inbox {
            let _ = inbox.send(SignalingEvent::Envelope { from: self.local, envelope }).await;
        }
        Ok(())
    }

    async fn recv(&self) -> Result<SignalingEvent, SignalingError> {
        self.events.lock().await.recv().await.ok_or(SignalingError::Closed)
    }
}

impl Drop for MemorySignaling {
    fn drop(&mut self) {
        let mut room = self.room.0.lock();
        // A newer connection of the same peer stays.
        if room.peers.get(&self.local).is_some_and(|inbox| inbox.same_channel(&self.inbox)) {
            room.peers.remove(&self.local);
            for other in room.peers.values() {
                let _ = other.try_send(SignalingEvent::Left { peer: self.local });
            }
        }
    }
}

/// Events that may wait for one peer; the sender of an envelope waits beyond it.
const INBOX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(length: usize) -> Bytes {
        Bytes::from(vec![7; length])
    }

    async fn first_length(receiver: &MemorySignaling) -> usize {
        loop {
            if let SignalingEvent::Envelope { envelope, .. } =
                receiver.recv().await.expect("the room is open")
            {
                return envelope.len();
            }
        }
    }

    #[tokio::test]
    async fn an_envelope_of_the_longest_length_passes_and_no_longer_one() {
        let (room, peer) = (MemoryRoom::default(), PeerId::from_bytes([2; 16]));
        let sender = room.join(PeerId::from_bytes([1; 16]));
        let receiver = room.join(peer);
        assert_eq!(sender.send(peer, envelope(MAX_ENVELOPE + 1)).await, Err(SignalingError::TooLarge));
        sender.send(peer, envelope(MAX_ENVELOPE)).await.expect("within the bound");
        assert_eq!(first_length(&receiver).await, MAX_ENVELOPE);
    }

    #[tokio::test]
    async fn a_silent_room_loses_what_is_sent_until_it_speaks_again() {
        let (room, peer) = (MemoryRoom::default(), PeerId::from_bytes([2; 16]));
        let sender = room.join(PeerId::from_bytes([1; 16]));
        let receiver = room.join(peer);
        room.set_silent(true);
        sender.send(peer, envelope(1)).await.expect("lost, not refused");
        room.set_silent(false);
        sender.send(peer, envelope(2)).await.expect("the room is open");
        assert_eq!(first_length(&receiver).await, 2, "the first was lost");
    }
}
