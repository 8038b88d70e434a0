//! The checker is checked: a faithful history is clean, and each planted bug is found as what it is.

use bytes::Bytes;
use conformance::history::{Author, Judge, OVERHEAD, Stream, Verdict};

const STREAM: Stream = Stream { key: 0xBEAC, session: 7, stream: 1 };
const WRITTEN: u64 = 200;

/// What the application at the other end sees.
#[derive(Clone)]
enum Seen {
    Gap(u64, u64),
    Message(Bytes),
}

fn written(stream: Stream) -> Vec<Seen> {
    let mut author = Author::new(stream);
    (0..WRITTEN).map(|number| Seen::Message(author.write(OVERHEAD + number as usize % 50))).collect()
}

fn judge(history: &[Seen]) -> Verdict {
    let mut judge = Judge::new(STREAM);
    for seen in history {
        match seen {
            Seen::Gap(from, to) => judge.gap(*from..*to),
            Seen::Message(message) => judge.delivered(message),
        }
    }
    judge.verdict(WRITTEN)
}

#[test]
fn a_faithful_history_is_whole() {
    let verdict = judge(&written(STREAM));
    assert!(verdict.is_whole(), "{verdict}");
    assert_eq!(verdict.delivered, WRITTEN);
}

#[test]
fn an_announced_gap_is_clean_but_not_whole() {
    let mut history = written(STREAM);
    history.splice(50..60, [Seen::Gap(50, 60)]);
    let verdict = judge(&history);
    assert!(verdict.is_clean() && !verdict.is_whole(), "{verdict}");
    assert_eq!(verdict.announced, 10);
    history.truncate(100);
    history.push(Seen::Gap(109, WRITTEN));
    assert!(judge(&history).is_clean(), "a gap at the end closes the history");
}

#[test]
fn a_refused_message_is_written_again_under_the_same_number() {
    let mut author = Author::new(STREAM);
    let first = author.write(40);
    author.unwrite();
    assert_eq!(author.write(40), first);
    assert_eq!(author.written(), 1);
}

type Finding = fn(&Verdict) -> u64;
type Bug = (&'static str, fn(&mut Vec<Seen>), Finding);

#[test]
fn every_planted_bug_is_found() {
    let bugs: &[Bug] = &[
        ("the first message is lost", |h| drop(h.remove(0)), |v| v.lost),
        ("one in the middle is lost", |h| drop(h.remove(100)), |v| v.lost),
        ("one in the middle is skipped in silence", |h| drop(h.remove(100)), |v| v.silent_gaps),
        ("the last is lost", |h| drop(h.pop()), |v| v.lost),
        ("the tail is lost", |h| h.truncate(150), |v| v.lost),
        ("everything is lost", Vec::clear, |v| v.lost),
        ("every tenth is lost", |h| retain(h, |at| at % 10 != 9), |v| v.lost),
        ("the first comes twice", |h| h.insert(1, h[0].clone()), |v| v.doubled),
        ("one comes twice at once", |h| h.insert(101, h[100].clone()), |v| v.doubled),
        ("one comes again much later", |h| h.push(h[3].clone()), |v| v.doubled),
        ("a replay repeats the last ten", |h| h.extend_from_within(190..), |v| v.doubled),
        ("a second replay starts from 0", |h| h.extend_from_within(..), |v| v.doubled),
        ("a resume at p-1", |h| h.insert(100, h[99].clone()), |v| v.doubled),
        ("a resume at p+1", |h| drop(h.remove(100)), |v| v.silent_gaps),
        ("two neighbours change places", |h| h.swap(10, 11), |v| v.reordered),
        ("one comes a hundred too late", |h| late(h, 20, 120), |v| v.reordered),
        ("the last comes first", |h| late(h, 199, 0), |v| v.reordered),
        ("everything comes backwards", |h| h.reverse(), |v| v.reordered),
        ("a bit of the filler flips", |h| alter(h, 49, |m| m[OVERHEAD] ^= 4), |v| v.forged),
        ("a bit of the number flips", |h| alter(h, 49, |m| m[19] ^= 1), |v| v.forged),
        ("a bit of the tag flips", |h| alter(h, 49, |m| m[27] ^= 1), |v| v.forged),
        ("a message is cut short", |h| alter(h, 49, |m| m.truncate(m.len() - 1)), |v| v.forged),
        ("a message is cut to nothing", |h| alter(h, 49, Vec::clear), |v| v.forged),
        ("a message grows", |h| alter(h, 49, |m| m.push(0)), |v| v.forged),
        ("two messages are joined", join, |v| v.forged),
        ("one message is split", split, |v| v.forged),
        ("a message appears from nowhere", |h| h.insert(9, Seen::Message(vec![7; 64].into())), |v| v.forged),
        ("a message of another run appears", |h| foreign(h, Stream { key: 1, ..STREAM }), |v| v.forged),
        (
            "a message of another session appears",
            |h| foreign(h, Stream { session: 8, ..STREAM }),
            |v| v.crossed,
        ),
        ("a message is reflected", |h| foreign(h, Stream { stream: 2, ..STREAM }), |v| v.crossed),
        ("a message nobody has written yet", beyond, |v| v.forged),
        ("a gap is announced that was none", |h| h.insert(100, Seen::Gap(90, 95)), |v| v.false_gaps),
        ("a gap is announced and then filled", |h| h.insert(100, Seen::Gap(100, 103)), |v| v.false_gaps),
        ("an announced gap is too small", |h| drop(h.splice(50..60, [Seen::Gap(50, 59)])), |v| v.lost),
    ];
    for (name, plant, finding) in bugs {
        let mut history = written(STREAM);
        plant(&mut history);
        let verdict = judge(&history);
        println!("{name}: {verdict}");
        assert!(!verdict.is_clean(), "not caught: {name}");
        assert!(finding(&verdict) > 0, "caught as something else: {name}: {verdict}");
    }
    println!("{} of {} planted bugs caught", bugs.len(), bugs.len());
}

fn retain(history: &mut Vec<Seen>, keep: fn(usize) -> bool) {
    let mut at = 0;
    history.retain(|_| {
        at += 1;
        keep(at - 1)
    });
}

fn late(history: &mut Vec<Seen>, from: usize, to: usize) {
    let seen = history.remove(from);
    history.insert(to, seen);
}

fn alter(history: &mut [Seen], at: usize, change: fn(&mut Vec<u8>)) {
    let Seen::Message(message) = &mut history[at] else { panic!("message {at} is a gap") };
    let mut bytes = message.to_vec();
    change(&mut bytes);
    *message = bytes.into();
}

fn join(history: &mut Vec<Seen>) {
    let (Seen::Message(second), Seen::Message(first)) = (history.remove(51), history.remove(50)) else {
        panic!("gaps where messages should be")
    };
    history.insert(50, Seen::Message([first, second].concat().into()));
}

fn split(history: &mut Vec<Seen>) {
    let Seen::Message(message) = history.remove(49) else { panic!("a gap where a message should be") };
    let (head, tail) = message.split_at(OVERHEAD);
    history.insert(49, Seen::Message(Bytes::copy_from_slice(tail)));
    history.insert(49, Seen::Message(Bytes::copy_from_slice(head)));
}

fn foreign(history: &mut Vec<Seen>, stream: Stream) {
    history.insert(100, written(stream)[100].clone());
}

fn beyond(history: &mut Vec<Seen>) {
    let mut author = Author::new(STREAM);
    let last = (0..=WRITTEN).map(|_| author.write(40)).last().expect("at least one was written");
    history.push(Seen::Message(last));
}
