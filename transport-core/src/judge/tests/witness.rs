//! Both sides of a silent link compare what they heard.

use super::*;
use crate::{
    lane::Lane,
    policy::{HealthSample, Testimony},
};

/// A sample of a link on which nothing has come for so long although something should.
fn silent(ms: u64) -> Event {
    let age = Duration::from_millis(ms);
    let sample = HealthSample {
        pending_bytes: 100,
        under_way: 100,
        oldest_unacked: age,
        last_heard: age,
        sent: 20,
        received: 10,
        ..HealthSample::idle(Lane::Reliable)
    };
    Event::Health { generation: Generation(1), sample }
}

fn connected(mut drive: Drive) -> Drive {
    drive.begin();
    drive.hear(dial(WEBRTC, 1));
    drive.connect(1);
    drive
}

fn questions(actions: &[Action]) -> Vec<(u32, Testimony)> {
    let of = |message: Message| match message {
        Message::Ask { number, heard, .. } => Some((number, heard)),
        _ => None,
    };
    said(actions).into_iter().filter_map(of).collect()
}

#[test]
fn either_side_asks_at_the_first_suspicion_once_at_a_time_and_has_the_room_tried_out() {
    for drive in [Drive::lead(), Drive::follow()] {
        let mut drive = connected(drive);
        drive.until(5_000);
        assert!(questions(&drive.event(silent(1_249))).is_empty());
        let actions = drive.event(silent(1_250));
        let [(number, heard)] = questions(&actions)[..] else { panic!("{actions:?}") };
        assert_eq!(heard, Testimony { silent_ms: 1_250, needs_ms: 0, received: 10, sent: 20 });
        assert!(actions.contains(&Action::DoubtSignaling));
        drive.until(5_500);
        assert!(questions(&drive.event(silent(1_750))).is_empty(), "one is open");
        drive.until(6_000);
        let again = drive.event(silent(2_250));
        assert!(questions(&again)[0].0 > number && !again.contains(&Action::DoubtSignaling));
    }
}

#[test]
fn the_follower_says_that_a_link_is_dead_when_the_leader_heard_nothing_either() {
    for (theirs, dead) in [
        (Testimony { silent_ms: 1_700, needs_ms: 0, received: 9, sent: 10 }, true),
        (Testimony { silent_ms: 50, needs_ms: 0, received: 20, sent: 11 }, true),
        (Testimony { silent_ms: 50, needs_ms: 0, received: 20, sent: 10 }, false),
    ] {
        let mut drive = connected(Drive::follow());
        let asked = questions(&drive.event(silent(1_500)));
        let (generation, number) = (Generation(1), asked[0].0);
        drive.until(100);
        drive.hear(Message::Answer { generation, number, heard: theirs });
        drive.until(500);
        let lost = Message::Lost { generation, reason: Reason::PathDead };
        assert_eq!(said(&drive.event(silent(2_000))).contains(&lost), dead, "{theirs:?}");
    }
}

#[test]
fn a_question_is_answered_about_the_carrying_link_only_and_five_times_a_second_at_most() {
    for drive in [Drive::lead(), Drive::follow()] {
        let mut drive = connected(drive);
        let heard = Testimony { silent_ms: 0, needs_ms: 0, received: 1, sent: 1 };
        let ask = |generation, number| Message::Ask { generation: Generation(generation), number, heard };
        assert!(said(&drive.hear(ask(1, 1))).is_empty(), "nothing was measured yet");
        drive.event(silent(300));
        drive.until(200);
        assert!(said(&drive.hear(ask(2, 1))).is_empty());
        let theirs = Testimony { silent_ms: 500, needs_ms: 0, received: 10, sent: 20 };
        let answer = Message::Answer { generation: Generation(1), number: 7, heard: theirs };
        assert_eq!(said(&drive.hear(ask(1, 7))), [answer]);
        assert!(said(&drive.hear(ask(1, 8))).is_empty());
        drive.until(400);
        assert_eq!(said(&drive.hear(ask(1, 9))).len(), 1);
    }
}
