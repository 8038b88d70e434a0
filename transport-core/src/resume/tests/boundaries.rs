//! Each threshold from both sides: one before, on it, one after.

use super::*;
use crate::{
    error::Refusal,
    resume::{Expiry, MAX_DATAGRAM, MAX_MESSAGE, ProtocolError, StaleGeneration},
};

/// A machine that handed out segments 0..10 on generation 1, of which the peer acknowledged 0..4,
/// and then lost its transport.
fn ten_sent_four_acknowledged(now: Instant) -> Resume {
    let mut resume = attached(now);
    (0..10).for_each(|_| resume.try_send(bytes(100)).unwrap());
    assert_eq!(data_numbers(&mut resume, now), (0..10).collect::<Vec<_>>());
    receive(&mut resume, now, 1, &Frame::Ack(Ack { received: 4, credit: 1 << 21 })).unwrap();
    resume.detach(now, Generation(1));
    events(&mut resume);
    resume
}

#[test]
fn the_sender_goes_on_exactly_where_the_peer_says() {
    let now = Instant::now();
    for next in 4..=10 {
        let mut resume = ten_sent_four_acknowledged(now);
        introduce(&mut resume, now, 2, next);
        let attached = Event::Attached { generation: Generation(2), resent_segments: 10 - next };
        assert_eq!(events(&mut resume), [attached]);
        assert_eq!((resume.stats().attachments, resume.stats().segments_resent), (2, 10 - next));
        resume.try_send(bytes(1)).unwrap();
        assert_eq!(data_numbers(&mut resume, now), (next..=10).collect::<Vec<_>>(), "next {next}");
    }
}

#[test]
fn a_peer_that_expects_more_than_was_sent_is_a_gap() {
    let now = Instant::now();
    let mut resume = ten_sent_four_acknowledged(now);
    introduce(&mut resume, now, 2, 11);
    assert_eq!(events(&mut resume), [Event::Gap { from: 10, to: 11 }]);
    assert!(matches!(resume.try_send(bytes(1)).unwrap_err().why, Refusal::Closed(_)));
}

#[test]
fn an_attach_overtaken_by_acks_goes_on_from_the_acks() {
    let now = Instant::now();
    let mut resume = ten_sent_four_acknowledged(now);
    introduce(&mut resume, now, 2, 3);
    assert!(matches!(events(&mut resume)[..], [Event::Attached { resent_segments: 6, .. }]));
    assert_eq!(data_numbers(&mut resume, now)[0], 4);
}

#[test]
fn the_receiver_drops_what_it_has_takes_what_is_next_and_names_what_is_missing() {
    let now = Instant::now();
    for (first, expected) in [(2, "duplicate"), (3, "message"), (4, "gap")] {
        let mut resume = attached(now);
        transmits(&mut resume, now);
        (0..3).for_each(|seq| receive(&mut resume, now, 1, &data(seq, "old")).unwrap());
        resume.detach(now, Generation(1));
        introduce(&mut resume, now, 2, 0);
        transmits(&mut resume, now);
        events(&mut resume);
        receive(&mut resume, now, 2, &data(first, "new")).unwrap();
        let seen = events(&mut resume);
        match expected {
            "duplicate" => assert_eq!((seen.len(), resume.stats().duplicates), (0, 1)),
            "message" => assert_eq!(seen, [Event::Message(Bytes::from_static(b"new"))]),
            _ => assert_eq!(seen, [Event::Gap { from: 3, to: 4 }]),
        }
    }
}

#[test]
fn a_fin_that_comes_again_on_the_next_generation_is_a_duplicate() {
    let now = Instant::now();
    let mut resume = attached(now);
    transmits(&mut resume, now);
    receive(&mut resume, now, 1, &Frame::Fin { seq: 0 }).unwrap();
    introduce(&mut resume, now, 2, 0);
    transmits(&mut resume, now);
    receive(&mut resume, now, 2, &Frame::Fin { seq: 0 }).unwrap();
    assert_eq!(resume.stats().duplicates, 1);
    assert_eq!(events(&mut resume).iter().filter(|event| **event == Event::PeerFin).count(), 1);
    let told = frames(&mut resume, now);
    assert!(told.iter().any(|(on, frame)| *on == 2 && matches!(frame, Frame::Ack(ack) if ack.received == 1)));
}

