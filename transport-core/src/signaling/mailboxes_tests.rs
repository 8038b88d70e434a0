use super::*;

const TRANSPORT: TransportId = TransportId::from_static("memory");

fn peer(number: u16) -> PeerId {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    PeerId::from_bytes(bytes)
}

fn key(number: u16, generation: u32) -> LinkKey {
    (peer(number), TRANSPORT, Generation(generation))
}

/// A message that weighs `bytes`.
fn weighing(bytes: usize) -> String {
    "x".repeat(bytes - MESSAGE_WEIGHT)
}

fn open(boxes: &mut Mailboxes, key: &LinkKey) -> u64 {
    boxes.open(key, Arc::default())
}

fn count(boxes: &mut Mailboxes, key: &LinkKey, ticket: u64) -> usize {
    std::iter::from_fn(|| match boxes.read(key, ticket) {
        Found::Message(message) => Some(message),
        _ => None,
    })
    .count()
}

/// What is counted is what is held.
fn check(boxes: &Mailboxes) {
    let mut held = BTreeMap::<PeerId, usize>::new();
    for (key, mailbox) in &boxes.boxes {
        let waiting: usize = mailbox.waiting.iter().map(|message| weight(message)).sum();
        *held.entry(key.0).or_default() += BOX_WEIGHT + waiting;
    }
    assert_eq!((boxes.total, &boxes.held), (held.values().sum(), &held));
    assert!(boxes.total <= BYTES_IN_ALL && held.values().all(|held| *held <= BYTES_PER_PEER));
}

#[test]
fn a_peer_holds_its_bound_and_not_a_byte_more() {
    for (last, fits) in [(0, true), (1, false)] {
        let mut boxes = Mailboxes::default();
        let room = BYTES_PER_PEER - BOX_WEIGHT;
        (0..3).for_each(|_| boxes.deliver(key(1, 1), weighing(room / 4)));
        boxes.deliver(key(1, 1), weighing(room / 4 + last));
        check(&boxes);
        let ticket = open(&mut boxes, &key(1, 1));
        assert_eq!(count(&mut boxes, &key(1, 1), ticket), if fits { 4 } else { 3 });
        assert_eq!(boxes.total, BOX_WEIGHT);
    }
}

#[test]
fn newer_attempts_of_a_peer_push_out_its_older_ones_and_never_the_reverse() {
    let mut boxes = Mailboxes::default();
    for generation in 1..=4 {
        boxes.deliver(key(1, generation), weighing(100_000));
        check(&boxes);
    }
    let kept = |boxes: &Mailboxes| boxes.boxes.keys().map(|key| key.2.0).collect::<Vec<_>>();
    assert_eq!(kept(&boxes), [3, 4]);
    boxes.deliver(key(1, 2), weighing(100_000));
    assert_eq!(kept(&boxes), [3, 4]);
    // Small ones are bounded by their number.
    let mut boxes = Mailboxes::default();
    (1..=9).for_each(|generation| boxes.deliver(key(1, generation), "offer".into()));
    assert_eq!(kept(&boxes), [2, 3, 4, 5, 6, 7, 8, 9]);
    boxes.deliver(key(1, 1), "offer".into());
    assert_eq!(kept(&boxes).len(), UNOPENED_PER_PEER);
    check(&boxes);
}

#[test]
fn a_mailbox_holds_as_many_messages_as_any_dial_needs() {
    let mut boxes = Mailboxes::default();
    (0..MAILBOX + 5).for_each(|_| boxes.deliver(key(1, 1), "candidate".into()));
    let ticket = open(&mut boxes, &key(1, 1));
    assert_eq!(count(&mut boxes, &key(1, 1), ticket), MAILBOX);
    check(&boxes);
}

