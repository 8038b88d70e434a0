//! Gates, refusals and overrides: the fallback is wanted and not to be had.

use super::harness::*;
use crate::{error::ConnectErrorKind, ids::Generation, policy::*};

#[test]
fn each_closed_gate_holds_the_session_names_itself_and_lets_go_when_it_opens() {
    for gate in Gate::ALL {
        let mut drive = Drive::new();
        drive.fate(WEBRTC, Fate::Silent).gate(gate, GateState::Closed).start().until(60.0);
        assert!(drive.dials(&RELAY).is_empty(), "{gate:?}");
        assert_eq!(*drive.policy.standing(), Standing::Held { why: gate.reason() });
        assert_eq!(drive.count(|action| matches!(action, Action::PrefetchToken { .. })), 0);
        let held = ("transport.fallback.held", gate.reason());
        assert_eq!(drive.story().iter().filter(|told| **told == held).count(), 1);
        let dials = drive.dials(&WEBRTC).len();
        assert!((6..=30).contains(&dials), "the primaries are retried: {dials}");
        drive.gate(gate, GateState::Open).until(61.0);
        assert_eq!(drive.on(), Some(RELAY), "{gate:?}");
    }
}

#[test]
fn a_held_session_takes_the_direct_path_as_soon_as_it_works() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).gate(Gate::FeatureFlag, GateState::Closed).start().until(300.0);
    drive.fate(WEBRTC, Fate::Connects(0.5)).until(320.0);
    assert_eq!(drive.on(), Some(WEBRTC));
}

#[test]
fn the_kill_switch_stops_a_dial_that_is_under_way() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).fate(RELAY, Fate::Connects(2.0)).start().until(5.0);
    assert_eq!(*drive.policy.standing(), Standing::Considering);
    drive.gate(Gate::KillSwitch, GateState::Closed).until(20.0);
    assert_eq!(*drive.policy.standing(), Standing::Held { why: Reason::GateKillSwitch });
    assert!(drive.switches().is_empty());
}

#[test]
fn the_kill_switch_leaves_a_live_session_on_the_relay_to_the_relay() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(5.0);
    drive.gate(Gate::KillSwitch, GateState::Closed).until(60.0);
    assert_eq!(drive.on(), Some(RELAY));
}

#[test]
fn a_relay_that_refuses_is_asked_slowly_and_one_that_cannot_be_reached_with_backoff() {
    for (kind, why, most) in [
        (ConnectErrorKind::Rejected, Reason::FallbackRefused, 5),
        (ConnectErrorKind::Unreachable, Reason::FallbackUnreachable, 60),
    ] {
        let mut drive = Drive::new();
        drive.fate(WEBRTC, Fate::Silent).fate(RELAY, Fate::Fails(0.2, kind)).start().until(120.0);
        assert_eq!(*drive.policy.standing(), Standing::Held { why });
        let dials = drive.dials(&RELAY).len();
        assert!((4..=most).contains(&dials), "{dials}");
        let held = drive.story().iter().filter(|(name, _)| *name == "transport.fallback.held").count();
        assert_eq!(held, 1, "said once");
        assert!(drive.dials(&WEBRTC).len() > 10, "the primaries are retried");
        drive.fate(RELAY, Fate::Connects(0.3)).until(160.0);
        assert_eq!(drive.on(), Some(RELAY));
    }
}

#[test]
fn through_a_night_dials_are_seldom_and_whatever_may_help_has_them_made_at_once() {
    for event in [Event::Woke, Event::NetworkChanged { network: OFFICE }, Event::PeerPresent] {
        let mut drive = Drive::new();
        drive.start().until(100.0);
        drive.fate(WEBRTC, Fate::Silent).fate(RELAY, Fate::Fails(0.2, ConnectErrorKind::Unreachable));
        drive.lose().until(8.0 * 3_600.0);
        let between = |drive: &Drive, transport, from: f64, to: f64| {
            drive.dials(transport).iter().filter(|at| (from..to).contains(*at)).count()
        };
        for transport in [&WEBRTC, &RELAY] {
            let first = between(&drive, transport, 100.0, 220.0);
            let last = between(&drive, transport, 7.0 * 3_600.0, 8.0 * 3_600.0);
            assert!(first >= 10 && (5..=80).contains(&last), "{transport}: {first}, then {last} an hour");
        }
        drive.fate(WEBRTC, Fate::Connects(0.5)).event(event.clone());
        drive.until(8.0 * 3_600.0 + 1.0);
        assert_eq!(drive.on(), Some(WEBRTC), "{event:?}");
    }
}

