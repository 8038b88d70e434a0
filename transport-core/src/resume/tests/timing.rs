//! Acks, pings and ages on a hand-driven clock.

use super::*;

fn acks(frames: &[(u32, Frame)]) -> Vec<Ack> {
    frames
        .iter()
        .filter_map(|(_, frame)| if let Frame::Ack(ack) = frame { Some(*ack) } else { None })
        .collect()
}

#[test]
fn an_ack_waits_two_hundred_milliseconds_and_no_longer() {
    let start = Instant::now();
    let mut resume = attached(start);
    transmits(&mut resume, start);
    receive(&mut resume, start, 1, &data(0, "a")).unwrap();
    assert_eq!(resume.poll_timeout(), Some(start + ms(200)));
    resume.handle_timeout(start + ms(199));
    assert_eq!(frames(&mut resume, start + ms(199)), []);
    resume.handle_timeout(start + ms(200));
    assert_eq!(acks(&frames(&mut resume, start + ms(200)))[0].received, 1);
    assert!(resume.poll_timeout().unwrap() > start + ms(1_000), "nothing more is owed");
}

#[test]
fn more_than_a_key_is_acknowledged_25_ms_after_the_ack_before_and_at_once_when_that_is_old() {
    let start = Instant::now();
    let mut resume = attached(start);
    transmits(&mut resume, start);
    let bulk = |seq| Frame::Data(Data { seq, end: End::Message, ack: None, payload: bytes(600) });
    for seq in 0..100 {
        receive(&mut resume, start, 1, &bulk(seq)).unwrap();
    }
    assert_eq!(acks(&frames(&mut resume, start))[0].received, 100);
    receive(&mut resume, start + ms(5), 1, &bulk(100)).unwrap();
    assert_eq!(frames(&mut resume, start + ms(5)), []);
    assert_eq!(resume.poll_timeout(), Some(start + ms(25)));
    resume.handle_timeout(start + ms(25));
    assert_eq!(acks(&frames(&mut resume, start + ms(25)))[0].received, 101);
    receive(&mut resume, start + ms(49), 1, &data(101, "a key")).unwrap();
    assert_eq!(resume.poll_timeout(), Some(start + ms(249)));
    receive(&mut resume, start + ms(50), 1, &bulk(102)).unwrap();
    assert_eq!(acks(&frames(&mut resume, start + ms(50)))[0].received, 103);
}

#[test]
fn an_ack_rides_on_data_that_goes_the_same_way() {
    let now = Instant::now();
    let mut resume = attached(now);
    transmits(&mut resume, now);
    receive(&mut resume, now, 1, &data(0, "a")).unwrap();
    resume.try_send(bytes(1)).unwrap();
    resume.try_send(bytes(1)).unwrap();
    let sent = frames(&mut resume, now);
    let rides: Vec<bool> =
        sent.iter().map(|(_, frame)| matches!(frame, Frame::Data(data) if data.ack.is_some())).collect();
    assert_eq!(rides, [true, false]);
    resume.handle_timeout(now + ms(200));
    assert_eq!(acks(&frames(&mut resume, now + ms(200))), []);
}

#[test]
fn sixteen_kibibytes_are_acknowledged_at_once_and_a_quarter_of_a_narrow_path_too() {
    let now = Instant::now();
    for (in_flight, at) in [(1_000_000, 16 * 1024), (40_000, 10_000)] {
        let mut resume = resume();
        resume.attach(now, Generation(1), &memory::profile(in_flight, 65_000)).unwrap();
        receive(&mut resume, now, 1, &attach(Generation(1), 0)).unwrap();
        transmits(&mut resume, now);
        let (mut weight, mut seq) = (0, 0);
        // Of what comes first a quarter is acknowledged, however little that is.
        while seq < 70 {
            let segment = Data { seq, end: End::Message, ack: None, payload: bytes(1_000) };
            receive(&mut resume, now, 1, &Frame::Data(segment)).unwrap();
            seq += 1;
        }
        assert_eq!(acks(&frames(&mut resume, now))[0].received, 70);
        while weight + 1_048 < at {
            let segment = Data { seq, end: End::Message, ack: None, payload: bytes(1_000) };
            receive(&mut resume, now, 1, &Frame::Data(segment)).unwrap();
            (weight, seq) = (weight + 1_048, seq + 1);
        }
        assert_eq!(frames(&mut resume, now), [], "{weight} of {at}");
        let segment = Data { seq, end: End::Message, ack: None, payload: bytes(1_000) };
        receive(&mut resume, now, 1, &Frame::Data(segment)).unwrap();
        assert_eq!(acks(&frames(&mut resume, now))[0].received, seq + 1);
    }
}

#[test]
fn pings_come_every_second_while_bytes_are_pending_and_every_ten_otherwise() {
    let start = Instant::now();
    let mut resume = attached(start);
    let ping = |frames: Vec<(u32, Frame)>| frames.iter().any(|(_, frame)| matches!(frame, Frame::Ping(_)));
    assert!(ping(frames(&mut resume, start)), "the first at once, for a round-trip time");
    let idle = resume.poll_timeout().unwrap() - start;
    assert!((ms(8_000)..=ms(12_000)).contains(&idle), "{idle:?}");
    resume.try_send(bytes(10)).unwrap();
    assert!(!ping(frames(&mut resume, start + ms(999))));
    assert_eq!(resume.poll_timeout(), Some(start + ms(1_000)));
    assert!(ping(frames(&mut resume, start + ms(1_000))));
}

