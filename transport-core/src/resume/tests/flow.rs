//! Holding back: credit, the in-flight limit, refusing transports; datagrams and ends.

use super::*;
use crate::{
    close::{CloseCode, Initiator},
    error::Refusal,
};

#[test]
fn an_application_that_does_not_read_holds_the_sender_and_reading_lets_it_go_on() {
    let mut pair = Pair::new(1);
    pair.reading = false;
    pair.attach(1, &Side::BOTH);
    pair.settle();
    let mut accepted = 0;
    for _ in 0..100 {
        while pair.at(Side::A).try_send(bytes(30_000)).is_ok() {
            accepted += 1;
        }
        pair.settle();
        pair.advance(ms(200));
    }
    let unread = pair.at(Side::B).stats().unread_bytes;
    assert!((900_000..=1_100_000).contains(&unread), "{unread}");
    let now = pair.now;
    assert!(pair.at(Side::A).oldest_unacked_age(now).is_none(), "held back is not under way");
    assert_eq!(pair.at(Side::A).try_send(bytes(1)).unwrap_err().why, Refusal::Full);
    // The pings go on: holding back is not silence.
    assert!(pair.at(Side::A).silence(now).unwrap() < ms(12_000));
    pair.reading = true;
    pair.at(Side::B).consumed(unread);
    for _ in 0..5 {
        pair.settle();
        pair.advance(ms(200));
    }
    assert_eq!(pair.received(Side::B).len(), accepted);
    assert!(pair.at(Side::A).writable());
}

#[test]
fn no_more_is_on_the_wire_than_the_path_holds() {
    let now = Instant::now();
    for (in_flight, segments) in [(1, 1), (2_095, 1), (2_096, 2), (3_144, 3)] {
        let mut resume = resume();
        resume.attach(now, Generation(1), &memory::profile(in_flight, 65_000)).unwrap();
        receive(&mut resume, now, 1, &attach(Generation(1), 0)).unwrap();
        (0..10).for_each(|_| resume.try_send(bytes(1_000)).unwrap());
        assert_eq!(data_numbers(&mut resume, now).len(), segments, "{in_flight}");
        receive(&mut resume, now, 1, &Frame::Ack(Ack { received: 1, credit: 1 << 21 })).unwrap();
        assert_eq!(data_numbers(&mut resume, now).len(), 1, "one acknowledged, one more goes");
    }
}

#[test]
fn segments_are_as_long_as_the_path_deserves_and_the_next_generation_gets_the_same_ones() {
    let now = Instant::now();
    let mut resume = attached(now);
    transmits(&mut resume, now);
    resume.set_ahead(Ahead::of(8_192));
    resume.try_send(bytes(20_000)).unwrap();
    let lengths = |frames: Vec<(u32, Frame)>| -> Vec<(u64, usize)> {
        let data = |(_, frame)| {
            if let Frame::Data(data) = frame { Some((data.seq, data.payload.len())) } else { None }
        };
        frames.into_iter().filter_map(data).collect()
    };
    let first = lengths(frames(&mut resume, now));
    assert_eq!(first, (0..7).map(|seq| (seq, UNIT)).collect::<Vec<_>>(), "7 × 1,152 and no seventh");
    assert!(resume.is_held());
    resume.try_send(bytes(100)).unwrap();
    assert_eq!(frames(&mut resume, now), [], "what was accepted later stays behind");
    // A faster path gets the same segments again, and longer ones of the rest.
    introduce(&mut resume, now, 2, 2);
    resume.set_ahead(Ahead::UNLIMITED);
    let second = lengths(frames(&mut resume, now));
    assert_eq!(second[..5], first[2..]);
    assert_eq!(second[5..], [(7, 20_000 - 7 * UNIT), (8, 100)]);
    assert!(!resume.is_held());
    receive(&mut resume, now + ms(9), 2, &Frame::Ack(Ack { received: 6, credit: 1 << 21 })).unwrap();
    assert_eq!(resume.take_round_trip(), None, "it may have come on the older one");
    receive(&mut resume, now + ms(9), 2, &Frame::Ack(Ack { received: 9, credit: 1 << 21 })).unwrap();
    assert_eq!(resume.take_round_trip(), Some(ms(9)));
    assert_eq!((resume.pending_bytes(), resume.is_flushed()), (0, true));
}

