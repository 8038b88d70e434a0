use std::collections::BTreeMap;

use beach_identity::{Identity, LinkSecret};

use super::*;
use crate::{
    connector::DialRole,
    ids::{Generation, SessionId},
    secure::Access,
    signaling::{ByeReason, MemoryRoom},
};

const TRANSPORT: TransportId = TransportId::from_static("memory");

struct Pair {
    room: MemoryRoom,
    /// Viewer and host.
    exchanges: [Arc<Exchange>; 2],
    keys: [PublicKey; 2],
    link: LinkId,
}

/// A viewer that holds the first secret, and a host that knows the second one.
fn pair(secrets: [u8; 2]) -> Pair {
    let room = MemoryRoom::default();
    let [viewer, host] = [[1; 32], [2; 32]].map(|seed| Identity::from_seed(&seed));
    let [held, known] = secrets.map(|secret| LinkSecret::from_bytes([secret; 16]));
    let (keys, link) = ([viewer.public(), host.public()], held.id());
    let links = BTreeMap::from([(known.id(), known)]);
    let sealers = [Sealer::joiner(viewer, keys[1], held), Sealer::host(host, Arc::new(links))];
    let exchanges = sealers.map(|sealer| {
        let place = Arc::new(room.join(sealer.local()));
        Exchange::new(place, sealer, || SystemTime::UNIX_EPOCH)
    });
    Pair { room, exchanges, keys, link }
}

impl Pair {
    fn peer(&self, side: usize) -> PeerId {
        PeerId::of(&self.keys[side])
    }

    fn target(&self, side: usize, generation: u32) -> Target {
        let (local, peer) = (self.peer(side), self.peer(1 - side));
        Target::new(SessionId::of_host(&self.keys[1]), local, peer, DialRole::Offerer, Generation(generation))
    }

    fn open(&self, side: usize, generation: u32) -> LinkChannel {
        self.exchanges[side].open_link(&self.target(side, generation), TRANSPORT)
    }
}

fn knock() -> Message {
    let transports = vec![TRANSPORT];
    Message::Knock { version: Message::VERSION, transports, name: Some("Ada".into()), life: None }
}

async fn next_message(exchange: &Exchange) -> ExchangeEvent {
    loop {
        match exchange.next().await.unwrap() {
            ExchangeEvent::Up | ExchangeEvent::Joined { .. } => {}
            event => return event,
        }
    }
}

/// Fills the mailboxes until nothing more comes.
async fn drain(exchange: &Exchange) {
    let quiet = std::time::Duration::from_millis(50);
    let event = tokio::time::timeout(quiet, next_message(exchange)).await;
    assert!(event.is_err(), "{event:?}");
}

#[tokio::test]
async fn words_said_before_the_channel_is_opened_wait_in_it() {
    let pair = pair([1, 1]);
    let early = pair.open(0, 1);
    early.send("offer".into()).await.unwrap();
    let message = Message::Bye { reason: ByeReason::Closed };
    pair.exchanges[0].send(pair.peer(1), &message).await.unwrap();
    let event = next_message(&pair.exchanges[1]).await;
    let (from, key, link) = (pair.peer(0), pair.keys[0], pair.link);
    assert_eq!(event, ExchangeEvent::Message { from, key, link, message });
    let late = pair.open(1, 1);
    assert_eq!(late.recv().await.unwrap(), "offer");
}

#[tokio::test]
async fn a_host_answers_once_it_was_spoken_to_and_the_viewer_knows_who_answers() {
    let pair = pair([1, 1]);
    let unheard = pair.exchanges[1].send(pair.peer(0), &Message::Pending).await.unwrap_err();
    assert!(matches!(unheard, SignalingError::Unreachable { .. }), "{unheard}");
    pair.exchanges[0].send(pair.peer(1), &knock()).await.unwrap();
    let ExchangeEvent::Message { message, .. } = next_message(&pair.exchanges[1]).await else { panic!() };
    assert_eq!(message, knock());
    for message in [Message::Pending, Message::Access { access: Access::ReadOnly }] {
        pair.exchanges[1].send(pair.peer(0), &message).await.unwrap();
        let event = next_message(&pair.exchanges[0]).await;
        let (from, key, link) = (pair.peer(1), pair.keys[1], pair.link);
        assert_eq!(event, ExchangeEvent::Message { from, key, link, message });
    }
}

