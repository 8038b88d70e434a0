//! What the peers of a session learn of each other's coming and going.

use std::sync::Arc;

use beach_lifeguard_client::{
    Lane, Role,
    control::{Control, Presence},
};

use super::{
    handle::PeerHandle,
    outbound::Outgoing,
    registry::{Card, Notice, Roster, Wire},
};

/// Passes a notice on to one peer, as far as it concerns it. v1 has no words for it.
pub(super) fn tell(peer: &Arc<PeerHandle>, role: Role, notice: Notice<'_>) {
    let control = match notice {
        Notice::Joined(_, card) | Notice::Left(_, card) if !concerns(role, card.role) => return,
        Notice::Joined(_, Card { wire: Wire::V1, .. }) | Notice::Left(_, Card { wire: Wire::V1, .. }) => {
            return;
        }
        Notice::Joined(address, card) => {
            Control::PeerJoined(Presence { peer: address, peer_id: card.peer_id, role: card.role })
        }
        Notice::Left(peer, _) => Control::PeerLeft { peer },
    };
    peer.push(Lane::Reliable, Outgoing::Binary(control.frame()));
}

/// Viewers learn of hosts only: they may address nobody else, and a thousand of them need not hear of
/// each other.
fn concerns(reader: Role, subject: Role) -> bool {
    reader == Role::Host || subject == Role::Host
}

/// The peers that `reader` learns of when it comes.
pub(super) fn visible(reader: Role, others: &Roster<Arc<PeerHandle>>) -> impl Iterator<Item = Presence> {
    others.iter().filter(move |(_, card, _)| concerns(reader, card.role)).map(|(peer, card, _)| Presence {
        peer,
        peer_id: card.peer_id,
        role: card.role,
    })
}