#[test]
fn the_longest_messages_fit_the_smallest_window_however_short_segments_are() {
    let now = Instant::now();
    let config = ResumeConfig { window_bytes: std::num::NonZeroUsize::MIN, ..ResumeConfig::default() };
    for length in [MAX_MESSAGE.get(), MAX_MESSAGE.get() - 1, 1_040_000, 1_000_000, 600_000] {
        let (mut sender, mut receiver) = (resume(), Resume::new(config.clone(), 1, 1));
        sender.attach(now, Generation(1), &memory::profile(4 << 20, 65_000)).unwrap();
        receive(&mut sender, now, 1, &attach(Generation(1), 0)).unwrap();
        introduce(&mut receiver, now, 1, 0);
        transmits(&mut receiver, now);
        let window = receiver.inbox.ack().credit;
        sender.credit = window;
        sender.set_ahead(Ahead { segment: 1, ..Ahead::UNLIMITED });
        sender.try_send(bytes(length)).unwrap();
        sender.finish();
        for (_, frame) in frames(&mut sender, now) {
            if matches!(frame, Frame::Data(_) | Frame::Fin { .. }) {
                receive(&mut receiver, now, 1, &frame).unwrap();
            }
        }
        let arrived = events(&mut receiver);
        assert!(
            arrived.contains(&Event::Message(bytes(length))) && arrived.contains(&Event::PeerFin),
            "{length}"
        );
    }
}

#[test]
fn a_transport_that_refuses_every_other_frame_loses_none() {
    let mut pair = Pair::new(1);
    pair.room = 1;
    pair.attach(1, &Side::BOTH);
    for number in 0..200u32 {
        pair.at(Side::A).try_send(Bytes::from(number.to_string())).unwrap();
    }
    for _ in 0..300 {
        // The second of each pair is refused and comes out again first.
        pair.transmit(Side::A, 2);
        pair.transmit(Side::B, 2);
        pair.deliver(1, Side::A, 1);
        pair.deliver(1, Side::B, 1);
    }
    let expected: Vec<Bytes> = (0..200u32).map(|number| Bytes::from(number.to_string())).collect();
    assert_eq!(pair.received(Side::B), expected);
}

#[test]
fn several_refused_frames_come_back_in_their_order() {
    let now = Instant::now();
    let mut resume = attached(now);
    (0..5).for_each(|_| resume.try_send(bytes(10)).unwrap());
    let first = transmits(&mut resume, now);
    first.iter().rev().for_each(|transmit| resume.unsend(transmit.clone()));
    assert_eq!(transmits(&mut resume, now), [], "blocked");
    assert_eq!(resume.blocked().collect::<Vec<_>>(), [Generation(1)]);
    resume.unblocked(Generation(1));
    assert_eq!(transmits(&mut resume, now), first);
}

#[test]
fn a_blocked_transport_does_not_block_the_next_one() {
    let now = Instant::now();
    let mut resume = attached(now);
    resume.try_send(bytes(10)).unwrap();
    let refused = transmits(&mut resume, now).pop().unwrap();
    resume.unsend(refused);
    introduce(&mut resume, now, 2, 0);
    let sent = frames(&mut resume, now);
    assert!(sent.iter().all(|(generation, _)| *generation == 2), "{sent:?}");
    assert!(sent.iter().any(|(_, frame)| matches!(frame, Frame::Data(data) if data.seq == 0)));
}

#[test]
fn control_goes_before_data_and_datagrams_take_turns_with_messages() {
    let now = Instant::now();
    let mut resume = attached(now);
    transmits(&mut resume, now);
    receive(&mut resume, now, 1, &Frame::Ping(5)).unwrap();
    (0..3).for_each(|_| resume.try_send(bytes(10)).unwrap());
    (0..3).for_each(|_| resume.try_send_datagram(bytes(10)).unwrap());
    let sent = frames(&mut resume, now);
    assert_eq!(sent[0].1, Frame::Pong(5));
    let is_datagram: Vec<bool> = sent[1..].iter().map(|(_, f)| matches!(f, Frame::Datagram(_))).collect();
    assert!(is_datagram.windows(2).all(|pair| pair[0] != pair[1]), "{is_datagram:?}");
}