#[test]
fn a_jump_inside_a_generation_costs_that_generation_only() {
    let now = Instant::now();
    for (next, good) in [(0, false), (1, true), (2, false)] {
        let mut resume = attached(now);
        transmits(&mut resume, now);
        receive(&mut resume, now, 1, &data(0, "a")).unwrap();
        let handled = receive(&mut resume, now, 1, &data(next, "b"));
        if good {
            assert_eq!(handled, Ok(()));
            continue;
        }
        assert_eq!(handled, Err(ProtocolError::SegmentJump { expected: 1, found: next }));
        assert_eq!((resume.current(), resume.ended()), (None, None));
        introduce(&mut resume, now, 2, 0);
        transmits(&mut resume, now);
        assert_eq!(receive(&mut resume, now, 2, &data(1, "b")), Ok(()));
    }
}

#[test]
fn a_generation_may_skip_what_an_older_one_delivered_and_nothing_beyond() {
    let now = Instant::now();
    // Segment 0 came on both; 1 and 2 came late on the older one, in the middle of 1's pieces here.
    for (next, good) in [(3, true), (4, false)] {
        let mut resume = attached(now);
        transmits(&mut resume, now);
        introduce(&mut resume, now, 2, 0);
        transmits(&mut resume, now);
        receive(&mut resume, now, 2, &data(0, "a")).unwrap();
        let piece = Data { seq: 1, end: End::Nothing, ack: None, payload: bytes(10) };
        receive(&mut resume, now, 2, &Frame::Data(piece)).unwrap();
        (0..3).for_each(|seq| receive(&mut resume, now, 1, &data(seq, "a")).unwrap());
        events(&mut resume);
        let handled = receive(&mut resume, now, 2, &data(next, "b"));
        if good {
            assert_eq!(events(&mut resume), [Event::Message(Bytes::from_static(b"b"))]);
        } else {
            assert_eq!(handled, Err(ProtocolError::SegmentJump { expected: 1, found: next }));
        }
    }
}

#[test]
fn only_a_higher_generation_attaches() {
    let now = Instant::now();
    let mut resume = resume();
    introduce(&mut resume, now, 5, 0);
    for (offered, good) in [(4, false), (5, false), (6, true)] {
        let stale = StaleGeneration { offered: Generation(offered), newest: Generation(5) };
        let expected = if good { Ok(()) } else { Err(stale) };
        assert_eq!(resume.attach(now, Generation(offered), &memory::profile(1000, 1000)), expected);
    }
}

#[test]
fn a_generation_that_was_superseded_never_comes_back() {
    let now = Instant::now();
    let mut resume = resume();
    resume.attach(now, Generation(1), &memory::profile(1000, 1000)).unwrap();
    introduce(&mut resume, now, 2, 0);
    resume.detach(now, Generation(2));
    events(&mut resume);
    resume.try_send(bytes(1)).unwrap();
    receive(&mut resume, now, 1, &attach(Generation(1), 0)).unwrap();
    assert_eq!((resume.current(), frames(&mut resume, now), events(&mut resume)), (None, vec![], vec![]));
}

#[test]
fn the_attach_frame_comes_first_even_when_it_was_refused_and_superseded() {
    let now = Instant::now();
    let mut resume = resume();
    resume.attach(now, Generation(1), &memory::profile(1000, 1000)).unwrap();
    let introduction = transmits(&mut resume, now).pop().unwrap();
    resume.unsend(introduction.clone());
    introduce(&mut resume, now, 2, 0);
    transmits(&mut resume, now);
    resume.unblocked(Generation(1));
    let late = transmits(&mut resume, now);
    assert_eq!(late[0], introduction);
    assert_eq!(Frame::decode(late[1].payload.clone()), Ok(Frame::Drain));
    // One that never got to introduce itself says nothing at all.
    resume.attach(now, Generation(3), &memory::profile(1000, 1000)).unwrap();
    introduce(&mut resume, now, 4, 0);
    assert!(frames(&mut resume, now).iter().all(|(generation, _)| *generation != 3));
}

