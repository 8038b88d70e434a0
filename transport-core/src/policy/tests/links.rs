//! Links one by one: what each event about a link does, and what it leaves alone.

use super::harness::*;
use crate::{error::ConnectErrorKind, ids::Generation, lane::Lane, policy::*};

#[test]
fn a_link_that_connects_under_an_older_number_is_closed_and_its_rung_dialled_again() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(5.0);
    assert_eq!((drive.on(), drive.generation()), (Some(RELAY), Generation(4)));
    drive.lose().event(Event::DialSucceeded { generation: Generation(1) });
    assert_eq!(drive.count(|action| *action == Action::Drain { generation: Generation(1) }), 1);
    assert_eq!(switches_to(&drive, 1), 0);
    assert_eq!(drive.dials(&WEBRTC).last(), Some(&5.0));
}

#[test]
fn a_move_is_counted_when_a_primary_is_left_or_taken_and_not_after_a_wake() {
    let mut drive = Drive::new();
    drive.start().until(100.0).event(Event::Woke).until(110.0);
    assert_eq!((drive.generation(), drive.moves()), (Generation(2), 0));
    drive.lose().until(120.0);
    assert_eq!((drive.generation(), drive.moves()), (Generation(3), 1));
    drive.fate(WEBRTC, Fate::Silent).lose().until(130.0);
    assert_eq!((drive.on(), drive.moves()), (Some(RELAY), 2));
    // One relay link after another is no move.
    drive.lose().until(140.0);
    assert_eq!((drive.on(), drive.moves()), (Some(RELAY), 2));
}

#[test]
fn a_relay_that_asks_to_stay_away_is_left_alone_for_half_a_minute() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(100.0);
    let generation = drive.generation();
    drive.event(Event::Lost { generation, cause: LossCause::Refused }).until(129.999);
    assert_eq!(*drive.policy.standing(), Standing::Held { why: Reason::FallbackRefused });
    assert!(drive.story().contains(&("transport.lost", Reason::RelayLost)));
    assert_eq!(drive.dials(&RELAY).len(), 1);
    drive.until(131.0);
    assert_eq!((drive.dials(&RELAY)[1], drive.on()), (130.0, Some(RELAY)));
}

#[test]
fn a_relay_that_drains_is_given_a_moment_and_says_why() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(100.0);
    let generation = drive.generation();
    drive.event(Event::Lost { generation, cause: LossCause::Drained }).until(101.0);
    assert!(drive.story().contains(&("transport.lost", Reason::RelayDrained)));
    assert!((100.05..=100.3).contains(&drive.dials(&RELAY)[1]), "{:?}", drive.dials(&RELAY));
}

#[test]
fn a_relay_that_hangs_up_within_ten_seconds_is_given_a_moment_and_one_at_ten_is_not() {
    // In use since 4.4.
    for (lost, at_once) in [(14.399, false), (14.4, true)] {
        let mut drive = Drive::new();
        drive.fate(WEBRTC, Fate::Silent).start().until(lost).lose();
        assert_eq!(drive.dials(&RELAY).len() == 2, at_once, "{lost}");
        drive.until(lost + 0.3);
        assert_eq!(drive.dials(&RELAY).len(), 2, "{lost}");
    }
}

#[test]
fn what_is_said_of_a_link_nobody_has_moves_nothing() {
    let mut drive = Drive::new();
    drive.start().until(100.0);
    let (generation, before) = (Generation(99), drive.log.len());
    for event in [
        Event::PeerReportsLost { generation },
        Event::Lost { generation, cause: LossCause::Refused },
        Event::Health { generation, sample: stalled(60.0) },
        Event::DialFailed { generation, kind: ConnectErrorKind::Misuse },
        Event::DialProgressed { generation },
    ] {
        drive.event(event);
    }
    assert_eq!((drive.log.len(), drive.on()), (before, Some(WEBRTC)));
}

#[test]
fn a_path_that_stands_by_may_be_lost_or_reported_lost_and_counts_as_a_failure() {
    for reported in [false, true] {
        let mut drive = Drive::new();
        drive.fate(WEBRTC, Fate::Silent).start().until(100.0);
        drive.fate(WEBRTC, Fate::Connects(0.5));
        while drive.snapshot().standby.is_none() {
            drive.until(drive.seconds() + 0.1);
        }
        let generation = drive.snapshot().standby.unwrap().generation;
        let failures = drive.snapshot().rungs[0].failures;
        if reported {
            drive.event(Event::PeerReportsLost { generation });
        } else {
            drive.event(Event::Lost { generation, cause: LossCause::Refused });
        }
        assert_eq!(drive.count(|action| *action == Action::Drain { generation }), usize::from(reported));
        assert_eq!((drive.on(), drive.snapshot().standby), (Some(RELAY), None));
        assert_eq!(drive.snapshot().rungs[0].failures, failures + 1);
        assert_eq!(drive.next_dial(1), None, "the relay refused nothing");
    }
}

