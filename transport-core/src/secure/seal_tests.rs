#![expect(clippy::disallowed_methods, reason = "an anchor for a hand-driven clock")]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::secure::{testing::hex, window::WIDTH};

const SUITE: Suite = Suite::ChaCha20Poly1305;

fn chain() -> Chain {
    Chain::new(SUITE, &[1; 32], &[2; 32], b"beach/1/lane/reliable")
}

fn sealer(ordered: bool, now: Instant) -> Sealer {
    Sealer::new(chain(), ordered, Rekey::default(), now)
}

fn payload(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Seals and lets the transport take it.
fn sealed(sealer: &mut Sealer, now: Instant, text: &str) -> Bytes {
    sealer.rekey_if_due(now).unwrap();
    let message = sealer.seal(Kind::Data, payload(text)).message;
    sealer.accepted();
    message
}

fn text(opened: Result<(Kind, Bytes), Forged>) -> Result<String, Forged> {
    opened.map(|(_, bytes)| String::from_utf8(bytes.to_vec()).unwrap())
}

#[test]
fn the_wire_is_pinned() {
    // Computed independently, in Python, from the layout in this module's documentation.
    let mut sealer = sealer(true, Instant::now());
    let now = Instant::now();
    assert_eq!(
        hex(&sealed(&mut sealer, now, "hello")),
        "6ce6af2425ac168b778bc067a254de8e13356fccd4130000000000000000"
    );
    assert_eq!(
        hex(&sealed(&mut sealer, now, "hello")),
        "736c04a9f9f47fc83e18e44e6dbfbfda4f9b05cd6be40000000000000001"
    );
}

#[test]
fn a_payload_nobody_else_holds_is_sealed_and_opened_where_it_lies() {
    let now = Instant::now();
    let (mut sealer, mut opener) = (sealer(true, now), OrderedOpener::new(chain()));
    let mut roomy = BytesMut::with_capacity(1_000 + SEAL_OVERHEAD);
    roomy.put_slice(&[7; 1_000]);
    let at = roomy.as_ptr();
    let message = sealer.seal(Kind::Data, roomy.freeze()).message;
    assert_eq!((message.as_ptr(), message.len()), (at, 1_000 + SEAL_OVERHEAD));
    let (kind, opened) = opener.open(message).unwrap();
    assert_eq!((opened.as_ptr(), kind, &opened[..]), (at, Kind::Data, &[7; 1_000][..]));
}

#[test]
fn a_refused_payload_comes_back_as_it_was_shared_or_not() {
    let now = Instant::now();
    let (mut sealer, mut opener) = (sealer(true, now), OrderedOpener::new(chain()));
    let shared = payload("kept by the outbox");
    let unshared = shared.to_vec();
    for given in [shared.clone(), Bytes::from(unshared)] {
        let (message, original) = sealer.seal(Kind::Data, given).into_parts();
        assert_eq!(sealer.give_back(original, message), Some(shared.clone()));
    }
    // Refused messages are no hole in the order.
    assert_eq!(text(opener.open(sealed(&mut sealer, now, "next"))), Ok("next".into()));
    let (message, original) = sealer.seal(Kind::Data, payload("x")).into_parts();
    assert_eq!(sealer.give_back(original, message.slice(1..)), None, "not what was given");
}

#[test]
fn no_nonce_is_used_twice_even_when_everything_is_refused() {
    let now = Instant::now();
    let rekey = Rekey { bytes: 500, age: Duration::from_secs(600) };
    let mut sealer = Sealer::new(chain(), true, rekey, now);
    let mut nonces = BTreeSet::new();
    for attempt in 0..2_000 {
        sealer.rekey_if_due(now).unwrap();
        let (message, original) = sealer.seal(Kind::Data, payload("same")).into_parts();
        let (_, nonce) = message.split_last_chunk::<HEADER>().unwrap();
        assert!(nonces.insert(*nonce), "attempt {attempt}");
        if attempt % 3 == 0 {
            sealer.accepted();
        } else {
            sealer.give_back(original, message).unwrap();
        }
    }
    assert!(sealer.keys.epoch > 50);
}

#[test]
fn the_reliable_lane_opens_each_message_once_in_order_and_none_missing() {
    let now = Instant::now();
    let mut sealer = sealer(true, now);
    let all: Vec<Bytes> = (0..4).map(|i| sealed(&mut sealer, now, &i.to_string())).collect();
    let mut opener = OrderedOpener::new(chain());
    assert_eq!(text(opener.open(all[0].clone())), Ok("0".into()));
    assert_eq!(opener.open(all[0].clone()), Err(Forged), "replayed");
    assert_eq!(opener.open(all[2].clone()), Err(Forged), "one is missing");
    assert_eq!(text(opener.open(all[1].clone())), Ok("1".into()), "a forgery moved nothing");
    assert_eq!(opener.open(all[3].clone()), Err(Forged), "swapped");
    assert_eq!(text(opener.open(all[2].clone())), Ok("2".into()));
    assert_eq!(text(opener.open(all[3].clone())), Ok("3".into()));
}

#[test]
fn on_the_reliable_lane_a_counter_may_jump_but_neither_repeat_nor_go_back() {
    let now = Instant::now();
    for (counter, good) in [(4, false), (5, false), (6, true), (90, true)] {
        let (mut sealer, mut opener) = (sealer(true, now), OrderedOpener::new(chain()));
        sealer.counter = 5;
        assert!(opener.open(sealed(&mut sealer, now, "first")).is_ok());
        // What no sealer of ours does, right in everything else.
        sealer.counter = counter;
        assert_eq!(opener.open(sealed(&mut sealer, now, "second")).is_ok(), good, "{counter}");
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let now = Instant::now();
    let message = sealed(&mut sealer(true, now), now, "hello");
    let mut ordered = OrderedOpener::new(chain());
    let mut windowed = WindowedOpener::new(chain());
    for bit in 0..message.len() * 8 {
        let mut bad = message.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(ordered.open(Bytes::from(bad.clone())), Err(Forged), "bit {bit}");
        assert_eq!(windowed.open(now, Bytes::from(bad)), Err(Forged), "bit {bit}");
    }
    for cut in 0..message.len() {
        assert_eq!(ordered.open(message.slice(..cut)), Err(Forged), "cut at {cut}");
        assert_eq!(ordered.open(message.slice(cut + 1..)), Err(Forged), "without the first {cut}");
    }
    assert_eq!(text(ordered.open(message)), Ok("hello".into()));
}

#[test]
fn another_lane_direction_or_handshake_does_not_open_it() {
    let now = Instant::now();
    let message = sealed(&mut sealer(false, now), now, "hello");
    for other in [
        Chain::new(SUITE, &[1; 32], &[2; 32], b"beach/1/lane/datagram"),
        Chain::new(SUITE, &[9; 32], &[2; 32], b"beach/1/lane/reliable"),
        Chain::new(SUITE, &[1; 32], &[9; 32], b"beach/1/lane/reliable"),
    ] {
        assert_eq!(WindowedOpener::new(other).open(now, message.clone()), Err(Forged));
    }
    assert!(WindowedOpener::new(chain()).open(now, message).is_ok());
}

#[test]
fn keys_are_replaced_at_their_volume_and_at_their_age_and_not_before() {
    let start = Instant::now();
    let one = ("x".len() + SEAL_OVERHEAD) as u64;
    let rekey = Rekey { bytes: 3 * one, age: Duration::from_secs(600) };
    let mut sealer = Sealer::new(chain(), true, rekey, start);
    let epochs: Vec<u16> = (0..7).map(|_| read_header(&sealed(&mut sealer, start, "x")).unwrap().0).collect();
    assert_eq!(epochs, [0, 0, 0, 1, 1, 1, 2]);
    for (millis, epoch) in [(599_999, 2), (600_000, 3)] {
        let now = start + Duration::from_millis(millis);
        assert_eq!(read_header(&sealed(&mut sealer, now, "x")).unwrap().0, epoch);
    }
    // A key that nothing accepted was sealed with stays, however old: the peer could not follow.
    let mut refused = Sealer::new(chain(), true, rekey, start);
    for hours in 0..5 {
        refused.rekey_if_due(start + Duration::from_secs(3_600 * hours)).unwrap();
        refused.seal(Kind::Data, payload("x"));
    }
    assert_eq!(refused.keys.epoch, 0);
}

#[test]
fn both_openers_follow_a_thousand_new_keys() {
    let now = Instant::now();
    let rekey = Rekey { bytes: 1, age: Duration::from_secs(600) };
    for ordered in [true, false] {
        let mut sealer = Sealer::new(chain(), ordered, rekey, now);
        let (mut strict, mut loose) = (OrderedOpener::new(chain()), WindowedOpener::new(chain()));
        for number in 0..1_000 {
            let message = sealed(&mut sealer, now, &number.to_string());
            let opened = if ordered { strict.open(message) } else { loose.open(now, message) };
            assert_eq!(text(opened), Ok(number.to_string()));
        }
    }
}

#[test]
fn the_last_key_ends_the_link_instead_of_repeating() {
    let now = Instant::now();
    let rekey = Rekey { bytes: 1, age: Duration::from_secs(600) };
    let mut sealer = Sealer::new(chain(), true, rekey, now);
    sealer.keys.epoch = u16::MAX;
    sealer.seal(Kind::Data, payload("x"));
    sealer.accepted();
    assert_eq!(sealer.rekey_if_due(now), Err(Exhausted));
}

#[test]
fn datagrams_may_come_in_any_order_inside_the_window_and_each_once() {
    let now = Instant::now();
    let mut sealer = sealer(false, now);
    let count = WIDTH as usize + 2;
    let all: Vec<Bytes> = (0..count).map(|i| sealed(&mut sealer, now, &i.to_string())).collect();
    let mut opener = WindowedOpener::new(chain());
    let newest = WIDTH as usize;
    assert!(opener.open(now, all[newest].clone()).is_ok());
    assert!(opener.open(now, all[1].clone()).is_ok(), "the oldest inside");
    assert_eq!(opener.open(now, all[0].clone()), Err(Forged), "one too old");
    for message in all[2..newest].iter().rev() {
        assert!(opener.open(now, message.clone()).is_ok());
    }
    for message in &all[..=newest] {
        assert_eq!(opener.open(now, message.clone()), Err(Forged));
    }
}

#[test]
fn stragglers_of_the_epoch_before_are_taken_for_thirty_seconds() {
    let now = Instant::now();
    let rekey = Rekey { bytes: 90, age: Duration::from_secs(600) };
    let mut sealer = Sealer::new(chain(), false, rekey, now);
    // Four messages in each epoch.
    let all: Vec<Bytes> = (0..12).map(|i| sealed(&mut sealer, now, &i.to_string())).collect();
    let mut opener = WindowedOpener::new(chain());
    assert!(opener.open(now, all[0].clone()).is_ok());
    assert!(opener.open(now, all[4].clone()).is_ok(), "the next epoch begins");
    assert_eq!(opener.open(now, all[0].clone()), Err(Forged), "replayed across the change");
    assert!(opener.open(now, all[1].clone()).is_ok());
    let just_before = now + Duration::from_millis(29_999);
    assert!(opener.open(just_before, all[2].clone()).is_ok());
    assert_eq!(opener.open(now + Duration::from_secs(30), all[3].clone()), Err(Forged));
    assert!(opener.open(now, all[8].clone()).is_ok());
    assert_eq!(opener.open(now, all[2].clone()), Err(Forged), "two epochs back");
    assert!(opener.open(now, all[5].clone()).is_ok(), "one epoch back, later on too");
    // Of an epoch that was skipped over nothing is kept.
    let mut opener = WindowedOpener::new(chain());
    assert!(opener.open(now, all[9].clone()).is_ok());
    assert_eq!([&all[1], &all[5]].map(|old| opener.open(now, old.clone())), [Err(Forged), Err(Forged)]);
}

#[test]
fn a_straggler_that_names_another_epoch_than_its_own_is_forged() {
    let now = Instant::now();
    let rekey = Rekey { bytes: 60, age: Duration::from_secs(600) };
    let mut sealer = Sealer::new(chain(), false, rekey, now);
    // Three messages in each epoch.
    let all: Vec<Bytes> = (0..7).map(|i| sealed(&mut sealer, now, &i.to_string())).collect();
    let mut opener = WindowedOpener::new(chain());
    for at in [3, 6] {
        assert!(opener.open(now, all[at].clone()).is_ok());
    }
    let mut altered = all[4].to_vec();
    let epoch = altered.len() - HEADER + 1;
    assert_eq!(std::mem::replace(&mut altered[epoch], 0), 1);
    assert_eq!(opener.open(now, altered.into()), Err(Forged));
    assert_eq!(text(opener.open(now, all[4].clone())), Ok("4".into()));
}

#[test]
fn the_last_counter_of_a_key_is_used_and_none_beyond_it() {
    let now = Instant::now();
    let mut sealer = sealer(true, now);
    sealer.counter = (1 << 48) - 1;
    assert_eq!(sealer.rekey_if_due(now), Ok(()));
    let message = sealer.seal(Kind::Data, payload("x")).message;
    assert_eq!(hex(&message[message.len() - 8..]), "0000ffffffffffff");
    assert_eq!(sealer.rekey_if_due(now), Err(Exhausted));
}

#[test]
fn whole_epochs_may_be_lost_up_to_a_bound() {
    let now = Instant::now();
    let rekey = Rekey { bytes: 1, age: Duration::from_secs(600) };
    for (lost, good) in [(MAX_EPOCHS_LOST, true), (MAX_EPOCHS_LOST + 1, false)] {
        let mut sealer = Sealer::new(chain(), false, rekey, now);
        let mut opener = WindowedOpener::new(chain());
        let last = (0..=lost).map(|_| sealed(&mut sealer, now, "x")).last().unwrap();
        assert_eq!(opener.open(now, last).is_ok(), good, "{lost}");
    }
}

/// `BEACH_FORGERIES=1000000` for the long lane.
#[test]
fn mutated_and_replayed_messages_are_never_accepted() {
    use rand::{Rng, SeedableRng};
    let total = std::env::var("BEACH_FORGERIES").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000u32);
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(20_261_123);
    let now = Instant::now();
    let rekey = Rekey { bytes: 4_000, age: Duration::from_secs(600) };
    let mut sealers = [true, false].map(|ordered| Sealer::new(chain(), ordered, rekey, now));
    let (mut strict, mut loose) = (OrderedOpener::new(chain()), WindowedOpener::new(chain()));
    let mut history: [Vec<Bytes>; 2] = Default::default();
    let (mut forged, mut accepted, mut genuine) = (0u32, 0u32, 0u32);
    while forged < total {
        let lane = random.random_range(0..2);
        let fresh = sealed(&mut sealers[lane], now, &"x".repeat(random.random_range(1..60)));
        for _ in 0..8 {
            let mut bad = if history[lane].is_empty() || random.random_bool(0.5) {
                fresh.to_vec()
            } else {
                // Replayed as it was, altered, or from the other lane.
                let from = if history[1 - lane].is_empty() { lane } else { random.random_range(0..2) };
                history[from][random.random_range(0..history[from].len())].to_vec()
            };
            let replay = bad[..] != fresh[..] && random.random_bool(0.3);
            if !replay {
                match random.random_range(0..3) {
                    0 => {
                        let at = random.random_range(0..bad.len());
                        bad[at] ^= random.random_range(1..=255u8);
                    }
                    1 => bad.truncate(random.random_range(0..bad.len())),
                    _ => bad.insert(random.random_range(0..bad.len()), random.random()),
                }
            }
            if bad[..] == fresh[..] {
                continue;
            }
            let opened = if lane == 0 { strict.open(bad.into()) } else { loose.open(now, bad.into()) };
            accepted += u32::from(opened.is_ok());
            forged += 1;
        }
        let copy = Bytes::copy_from_slice(&fresh);
        let opened = if lane == 0 { strict.open(copy) } else { loose.open(now, copy) };
        assert!(opened.is_ok(), "what is genuine still opens after {forged} forgeries");
        genuine += 1;
        if history[lane].len() < 5_000 {
            history[lane].push(fresh);
        }
    }
    println!("{forged} forged or replayed, {accepted} accepted; {genuine} genuine, all accepted");
    assert_eq!(accepted, 0);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_never_open(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let bytes = Bytes::from(bytes);
        prop_assert_eq!(OrderedOpener::new(chain()).open(bytes.clone()), Err(Forged));
        prop_assert_eq!(WindowedOpener::new(chain()).open(Instant::now(), bytes), Err(Forged));
    }
}