#[test]
fn without_a_fallback_the_session_says_so_and_goes_on_trying() {
    let mut drive = Drive::with(config(&[WEBRTC]));
    drive.fate(WEBRTC, Fate::Silent).start().until(60.0);
    assert_eq!(*drive.policy.standing(), Standing::Held { why: Reason::NoFallback });
    drive.fate(WEBRTC, Fate::Connects(0.5)).until(80.0);
    assert_eq!(drive.on(), Some(WEBRTC));
}

#[test]
fn direct_only_and_no_relay_never_dial_what_they_forbid() {
    for (mode, why, turn) in [
        (Override::DirectOnly, Reason::PolicyDirectOnly, false),
        (Override::NoRelay, Reason::PolicyNoRelay, true),
    ] {
        let mut config = config(&[WEBRTC, TURN, RELAY]);
        config.mode = mode;
        let mut drive = Drive::with(config);
        drive.fate(WEBRTC, Fate::Silent).fate(TURN, Fate::Silent).start().until(120.0);
        assert_eq!(*drive.policy.standing(), Standing::Held { why });
        assert!(drive.dials(&RELAY).is_empty());
        assert_eq!(!drive.dials(&TURN).is_empty(), turn);
    }
}

#[test]
fn relay_only_needs_no_quorum_but_open_gates() {
    let mut config = config(&[WEBRTC, RELAY]);
    config.mode = Override::RelayOnly;
    config.gates = Gates::default();
    let mut drive = Drive::with(config);
    drive.start().until(10.0);
    assert_eq!(*drive.policy.standing(), Standing::Held { why: Reason::GateFeatureFlag });
    drive.gate(Gate::FeatureFlag, GateState::Open).until(600.0);
    assert_eq!(drive.on(), Some(RELAY));
    assert!(drive.dials(&WEBRTC).is_empty());
}

#[test]
fn a_path_that_is_no_longer_allowed_is_left_at_once() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(5.0);
    drive.fate(WEBRTC, Fate::Connects(0.5));
    drive.event(Event::Override(Override::DirectOnly)).until(8.0);
    assert_eq!(drive.on(), Some(WEBRTC));
    drive.event(Event::Override(Override::RelayOnly)).until(10.0);
    assert_eq!(drive.on(), Some(RELAY));
}

#[test]
fn a_peer_that_comes_back_ends_the_waits_but_opens_no_gate() {
    for closed in [false, true] {
        let mut drive = Drive::new();
        let down = Fate::Fails(0.01, ConnectErrorKind::Unreachable);
        drive.fate(WEBRTC, down).fate(RELAY, down);
        if closed {
            drive.gate(Gate::KillSwitch, GateState::Closed);
        }
        drive.start().until(60.0);
        assert!(matches!(drive.policy.standing(), Standing::Held { .. }));
        let before = drive.dials(&RELAY).len();
        drive.event(Event::PeerPresent).until(60.001);
        assert_eq!(drive.dials(&RELAY).len() - before, usize::from(!closed));
        assert_eq!(drive.dials(&WEBRTC).last(), Some(&60.0));
    }
}

#[test]
fn a_dial_whose_words_may_be_lost_gets_another_beside_it_when_the_peer_is_back_and_an_answered_one_does_not()
{
    for (fate, dials) in [(Fate::Silent, 2), (Fate::Teases(0.2), 1)] {
        let mut drive = Drive::new();
        drive.start().until(100.0).fate(WEBRTC, fate).lose().until(101.0);
        drive.event(Event::PeerPresent).until(101.001);
        assert_eq!(drive.dials(&WEBRTC).iter().filter(|at| **at >= 100.0).count(), dials);
    }
}