#[test]
fn the_round_trip_is_measured_and_smoothed() {
    let start = Instant::now();
    let mut resume = attached(start);
    transmits(&mut resume, start);
    events(&mut resume);
    receive(&mut resume, start + ms(80), 1, &Frame::Pong(0)).unwrap();
    assert_eq!(events(&mut resume), [Event::RttSample(ms(80))]);
    let later = start + ms(15_000);
    transmits(&mut resume, later);
    receive(&mut resume, later + ms(160), 1, &Frame::Pong(1)).unwrap();
    assert_eq!(resume.stats().rtt, Some(ms(90)));
    // What was never asked, or asked long ago, is no sample.
    events(&mut resume);
    for id in [0, 1, 77] {
        receive(&mut resume, later + ms(200), 1, &Frame::Pong(id)).unwrap();
    }
    assert_eq!(events(&mut resume), []);
}

#[test]
fn ages_start_when_a_segment_leaves_and_again_on_the_next_generation() {
    let start = Instant::now();
    let mut resume = attached(start);
    resume.try_send(bytes(10)).unwrap();
    transmits(&mut resume, start);
    receive(&mut resume, start, 1, &Frame::Ack(Ack { received: 1, credit: 0 })).unwrap();
    resume.try_send(bytes(10)).unwrap();
    assert_eq!(resume.oldest_unacked_age(start + ms(50)), None, "not sent yet");
    transmits(&mut resume, start + ms(50));
    assert_eq!(resume.oldest_unacked_age(start + ms(150)), Some(ms(100)));
    introduce(&mut resume, start + ms(200), 2, 1);
    assert_eq!(resume.oldest_unacked_age(start + ms(200)), None, "not sent there yet");
    transmits(&mut resume, start + ms(200));
    assert_eq!(resume.oldest_unacked_age(start + ms(250)), Some(ms(50)));
    receive(&mut resume, start + ms(300), 2, &Frame::Ack(Ack { received: 2, credit: 0 })).unwrap();
    assert_eq!(resume.oldest_unacked_age(start + ms(300)), None);
}

#[test]
fn anything_heard_ends_a_silence() {
    let start = Instant::now();
    let mut resume = attached(start);
    assert_eq!(resume.silence(start + ms(4_000)), Some(ms(4_000)));
    receive(&mut resume, start + ms(4_000), 1, &Frame::Ping(1)).unwrap();
    assert_eq!(resume.silence(start + ms(4_500)), Some(ms(500)));
}

#[test]
fn a_pong_that_the_next_ping_overtook_still_counts_and_the_seventeenth_last_does_not() {
    let start = Instant::now();
    let mut resume = attached(start);
    for ping in 0..17 {
        let at = start + ms(15_000 * ping);
        assert!(frames(&mut resume, at).iter().any(|(_, frame)| *frame == Frame::Ping(ping | TAKES_REPEATS)));
    }
    let now = start + ms(15_000 * 17);
    events(&mut resume);
    receive(&mut resume, now, 1, &Frame::Pong(0)).unwrap();
    assert_eq!(events(&mut resume), []);
    receive(&mut resume, now, 1, &Frame::Pong(1)).unwrap();
    assert_eq!(events(&mut resume), [Event::RttSample(ms(15_000 * 16))]);
}

#[test]
fn nothing_but_its_own_end_is_waited_for_while_the_transport_is_full() {
    let now = Instant::now();
    let mut resume = attached(now);
    transmits(&mut resume, now);
    receive(&mut resume, now, 1, &data(0, "a")).unwrap();
    resume.try_send(bytes(1)).unwrap();
    let refused = transmits(&mut resume, now).pop().unwrap();
    receive(&mut resume, now, 1, &data(1, "a")).unwrap();
    resume.unsend(refused);
    assert_eq!(resume.poll_timeout(), None);
    resume.unblocked(Generation(1));
    assert_eq!(resume.poll_timeout(), Some(now + ms(200)));
}

#[test]
fn an_ack_that_goes_at_once_is_not_waited_for() {
    let now = Instant::now();
    let mut resume = attached(now);
    transmits(&mut resume, now);
    for seq in 0..5 {
        let segment = Data { seq, end: End::Message, ack: None, payload: bytes(15_000) };
        receive(&mut resume, now, 1, &Frame::Data(segment)).unwrap();
    }
    assert!(resume.poll_timeout().unwrap() >= now + ms(8_000), "the next ping");
    assert_eq!(acks(&frames(&mut resume, now)).len(), 1);
}

#[test]
fn a_new_generation_is_pinged_at_once_and_judged_by_what_comes_on_it_alone() {
    let start = Instant::now();
    let mut resume = attached(start);
    transmits(&mut resume, start);
    receive(&mut resume, start + ms(80), 1, &Frame::Pong(0)).unwrap();
    let later = start + ms(15_000);
    assert!(frames(&mut resume, later).contains(&(1, Frame::Ping(1 | TAKES_REPEATS))));
    introduce(&mut resume, later, 2, 0);
    assert_eq!((resume.silence(later), resume.stats().rtt), (Some(ms(0)), None));
    assert!(frames(&mut resume, later).contains(&(2, Frame::Ping(2 | TAKES_REPEATS))));
    events(&mut resume);
    receive(&mut resume, later + ms(50), 2, &Frame::Pong(1)).unwrap();
    assert_eq!(events(&mut resume), [], "asked on the one before");
    receive(&mut resume, later + ms(50), 2, &Frame::Pong(2)).unwrap();
    assert_eq!(resume.stats().rtt, Some(ms(50)));
}
