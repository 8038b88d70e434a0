use beach_lifeguard_client::{
    Header, Kind, Role,
    control::{Control, Presence},
};
use futures::FutureExt;
use proptest::{collection::vec, prelude::*};
use transport_core::{Initiator, Lane, memory};

use super::{arriving::MAX_HOLD, *};
use crate::{
    heartbeat::SILENCE,
    outcome::{Arrival, Tick},
    question::PATIENCE,
    runtime::now,
};

const PEER: PeerAddr = PeerAddr::new(1, 1);
const INTERVAL: Duration = Duration::from_secs(15);

fn links(now: Instant) -> Links {
    Links::new(memory::profile(200_000, 60_000), Heartbeat::new(INTERVAL, 0.5, now), 0.5)
}

/// A link that both sides have opened.
fn met(links: &mut Links, peer: PeerAddr, link: u32, now: Instant) -> Arc<Link> {
    let opened = links.open(key(peer, link)).unwrap();
    links.on_frame(Window(1 << 20).frame(peer, LinkNumber(link)), now).unwrap();
    opened
}

fn data(peer: PeerAddr, link: u32, payload: &'static [u8]) -> Bytes {
    Header::data(Lane::Reliable, peer, LinkNumber(link)).frame(payload)
}

fn close(peer: PeerAddr, link: u32, code: CloseCode, reason: &str) -> Bytes {
    Header::close(peer, LinkNumber(link)).frame(&CloseFrame::new(code, reason.to_owned()).encode())
}

fn received(link: &Link) -> Result<Bytes, Closed> {
    link.recv().now_or_never().expect("something to receive").map(|inbound| inbound.payload)
}

/// The frame as the peer's relay gets it.
fn wire(message: Outgoing) -> Bytes {
    match message {
        Outgoing::Data(header, payload) => header.frame(&payload),
        Outgoing::Frame(frame) => frame,
        Outgoing::Ping | Outgoing::Pong(_) => panic!("no frame: {message:?}"),
    }
}

fn wired(links: &mut Links, now: Instant) -> impl Iterator<Item = Bytes> {
    let frames = links.next_batch(now).frames.into_iter();
    frames.filter(|frame| *frame != Outgoing::Ping).map(wire)
}

/// The frames of the next batch that are no window updates.
fn batch(links: &mut Links, now: Instant) -> Vec<(Header, Bytes)> {
    let frames = wired(links, now).filter(|frame| Window::read(frame) == Ok(None));
    frames.map(|frame| Header::split(frame).unwrap()).collect()
}

fn send(links: &mut Links, link: &Link, payload: &'static [u8]) {
    link.outbound.try_push(Lane::Reliable, Bytes::from_static(payload)).unwrap();
    links.mark_ready(link.key);
}

#[test]
fn what_comes_before_the_link_is_opened_counts_when_it_is() {
    let now = now();
    let mut links = links(now);
    links.on_frame(Window(100_000).frame(PEER, LinkNumber(1)), now).unwrap();
    let link = links.open(key(PEER, 1)).unwrap();
    assert_eq!(links.is_met(&link), Ok(true));
    links.on_frame(Window(100_000).frame(PEER, LinkNumber(2)), now).unwrap();
    links.on_frame(close(PEER, 2, CloseCode::GOING_AWAY, "dropped"), now).unwrap();
    let given_up = links.open(key(PEER, 2)).unwrap();
    assert_eq!(links.is_met(&given_up), Err(Closed::peer(CloseCode::GOING_AWAY, "dropped")));
    let waits = links.open(key(PEER, 3)).unwrap();
    assert_eq!(links.is_met(&waits), Ok(false));
    links.on_frame(Window(1).frame(PEER, LinkNumber(3)), now).unwrap();
    assert_eq!(links.is_met(&waits), Ok(true));
}

#[test]
fn nothing_leaves_before_the_peer_has_opened_the_link_and_strays_are_told_so() {
    let now = now();
    let mut links = links(now);
    let link = links.open(key(PEER, 1)).unwrap();
    send(&mut links, &link, b"soon");
    assert!(batch(&mut links, now).is_empty());
    links.on_frame(Window(1).frame(PEER, LinkNumber(1)), now).unwrap();
    assert_eq!(batch(&mut links, now)[0].1, "soon");
    assert!(links.on_frame(data(PEER, 7, b"stray"), now).unwrap().deliver.is_none());
    let (header, payload) = batch(&mut links, now).remove(0);
    assert_eq!((header.kind, header.link), (Kind::Close, LinkNumber(7)));
    assert_eq!(CloseFrame::decode(&payload).unwrap().code, CloseCode::GOING_AWAY);
}

