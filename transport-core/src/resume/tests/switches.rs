//! Nothing is lost, doubled or reordered, wherever and however often the path is cut.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::resume::MAX_MESSAGE;

fn message(number: u32) -> Bytes {
    Bytes::from(format!("{number:010}"))
}

fn script(len: u32) -> Vec<Bytes> {
    (0..len).map(message).collect()
}

/// A → B moves frame by frame; what B answers arrives only when `acks` says so.
fn run_until(pair: &mut Pair, generation: u32, frames: usize, acks: bool) {
    let mut delivered = 0;
    while delivered < frames {
        pair.transmit(Side::A, 1);
        pair.transmit(Side::B, usize::MAX);
        if acks || delivered == 0 {
            pair.deliver(generation, Side::B, usize::MAX);
        }
        let step = pair.deliver(generation, Side::A, 1);
        if step == 0 && pair.transmit(Side::A, 1) == 0 {
            return;
        }
        delivered += step;
        if delivered.is_multiple_of(16) {
            pair.advance(ms(250));
        }
    }
}

fn lose(pair: &mut Pair, generation: u32) {
    pair.cut(generation);
    Side::BOTH.iter().for_each(|side| pair.detach(generation, *side));
}

#[test]
fn a_cut_at_every_frame_boundary_of_two_hundred_frames_loses_nothing() {
    for acks in [true, false] {
        for boundary in 0..=202 {
            // The second cut comes at once, after one frame, or after a few.
            for second in [None, Some(0), Some(1), Some(2), Some(7)] {
                let mut pair = Pair::new(boundary as u64);
                script(200).iter().for_each(|message| pair.at(Side::A).try_send(message.clone()).unwrap());
                script(50).iter().for_each(|message| pair.at(Side::B).try_send(message.clone()).unwrap());
                pair.attach(1, &Side::BOTH);
                run_until(&mut pair, 1, boundary, acks);
                lose(&mut pair, 1);
                if let Some(frames) = second {
                    pair.attach(2, &Side::BOTH);
                    run_until(&mut pair, 2, frames, acks);
                    lose(&mut pair, 2);
                }
                pair.attach(3, &Side::BOTH);
                pair.settle();
                pair.advance(ms(200));
                pair.settle();
                let case = format!("acks {acks}, cut at {boundary}, then {second:?}");
                assert_eq!(pair.received(Side::B), script(200), "{case}");
                assert_eq!(pair.received(Side::A), script(50), "{case}");
                assert!(pair.at(Side::A).is_flushed() && pair.at(Side::B).is_flushed(), "{case}");
            }
        }
    }
}

#[test]
fn a_switch_during_a_switch_loses_nothing() {
    // Three generations; the second is introduced on one side only, or on both but never finished.
    for frames_on_second in 0..6 {
        for b_attaches_second in [true, false] {
            let mut pair = Pair::new(7);
            pair.attach(1, &Side::BOTH);
            script(60).iter().for_each(|message| pair.at(Side::A).try_send(message.clone()).unwrap());
            run_until(&mut pair, 1, 20, true);
            let sides: &[Side] = if b_attaches_second { &Side::BOTH } else { &[Side::A] };
            pair.attach(2, sides);
            pair.transmit(Side::A, 3);
            pair.transmit(Side::B, 3);
            pair.deliver(2, Side::B, frames_on_second);
            pair.deliver(2, Side::A, frames_on_second / 2);
            pair.attach(3, &Side::BOTH);
            pair.settle();
            assert_eq!(pair.received(Side::B), script(60));
            assert_eq!(pair.at(Side::A).current(), Some(Generation(3)));
            let drained = |event: &Event| matches!(event, Event::Drained { generation } if generation.0 == 1);
            assert!(pair.other_events(Side::B).iter().any(drained), "the first is told that it is over");
        }
    }
}

#[test]
fn frames_of_an_older_generation_still_count_and_never_count_twice() {
    let mut pair = Pair::new(1);
    pair.attach(1, &Side::BOTH);
    pair.settle();
    script(20).iter().for_each(|message| pair.at(Side::A).try_send(message.clone()).unwrap());
    // All twenty are on their way on 1 when 2 takes over and sends them again.
    pair.transmit(Side::A, usize::MAX);
    pair.attach(2, &Side::BOTH);
    pair.transmit(Side::B, usize::MAX);
    pair.deliver(2, Side::B, 1);
    pair.transmit(Side::A, usize::MAX);
    for _ in 0..30 {
        pair.deliver(1, Side::A, 1);
        pair.deliver(2, Side::A, 2);
    }
    pair.settle();
    assert_eq!(pair.received(Side::B), script(20));
    assert_eq!(pair.at(Side::B).stats().duplicates, 20);
}

