//! The following side.

use super::*;
use crate::{
    error::ConnectErrorKind::{Rejected, TimedOut, Unreachable},
    lane::Lane,
    policy::{HealthSample, TransitionKind},
};

fn fails(drive: &mut Drive, generation: u32, kind: crate::error::ConnectErrorKind) -> Vec<Action> {
    drive.event(Event::DialFailed { generation: Generation(generation), kind })
}

fn stalled(generation: u32, ms: u64) -> Event {
    let age = Duration::from_millis(ms);
    let idle = HealthSample::idle(Lane::Reliable);
    let sample = HealthSample { pending_bytes: 1, oldest_unacked: age, last_heard: age, ..idle };
    Event::Health { generation: Generation(generation), sample }
}

#[test]
fn an_attempt_is_new_once() {
    let mut drive = Drive::follow();
    assert_eq!(dials(&drive.hear(dial(WEBRTC, 2))), [2]);
    assert!(drive.hear(dial(WEBRTC, 2)).is_empty());
    assert!(drive.hear(dial(WEBRTC, 1)).is_empty());
    assert_eq!(dials(&drive.hear(dial(WEBRTC, 3))), [3]);
}

/// How often one dial is tried when every attempt fails like this, a millisecond after it began.
fn attempts(transport: TransportId, kind: crate::error::ConnectErrorKind) -> usize {
    let mut drive = Drive::follow();
    let mut tried = dials(&drive.hear(dial(transport, 1))).len();
    fails(&mut drive, 1, kind);
    for ms in (0..13_000).step_by(10) {
        let again = dials(&drive.until(ms)).len();
        tried += again;
        if again > 0 {
            fails(&mut drive, 1, kind);
        }
    }
    assert_eq!(drive.judge.poll_timeout(), None, "over at the deadline");
    tried
}

#[test]
fn only_a_fallback_is_tried_again_and_only_until_the_time_is_over() {
    assert!((12..=40).contains(&attempts(RELAY, Unreachable)), "{}", attempts(RELAY, Unreachable));
    assert_eq!(attempts(RELAY, Rejected), 1);
    assert_eq!(attempts(WEBRTC, Unreachable), 1);
}

#[test]
fn a_newer_dial_of_the_fallback_ends_the_older_one_and_no_other() {
    let mut drive = Drive::follow();
    drive.hear(dial(RELAY, 1));
    drive.hear(dial(WEBRTC, 2));
    let actions = drive.hear(dial(RELAY, 3));
    assert_eq!(actions[0], Action::CancelDial { generation: Generation(1) });
    assert_eq!((actions.len(), dials(&actions)), (2, vec![3]));
}

#[test]
fn a_leader_cannot_make_this_side_dial_without_bounds() {
    let mut drive = Drive::follow();
    for generation in 1..=8 {
        assert_eq!(drive.hear(dial(WEBRTC, generation)).len(), 1);
    }
    let actions = drive.hear(dial(WEBRTC, 9));
    assert_eq!(actions[0], Action::CancelDial { generation: Generation(1) });
}

#[test]
fn it_complains_by_the_rule_of_the_leader_and_again_after_two_seconds() {
    let mut drive = Drive::follow();
    drive.hear(dial(WEBRTC, 1));
    drive.connect(1);
    let complains = |drive: &mut Drive, at, generation, age| {
        drive.until(at);
        let lost = |message: &Message| matches!(message, Message::Lost { .. });
        said(&drive.event(stalled(generation, age))).iter().any(lost)
    };
    assert!(!complains(&mut drive, 0, 1, 2_499));
    assert!(!complains(&mut drive, 500, 1, 2_999));
    assert!(!complains(&mut drive, 1_000, 1, 3_499));
    assert!(complains(&mut drive, 1_500, 1, 3_999), "three bad ones, a second apart");
    assert!(!complains(&mut drive, 3_499, 1, 6_000));
    assert!(complains(&mut drive, 3_500, 1, 6_000));
    drive.hear(dial(WEBRTC, 2));
    for at in [3_501, 4_001, 4_501, 5_001] {
        assert!(!complains(&mut drive, at, 2, 4_000), "it does not carry the session");
    }
    drive.connect(2);
    assert!(!complains(&mut drive, 6_000, 2, 4_000), "another link is judged by itself");
    assert!(!complains(&mut drive, 6_500, 2, 4_000));
    assert!(complains(&mut drive, 7_000, 2, 4_000));
    assert!(!complains(&mut drive, 14_000, 2, 0), "idle is not dead");
}