#[test]
fn datagrams_larger_than_a_message_are_split_and_joined_and_any_loss_costs_only_its_own() {
    let mut pair = Pair::new(1);
    pair.profile = memory::profile(196_608, 1_200);
    pair.attach(1, &Side::BOTH);
    assert_eq!(pair.at(Side::A).try_send_datagram(bytes(5)), Ok(()), "dropped: not attached yet");
    pair.settle();
    for len in [1, 1_191, 1_192, 64 * 1024] {
        pair.at(Side::A).try_send_datagram(bytes(len)).unwrap();
        pair.settle();
        let events = pair.other_events(Side::B);
        assert_eq!(events.last(), Some(&Event::Datagram(bytes(len))), "{len}");
    }
    assert_eq!(pair.at(Side::A).stats().datagrams_dropped, 1);
}

#[test]
fn too_many_datagrams_cost_the_oldest_and_are_counted() {
    let now = Instant::now();
    let mut resume = attached(now);
    transmits(&mut resume, now);
    for fill in 0..100u8 {
        resume.try_send_datagram(Bytes::from(vec![fill; 1024])).unwrap();
    }
    let sent = frames(&mut resume, now);
    assert_eq!((sent.len(), resume.stats().datagrams_dropped), (64, 36));
    assert!(matches!(&sent[0].1, Frame::Datagram(fragment) if fragment[8] == 36));
}

#[test]
fn a_fin_comes_after_the_last_message_and_survives_a_switch() {
    let mut pair = Pair::new(1);
    pair.attach(1, &Side::BOTH);
    pair.settle();
    pair.at(Side::A).try_send(bytes(10)).unwrap();
    pair.at(Side::A).finish();
    assert!(matches!(pair.at(Side::A).try_send(bytes(1)).unwrap_err().why, Refusal::Closed(_)));
    pair.transmit(Side::A, usize::MAX);
    pair.cut(1);
    Side::BOTH.iter().for_each(|side| pair.detach(1, *side));
    assert!(!pair.at(Side::A).is_flushed());
    pair.attach(2, &Side::BOTH);
    pair.settle();
    assert_eq!(pair.received(Side::B), [bytes(10)]);
    assert_eq!(pair.other_events(Side::B).iter().filter(|e| **e == Event::PeerFin).count(), 1);
    assert!(pair.at(Side::A).is_flushed());
    // The other direction goes on.
    pair.at(Side::B).try_send(bytes(3)).unwrap();
    pair.settle();
    assert_eq!(pair.received(Side::A), [bytes(3)]);
}

#[test]
fn a_close_is_told_once_after_what_was_sent_before_it() {
    let mut pair = Pair::new(1);
    pair.attach(1, &Side::BOTH);
    pair.settle();
    pair.other_events(Side::B);
    pair.at(Side::A).try_send(bytes(10)).unwrap();
    pair.transmit(Side::A, usize::MAX);
    pair.at(Side::A).close(CloseCode::NORMAL, "done");
    pair.at(Side::A).close(CloseCode::POLICY, "too late");
    pair.settle();
    assert_eq!(pair.received(Side::B), [bytes(10)]);
    let closed = Event::PeerClosed { code: CloseCode::NORMAL, reason: "done".into() };
    assert_eq!(pair.other_events(Side::B), [closed]);
    assert_eq!(pair.at(Side::B).ended().unwrap().initiator, Initiator::Peer);
    assert_eq!(pair.at(Side::A).ended().unwrap().initiator, Initiator::Local);
    assert!(matches!(pair.at(Side::B).try_send(bytes(1)).unwrap_err().why, Refusal::Closed(_)));
    assert!(matches!(pair.at(Side::B).try_send_datagram(bytes(1)).unwrap_err().why, Refusal::Closed(_)));
}