/// One random history. Returns `(switches, messages, resent)`.
fn history(seed: u64, switches: usize) -> (usize, usize, u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut pair = Pair::new(seed);
    pair.room = random.random_range(1..40);
    let mut sent: [Vec<Bytes>; 2] = Default::default();
    let mut generation = 0;
    let mut awaiting: [Option<u32>; 2] = [None, None];
    let mut done = 0;
    while done < switches {
        match random.random_range(0..100) {
            0..=24 => {
                let side = Side::BOTH[random.random_range(0..2)];
                let len = match random.random_range(0..100) {
                    0..=79 => random.random_range(1..100),
                    80..=98 => random.random_range(1..40_000),
                    _ => random.random_range(1..150_000),
                };
                let fill = (sent[side as usize].len() % 251) as u8;
                let payload = Bytes::from(vec![fill; len]);
                match pair.at(side).try_send(payload.clone()) {
                    Ok(()) => sent[side as usize].push(payload),
                    Err(refused) => assert_eq!(refused.payload, payload),
                }
            }
            25..=54 => {
                let side = Side::BOTH[random.random_range(0..2)];
                let limit = random.random_range(1..8);
                pair.transmit(side, limit);
            }
            55..=84 => {
                let generations = pair.generations();
                if !generations.is_empty() {
                    let on = generations[random.random_range(0..generations.len())];
                    let side = Side::BOTH[random.random_range(0..2)];
                    pair.deliver(on, side, random.random_range(1..8));
                }
            }
            85..=89 => pair.advance(ms(random.random_range(0..300))),
            90..=93 => {
                // A new generation; the sides attach it at different times.
                generation += 1;
                // Each transport has its own limits.
                pair.profile = memory::profile(
                    random.random_range(2_000..300_000),
                    [1_200, 1_500, 16_384, 65_536][random.random_range(0..4)],
                );
                let first = random.random_range(0..2);
                pair.attach(generation, &[Side::BOTH[first]]);
                awaiting[1 - first] = Some(generation);
                if random.random_bool(0.7) {
                    awaiting[1 - first] = None;
                    pair.attach(generation, &[Side::BOTH[1 - first]]);
                }
                done += 1;
            }
            94..=95 => {
                for side in Side::BOTH {
                    // Stale when a newer one came meanwhile: the machine refuses it, nothing breaks.
                    if let Some(late) = awaiting[side as usize].take() {
                        let (now, profile) = (pair.now, pair.profile.clone());
                        let _ = pair.at(side).attach(now, Generation(late), &profile);
                    }
                }
            }
            96..=97 => {
                // The newest dies with all that is on its way; the sides notice at once or later.
                pair.cut(generation);
                for side in Side::BOTH {
                    if random.random_bool(0.5) {
                        pair.detach(generation, side);
                    }
                }
            }
            _ => {
                let generations = pair.generations();
                for old in generations.into_iter().filter(|old| *old < generation) {
                    if random.random_bool(0.5) {
                        Side::BOTH.iter().for_each(|side| pair.detach(old, *side));
                        pair.forget_link(old);
                    }
                }
            }
        }
    }
    pair.room = usize::MAX;
    pair.attach(generation + 1, &Side::BOTH);
    pair.settle();
    for _ in 0..20 {
        pair.advance(ms(250));
        pair.settle();
    }
    for (from, to) in [(Side::A, Side::B), (Side::B, Side::A)] {
        assert!(pair.received(to) == sent[from as usize], "seed {seed}: lost, doubled or reordered");
        assert!(pair.at(from).is_flushed(), "seed {seed}: not acknowledged");
        let bad = |event: &Event| matches!(event, Event::Gap { .. } | Event::Expired { .. });
        assert!(!pair.other_events(to).iter().any(bad), "seed {seed}");
    }
    let resent = Side::BOTH.map(|side| pair.at(side).stats().segments_resent).iter().sum();
    (done, sent[0].len() + sent[1].len(), resent)
}

/// `BEACH_SEED` replays one history, `BEACH_SWITCHES` makes it more than 10,000.
#[test]
fn ten_thousand_switches() {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    let total = number("BEACH_SWITCHES").unwrap_or(10_000) as usize;
    let first = number("BEACH_SEED").unwrap_or(20_261_123);
    let (mut switches, mut messages, mut resent, mut seed) = (0, 0, 0, first);
    while switches < total {
        let (done, sent, again) = history(seed, 100);
        switches += done;
        messages += sent;
        resent += again;
        seed += 1;
    }
    println!(
        "seeds {first}..{seed}: {switches} switches, {messages} messages, {resent} segments resent, \
         0 lost, 0 doubled, 0 reordered"
    );
    assert!(switches >= total && messages > switches && resent > 0);
}

#[test]
fn the_longest_messages_survive_cuts_inside_them_on_the_smallest_transport() {
    let mut pair = Pair::new(3);
    pair.profile = memory::profile(20_000, 1_200);
    let long = Bytes::from((0..MAX_MESSAGE.get()).map(|i| (i % 251) as u8).collect::<Vec<_>>());
    pair.at(Side::A).try_send(long.clone()).unwrap();
    for generation in 1..40 {
        pair.attach(generation, &Side::BOTH);
        run_until(&mut pair, generation, 37, true);
        lose(&mut pair, generation);
    }
    pair.attach(40, &Side::BOTH);
    for _ in 0..10 {
        pair.settle();
        pair.advance(ms(200));
    }
    assert_eq!(pair.received(Side::B), [long]);
}