#[test]
fn in_all_the_one_who_holds_most_loses_first() {
    let mut boxes = Mailboxes::default();
    // 31 at their bound, one with a little less, and an honest one.
    for number in 1..=32 {
        let fill = if number == 32 { 200_000 } else { BYTES_PER_PEER - BOX_WEIGHT };
        boxes.deliver(key(number, 1), weighing(fill));
    }
    check(&boxes);
    (0..20).for_each(|_| boxes.deliver(key(100, 1), weighing(4_000)));
    check(&boxes);
    let ticket = open(&mut boxes, &key(100, 1));
    assert_eq!(count(&mut boxes, &key(100, 1), ticket), 20);
    assert_eq!(boxes.boxes.len(), 32, "one of the full ones went");
    assert!(boxes.boxes.contains_key(&key(32, 1)));
    // Of dials under way the channel stays, and what was not read goes.
    let mut boxes = Mailboxes::default();
    let tickets: Vec<u64> = (1..=32).map(|number| open(&mut boxes, &key(number, 1))).collect();
    (1..=32).for_each(|number| boxes.deliver(key(number, 1), weighing(BYTES_PER_PEER - BOX_WEIGHT)));
    boxes.deliver(key(100, 1), weighing(4_000));
    check(&boxes);
    let found: Vec<Found> =
        (1..=32).map(|number| boxes.read(&key(number, 1), tickets[usize::from(number) - 1])).collect();
    assert_eq!(found.iter().filter(|found| **found == Found::Nothing).count(), 1);
    assert!(!found.contains(&Found::Closed));
    // Whoever would hold most itself gets nothing at the cost of others.
    let mut boxes = Mailboxes::default();
    (1..=32).for_each(|number| boxes.deliver(key(number, 1), weighing(BYTES_PER_PEER - BOX_WEIGHT)));
    boxes.deliver(key(100, 1), weighing(BYTES_PER_PEER - BOX_WEIGHT));
    assert!(!boxes.boxes.contains_key(&key(100, 1)) && boxes.boxes.len() == 32);
    check(&boxes);
}

#[test]
fn invented_peers_hold_no_more_than_the_bound() {
    let mut boxes = Mailboxes::default();
    for number in 0..2_000 {
        (1..=9).for_each(|generation| boxes.deliver(key(number, generation), weighing(20_000)));
    }
    check(&boxes);
    boxes.deliver(key(5_000, 1), weighing(4_000));
    assert!(boxes.boxes.contains_key(&key(5_000, 1)));
}

#[test]
fn who_left_holds_nothing_but_its_dials_under_way() {
    let mut boxes = Mailboxes::default();
    let ticket = open(&mut boxes, &key(1, 1));
    for generation in 1..=3 {
        boxes.deliver(key(1, generation), "offer".into());
        boxes.deliver(key(2, generation), "offer".into());
    }
    boxes.left(peer(1));
    check(&boxes);
    assert_eq!(boxes.held[&peer(1)], BOX_WEIGHT + weight("offer"));
    assert_eq!(boxes.read(&key(1, 1), ticket), Found::Message("offer".into()));
    assert_eq!(boxes.read(&key(1, 1), ticket), Found::Nothing);
    boxes.forget(peer(1));
    assert_eq!(boxes.read(&key(1, 1), ticket), Found::Closed);
    boxes.forget(peer(2));
    assert_eq!((boxes.total, boxes.held.len(), boxes.boxes.len()), (0, 0, 0));
}

#[test]
fn one_channel_reads_a_mailbox_and_the_newest_is_the_one() {
    let mut boxes = Mailboxes::default();
    let replaced = open(&mut boxes, &key(1, 1));
    boxes.deliver(key(1, 1), "to the first".into());
    let current = open(&mut boxes, &key(1, 1));
    assert_eq!(boxes.read(&key(1, 1), replaced), Found::Closed);
    boxes.close(&key(1, 1), replaced);
    assert_eq!(boxes.read(&key(1, 1), current), Found::Nothing);
    boxes.deliver(key(1, 1), "last words".into());
    boxes.end();
    assert_eq!(boxes.read(&key(1, 1), current), Found::Message("last words".into()));
    assert_eq!(boxes.read(&key(1, 1), current), Found::Closed);
    boxes.close(&key(1, 1), current);
    assert_eq!((boxes.total, boxes.boxes.len()), (0, 0));
}

#[test]
fn opening_an_attempt_forgets_what_was_said_to_lower_ones_of_its_kind() {
    let mut boxes = Mailboxes::default();
    let other = (peer(1), TransportId::from_static("other"), Generation(1));
    for of in [key(1, 1), key(1, 3), key(2, 1), other.clone()] {
        boxes.deliver(of, "offer".into());
    }
    open(&mut boxes, &key(1, 2));
    let left: Vec<LinkKey> = boxes.boxes.keys().cloned().collect();
    assert_eq!(left, [key(1, 2), key(1, 3), other, key(2, 1)]);
    check(&boxes);
}