#[test]
fn a_reserve_that_is_lost_is_never_taken_and_the_fallback_is_dialled_again() {
    for reported in [false, true] {
        let mut drive = Drive::new();
        drive.fate(WEBRTC, Fate::Silent).fate(RELAY, Fate::Connects(2.5)).start().until(7.0);
        // It connected at 6.5 and waits until 8.5.
        assert!(drive.switches().is_empty());
        drive.fate(RELAY, Fate::Connects(0.4));
        let generation = Generation(4);
        if reported {
            drive.event(Event::PeerReportsLost { generation });
        } else {
            drive.event(Event::Lost { generation, cause: LossCause::Path });
        }
        drive.until(20.0);
        assert_eq!(drive.count(|action| *action == Action::Drain { generation }), usize::from(reported));
        assert_eq!((drive.switches(), switches_to(&drive, 4)), (vec![7.4], 0));
    }
}

#[test]
fn when_a_path_in_doubt_is_lost_the_race_that_runs_becomes_the_search() {
    let mut drive = Drive::with(config(&[WEBRTC, TURN, RELAY]));
    drive.start().until(100.0).fate(TURN, Fate::Fails(0.1, ConnectErrorKind::Unreachable));
    drive.event(Event::Woke).until(100.2).lose();
    // The one that is open goes on, the one that failed is dialled again.
    assert_eq!(drive.dials(&WEBRTC), [0.0, 100.0]);
    assert_eq!(
        drive.dials(&TURN).iter().filter(|at| **at >= 100.0).copied().collect::<Vec<_>>(),
        [100.0, 100.2]
    );
    assert_eq!(*drive.policy.standing(), Standing::Recovering);
    drive.until(101.0);
    assert_eq!(drive.switches().last(), Some(&100.5));
    assert_eq!(drive.story().last(), Some(&("transport.recovered", Reason::RedialSucceeded)));
}

#[test]
fn a_path_that_stands_by_under_a_higher_number_stays_when_the_relay_is_taken_afresh() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(30.0).fate(WEBRTC, Fate::Connects(0.1)).jump(60.0);
    drive.event(Event::Woke).until(90.3);
    let standby = drive.snapshot().standby.unwrap().generation;
    drive.until(90.5);
    assert_eq!((drive.on(), drive.generation().next()), (Some(RELAY), Some(standby)));
    drive.until(91.1);
    assert_eq!((drive.on(), drive.generation()), (Some(WEBRTC), standby));
}

#[test]
fn a_path_that_stands_by_under_a_lower_number_is_closed_when_the_relay_is_taken_afresh() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(30.0).fate(WEBRTC, Fate::Connects(0.1));
    drive.fate(RELAY, Fate::Fails(0.05, ConnectErrorKind::Unreachable)).jump(60.0).event(Event::Woke);
    // The first dial of the relay fails before the path answers, so the next has a higher number.
    drive.until(90.04).fate(RELAY, Fate::Connects(0.4)).until(90.2);
    let standby = drive.snapshot().standby.unwrap().generation;
    drive.until(91.0);
    assert_eq!((drive.on(), drive.snapshot().standby), (Some(RELAY), None));
    assert!(drive.generation() > standby);
    assert_eq!(drive.count(|action| *action == Action::Drain { generation: standby }), 1);
}

#[test]
fn after_a_nap_one_good_sample_is_no_proof() {
    let mut drive = Drive::new();
    drive.start().until(100.0).jump(20.0).event(Event::Woke);
    drive.event(Event::Health { generation: Generation(1), sample: flowing(0.0) }).until(125.0);
    assert_eq!(drive.generation(), Generation(2));
}

#[test]
fn a_poor_link_is_cleared_by_five_good_samples_in_a_row_and_not_by_four() {
    let mut drive = Drive::new();
    drive.gate(Gate::Budget, GateState::Closed).start().until(100.0).sampling(200.0, |_| flowing(0.3));
    let held = Standing::Held { why: Reason::GateBudget };
    let sample = |drive: &mut Drive, loss| {
        drive.event(Event::Health { generation: Generation(1), sample: flowing(loss) });
    };
    // Far enough from the poor ones that only the row counts.
    drive.until(220.0);
    (0..4).for_each(|_| sample(&mut drive, 0.0));
    sample(&mut drive, 0.3);
    (0..4).for_each(|_| sample(&mut drive, 0.0));
    assert_eq!(*drive.policy.standing(), held);
    sample(&mut drive, 0.0);
    assert_eq!(drive.on(), Some(WEBRTC));
}