#[test]
fn a_retry_of_the_fallback_wakes_nobody_while_a_gate_is_closed() {
    let refuses = Fate::Fails(0.2, ConnectErrorKind::Rejected);
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).fate(RELAY, refuses).start().until(5.0);
    let retries = |drive: &Drive| {
        let is = |(_, step): &(_, NextStep)| *step == NextStep::FallbackRetry;
        drive
            .policy
            .next_steps()
            .filter(is)
            .map(|(at, _)| (at - drive.now()).as_secs_f64())
            .collect::<Vec<_>>()
    };
    assert_eq!(retries(&drive), [29.2]);
    drive.gate(Gate::Budget, GateState::Closed);
    assert_eq!(retries(&drive), [0.0; 0]);
}

#[test]
fn a_relay_that_refused_on_one_network_is_considered_anew_on_another() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).fate(RELAY, Fate::Fails(0.2, ConnectErrorKind::Rejected)).start();
    drive.until(10.0).fate(RELAY, Fate::Silent).event(Event::NetworkChanged { network: OFFICE }).until(14.5);
    assert_eq!(*drive.policy.standing(), Standing::Considering);
}

#[test]
fn a_relay_that_refused_in_one_search_is_considered_anew_in_the_next() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).fate(RELAY, Fate::Fails(0.2, ConnectErrorKind::Rejected)).start();
    drive.until(10.0).fate(RELAY, Fate::Silent).fate(WEBRTC, Fate::Connects(0.1)).until(200.0);
    assert_eq!((drive.on(), drive.dials(&RELAY).len()), (Some(WEBRTC), 1));
    drive.fate(WEBRTC, Fate::Silent).lose().until(204.0);
    assert_eq!(*drive.policy.standing(), Standing::Considering);
}

#[test]
fn a_gate_that_opens_again_lets_a_relay_that_refused_be_asked_at_once() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).fate(RELAY, Fate::Fails(0.2, ConnectErrorKind::Rejected)).start();
    drive.until(10.0).gate(Gate::Budget, GateState::Closed).until(11.0);
    drive.gate(Gate::Budget, GateState::Open);
    assert_eq!(drive.dials(&RELAY), [4.0, 11.0]);
}

#[test]
fn a_held_session_soon_dials_again_where_no_dial_is_open_and_nowhere_else() {
    let mut drive = Drive::with(config(&[WEBRTC, TURN, RELAY]));
    drive.fate(WEBRTC, Fate::Silent).fate(TURN, Fate::Fails(0.1, ConnectErrorKind::Incompatible));
    drive.gate(Gate::Budget, GateState::Closed).start().until(4.0);
    assert_eq!(*drive.policy.standing(), Standing::Held { why: Reason::GateBudget });
    assert_eq!((drive.dials(&WEBRTC).len(), drive.dials(&TURN).len()), (3, 1));
    drive.until(5.0);
    assert_eq!((drive.dials(&WEBRTC).len(), drive.dials(&TURN).len()), (3, 2));
}

#[test]
fn a_relay_that_refused_is_left_alone_for_half_a_minute_though_nobody_wanted_it_in_between() {
    let mut config = config(&[WEBRTC, RELAY]);
    (config.attempts, config.window) = (1, crate::time::Duration::from_secs(3));
    config.backoff.cap = config.backoff.base;
    let mut drive = Drive::with(config);
    drive.fate(WEBRTC, Fate::Fails(0.1, ConnectErrorKind::Unreachable));
    drive.fate(RELAY, Fate::Fails(0.1, ConnectErrorKind::Rejected)).start().until(6.0);
    // The next attempt takes so long that the failure before it is forgotten meanwhile.
    drive.fate(WEBRTC, Fate::Fails(8.0, ConnectErrorKind::Unreachable)).until(12.0);
    assert_eq!(drive.snapshot().rungs[0].failures, 0);
    drive.event(Event::DialProgressed { generation: Generation(99) }).until(30.199);
    assert_eq!(drive.dials(&RELAY), [0.1]);
    drive.until(60.0);
    assert_eq!(drive.dials(&RELAY).len(), 2);
}
