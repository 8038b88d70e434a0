//! Who gets a frame. Sans-IO.
//!
//! # Roles at the relay
//!
//! v2 payloads are sealed end to end: the relay cannot tell a keystroke from an acknowledgement, and a
//! read-only viewer must still send its handshake and its acks. So the relay enforces *direction* and
//! *volume*, and the session layer enforces what a message may do:
//!
//! - Only a host may address everyone. A viewer may address hosts, never another viewer.
//! - Nobody can speak as somebody else: the source of a frame is the sender's slot, not its header.
//! - A viewer with `access: read_only` may send a trickle ([`limits`](super::limits)), enough for
//!   handshakes and acks, too little for anything else.
//!
//! v1 payloads are not sealed, so there a read-only viewer's frames go nowhere and are counted.

use beach_lifeguard_client::{PeerAddr, Role};

use super::registry::Roster;

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Routed {
    /// Handed to this many peers.
    Delivered(usize),
    /// Nobody has that address, or nobody has it any more.
    Departed,
    /// The sender itself was superseded: nothing of what it says counts.
    Fenced,
    /// The sender's role does not allow it.
    Forbidden,
}

/// Passes the recipients of a frame from `from` to `to` to `deliver`.
pub(crate) fn route<P>(
    roster: &Roster<P>,
    from: PeerAddr,
    to: PeerAddr,
    mut deliver: impl FnMut(&P),
) -> Routed {
    let Some((sender, _)) = roster.find(from) else { return Routed::Fenced };
    if to == PeerAddr::EVERYONE {
        return match sender.role {
            Role::Host => Routed::Delivered(each_other(roster, from, deliver)),
            Role::Viewer => Routed::Forbidden,
        };
    }
    match roster.find(to) {
        None => Routed::Departed,
        Some((peer, _)) if sender.role != Role::Host && peer.role != Role::Host => Routed::Forbidden,
        Some((_, handle)) => {
            deliver(handle);
            Routed::Delivered(1)
        }
    }
}

/// Passes a v1 message's recipients to `deliver`: always everybody else.
pub(crate) fn broadcast_v1<P>(roster: &Roster<P>, from: PeerAddr, deliver: impl FnMut(&P)) -> Routed {
    match roster.find(from) {
        None => Routed::Fenced,
        Some(_) => Routed::Delivered(each_other(roster, from, deliver)),
    }
}

fn each_other<P>(roster: &Roster<P>, from: PeerAddr, mut deliver: impl FnMut(&P)) -> usize {
    let others = roster.iter().filter(|(address, ..)| *address != from);
    others.map(|(_, _, handle)| deliver(handle)).count()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::registry::{Card, Registry, Wire};
    use super::*;

    /// A host (0), two viewers (1, 2), and what `from` sending to `to` does.
    fn sent(from: usize, to: Option<usize>) -> (Routed, Vec<u32>) {
        let registry = Registry::<u32, ()>::new(8);
        let joined: Vec<_> = [Role::Host, Role::Viewer, Role::Viewer]
            .into_iter()
            .zip(0u32..)
            .map(|(role, n)| {
                let card = Card { peer_id: Uuid::from_u128(n.into()), role, wire: Wire::V2 };
                registry.join(Uuid::nil(), card, || (), |_, _| n, |_, _, _| {}).unwrap()
            })
            .collect();
        let to = to.map_or(PeerAddr::EVERYONE, |n| joined[n].address);
        let mut got = Vec::new();
        let routed = joined[0].session.with_roster(|r| route(r, joined[from].address, to, |n| got.push(*n)));
        (routed, got)
    }

    #[test]
    fn a_host_reaches_one_or_everyone() {
        assert_eq!(sent(0, None), (Routed::Delivered(2), vec![1, 2]));
        assert_eq!(sent(0, Some(2)), (Routed::Delivered(1), vec![2]));
    }

    #[test]
    fn a_viewer_reaches_hosts_only() {
        assert_eq!(sent(1, Some(0)), (Routed::Delivered(1), vec![0]));
        assert_eq!(sent(1, Some(2)), (Routed::Forbidden, vec![]));
        assert_eq!(sent(1, None), (Routed::Forbidden, vec![]));
        // Not even itself: that is a viewer too.
        assert_eq!(sent(1, Some(1)), (Routed::Forbidden, vec![]));
    }

    #[test]
    fn the_departed_and_the_fenced_are_told_apart() {
        let registry = Registry::<u32, ()>::new(8);
        let card = Card { peer_id: Uuid::nil(), role: Role::Host, wire: Wire::V2 };
        let join = |n| registry.join(Uuid::nil(), card, || (), move |_, _| n, |_, _, _| {}).unwrap();
        let (old, new) = (join(1), join(2));
        let try_route = |from, to| new.session.with_roster(|r| route(r, from, to, |_| panic!("delivered")));
        assert_eq!(try_route(old.address, new.address), Routed::Fenced);
        assert_eq!(try_route(new.address, old.address), Routed::Departed);
    }
}