#[test]
fn a_close_without_a_transport_is_told_on_the_next_one() {
    let mut pair = Pair::new(1);
    pair.attach(1, &Side::BOTH);
    pair.settle();
    pair.other_events(Side::B);
    pair.cut(1);
    Side::BOTH.iter().for_each(|side| pair.detach(1, *side));
    pair.at(Side::A).close(CloseCode::NORMAL, "done");
    pair.attach(2, &Side::BOTH);
    pair.settle();
    let closed = Event::PeerClosed { code: CloseCode::NORMAL, reason: "done".into() };
    assert_eq!(pair.other_events(Side::B).last(), Some(&closed));
    // And the other way round nothing more is said.
    pair.attach(3, &Side::BOTH);
    assert_eq!(pair.transmit(Side::B, 10), 0);
}

#[test]
fn datagrams_that_went_out_make_room_for_as_many_more() {
    let now = Instant::now();
    let mut resume = attached(now);
    transmits(&mut resume, now);
    for _ in 0..5 {
        (0..64).for_each(|_| resume.try_send_datagram(bytes(1024)).unwrap());
        assert_eq!(transmits(&mut resume, now).len(), 64);
    }
    assert_eq!(resume.stats().datagrams_dropped, 0);
}

#[test]
fn datagrams_that_wait_when_the_generation_ends_are_dropped_and_counted() {
    let now = Instant::now();
    let mut resume = resume();
    resume.attach(now, Generation(1), &memory::profile(196_608, 1_200)).unwrap();
    receive(&mut resume, now, 1, &attach(Generation(1), 0)).unwrap();
    transmits(&mut resume, now);
    (0..4).for_each(|_| resume.try_send_datagram(bytes(3_000)).unwrap());
    // One of its three fragments is out: what is left of it counts as one more.
    resume.poll_transmit(now).unwrap();
    resume.detach(now, Generation(1));
    assert_eq!(resume.stats().datagrams_dropped, 4);
    // Nothing of them is left in the way of what comes next.
    introduce(&mut resume, now, 2, 0);
    transmits(&mut resume, now);
    (0..64).for_each(|_| resume.try_send_datagram(bytes(1024)).unwrap());
    assert_eq!((transmits(&mut resume, now).len(), resume.stats().datagrams_dropped), (64, 4));
}

#[test]
fn a_close_gives_up_what_is_unacknowledged() {
    let now = Instant::now();
    let mut resume = attached(now);
    transmits(&mut resume, now);
    (0..3).for_each(|_| resume.try_send(bytes(20_000)).unwrap());
    transmits(&mut resume, now);
    assert_eq!((resume.pending_bytes(), resume.is_flushed()), (60_000, false));
    assert_eq!(resume.stats().in_flight, 60_000 + 3 * 48);
    resume.close(CloseCode::NORMAL, "");
    assert_eq!((resume.pending_bytes(), resume.is_flushed(), resume.stats().in_flight), (0, true, 0));
    assert_eq!(resume.oldest_unacked_age(now), None);
}

#[test]
fn a_fin_weighs_as_much_as_its_overhead_and_its_credit_is_given_back() {
    let now = Instant::now();
    let mut resume = attached(now);
    let frames_before = frames(&mut resume, now);
    let Some((1, Frame::Attach(attach))) = frames_before.first() else { panic!("introduces itself first") };
    receive(&mut resume, now, 1, &data(0, "abc")).unwrap();
    receive(&mut resume, now, 1, &Frame::Fin { seq: 1 }).unwrap();
    let ack = Frame::Ack(Ack { received: 2, credit: attach.ack.credit + 48 });
    assert_eq!(frames(&mut resume, now), [(1, ack)]);
    // And the message's once it is consumed.
    events(&mut resume);
    resume.consumed(3);
    assert_eq!(resume.inbox.ack().credit, attach.ack.credit + 48 + 51);
}

#[test]
fn nothing_is_writable_after_the_end_of_what_is_sent() {
    let ends: [fn(&mut Resume); 2] = [Resume::finish, |resume| resume.close(CloseCode::NORMAL, "")];
    for end in ends {
        let mut resume = resume();
        assert!(resume.writable());
        end(&mut resume);
        assert!(!resume.writable());
    }
}