#[test]
fn a_peer_that_does_not_introduce_itself_can_be_timed() {
    let now = Instant::now();
    let mut resume = attached(now);
    let (one, two) = (Generation(1), Generation(2));
    resume.attach(now, two, &memory::profile(1000, 1000)).unwrap();
    assert_eq!(resume.introducing(now + ms(5_000), one), None);
    assert_eq!(resume.introducing(now + ms(5_000), two), Some(ms(5_000)));
    receive(&mut resume, now, 2, &attach(two, 0)).unwrap();
    assert_eq!(resume.introducing(now + ms(5_000), two), None);
}

#[test]
fn before_the_peer_introduced_itself_it_may_send_datagrams_and_nothing_else() {
    let now = Instant::now();
    let ack = Ack { received: 0, credit: 0 };
    for frame in [Frame::Ack(ack), data(0, "a"), Frame::Fin { seq: 0 }, Frame::Ping(1), Frame::Drain] {
        let mut resume = resume();
        resume.attach(now, Generation(1), &memory::profile(1000, 1000)).unwrap();
        transmits(&mut resume, now);
        assert_eq!(receive(&mut resume, now, 1, &frame), Err(ProtocolError::BeforeAttach), "{frame:?}");
        assert_eq!(resume.attachments.len(), 0);
    }
}

#[test]
fn acks_lost_with_a_generation_are_told_again_on_the_next_one() {
    let now = Instant::now();
    let mut resume = attached(now);
    transmits(&mut resume, now);
    // The second generation's introduction leaves before two more segments arrive on the first.
    resume.attach(now, Generation(2), &memory::profile(196_608, 65_000)).unwrap();
    transmits(&mut resume, now);
    (0..2).for_each(|seq| receive(&mut resume, now, 1, &data(seq, "x")).unwrap());
    resume.handle_timeout(now + ms(200));
    assert!(frames(&mut resume, now).iter().any(|(on, frame)| *on == 1 && matches!(frame, Frame::Ack(_))));
    receive(&mut resume, now, 2, &attach(Generation(2), 0)).unwrap();
    let again = frames(&mut resume, now);
    assert!(again.iter().any(|(on, frame)| *on == 2 && matches!(frame, Frame::Ack(a) if a.received == 2)));
}

#[test]
fn on_a_new_generation_nothing_is_acknowledged_that_the_introduction_told() {
    let now = Instant::now();
    let mut resume = resume();
    resume.attach(now, Generation(1), &memory::profile(196_608, 65_000)).unwrap();
    transmits(&mut resume, now);
    receive(&mut resume, now, 1, &attach(Generation(1), 0)).unwrap();
    assert_eq!(frames(&mut resume, now), [(1, Frame::Ping(TAKES_REPEATS))]);
}

#[test]
fn a_peer_without_its_state_ends_the_session_aloud() {
    let now = Instant::now();
    let mut resume = ten_sent_four_acknowledged(now);
    resume.attach(now, Generation(2), &memory::profile(1000, 1000)).unwrap();
    let ack = Ack { received: 0, credit: 0 };
    let stranger = Attach { version: VERSION, generation: Generation(2), instance: 98, ack };
    receive(&mut resume, now, 2, &Frame::Attach(stranger)).unwrap();
    let why = Expiry::PeerRestarted;
    assert_eq!(events(&mut resume), [Event::Expired { why, unacknowledged: 600 }]);
}