#[test]
fn it_does_not_complain_of_a_long_queue_from_which_answers_come() {
    let mut drive = Drive::follow();
    drive.hear(dial(WEBRTC, 1));
    drive.connect(1);
    for tick in 0..100 {
        drive.until(tick * 500);
        let sample = HealthSample {
            pending_bytes: 128 * 1024,
            under_way: 128 * 1024,
            oldest_unacked: Duration::from_secs(16),
            last_heard: Duration::from_millis(900),
            goodput: 8_000,
            ..HealthSample::idle(Lane::Reliable)
        };
        assert!(drive.event(Event::Health { generation: Generation(1), sample }).is_empty());
    }
}

#[test]
fn what_the_application_forbids_is_declined_and_the_leader_learns_what_it_allows() {
    use crate::policy::Override::{Auto, DirectOnly, NoRelay, RelayOnly};
    for (mode, transport, reason) in [
        (DirectOnly, TURN, Reason::PolicyDirectOnly),
        (DirectOnly, RELAY, Reason::PolicyDirectOnly),
        (NoRelay, RELAY, Reason::PolicyNoRelay),
        (RelayOnly, WEBRTC, Reason::Override),
    ] {
        let mut drive = Drive::follow();
        assert_eq!(said(&drive.event(Event::ModeSet(mode))), [Message::Mode { mode }]);
        let decline = Message::Decline { generation: Generation(1), reason };
        assert_eq!(said(&drive.hear(dial(transport, 1))), [decline, Message::Mode { mode }]);
        assert_eq!(said(&drive.event(Event::PeerPresent)), [Message::Mode { mode }], "it may have been away");
    }
    let mut drive = Drive::follow();
    assert!(drive.event(Event::PeerPresent).is_empty(), "nothing was ever said");
    drive.event(Event::ModeSet(Auto));
    assert_eq!(dials(&drive.hear(dial(RELAY, 1))), [1]);
    let unknown = drive.hear(dial(TransportId::from_static("memory"), 2));
    let reason = Reason::NoFallback;
    assert_eq!(said(&unknown)[0], Message::Decline { generation: Generation(2), reason });
}

fn kinds(actions: &[Action]) -> Vec<(TransitionKind, Reason)> {
    let told = |action: &Action| match action {
        Action::Tell { transition, .. } => Some((transition.kind, transition.reason)),
        _ => None,
    };
    actions.iter().filter_map(told).collect()
}

#[test]
fn it_tells_that_a_look_of_the_leader_found_a_path_without_turn() {
    let mut drive = Drive::follow();
    drive.hear(dial(TURN, 1));
    assert_eq!(kinds(&drive.connect(1)), [(TransitionKind::Connected, Reason::PrimaryConnected)]);
    let (generation, reason) = (Generation(2), Reason::ReturnProbe);
    drive.hear(Message::Dial { transport: WEBRTC, generation, reason });
    assert_eq!(kinds(&drive.connect(2)), [(TransitionKind::Restored, Reason::DirectFound)]);
    assert_eq!(drive.judge.view(drive.now).reason, Reason::DirectFound);
}