#[test]
fn a_poor_fallback_is_kept_for_there_is_nothing_below_it() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(10.0);
    let told = drive.story().len();
    drive.sampling(59.0, |_| flowing(0.4));
    assert_eq!((drive.on(), drive.story().len()), (Some(RELAY), told));
}

#[test]
fn a_rung_that_cannot_sustain_the_session_is_given_up_for_ninety_seconds() {
    let mut drive = Drive::new();
    drive.start().until(100.0).sampling(106.0, |_| flowing(0.3)).fate(WEBRTC, Fate::Silent);
    assert_eq!(drive.on(), Some(RELAY));
    let considered = drive.dials(&RELAY)[0];
    drive.until(considered + 89.9);
    assert!(drive.snapshot().rungs[0].given_up);
    drive.until(considered + 90.0);
    assert!(!drive.snapshot().rungs[0].given_up);
}

#[test]
fn a_return_that_did_not_last_doubles_the_dwell_of_the_next_and_ten_good_minutes_forgive_it() {
    for (lasted, dwell) in [(599.0, 10.0), (600.0, 5.0)] {
        let mut drive = Drive::new();
        drive.fate(WEBRTC, Fate::Silent).start().until(30.0).fate(WEBRTC, Fate::Connects(0.5));
        while drive.on() != Some(WEBRTC) {
            drive.until(drive.seconds() + 0.01);
        }
        let returned = *drive.switches().last().unwrap();
        drive.until(returned + lasted).fate(WEBRTC, Fate::Silent).lose().until(returned + lasted + 30.0);
        assert_eq!(drive.on(), Some(RELAY));
        drive.fate(WEBRTC, Fate::Connects(0.5));
        while drive.snapshot().standby.is_none() {
            drive.until(drive.seconds() + 0.001);
        }
        let waits = (drive.snapshot().standby.unwrap().at - drive.now()).as_secs_f64();
        assert!((waits - dwell).abs() < 0.01, "after {lasted} s: {waits}");
    }
}

#[test]
fn a_rung_that_keeps_dying_gives_the_fallback_ten_seconds_alone() {
    let mut drive = Drive::new();
    drive.start().until(100.0).lose().until(101.0).fate(RELAY, Fate::Silent).lose().until(112.0);
    assert_eq!(drive.dials(&RELAY)[0], 101.0);
    assert_eq!(drive.dials(&WEBRTC), [0.0, 100.0, 111.0]);
}

#[test]
fn a_token_is_fetched_as_the_last_attempt_begins_and_when_a_live_link_is_lost() {
    let mut drive = Drive::with(config(&[WEBRTC, TURN, RELAY]));
    drive.fate(WEBRTC, Fate::Fails(0.2, ConnectErrorKind::Incompatible)).fate(TURN, Fate::Silent).start();
    drive.until(3.9);
    assert_eq!(prefetches(&drive), [drive.dials(&TURN)[2]]);
    let mut drive = Drive::new();
    drive.start().until(100.0).lose();
    assert_eq!(prefetches(&drive), [100.0]);
    // An attempt that was answered may well succeed.
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Teases(0.3)).start().until(9.0);
    assert_eq!(prefetches(&drive), [0.0; 0]);
}

#[test]
fn the_attempts_of_one_rung_do_not_hasten_the_token_of_another() {
    let mut drive = Drive::with(config(&[WEBRTC, TURN, RELAY]));
    drive.fate(WEBRTC, Fate::Silent).fate(TURN, Fate::Silent).start().until(3.9);
    assert_eq!(prefetches(&drive), [drive.dials(&TURN)[2]]);
}

#[test]
fn a_refused_attempt_says_nothing_while_another_is_open() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(1.5);
    let kind = ConnectErrorKind::Rejected;
    drive.event(Event::DialFailed { generation: Generation(1), kind });
    assert_eq!(*drive.policy.standing(), Standing::Connecting);
    drive.event(Event::DialFailed { generation: Generation(2), kind });
    assert_eq!(*drive.policy.standing(), Standing::Held { why: Reason::PrimaryRefused });
}

#[test]
fn patience_is_for_a_session_without_any_path() {
    let mut config = config(&[WEBRTC, RELAY]);
    config.give_up_after = Some(crate::time::Duration::from_secs(20));
    let mut drive = Drive::with(config);
    drive.gate(Gate::Budget, GateState::Closed).start().until(100.0).sampling(160.0, |_| flowing(0.3));
    assert_eq!(*drive.policy.standing(), Standing::Held { why: Reason::GateBudget });
}