#[test]
fn an_open_link_gets_its_frames_and_an_ended_one_keeps_none() {
    let now = now();
    let mut links = links(now);
    let link = met(&mut links, PEER, 1, now);
    assert!(links.open(key(PEER, 1)).is_none());
    let (to, inbound) = links.on_frame(data(PEER, 1, b"x"), now).unwrap().deliver.unwrap();
    assert_eq!((to.key, inbound.payload), (link.key, Bytes::from_static(b"x")));
    links.on_frame(close(PEER, 1, CloseCode::SLOW_CONSUMER, "slow"), now).unwrap();
    assert_eq!(received(&link).unwrap_err(), Closed::peer(CloseCode::SLOW_CONSUMER, "slow"));
    assert!(links.on_frame(data(PEER, 1, b"late"), now).unwrap().deliver.is_none());
    assert_eq!(links.early.next_expiry(), None);
}

#[test]
fn links_take_turns_and_heartbeats_none() {
    let now = now();
    let mut links = links(now);
    let (bulk, key_press) = (met(&mut links, PEER, 1, now), met(&mut links, PEER, 2, now));
    for _ in 0..3 {
        send(&mut links, &bulk, b"bulk");
    }
    send(&mut links, &key_press, b"k");
    links.on_frame(Header::relay(Kind::Heartbeat).frame(&[]), now).unwrap();
    let sent: Vec<_> =
        batch(&mut links, now).into_iter().map(|(head, payload)| (head.kind, payload)).collect();
    let data = |payload: &'static str| (Kind::Data, Bytes::from(payload));
    let heartbeat = (Kind::Heartbeat, Bytes::new());
    assert_eq!(sent, [heartbeat, data("bulk"), data("k"), data("bulk"), data("bulk")]);
    let rest = links.next_batch(now);
    assert!(!rest.done && rest.frames.is_empty());
}

#[test]
fn a_batch_is_bounded_so_that_another_links_key_waits_for_one_only() {
    let now = now();
    let mut links = links(now);
    let link = met(&mut links, PEER, 1, now);
    for _ in 0..6 {
        send(&mut links, &link, &[7; 30_000]);
    }
    assert_eq!(
        [(); 3].map(|()| batch(&mut links, now).len()),
        [3, 3, 0],
        "65,536 bytes are reached with the third"
    );
}

#[test]
fn a_close_leaves_after_what_was_accepted_before_it_unless_its_time_is_over() {
    let now = now();
    for (flush, payloads) in [(Duration::from_secs(2), 2), (Duration::ZERO, 0)] {
        let mut links = links(now);
        let link = met(&mut links, PEER, 1, now);
        send(&mut links, &link, b"one");
        send(&mut links, &link, b"two");
        links.close(&link, CloseCode::NORMAL, "bye".into(), flush, now);
        links.close(&link, CloseCode::INTERNAL, "too late".into(), flush, now);
        let frames = batch(&mut links, now);
        assert_eq!(frames.len(), payloads + 1);
        let (header, payload) = frames.last().unwrap();
        assert_eq!((header.kind, header.peer, header.link), (Kind::Close, PEER, LinkNumber(1)));
        assert_eq!(CloseFrame::decode(payload), Ok(CloseFrame::new(CloseCode::NORMAL, "bye")));
        assert_eq!(received(&link).unwrap_err(), Closed::local(CloseCode::NORMAL, "bye"));
    }
}

#[test]
fn the_socket_is_done_when_the_last_link_and_the_last_dial_are() {
    let now = now();
    let mut links = links(now);
    let link = met(&mut links, PEER, 1, now);
    links.release();
    assert!(!links.next_batch(now).done);
    assert!(links.hold());
    links.close(&link, CloseCode::NORMAL, "".into(), Duration::ZERO, now);
    assert_eq!(batch(&mut links, now).len(), 1);
    assert!(!links.next_batch(now).done);
    links.release();
    assert!(links.next_batch(now).done);
    assert!(!links.hold(), "a retired socket takes no dial");
    assert!(matches!(links.tick(now + CLOSING), Tick::End(_)));
}

#[test]
fn a_path_that_takes_nothing_does_not_keep_a_closed_link_for_ever() {
    let now = now();
    let mut links = links(now);
    let link = links.open(key(PEER, 1)).unwrap();
    links.release();
    let flush = Duration::from_secs(2);
    links.close(&link, CloseCode::NORMAL, "".into(), flush, now);
    assert!(matches!(links.tick(now), Tick::Wait { until, .. } if until == now + flush));
    assert!(matches!(links.tick(now + flush), Tick::Wait { until, .. } if until == now + flush + CLOSING));
    assert!(matches!(links.tick(now + flush + CLOSING), Tick::End(_)));
}

