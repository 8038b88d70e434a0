use beach_lifeguard_client::{
    Access, Role,
    membership::{Identity, LinkSecret},
    session::DocumentLink,
};
use tokio::sync::mpsc;

use super::*;
use crate::control::rooms::member::End;

const HERE: NodeId = NodeId(1);
const THERE: NodeId = NodeId(2);

fn room() -> Room {
    let mut document = SessionDocument::new(Identity::from_seed(&[1; 32]).public(), 1);
    document.links.push(DocumentLink::new(&LinkSecret::from_bytes([0; 16]), Access::Full));
    Room::new(document.into())
}

fn seat(node: NodeId, number: u64) -> Seat {
    let link = Some(LinkSecret::from_bytes([0; 16]).id());
    Seat { entry: Entry { node, id: number }, number, role: Role::Viewer, link }
}

fn peer(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// Seats a member here; returns what it hears, and how it is shown out.
fn sit(room: &mut Room, who: Uuid, number: u64) -> (mpsc::Receiver<FromRoom>, Arc<End>) {
    let (to_inbox, inbox) = mpsc::channel(16);
    let end = Arc::<End>::default();
    room.seat(who, Member { seat: seat(HERE, number), inbox: to_inbox, end: end.clone() });
    (inbox, end)
}

/// What was heard, as `+peer` and `-peer`.
fn news(inbox: &mut mpsc::Receiver<FromRoom>) -> Vec<i64> {
    std::iter::from_fn(|| inbox.try_recv().ok())
        .map(|news| match news {
            FromRoom::PeerJoined(peer) => peer.peer_id.as_u128() as i64,
            FromRoom::PeerLeft { peer_id } => -(peer_id.as_u128() as i64),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn who_is_elsewhere_comes_and_goes_once_in_whatever_order_it_is_heard() {
    let mut room = room();
    let (mut inbox, _end) = sit(&mut room, peer(1), 1);
    room.met(peer(2), seat(THERE, 5));
    room.met(peer(2), seat(THERE, 5));
    room.met(peer(2), seat(NodeId(3), 4));
    assert_eq!(room.node_of(peer(2)), Some(THERE), "the higher number counts");
    room.left(peer(2), seat(NodeId(3), 4).entry);
    assert_eq!(news(&mut inbox), [2]);
    room.left(peer(2), seat(THERE, 5).entry);
    room.left(peer(2), seat(THERE, 5).entry);
    assert_eq!(news(&mut inbox), [-2]);
}

#[test]
fn of_a_peer_on_two_nodes_the_newest_entry_stays() {
    let mut room = room();
    let (mut other, _end) = sit(&mut room, peer(1), 1);
    let (_, older) = sit(&mut room, peer(2), 2);
    room.met(peer(2), seat(THERE, 3));
    assert!(older.now.is_cancelled());
    assert!(!room.leave(peer(2), seat(HERE, 2).entry), "it has left already");
    let (_, newer) = sit(&mut room, peer(2), 4);
    assert!(!newer.now.is_cancelled());
    room.met(peer(2), seat(THERE, 3));
    assert_eq!(room.node_of(peer(2)), None);
    let (_, late) = sit(&mut room, peer(2), 3);
    assert!(late.now.is_cancelled(), "its seat was taken over before it got here");
    assert_eq!(news(&mut other), [2, 2, 2]);
}

#[test]
fn an_answer_of_the_store_replaces_what_is_older_and_nothing_newer() {
    let mut room = room();
    let (mut inbox, _end) = sit(&mut room, peer(1), 1);
    room.met(peer(2), seat(THERE, 2));
    room.met(peer(3), seat(THERE, 3));
    room.asks();
    // Between the store's answer, at 10, and its arrival.
    room.met(peer(4), seat(THERE, 11));
    room.left(peer(3), seat(THERE, 3).entry);
    room.met(peer(5), seat(THERE, 9));
    let others = vec![
        (peer(1), seat(HERE, 1)),
        (peer(3), seat(THERE, 3)),
        (peer(5), seat(THERE, 9)),
        (peer(6), seat(THERE, 6)),
    ];
    room.asked(HERE, Some((10, others)));
    assert_eq!(news(&mut inbox), [2, 3, 4, -3, 5, -2, 6]);
    assert_eq!(room.node_of(peer(3)), None, "it left after the answer was made");
    assert!(room.left.is_empty());
}

#[test]
fn with_a_node_goes_everybody_on_it_and_a_room_somebody_asks_for_stays() {
    let mut room = room();
    let (mut inbox, _end) = sit(&mut room, peer(1), 1);
    room.met(peer(2), seat(THERE, 2));
    room.met(peer(3), seat(NodeId(3), 3));
    room.gone(THERE);
    assert_eq!(news(&mut inbox), [2, 3, -2]);
    room.asks();
    assert!(room.leave(peer(1), seat(HERE, 1).entry));
    assert!(!room.is_over());
    room.asked(HERE, None);
    assert!(room.is_over(), "those elsewhere keep no room here");
}

#[test]
fn places_are_counted_over_all_nodes() {
    let mut room = room();
    let link = seat(HERE, 0).link;
    for n in 0..LINK_MEMBERS as u64 {
        room.met(peer(n.into()), seat(THERE, n + 1));
    }
    let entrant = |n| Entrant { peer: peer(n), role: Role::Viewer, link };
    assert_eq!(room.admits(entrant(1_000)), Err(NoEntry::LinkFull));
    assert_eq!(room.admits(entrant(1)), Ok(()), "who has a place may take it anew");
}