#[test]
fn a_fallback_that_is_forbidden_is_no_reason_to_go_on() {
    let mut config = config(&[WEBRTC, RELAY]);
    config.mode = Override::NoRelay;
    let mut drive = Drive::with(config);
    drive.fate(WEBRTC, Fate::Fails(0.1, ConnectErrorKind::Misuse)).start().until(1.0);
    assert_eq!(drive.story().last(), Some(&("transport.gave_up", Reason::Misconfigured)));
}

#[test]
fn the_same_override_again_or_before_the_start_disturbs_nothing() {
    let mut drive = Drive::new();
    drive.event(Event::Override(Override::RelayOnly)).event(Event::Override(Override::Auto));
    assert_eq!((drive.policy.standing(), drive.log.len()), (&Standing::Idle, 0));
    drive.fate(WEBRTC, Fate::Silent).start().until(1.0);
    let before = drive.log.len();
    drive.event(Event::Override(Override::Auto));
    assert_eq!(drive.log.len(), before);
}

#[test]
fn an_override_during_a_search_starts_it_over_without_another_word() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(1.0);
    let told = drive.story().len();
    drive.event(Event::Override(Override::NoRelay));
    assert_eq!((drive.story().len(), drive.policy.standing()), (told, &Standing::Connecting));
    assert_eq!(drive.dials(&WEBRTC).last(), Some(&1.0));

    let mut drive = Drive::new();
    drive.start().until(100.0).fate(WEBRTC, Fate::Silent).lose().until(101.0);
    let told = drive.story().len();
    drive.event(Event::Override(Override::NoRelay));
    assert_eq!((drive.story().len(), drive.policy.standing()), (told, &Standing::Recovering));

    // So does one whose dead link is still open.
    let mut dead = Drive::new();
    dead.start().until(100.0).fate(WEBRTC, Fate::Silent).sampling(105.0, |at| stalled(at - 100.0));
    let told = dead.story().len();
    dead.event(Event::Override(Override::NoRelay));
    assert_eq!((dead.story().len(), dead.policy.standing()), (told, &Standing::Recovering));
    assert_eq!(dead.dials(&WEBRTC).last(), Some(&105.0));

    // One that is held is told that it goes on.
    drive.until(106.0);
    assert_eq!(*drive.policy.standing(), Standing::Held { why: Reason::PolicyNoRelay });
    drive.event(Event::Override(Override::Auto));
    assert!(drive.story().contains(&("transport.connecting", Reason::Override)));
}

#[test]
fn a_dead_link_that_is_forbidden_as_well_is_closed_without_another_word() {
    let mut drive = Drive::with(config(&[TURN, RELAY]));
    drive.start().until(100.0).fate(TURN, Fate::Silent).sampling(105.0, |at| stalled(at - 100.0));
    assert_eq!(*drive.policy.standing(), Standing::Recovering);
    let lost = |drive: &Drive| drive.story().iter().filter(|(name, _)| *name == "transport.lost").count();
    drive.event(Event::Override(Override::DirectOnly));
    assert_eq!(drive.count(|action| *action == Action::Drain { generation: Generation(1) }), 1);
    assert_eq!(lost(&drive), 1);
}

#[test]
fn an_idle_sample_ends_the_row_of_good_ones() {
    let mut drive = Drive::new();
    drive.start().until(100.0).jump(20.0).event(Event::Woke);
    let generation = Generation(1);
    for sample in [flowing(0.0), HealthSample::idle(Lane::Reliable), flowing(0.0)] {
        drive.event(Event::Health { generation, sample });
    }
    drive.until(125.0);
    assert_eq!(drive.generation(), Generation(2));
}

#[test]
fn a_race_after_a_wake_ends_when_all_of_it_failed_and_the_link_is_kept() {
    let mut drive = Drive::new();
    drive.start().until(100.0).fate(WEBRTC, Fate::Fails(0.2, ConnectErrorKind::Unreachable));
    drive.event(Event::Woke).until(160.0);
    assert_eq!((drive.on(), drive.dials(&WEBRTC)), (Some(WEBRTC), vec![0.0, 100.0]));
    assert_eq!(drive.policy.poll_timeout(), None);
}

fn prefetches(drive: &Drive) -> Vec<f64> {
    let is = |action: &Action| matches!(action, Action::PrefetchToken { .. });
    drive.log.iter().filter(|(_, action)| is(action)).map(|(at, _)| *at).collect()
}

fn switches_to(drive: &Drive, number: u32) -> usize {
    drive.count(|action| matches!(action, Action::Switch { generation, .. } if generation.0 == number))
}