#[test]
fn the_resume_window_closes_on_its_second_and_not_before() {
    let start = Instant::now();
    let mut resume = resume();
    resume.handle_timeout(start + ms(900_000));
    assert_eq!(resume.poll_event(), None, "a session that never began does not expire");
    introduce(&mut resume, start, 1, 0);
    resume.try_send(bytes(10)).unwrap();
    events(&mut resume);
    resume.detach(start, Generation(1));
    assert_eq!(resume.poll_timeout(), Some(start + ms(600_000)));
    resume.handle_timeout(start + ms(599_999));
    assert_eq!(resume.poll_event(), None);
    // A transport on which the peer says nothing does not hold the session open.
    resume.attach(start + ms(599_999), Generation(2), &memory::profile(1000, 1000)).unwrap();
    resume.handle_timeout(start + ms(600_000));
    assert_eq!(resume.poll_event(), Some(Event::Expired { why: Expiry::Window, unacknowledged: 10 }));
    assert_eq!(resume.poll_timeout(), None);
}

#[test]
fn at_the_bound_the_payload_comes_back_and_one_byte_below_it_does_not() {
    let bound = MAX_MESSAGE.get();
    let first = bytes(15_000);
    let weight = 15_048;
    let full = bound / weight;
    for short in [0, 1] {
        let mut resume = resume();
        (0..full).for_each(|_| resume.try_send(first.clone()).unwrap());
        resume.try_send(bytes(bound - full * weight - short - 48)).unwrap();
        assert_eq!(resume.writable(), short == 1);
        // One byte short of the bound is still room for a message of any size.
        assert_eq!(resume.try_send(bytes(MAX_MESSAGE.get())).is_ok(), short == 1);
        assert!(!resume.writable());
        let refused = resume.try_send(first.clone()).unwrap_err();
        assert_eq!((refused.payload.as_ptr(), refused.why), (first.as_ptr(), Refusal::Full));
    }
}

#[test]
fn lengths_outside_the_limits_are_refused() {
    let now = Instant::now();
    let mut resume = attached(now);
    let too_large = |limit| Refusal::TooLarge { limit };
    assert_eq!(resume.try_send(Bytes::new()).unwrap_err().why, Refusal::Empty);
    assert_eq!(resume.try_send(bytes(MAX_MESSAGE.get() + 1)).unwrap_err().why, too_large(MAX_MESSAGE));
    assert_eq!(resume.try_send(bytes(MAX_MESSAGE.get())), Ok(()));
    assert_eq!(resume.try_send_datagram(Bytes::new()).unwrap_err().why, Refusal::Empty);
    let refused = resume.try_send_datagram(bytes(MAX_DATAGRAM.get() + 1)).unwrap_err();
    assert_eq!(refused.why, too_large(MAX_DATAGRAM));
    assert_eq!(resume.try_send_datagram(bytes(MAX_DATAGRAM.get())), Ok(()));
}

#[test]
fn an_ack_of_what_was_sent_is_good_and_one_more_is_not() {
    let now = Instant::now();
    for (received, good) in [(2, true), (3, false)] {
        let mut resume = attached(now);
        (0..2).for_each(|_| resume.try_send(bytes(1)).unwrap());
        transmits(&mut resume, now);
        let handled = receive(&mut resume, now, 1, &Frame::Ack(Ack { received, credit: 0 }));
        assert_eq!(handled.is_ok(), good);
        assert_eq!(resume.is_flushed(), good);
    }
}

#[test]
fn the_peer_may_send_up_to_its_credit_and_not_a_byte_more() {
    let now = Instant::now();
    for extra in [0, 1] {
        let mut resume = attached(now);
        let frames = frames(&mut resume, now);
        let Some((1, Frame::Attach(attach))) = frames.first() else { panic!("introduces itself first") };
        let mut left = attach.ack.credit;
        let mut seq = 0;
        let mut handled = Ok(());
        while left > 48 && handled.is_ok() {
            let len = (left - 48).min(15_000) as usize;
            left -= len as u64 + 48;
            let len = if left <= 48 { len + extra } else { len };
            let segment = Data { seq, end: End::Message, ack: None, payload: bytes(len) };
            handled = receive(&mut resume, now, 1, &Frame::Data(segment));
            seq += 1;
        }
        // What is left is at most the overhead of one more segment.
        let expected = if extra as u64 > left { Err(ProtocolError::BeyondCredit) } else { Ok(()) };
        assert_eq!(handled, expected, "{extra} more, {left} left");
    }
}