#[test]
fn credit_is_told_by_itself_when_a_quarter_of_the_window_was_consumed() {
    let now = Instant::now();
    let mut resume = attached(now);
    transmits(&mut resume, now);
    let window = resume.inbox.ack().credit;
    assert_eq!(window, 1_050_304, "the longest message, its 35 segments' overhead and a fin's");
    for seq in 0..20 {
        let segment = Data { seq, end: End::Message, ack: None, payload: bytes(15_000) };
        receive(&mut resume, now, 1, &Frame::Data(segment)).unwrap();
    }
    transmits(&mut resume, now);
    // 262,984 is a quarter; each message weighs 15,048.
    resume.consumed(17 * 15_000);
    assert_eq!(frames(&mut resume, now), []);
    resume.consumed(15_000);
    let ack = Frame::Ack(Ack { received: 20, credit: window + 18 * 15_048 });
    assert_eq!(frames(&mut resume, now), [(1, ack)]);
}

#[test]
fn a_message_gives_its_credit_back_when_all_of_it_was_consumed_and_never_more() {
    let now = Instant::now();
    let mut resume = attached(now);
    transmits(&mut resume, now);
    let window = resume.inbox.ack().credit;
    let state = |resume: &Resume| (resume.stats().unread_bytes, resume.inbox.ack().credit - window);
    receive(&mut resume, now, 1, &data(0, "0123456789")).unwrap();
    receive(&mut resume, now, 1, &data(1, "abcd")).unwrap();
    assert_eq!(state(&resume), (14, 0));
    resume.consumed(4);
    assert_eq!(state(&resume), (10, 0));
    resume.consumed(6);
    assert_eq!(state(&resume), (4, 58));
    // Consumed more than there was: the rest belongs to nothing.
    resume.consumed(100);
    assert_eq!(state(&resume), (0, 58 + 52));
    receive(&mut resume, now, 1, &data(2, "abcd")).unwrap();
    assert_eq!(state(&resume), (4, 58 + 52));
}

#[test]
fn the_longest_message_and_a_fin_fit_the_smallest_window_and_one_byte_more_is_too_long() {
    let now = Instant::now();
    let config = ResumeConfig { window_bytes: std::num::NonZeroUsize::MIN, ..ResumeConfig::default() };
    for (extra, handled) in [(0, Ok(())), (1, Err(crate::resume::ProtocolError::MessageTooLong))] {
        let mut resume = Resume::new(config.clone(), 1, 1);
        introduce(&mut resume, now, 1, 0);
        transmits(&mut resume, now);
        let segment = |seq, end, len| Frame::Data(Data { seq, end, ack: None, payload: bytes(len) });
        let (whole, rest) = ((MAX_MESSAGE.get() / SEGMENT) as u64, MAX_MESSAGE.get() % SEGMENT);
        for seq in 0..whole {
            receive(&mut resume, now, 1, &segment(seq, End::Segment, SEGMENT)).unwrap();
        }
        assert_eq!(receive(&mut resume, now, 1, &segment(whole, End::Message, rest + extra)), handled);
        if extra == 0 {
            assert_eq!(receive(&mut resume, now, 1, &Frame::Fin { seq: whole + 1 }), Ok(()));
            assert_eq!(events(&mut resume)[1..], [Event::Message(bytes(MAX_MESSAGE.get())), Event::PeerFin]);
        }
    }
}

#[test]
fn a_segment_goes_when_the_credit_covers_all_of_its_weight() {
    let now = Instant::now();
    for (credit, goes) in [(1_047, 0), (1_048, 1), (2_095, 1), (2_096, 2)] {
        let mut resume = resume();
        resume.attach(now, Generation(1), &memory::profile(196_608, 65_000)).unwrap();
        let ack = Ack { received: 0, credit };
        let peer = Attach { version: VERSION, generation: Generation(1), instance: 99, ack };
        receive(&mut resume, now, 1, &Frame::Attach(peer)).unwrap();
        (0..2).for_each(|_| resume.try_send(bytes(1_000)).unwrap());
        assert_eq!(data_numbers(&mut resume, now).len(), goes, "{credit}");
    }
}

