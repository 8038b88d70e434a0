use std::cell::RefCell;

use super::*;

type Plain = Registry<u32, ()>;

fn card(peer: u128, role: Role) -> Card {
    Card { peer_id: Uuid::from_u128(peer), role, wire: Wire::V2 }
}

fn join(registry: &Plain, card: Card, handle: u32) -> Result<Joined<u32, ()>, JoinRefused> {
    registry.join(SESSION, card, || (), |_, _| handle, |_, _, _| {})
}

const SESSION: Uuid = Uuid::from_u128(9);

#[test]
fn an_address_never_finds_whoever_took_the_slot() {
    let registry = Plain::new(8);
    let host = join(&registry, card(1, Role::Host), 1).unwrap();
    let viewer = join(&registry, card(2, Role::Viewer), 2).unwrap();
    registry.leave(&host.session, viewer.address, |_, _, _| {});
    let next = join(&registry, card(3, Role::Viewer), 3).unwrap();
    assert_ne!(viewer.address, next.address);
    host.session.with_roster(|roster| {
        assert_eq!(roster.find(viewer.address), None);
        assert_eq!(roster.find(next.address).map(|(_, handle)| *handle), Some(3));
        assert_eq!(roster.find(PeerAddr::EVERYONE), None);
    });
}

#[test]
fn the_newest_connection_of_a_peer_wins_and_the_others_learn_of_it() {
    let registry = Plain::new(2);
    let host = join(&registry, card(1, Role::Host), 1).unwrap();
    let old = join(&registry, card(2, Role::Viewer), 20).unwrap();
    let told = RefCell::new(Vec::new());
    // The session is full, but a peer that replaces itself needs no further slot.
    let new = registry
        .join(
            SESSION,
            card(2, Role::Viewer),
            || (),
            |_, _| 21,
            |to, _, notice| {
                told.borrow_mut().push((*to, matches!(notice, Notice::Joined(..))));
            },
        )
        .unwrap();
    assert_eq!(new.superseded, Some(20));
    assert_eq!(*told.borrow(), [(1, false), (1, true)]);
    // The fenced connection's own farewell changes nothing.
    assert!(!registry.leave(&old.session, old.address, |_, _, _| panic!("nobody left")));
    assert_eq!(host.session.with_roster(Roster::len), 2);
}

#[test]
fn a_full_session_and_the_other_wire_are_refused_without_a_trace() {
    let registry = Plain::new(1);
    join(&registry, card(1, Role::Host), 1).unwrap();
    assert_eq!(join(&registry, card(2, Role::Viewer), 2).err(), Some(JoinRefused::Full));
    let v1 = Card { wire: Wire::V1, ..card(3, Role::Viewer) };
    assert_eq!(join(&registry, v1, 3).err(), Some(JoinRefused::WireMismatch));
    assert_eq!(registry.len(), 1);
}

#[test]
fn a_session_ends_with_its_last_peer() {
    let registry = Plain::new(8);
    let host = join(&registry, card(1, Role::Host), 1).unwrap();
    let viewer = join(&registry, card(2, Role::Viewer), 2).unwrap();
    assert!(host.opened && !viewer.opened);
    assert!(!registry.leave(&host.session, host.address, |_, _, _| {}));
    assert!(registry.leave(&host.session, viewer.address, |_, _, _| {}));
    assert_eq!(registry.len(), 0);
}

#[test]
fn a_newcomer_sees_exactly_the_others() {
    let registry = Registry::<u32, ()>::new(8);
    join(&registry, card(1, Role::Host), 1).unwrap();
    let seen = RefCell::new(Vec::new());
    registry
        .join(
            SESSION,
            card(2, Role::Viewer),
            || (),
            |_, others| {
                seen.borrow_mut().extend(others.iter().map(|(_, card, _)| card.peer_id.as_u128()));
                2
            },
            |_, _, _| {},
        )
        .unwrap();
    assert_eq!(*seen.borrow(), [1]);
}

#[test]
fn who_was_put_out_stays_out_after_the_session_ended_until_every_token_has() {
    let registry = Plain::new(8);
    let (host, gone) = (card(1, Role::Host), card(2, Role::Viewer));
    let first = join(&registry, host, 1).unwrap();
    join(&registry, gone, 2).unwrap();
    assert_eq!(first.session.evict(gone.peer_id, |_, _, _| {}), Some(2));
    assert!(registry.leave(&first.session, first.address, |_, _, _| {}));
    registry.forget_removed();
    // Refused again and again, whether it comes first or not.
    assert_eq!(join(&registry, gone, 3).err(), Some(JoinRefused::Removed));
    assert_eq!((registry.len(), join(&registry, gone, 3).err()), (0, Some(JoinRefused::Removed)));
    let again = join(&registry, host, 4).unwrap();
    assert!(again.opened);
    assert_eq!(join(&registry, gone, 5).err(), Some(JoinRefused::Removed));
    join(&registry, card(3, Role::Viewer), 6).unwrap();
    let elsewhere = registry.join(Uuid::from_u128(10), gone, || (), |_, _| 7, |_, _, _| {});
    assert!(elsewhere.is_ok(), "another session");
    // What it takes over it hands on.
    let third = again.session.with_roster(|roster| roster.iter().map(|(at, ..)| at).collect::<Vec<_>>());
    for address in third {
        registry.leave(&again.session, address, |_, _, _| {});
    }
    registry.forget_removed();
    assert_eq!(join(&registry, gone, 8).err(), Some(JoinRefused::Removed));
    registry.forget_removed();
    assert!(join(&registry, gone, 9).is_ok());
}
