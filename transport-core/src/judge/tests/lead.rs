//! The leading side, and what both sides do alike.

use super::*;
use crate::{
    connector::DialRole,
    policy::{Gate, GateState},
};

fn connected() -> Drive {
    let mut drive = Drive::lead();
    drive.begin();
    drive.connect(1);
    drive
}

#[test]
fn a_dial_is_announced_before_it_begins_and_again_when_the_peer_comes_back() {
    let mut drive = Drive::lead();
    let actions = drive.begin();
    let at = |wanted: fn(&Action) -> bool| actions.iter().position(wanted).expect("it is asked for");
    let announced = at(|action| matches!(action, Action::Say(Message::Dial { .. })));
    let dialled = at(|action| matches!(action, Action::Dial { role: DialRole::Offerer, .. }));
    assert!(announced < dialled);
    assert_eq!(said(&drive.event(Event::PeerPresent))[0], dial(WEBRTC, 1));
    drive.connect(1);
    assert!(said(&drive.event(Event::PeerPresent)).is_empty());
}

#[test]
fn a_dial_that_lasts_is_announced_again_while_it_lasts() {
    let mut drive = Drive::lead();
    drive.begin();
    let told = |actions: Vec<Action>| said(&actions).iter().filter(|said| **said == dial(WEBRTC, 1)).count();
    assert_eq!(told(drive.until(5_000)), 2);
    drive.connect(1);
    assert_eq!(told(drive.until(10_000)), 0);
}

#[test]
fn a_declined_dial_is_cancelled_and_counts_for_nothing() {
    let mut drive = Drive::lead();
    drive.begin();
    let decline =
        |generation| Message::Decline { generation: Generation(generation), reason: Reason::NoFallback };
    assert!(drive.hear(decline(7)).is_empty(), "nobody dials it");
    let actions = drive.hear(decline(1));
    assert!(actions.contains(&Action::CancelDial { generation: Generation(1) }));
    assert_eq!(drive.judge.view(drive.now).rungs[0].failures, 0);
}

#[test]
fn a_dial_that_won_after_it_was_given_up_is_closed() {
    let mut drive = connected();
    let generation = Generation(40);
    let actions = drive.event(Event::DialSucceeded { generation });
    assert!(matches!(actions[..], [Action::Close { generation: of, .. }] if of == generation));
    assert!(drive.lose(40).is_empty());
}

#[test]
fn the_stricter_mode_of_both_sides_counts() {
    let mut drive = Drive::lead();
    drive.begin();
    drive.hear(Message::Mode { mode: Override::NoRelay });
    assert_eq!(drive.judge.view(drive.now).mode, Override::NoRelay);
    drive.event(Event::ModeSet(Override::DirectOnly));
    assert_eq!(drive.judge.view(drive.now).mode, Override::DirectOnly);
    drive.event(Event::ModeSet(Override::Auto));
    drive.hear(Message::Mode { mode: Override::Auto });
    assert_eq!(drive.judge.view(drive.now).mode, Override::Auto);
}

#[test]
fn a_word_about_the_machine_puts_the_path_in_doubt_and_a_word_about_the_link_ends_it() {
    let lost = |reason| Message::Lost { generation: Generation(1), reason };
    for (reason, ends) in [(Reason::NetworkChanged, false), (Reason::Woke, false), (Reason::PathDead, true)] {
        let mut drive = connected();
        let actions = drive.hear(lost(reason));
        let closes = actions.iter().any(|action| matches!(action, Action::Close { .. }));
        assert_eq!((closes, dials(&actions).is_empty()), (ends, false), "{reason:?}: {actions:?}");
    }
}

#[test]
fn a_goodbye_counts_once_no_link_can_bring_more() {
    for mut drive in [connected(), Drive::follow()] {
        drive.hear(dial(WEBRTC, 1));
        drive.connect(1);
        assert!(drive.hear(Message::Bye { reason: ByeReason::Closed }).is_empty());
        let end = Action::End(Ending::PeerLeft(ByeReason::Closed));
        assert_eq!(drive.lose(1), [end]);
    }
}

#[test]
fn a_peer_that_forgot_the_session_ends_it_at_once() {
    let actions = connected().hear(Message::Bye { reason: ByeReason::Forgotten });
    assert_eq!(actions, [Action::End(Ending::PeerForgot)]);
}

#[test]
fn a_change_here_doubts_signaling_and_the_follower_tells_the_leader() {
    for (event, reason) in
        [(Event::Woke, Reason::Woke), (Event::NetworkChanged { network: None }, Reason::NetworkChanged)]
    {
        assert!(connected().event(event.clone()).contains(&Action::DoubtSignaling));
        let lost = Message::Lost { generation: Generation::default(), reason };
        assert_eq!(Drive::follow().event(event), [Action::DoubtSignaling, Action::Say(lost)]);
    }
}

#[test]
fn another_address_and_a_jump_of_the_clock_are_noticed() {
    let mut drive = connected();
    assert!(drive.event(Event::NetworkSeen { network: Some(NetworkId(1)) }).is_empty());
    assert!(!drive.event(Event::NetworkSeen { network: Some(NetworkId(2)) }).is_empty());
    assert!(drive.event(Event::Clock { ahead: Duration::from_secs(1) }).is_empty());
    assert!(!drive.event(Event::Clock { ahead: Duration::from_secs(60) }).is_empty());
}

#[test]
fn gates_that_changed_are_told_one_by_one_and_the_others_not() {
    let mut drive = Drive::lead();
    drive.begin();
    let closed = Gates::all_open().with(Gate::Budget, GateState::Closed);
    drive.event(Event::GatesChanged(closed));
    assert_eq!(drive.judge.view(drive.now).closed_gates, [Gate::Budget]);
    drive.event(Event::GatesChanged(Gates::all_open()));
    assert!(drive.judge.view(drive.now).closed_gates.is_empty());
}

#[test]
fn the_end_says_goodbye_closes_everything_and_nothing_follows() {
    for mut drive in [connected(), Drive::follow()] {
        drive.hear(dial(WEBRTC, 1));
        drive.connect(1);
        let actions = drive.event(Event::Ended);
        assert_eq!(said(&actions), [Message::Bye { reason: ByeReason::Closed }]);
        let closes = actions.iter().filter(|action| matches!(action, Action::Close { .. })).count();
        assert_eq!(closes, 1);
        assert!(drive.event(Event::Woke).is_empty());
        assert_eq!((drive.judge.poll_timeout(), drive.judge.view(drive.now).path), (None, None));
    }
}

#[test]
fn the_last_handle_ends_the_session() {
    assert_eq!(Drive::follow().event(Event::HandlesDropped), [Action::End(Ending::HandlesDropped)]);
}