#[test]
fn what_is_on_the_wire_counts_whole_segments_with_their_overhead_and_pieces_without() {
    let now = Instant::now();
    let mut resume = resume();
    resume.attach(now, Generation(1), &memory::profile(196_608, 426)).unwrap();
    receive(&mut resume, now, 1, &attach(Generation(1), 0)).unwrap();
    transmits(&mut resume, now);
    (0..2).for_each(|_| resume.try_send(bytes(1_000)).unwrap());
    let mut seen = Vec::new();
    while resume.poll_transmit(now).is_some() {
        let stats = resume.stats();
        seen.push((stats.in_flight, stats.pending_bytes, stats.current));
    }
    let on_wire: Vec<usize> = seen.iter().map(|(on_wire, ..)| *on_wire).collect();
    assert_eq!(on_wire, [400, 800, 1_048, 1_448, 1_848, 2_096]);
    assert!(seen.iter().all(|(_, pending, current)| (*pending, *current) == (2_000, Some(Generation(1)))));
    receive(&mut resume, now, 1, &Frame::Ack(Ack { received: 1, credit: 0 })).unwrap();
    assert_eq!((resume.stats().in_flight, resume.stats().pending_bytes), (1_048, 1_000));
}

#[test]
fn datagrams_that_are_taken_make_room_and_messages_are_counted_as_they_are() {
    let now = Instant::now();
    let mut resume = attached(now);
    transmits(&mut resume, now);
    for id in 0..1_000u32 {
        let mut fragment = [&id.to_be_bytes()[..], &[0, 0, 0, 1]].concat();
        fragment.extend_from_slice(&[7; 1024]);
        receive(&mut resume, now, 1, &Frame::Datagram(fragment.into())).unwrap();
        events(&mut resume);
    }
    assert_eq!(resume.stats().datagrams_dropped, 0);
    (0..3).for_each(|seq| receive(&mut resume, now, 1, &data(seq, "x")).unwrap());
    resume.poll_event();
    assert_eq!(resume.stats().messages_received, 1);
    events(&mut resume);
    assert_eq!(resume.stats().messages_received, 3);
}

#[test]
fn one_datagram_that_is_taken_makes_room_for_one() {
    let now = Instant::now();
    let mut resume = attached(now);
    events(&mut resume);
    let arrives = |resume: &mut Resume, id: u32| {
        let mut fragment = [&id.to_be_bytes()[..], &[0, 0, 0, 1]].concat();
        fragment.extend_from_slice(&[7; 1024]);
        receive(resume, now, 1, &Frame::Datagram(fragment.into())).unwrap();
    };
    (0..256).for_each(|id| arrives(&mut resume, id));
    resume.poll_event();
    (256..258).for_each(|id| arrives(&mut resume, id));
    assert_eq!((events(&mut resume).len(), resume.stats().datagrams_dropped), (256, 1));
}

#[test]
fn a_datagram_that_can_never_be_whole_or_never_be_split_is_counted() {
    let now = Instant::now();
    let mut resume = resume();
    let mut narrow = memory::profile(196_608, 65_000);
    narrow.datagram.max_message = std::num::NonZeroUsize::new(9).unwrap();
    resume.attach(now, Generation(1), &narrow).unwrap();
    receive(&mut resume, now, 1, &attach(Generation(1), 0)).unwrap();
    transmits(&mut resume, now);
    (0..2).for_each(|_| resume.try_send_datagram(bytes(1)).unwrap());
    assert_eq!((transmits(&mut resume, now), resume.stats().datagrams_dropped), (vec![], 2));
    // The first of two fragments, and never the second.
    receive(&mut resume, now, 1, &Frame::Datagram(Bytes::from_static(b"\0\0\0\x01\0\0\0\x02x"))).unwrap();
    assert_eq!(resume.poll_timeout(), Some(now + ms(3_000)));
    resume.handle_timeout(now + ms(2_999));
    assert_eq!(resume.stats().datagrams_dropped, 2);
    resume.handle_timeout(now + ms(3_000));
    assert_eq!(resume.stats().datagrams_dropped, 3);
}