#[test]
fn it_tells_what_the_leader_decided() {
    let mut drive = Drive::follow();
    drive.hear(dial(WEBRTC, 1));
    assert_eq!(kinds(&drive.connect(1)), [(TransitionKind::Connected, Reason::PrimaryConnected)]);
    let (generation, reason) = (Generation(2), Reason::PrimariesSilent);
    drive.hear(Message::Dial { transport: RELAY, generation, reason });
    assert_eq!(kinds(&drive.connect(2)), [(TransitionKind::FallbackActivated, reason)]);
    assert!(drive.lose(1).is_empty(), "it was replaced");
    let (generation, reason) = (Generation(3), Reason::ReturnProbe);
    drive.hear(Message::Dial { transport: WEBRTC, generation, reason });
    assert_eq!(kinds(&drive.connect(3)), [(TransitionKind::Restored, Reason::PrimaryHealed)]);
    let lost = drive.lose(3);
    assert_eq!(kinds(&lost), [(TransitionKind::Lost, Reason::LinkClosed)]);
    let reason = Reason::LinkClosed;
    assert_eq!(said(&lost), [Message::Lost { generation, reason }]);
    assert_eq!(drive.judge.view(drive.now).path, None);
}

#[test]
fn a_slow_attempt_at_the_deadline_is_not_followed_by_another() {
    let mut drive = Drive::follow();
    drive.hear(dial(RELAY, 1));
    drive.until(12_000);
    assert!(fails(&mut drive, 1, TimedOut).is_empty());
    assert_eq!(drive.judge.poll_timeout(), None);
}

#[test]
fn without_path_and_word_it_waits_at_the_fallback_until_there_is_a_path() {
    let attend = Action::Attend { transport: RELAY };
    let called = |generation| Event::Called { transport: RELAY, generation: Generation(generation) };
    // Either alone is no reason, and in whichever order they come both are.
    for lost_first in [true, false] {
        let mut drive = Drive::follow();
        drive.hear(dial(WEBRTC, 1));
        drive.connect(1);
        let (first, second) = if lost_first {
            (drive.lose(1), drive.event(Event::SignalingLost))
        } else {
            (drive.event(Event::SignalingLost), drive.lose(1))
        };
        assert!(!first.contains(&attend) && second.contains(&attend), "{first:?} {second:?}");
        assert!(drive.event(Event::SignalingFound).is_empty(), "it is kept until there is a path");
        assert!(!drive.event(Event::SignalingLost).contains(&attend), "once is enough");
        assert_eq!(dials(&drive.event(called(1))), [0; 0], "that attempt is over");
        assert_eq!(dials(&drive.event(called(5))), [5]);
        assert_eq!(dials(&drive.event(called(5))), [0; 0], "it is under way");
        // The place proves nothing, so it must not outrank what the leader says.
        assert_eq!(dials(&drive.event(called(u32::MAX))), [u32::MAX]);
        assert_eq!(dials(&drive.hear(dial(RELAY, 6))), [6]);
        assert!(drive.connect(6).contains(&Action::Leave));
        assert_eq!(dials(&drive.event(called(7))), [0; 0], "nobody waits there any more");
    }
}

#[test]
fn a_path_that_is_dead_is_as_good_as_one_that_ended() {
    let mut drive = Drive::follow();
    drive.hear(dial(WEBRTC, 1));
    drive.connect(1);
    drive.event(Event::SignalingLost);
    let mut actions = Vec::new();
    for ms in (0..12_000).step_by(500) {
        drive.until(ms);
        actions.extend(drive.event(stalled(1, ms)));
    }
    let attends = actions.iter().filter(|action| matches!(action, Action::Attend { .. })).count();
    assert_eq!(attends, 1, "{actions:?}");
    assert!(drive.event(Event::Ended).contains(&Action::Leave));
}

#[test]
fn it_waits_nowhere_where_the_application_allows_no_relay() {
    for mode in [Override::NoRelay, Override::DirectOnly] {
        let mut drive = Drive::follow();
        drive.event(Event::ModeSet(mode));
        drive.hear(dial(WEBRTC, 1));
        drive.connect(1);
        drive.event(Event::SignalingLost);
        assert!(!drive.lose(1).contains(&Action::Attend { transport: RELAY }), "{mode:?}");
    }
}
