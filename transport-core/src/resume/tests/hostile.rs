//! A peer that holds the keys and still sends nonsense.

use proptest::prelude::*;

use super::*;
use crate::resume::{ProtocolError, frame::BadFrame};

#[test]
fn each_broken_rule_has_its_name_and_costs_one_generation() {
    let now = Instant::now();
    let fin = Frame::Fin { seq: 0 };
    let part = |seq, end| Frame::Data(Data { seq, end, ack: None, payload: bytes(10) });
    let long = Frame::Data(Data { seq: 0, end: End::Message, ack: None, payload: bytes(SEGMENT + 1) });
    let wrong =
        Attach { version: 2, generation: Generation(1), instance: 99, ack: Ack { received: 0, credit: 0 } };
    let elsewhere = attach(Generation(7), 0);
    let cases: Vec<(Vec<Frame>, ProtocolError)> = vec![
        (vec![fin.clone(), data(1, "x")], ProtocolError::AfterFin),
        (vec![fin.clone(), Frame::Fin { seq: 1 }], ProtocolError::AfterFin),
        (vec![part(0, End::Segment), Frame::Fin { seq: 1 }], ProtocolError::FinInsideMessage),
        (vec![part(0, End::Nothing), Frame::Fin { seq: 0 }], ProtocolError::FinInsideMessage),
        (vec![attach(Generation(1), 0)], ProtocolError::AttachedTwice),
        (vec![long], ProtocolError::MessageTooLong),
        (
            vec![Frame::Ack(Ack { received: 1, credit: 0 })],
            ProtocolError::AckBeyondSent { received: 1, sent: 0 },
        ),
        (vec![Frame::Datagram(bytes(3))], ProtocolError::Fragment(crate::fragment::BadFragment)),
    ];
    for (frames, expected) in cases {
        let mut resume = attached(now);
        transmits(&mut resume, now);
        let outcome = frames.iter().try_for_each(|frame| receive(&mut resume, now, 1, frame));
        assert_eq!(outcome, Err(expected.clone()));
        assert!(resume.ended().is_none() && resume.current().is_none(), "{expected}");
    }
    for (frame, expected) in [
        (Frame::Attach(wrong), ProtocolError::Version(2)),
        (elsewhere, ProtocolError::WrongGeneration(Generation(7))),
        (data(0, "x"), ProtocolError::BeforeAttach),
    ] {
        let mut resume = resume();
        resume.attach(now, Generation(1), &memory::profile(1000, 1000)).unwrap();
        assert_eq!(receive(&mut resume, now, 1, &frame), Err(expected));
    }
    let mut resume = attached(now);
    assert_eq!(receive(&mut resume, now, 1, &data(0, "x")), Err(ProtocolError::BeforeAttach), "not told yet");
    assert_eq!(receive(&mut resume, now, 2, &data(0, "x")), Err(ProtocolError::NotAttached(Generation(2))));
    introduce(&mut resume, now, 3, 0);
    let lane = Lane::Datagram;
    let misplaced = resume.handle_frame(now, Generation(3), lane, Frame::Drain.encode());
    assert_eq!(misplaced, Err(ProtocolError::WrongLane));
    introduce(&mut resume, now, 4, 0);
    let empty = resume.handle_frame(now, Generation(4), lane, Bytes::new());
    assert_eq!(empty, Err(ProtocolError::Frame(BadFrame::Length)));
}

#[test]
fn a_flood_of_pings_owes_one_pong() {
    let now = Instant::now();
    let mut resume = attached(now);
    transmits(&mut resume, now);
    (0..1000).for_each(|id| receive(&mut resume, now, 1, &Frame::Ping(id)).unwrap());
    assert_eq!(frames(&mut resume, now), [(1, Frame::Pong(999))]);
}

#[test]
fn datagrams_that_nobody_takes_are_bounded() {
    let now = Instant::now();
    let mut resume = attached(now);
    for id in 0..1000u32 {
        let mut fragment = [&id.to_be_bytes()[..], &[0, 0, 0, 1]].concat();
        fragment.extend_from_slice(&[7; 1024]);
        receive(&mut resume, now, 1, &Frame::Datagram(fragment.into())).unwrap();
    }
    assert_eq!((resume.events.len(), resume.stats().datagrams_dropped), (1 + 256, 744));
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0u64..6, 1 => any::<u64>(), 1 => (u64::MAX - 3)..=u64::MAX]
}

fn any_frame() -> impl Strategy<Value = Bytes> {
    let ack = || (number(), number()).prop_map(|(received, credit)| Ack { received, credit });
    let end = prop_oneof![Just(End::Message), Just(End::Segment), Just(End::Nothing)];
    let payload = proptest::collection::vec(any::<u8>(), 1..50);
    let structured = prop_oneof![
        ack().prop_map(Frame::Ack),
        (0u32..4, 98u64..100, ack()).prop_map(|(generation, instance, ack)| {
            Frame::Attach(Attach { version: 1, generation: Generation(generation), instance, ack })
        }),
        (number(), end, proptest::option::of(ack()), payload).prop_map(|(seq, end, ack, payload)| {
            Frame::Data(Data { seq, end, ack, payload: payload.into() })
        }),
        number().prop_map(|seq| Frame::Fin { seq }),
        number().prop_map(Frame::Ping),
        number().prop_map(Frame::Pong),
        Just(Frame::Drain),
        proptest::collection::vec(0u8..3, 0..30).prop_map(|bytes| Frame::Datagram(bytes.into())),
    ];
    prop_oneof![
        8 => structured.prop_map(|frame| frame.encode()),
        1 => proptest::collection::vec(any::<u8>(), 0..60).prop_map(Bytes::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn arbitrary_frames_never_panic_and_never_deliver_out_of_order(
        steps in proptest::collection::vec((any_frame(), 1u32..4, any::<bool>(), 0u64..3_000), 1..80),
    ) {
        let mut now = Instant::now();
        let mut resume = resume();
        let profile = memory::profile(5_000, 1_200);
        let mut newest = 0;
        for (frame, generation, reliable, wait) in steps {
            now += ms(wait);
            if resume.attach(now, Generation(newest + 1), &profile).is_ok() && wait % 2 == 0 {
                newest += 1;
            }
            let lane = if reliable { Lane::Reliable } else { Lane::Datagram };
            let _ = resume.try_send(bytes(2_000));
            let _ = resume.try_send_datagram(bytes(3_000));
            let _ = resume.handle_frame(now, Generation(generation.min(newest)), lane, frame);
            resume.handle_timeout(now);
            prop_assert!(transmits(&mut resume, now).len() < 1_000);
            let delivered: usize = events(&mut resume).iter().map(|event| match event {
                Event::Message(message) => message.len(),
                _ => 0,
            }).sum();
            resume.consumed(delivered + (wait % 3) as usize);
            let _ = (resume.poll_timeout(), resume.stats(), resume.oldest_unacked_age(now));
        }
    }
}