#[test]
fn a_peer_that_leaves_takes_its_links_along_and_no_others() {
    let now = now();
    let mut links = links(now);
    let (peer_id, newer) = (Uuid::from_u128(1), PeerAddr::new(2, 1));
    links.peer_joined(peer_id, PEER);
    let (gone, stays) = (links.open(key(PEER, 1)).unwrap(), links.open(key(newer, 2)).unwrap());
    // The newest connection wins: it joins before the older one leaves.
    let joined = Control::PeerJoined(Presence { peer: newer, peer_id, role: Role::Host });
    links.on_frame(joined.frame(), now).unwrap();
    links.on_frame(Control::PeerLeft { peer: PEER }.frame(), now).unwrap();
    assert_eq!(received(&gone).unwrap_err().initiator, Initiator::Network);
    assert!(stays.recv().now_or_never().is_none());
    assert_eq!(links.find(peer_id), Ok(Some(newer)));
}

#[test]
fn a_drain_ends_everything_at_a_moment_drawn_from_its_spread_and_takes_no_new_dial() {
    let now = now();
    let mut links = links(now);
    let link = links.open(key(PEER, 1)).unwrap();
    let drain = Control::Drain { after: Duration::from_secs(2), spread: Duration::from_secs(4) };
    links.on_frame(drain.frame(), now).unwrap();
    assert!(!links.hold());
    assert!(matches!(links.tick(now), Tick::Wait { until, .. } if until == now + Duration::from_secs(4)));
    let Tick::End(closed) = links.tick(now + Duration::from_secs(4)) else { panic!("still there") };
    links.end(closed, now);
    assert_eq!(received(&link).unwrap_err().code, CloseCode::DRAIN);
    assert!(links.find(Uuid::nil()).is_err());
    let late = links.open(key(PEER, 2)).unwrap();
    assert_eq!(received(&late).unwrap_err().code, CloseCode::DRAIN);
}

#[test]
fn a_told_pause_holds_data_and_not_heartbeats_and_is_capped() {
    let now = now();
    let mut links = links(now);
    let link = met(&mut links, PEER, 1, now);
    assert!(batch(&mut links, now).is_empty());
    send(&mut links, &link, b"x");
    links.on_frame(Control::RateLimited { retry_after: Duration::from_secs(3600) }.frame(), now).unwrap();
    let batch = links.next_batch(now);
    assert_eq!((batch.frames.len(), batch.resume_at), (0, Some(now + MAX_HOLD)));
    assert_eq!(links.next_batch(now + MAX_HOLD).frames.len(), 1);
}

#[test]
fn a_sender_stops_at_the_window_and_goes_on_when_the_reader_does() {
    let now = now();
    let (mut near, mut far) = (links(now), links(now));
    let (out, into) = (near.open(key(PEER, 1)).unwrap(), far.open(key(PEER, 1)).unwrap());
    let large: &'static [u8] = &[7; 60_000];
    let carry = |near: &mut Links, far: &mut Links| {
        let frames: Vec<Bytes> = wired(near, now).collect();
        let count = frames.len();
        for frame in frames {
            if let Some((link, inbound)) = far.on_frame(frame, now).unwrap().deliver {
                link.inbound.try_push(inbound.lane, inbound.payload).unwrap();
            }
        }
        count
    };
    send(&mut near, &out, large);
    // One frame says that the link is open here; the message waits for the other side's.
    assert_eq!(carry(&mut near, &mut far), 1);
    assert_eq!((carry(&mut far, &mut near), carry(&mut near, &mut far)), (1, 1));
    let mut sent = 1;
    loop {
        send(&mut near, &out, large);
        match carry(&mut near, &mut far) {
            0 => break,
            count => sent += count,
        }
    }
    assert_eq!(sent, 200_000_usize.div_ceil(60_076));
    // Datagrams need no window.
    out.outbound.try_push(Lane::Datagram, Bytes::from_static(b"d")).unwrap();
    near.mark_ready(out.key);
    assert_eq!(carry(&mut near, &mut far), 1);
    // A third of it read is worth no frame of its own, but goes with one that is written anyway.
    assert!(received(&into).is_ok() && into.has_read() && !far.move_window(&into));
    assert_eq!(carry(&mut far, &mut near), 0);
    send(&mut far, &into, b"ack");
    assert_eq!((carry(&mut far, &mut near), carry(&mut near, &mut far)), (2, 1));
    // Half of it is: two more messages, and the datagram in between.
    for worth in [false, false, true] {
        assert_eq!((received(&into).is_ok(), far.move_window(&into)), (true, worth));
    }
    assert_eq!((carry(&mut far, &mut near), carry(&mut near, &mut far)), (1, 0));
}