/// One whole datagram of `len` bytes beside its header.
fn whole(id: u32, len: usize) -> Frame {
    Frame::Datagram([&id.to_be_bytes()[..], &[0, 0, 0, 1], &vec![7; len]].concat().into())
}

fn datagrams(resume: &mut Resume) -> usize {
    events(resume).iter().filter(|event| matches!(event, Event::Datagram(_))).count()
}

#[test]
fn datagrams_that_overtake_the_introduction_wait_for_it() {
    let now = Instant::now();
    let mut resume = resume();
    resume.attach(now, Generation(1), &memory::profile(1000, 1000)).unwrap();
    (0..3).for_each(|id| receive(&mut resume, now, 1, &whole(id, 9)).unwrap());
    assert_eq!(resume.poll_event(), None);
    receive(&mut resume, now, 1, &attach(Generation(1), 0)).unwrap();
    let Some(Event::Attached { .. }) = resume.poll_event() else { panic!("first of all") };
    assert_eq!((datagrams(&mut resume), resume.stats().datagrams_dropped), (3, 0));
    receive(&mut resume, now, 1, &whole(3, 9)).unwrap();
    assert_eq!(datagrams(&mut resume), 1, "and none waits any more");
}

#[test]
fn datagrams_of_another_instance_never_reach_the_application() {
    let now = Instant::now();
    let mut resume = attached(now);
    events(&mut resume);
    resume.attach(now, Generation(2), &memory::profile(1000, 1000)).unwrap();
    (0..3).for_each(|id| receive(&mut resume, now, 2, &whole(id, 9)).unwrap());
    let stranger = Attach {
        version: VERSION,
        generation: Generation(2),
        instance: 100,
        ack: Ack { received: 0, credit: 0 },
    };
    receive(&mut resume, now, 2, &Frame::Attach(stranger)).unwrap();
    assert!(matches!(resume.poll_event(), Some(Event::Expired { why: Expiry::PeerRestarted, .. })));
    assert_eq!((datagrams(&mut resume), resume.stats().datagrams_dropped), (0, 3));
}

#[test]
fn datagrams_that_wait_for_an_introduction_are_bounded_and_go_with_their_generation() {
    let now = Instant::now();
    // 64 of 1 KiB with their headers, and not one byte more.
    for (len, kept) in [(1008, 64), (1009, 63)] {
        let mut resume = resume();
        resume.attach(now, Generation(1), &memory::profile(10_000, 10_000)).unwrap();
        (0..100).for_each(|id| receive(&mut resume, now, 1, &whole(id, len)).unwrap());
        assert_eq!(resume.stats().datagrams_dropped, 100 - kept);
        receive(&mut resume, now, 1, &attach(Generation(1), 0)).unwrap();
        assert_eq!(datagrams(&mut resume) as u64, kept);
    }
    let mut resume = resume();
    resume.attach(now, Generation(1), &memory::profile(1000, 1000)).unwrap();
    receive(&mut resume, now, 1, &whole(0, 9)).unwrap();
    resume.detach(now, Generation(1));
    assert_eq!(resume.stats().datagrams_dropped, 1);
    // What is no fragment is told apart as late as it is looked at.
    resume.attach(now, Generation(2), &memory::profile(1000, 1000)).unwrap();
    receive(&mut resume, now, 2, &Frame::Datagram(bytes(3))).unwrap();
    let introduced = receive(&mut resume, now, 2, &attach(Generation(2), 0));
    assert_eq!(introduced, Err(ProtocolError::Fragment(crate::fragment::BadFragment)));
}