#[tokio::test]
async fn attempts_do_not_hear_each_other() {
    let pair = pair([1, 1]);
    let (old, new) = (pair.open(1, 1), pair.open(1, 2));
    for generation in [2, 1] {
        pair.open(0, generation).send(format!("for {generation}")).await.unwrap();
    }
    let (a, b, ()) = tokio::join!(old.recv(), new.recv(), drain(&pair.exchanges[1]));
    assert_eq!((a.unwrap().as_str(), b.unwrap().as_str()), ("for 1", "for 2"));
}

#[tokio::test]
async fn a_channel_that_ends_late_leaves_the_one_that_took_its_place() {
    let pair = pair([1, 1]);
    let replaced = pair.open(1, 1);
    let current = pair.open(1, 1);
    assert_eq!(replaced.recv().await, Err(SignalingError::Closed));
    drop(replaced);
    pair.open(0, 1).send("offer".into()).await.unwrap();
    drain(&pair.exchanges[1]).await;
    assert_eq!(current.recv().await.unwrap(), "offer");
    let waiting = current.recv();
    drop(pair.exchanges);
    assert_eq!(waiting.await, Err(SignalingError::Closed));
    assert_eq!(current.send("late".into()).await, Err(SignalingError::Closed));
}

#[tokio::test]
async fn two_may_wait_for_one_channel_and_both_learn_its_end() {
    let pair = pair([1, 1]);
    let channel = pair.open(1, 1);
    let ended = async {
        tokio::task::yield_now().await;
        pair.exchanges[1].forget(pair.peer(0));
    };
    let (a, b, ()) = tokio::join!(channel.recv(), channel.recv(), ended);
    assert_eq!((a, b), (Err(SignalingError::Closed), Err(SignalingError::Closed)));
}

#[tokio::test]
async fn another_secret_is_refused_with_a_reason() {
    let pair = pair([1, 2]);
    pair.exchanges[0].send(pair.peer(1), &knock()).await.unwrap();
    let event = next_message(&pair.exchanges[1]).await;
    assert_eq!(event, ExchangeEvent::Refused { from: pair.peer(0), why: SealError::UnknownLink });
}

#[tokio::test]
async fn what_a_peer_said_to_dials_to_come_goes_with_its_place_and_the_dial_under_way_stays() {
    let pair = pair([1, 1]);
    let under_way = pair.open(1, 1);
    for generation in [1, 2] {
        pair.open(0, generation).send(format!("for {generation}")).await.unwrap();
    }
    drain(&pair.exchanges[1]).await;
    let host = pair.exchanges[1].clone();
    // A newer place of the viewer takes the first one's, and leaves.
    drop(pair.exchanges);
    drop(pair.room.join(PeerId::of(&pair.keys[0])));
    while next_message(&host).await != (ExchangeEvent::Left { peer: PeerId::of(&pair.keys[0]) }) {}
    assert_eq!(under_way.recv().await.unwrap(), "for 1");
    let session = SessionId::of_host(&pair.keys[1]);
    let [viewer, local] = [0, 1].map(|side| PeerId::of(&pair.keys[side]));
    let target = Target::new(session, local, viewer, DialRole::Offerer, Generation(2));
    let later = host.open_link(&target, TRANSPORT);
    let quiet = std::time::Duration::from_millis(20);
    assert!(tokio::time::timeout(quiet, later.recv()).await.is_err());
}

#[tokio::test]
async fn who_is_forgotten_is_not_answered_until_it_speaks_again() {
    let pair = pair([1, 1]);
    pair.exchanges[0].send(pair.peer(1), &knock()).await.unwrap();
    next_message(&pair.exchanges[1]).await;
    pair.exchanges[1].send(pair.peer(0), &Message::Pending).await.unwrap();
    pair.exchanges[1].forget(pair.peer(0));
    assert!(pair.exchanges[1].send(pair.peer(0), &Message::Pending).await.is_err());
    pair.exchanges[0].send(pair.peer(1), &knock()).await.unwrap();
    next_message(&pair.exchanges[1]).await;
    assert!(pair.exchanges[1].send(pair.peer(0), &Message::Pending).await.is_ok());
}
