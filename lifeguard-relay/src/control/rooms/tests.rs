use beach_lifeguard_client::{
    Access, CloseCode,
    membership::{Identity, LinkSecret},
    session::DocumentLink,
};

use bytes::Bytes;

use super::*;

fn rooms() -> Rooms {
    Rooms::new(Arc::new(Metrics::new()), TaskTracker::new(), CancellationToken::new(), None)
}

fn link(n: u8) -> LinkId {
    LinkSecret::from_bytes([n; 16]).id()
}

/// A session with the first `links` links.
fn document(revision: u64, links: u8) -> Arc<SessionDocument> {
    let mut document = SessionDocument::new(Identity::from_seed(&[1; 32]).public(), revision);
    let secrets = (0..links).map(|n| LinkSecret::from_bytes([n; 16]));
    document.links = secrets.map(|secret| DocumentLink::new(&secret, Access::Full)).collect();
    document.into()
}

fn host() -> Entrant {
    Entrant { peer: Uuid::from_u128(1), role: Role::Host, link: None }
}

fn viewer(n: u8) -> Entrant {
    Entrant { peer: Uuid::new_v4(), role: Role::Viewer, link: Some(link(n)) }
}

#[tokio::test]
async fn a_session_is_known_as_long_as_its_host_is_here() {
    let (rooms, document) = (rooms(), document(1, 1));
    let known = || rooms.document(document.session_id);
    let _viewer = rooms.enter(viewer(0), &document).await.unwrap();
    assert_eq!(known(), None, "a viewer alone keeps nothing alive");
    let host = rooms.enter(host(), &document).await.unwrap();
    assert_eq!(known(), Some(document.clone()));
    drop(host);
    assert_eq!(known(), None);
}

#[tokio::test]
async fn members_see_each_other_come_and_go_and_an_empty_room_is_gone() {
    let (rooms, document, a, b) = (rooms(), document(1, 1), host(), viewer(0));
    let (mut host, present) = rooms.enter(a, &document).await.unwrap();
    assert!(present.is_empty());
    let (viewer, present) = rooms.enter(b, &document).await.unwrap();
    assert_eq!(present, [RoomPeer { peer_id: a.peer, role: Role::Host }]);
    assert_eq!(rooms.0.rooms.lock().count(), (1, 2));
    assert!(viewer.send(a.peer, Bytes::from_static(b"x")));
    assert!(!viewer.send(Uuid::new_v4(), Bytes::from_static(b"x")));
    drop(viewer);
    let seen: Vec<_> = std::iter::from_fn(|| host.inbox.try_recv().ok()).collect();
    assert!(matches!(seen[0], FromRoom::PeerJoined(peer) if peer.peer_id == b.peer));
    assert!(matches!(seen[1], FromRoom::Envelope { from, .. } if from == b.peer));
    assert!(matches!(seen[2], FromRoom::PeerLeft { peer_id } if peer_id == b.peer));
    drop(host);
    assert!(rooms.0.rooms.lock().count() == (0, 0));
}

#[tokio::test]
async fn the_newest_entry_of_a_peer_wins_and_the_older_one_leaves_nothing() {
    let (rooms, document) = (rooms(), document(1, 0));
    let (older, _) = rooms.enter(host(), &document).await.unwrap();
    let (newer, _) = rooms.enter(host(), &document).await.unwrap();
    assert!(older.end.now.is_cancelled() && !newer.end.now.is_cancelled());
    assert_eq!(older.end.farewell(), (CloseCode::SUPERSEDED, "superseded"));
    drop(older);
    assert_eq!(rooms.0.rooms.lock().room(document.session_id).unwrap().members.len(), 1);
}

#[tokio::test]
async fn a_member_that_does_not_read_is_shown_out() {
    let (rooms, document, viewer) = (rooms(), document(1, 1), viewer(0));
    let (host, _) = rooms.enter(host(), &document).await.unwrap();
    // Each entry is kept: one that left would be news of its own.
    let mut entries = Vec::new();
    for n in 0..=INBOX as u64 {
        assert!(!host.end.now.is_cancelled(), "{n}");
        entries.push(rooms.enter(viewer, &document).await.unwrap());
    }
    assert_eq!(host.end.farewell().0, CloseCode::SLOW_CONSUMER);
}

#[tokio::test]
async fn a_link_has_its_seats_a_room_its_own_and_the_host_always_one() {
    let (rooms, document) = (rooms(), document(1, 5));
    let mut inside = Vec::new();
    for _ in 0..LINK_MEMBERS {
        inside.push((viewer(0), rooms.enter(viewer(0), &document).await.unwrap()));
    }
    assert_eq!(rooms.enter(viewer(0), &document).await.err(), Some(NoEntry::LinkFull), "the link is full");
    let again = Entrant {
        peer: *rooms.0.rooms.lock().room(document.session_id).unwrap().members.keys().next().unwrap(),
        ..viewer(0)
    };
    let second = rooms.enter(again, &document).await.unwrap();
    for n in 1..4 {
        let most = if n == 3 { LINK_MEMBERS - 1 } else { LINK_MEMBERS };
        for _ in 0..most {
            inside.push((viewer(n), rooms.enter(viewer(n), &document).await.unwrap()));
        }
    }
    assert_eq!(rooms.enter(viewer(4), &document).await.err(), Some(NoEntry::Full), "the room is full");
    let host = rooms.enter(host(), &document).await.unwrap();
    assert_eq!(rooms.0.rooms.lock().room(document.session_id).unwrap().members.len(), MEMBERS);
    drop((second, host, inside));
}

#[tokio::test]
async fn whoever_a_newer_document_does_not_let_in_goes_at_once_and_an_older_one_changes_nothing() {
    let (rooms, first) = (rooms(), document(1, 3));
    let (kept, revoked, removed) = (viewer(0), viewer(2), viewer(1));
    let host = rooms.enter(host(), &first).await.unwrap().0;
    let kept_in = rooms.enter(kept, &first).await.unwrap().0;
    let revoked_in = rooms.enter(revoked, &first).await.unwrap().0;
    let removed_in = rooms.enter(removed, &first).await.unwrap().0;
    let mut second = SessionDocument::clone(&document(2, 2));
    second.removed.push(removed.peer);
    let second = Arc::new(second);
    rooms.apply(&second);
    for (presence, told) in [
        (&host, None),
        (&kept_in, None),
        (&revoked_in, Some((CloseCode::BAD_TOKEN, "link_revoked"))),
        (&removed_in, Some((CloseCode::BAD_TOKEN, "peer_removed"))),
    ] {
        let end = &presence.end;
        assert_eq!(end.now.is_cancelled().then(|| end.farewell()), told);
    }
    for reason in ["link_revoked", "peer_removed"] {
        assert_eq!(rooms.0.metrics.read("beach_signaling_shown_out", &[reason]), 1);
    }
    // A proof that was checked against the older document comes too late.
    assert_eq!(rooms.enter(removed, &first).await.err(), Some(NoEntry::Refused(Reason::PeerRemoved)));
    assert_eq!(rooms.enter(revoked, &first).await.err(), Some(NoEntry::Refused(Reason::LinkRevoked)));
    rooms.apply(&first);
    assert_eq!(rooms.document(first.session_id), Some(second));
}