#[test]
fn a_close_that_the_window_blocks_ends_in_time() {
    let now = now();
    let mut links = links(now);
    links.on_frame(Window(100_000).frame(PEER, LinkNumber(1)), now).unwrap();
    links.on_frame(Window(50_000).frame(PEER, LinkNumber(1)), now).unwrap();
    let link = links.open(key(PEER, 1)).unwrap();
    for _ in 0..3 {
        send(&mut links, &link, &[7; 60_000]);
    }
    assert_eq!(batch(&mut links, now).len(), 2);
    let until = now + Duration::from_secs(2);
    links.close(&link, CloseCode::NORMAL, "".into(), Duration::from_secs(2), now);
    assert!(batch(&mut links, now).is_empty());
    assert!(matches!(links.tick(until), Tick::Wait { write: true, .. }));
    assert_eq!(batch(&mut links, until)[0].0.kind, Kind::Close);
}

#[test]
fn links_of_one_endpoint_share_what_the_relay_holds_for_it() {
    let now = now();
    let mut links = links(now);
    let mut granted = 0;
    for link in 0..4 {
        links.open(key(PEER, link)).unwrap();
        granted += wired(&mut links, now)
            .filter_map(|frame| Window::read(&frame).unwrap())
            .map(|window| window.0)
            .sum::<u64>();
    }
    assert_eq!(granted, 200_000 + 100_000 + 66_666 + 50_000);
}

#[test]
fn a_ping_is_answered_once_and_is_a_sign_of_life_as_a_pong_is() {
    let now = now();
    let mut links = links(now);
    assert!(links.on_ping("there?".into(), now + 2 * INTERVAL).changed);
    assert_eq!(links.next_batch(now).frames, [Outgoing::Pong("there?".into())]);
    assert!(!links.on_pong(now + 3 * INTERVAL).changed);
    assert!(matches!(links.tick(now + 5 * INTERVAL), Tick::Wait { .. }));
    assert!(matches!(links.tick(now + 6 * INTERVAL), Tick::End(_)));
}

#[test]
fn what_was_said_into_silence_is_asked_after_and_an_answer_keeps_the_socket() {
    let now = now();
    let mut links = links(now);
    let link = met(&mut links, PEER, 1, now);
    for (text, awaits) in [(b"key", true), (b"two", false)] {
        send(&mut links, &link, text);
        assert_eq!(links.next_batch(now).awaits, awaits, "the first one moves the watch's next look");
    }
    let [silent, dead] = [SILENCE, SILENCE + PATIENCE].map(|after| now + after);
    assert!(matches!(links.tick(now), Tick::Wait { until, .. } if until == silent));
    assert!(matches!(links.tick(silent), Tick::Wait { until, write: true } if until == dead));
    assert_eq!(links.next_batch(silent).frames, [Outgoing::Ping]);
    assert!(links.is_in_doubt() && links.on_pong(silent).changed && !links.is_in_doubt());
    assert!(matches!(links.tick(dead), Tick::Wait { .. }));
    links.doubt(dead);
    links.doubt(dead);
    assert_eq!(links.next_batch(dead).frames, [Outgoing::Ping]);
    assert!(matches!(links.tick(dead + PATIENCE), Tick::End(_)));
}

#[test]
fn a_silent_relay_is_asked_and_then_given_up() {
    let now = now();
    let mut links = links(now);
    assert!(matches!(links.tick(now + INTERVAL), Tick::Wait { write: true, .. }));
    assert_eq!(batch(&mut links, now + INTERVAL)[0].0.kind, Kind::Heartbeat);
    assert!(matches!(links.tick(now + 2 * INTERVAL), Tick::Wait { write: true, .. }));
    let Tick::End(closed) = links.tick(now + 3 * INTERVAL) else { panic!("still patient") };
    assert_eq!((closed.initiator, closed.code), (Initiator::Network, CloseCode::CONNECTION_LOST));
}

proptest! {
    #[test]
    fn arbitrary_frames_never_panic_and_stay_bounded(
        frames in vec((0..5u8, 0..3u32, 0..3u32, vec(any::<u8>(), 0..80)), 0..300)
    ) {
        let now = now();
        let mut links = links(now);
        let open = links.open(key(PeerAddr::from_wire(1), 1)).unwrap();
        for (kind, peer, link, payload) in frames {
            let mut frame = Header::data(Lane::Reliable, PeerAddr::from_wire(peer), LinkNumber(link)).frame(&payload).to_vec();
            frame[1] = kind;
            if let Ok(Arrival { deliver: Some((link, inbound)), .. }) = links.on_frame(frame.into(), now) {
                prop_assert_eq!(link.key, open.key);
                let _ = link.inbound.try_push(inbound.lane, inbound.payload);
            }
            prop_assert!(links.urgent.len() <= MAX_URGENT && links.ended.len() <= MAX_ENDED);
        }
        let _ = (links.next_batch(now), links.tick(now));
    }
}
