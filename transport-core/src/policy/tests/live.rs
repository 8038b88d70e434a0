//! A live path that dies, sags, sleeps or moves to another network.

use super::harness::*;
use crate::{error::ConnectErrorKind, ids::Generation, lane::Lane, policy::*};

#[test]
fn idle_for_half_an_hour_moves_nothing() {
    let mut drive = Drive::new();
    drive.start().until(1.0);
    let before = drive.log.len();
    drive.sampling(1_800.0, |_| HealthSample::idle(Lane::Reliable));
    assert_eq!(drive.log.len(), before);
}

#[test]
fn a_dead_path_is_left_within_twelve_seconds_and_the_fresh_dial_is_given_four() {
    let mut drive = Drive::new();
    drive.start().until(100.0);
    drive
        .fate(WEBRTC, Fate::Silent)
        .sampling(112.0, |at| if at > 110.0 { flowing(0.0) } else { stalled(at - 100.0) });
    assert_eq!(drive.on(), Some(RELAY));
    let (lost, dial) = (drive.dials(&WEBRTC)[1], drive.dials(&RELAY)[0]);
    assert!(lost - 100.0 <= 6.0 && (dial - lost - 4.0).abs() < 1e-6, "{lost} {dial}");
    assert!(drive.switches()[1] <= 112.0);
    let story = [
        ("transport.lost", Reason::PathDead),
        ("transport.fallback.considered", Reason::RedialFailed),
        ("transport.fallback.activated", Reason::RedialFailed),
    ];
    assert_eq!(drive.story()[2..5], story);
}

#[test]
fn the_token_is_fetched_when_a_live_link_is_suspect_and_no_relay_follows_if_it_recovers() {
    let mut drive = Drive::new();
    drive.start().until(100.0);
    drive.fate(WEBRTC, Fate::Silent);
    drive.sampling(102.9, |at| stalled(at - 100.0)).sampling(160.0, |_| flowing(0.0));
    assert_eq!(drive.count(|action| matches!(action, Action::PrefetchToken { .. })), 1);
    assert!(drive.dials(&RELAY).is_empty());
    assert_eq!((drive.on(), drive.generation()), (Some(WEBRTC), Generation(1)));
}

#[test]
fn a_link_that_answers_again_is_kept_under_its_number() {
    let mut drive = Drive::new();
    drive.start().until(100.0);
    drive.fate(WEBRTC, Fate::Silent).sampling(104.5, |at| stalled(at - 100.0));
    assert_eq!(*drive.policy.standing(), Standing::Recovering);
    drive.sampling(130.0, |_| flowing(0.0));
    assert_eq!((drive.on(), drive.generation()), (Some(WEBRTC), Generation(1)));
    assert_eq!(drive.story().last(), Some(&("transport.recovered", Reason::LinkRecovered)));
    assert!(drive.dials(&RELAY).is_empty());
}

#[test]
fn a_lost_link_is_dialled_afresh_and_the_fallback_sleeps_on() {
    let mut drive = Drive::new();
    drive.start().until(100.0).lose().until(200.0);
    assert!(drive.story().contains(&("transport.lost", Reason::LinkClosed)));
    assert_eq!((drive.on(), drive.generation()), (Some(WEBRTC), Generation(2)));
    assert_eq!(drive.story().last(), Some(&("transport.recovered", Reason::RedialSucceeded)));
    assert!(drive.dials(&RELAY).is_empty());
}

#[test]
fn a_lost_link_and_a_fresh_dial_that_fails_are_the_quorum() {
    let mut drive = Drive::new();
    drive.start().until(100.0);
    drive.fate(WEBRTC, Fate::Fails(0.3, ConnectErrorKind::Unreachable)).lose().until(101.0);
    assert_eq!(drive.on(), Some(RELAY));
}

#[test]
fn with_two_primaries_both_fresh_dials_must_fail() {
    let mut drive = Drive::with(config(&[WEBRTC, TURN, RELAY]));
    drive.start().until(100.0).fate(WEBRTC, Fate::Silent).lose().until(110.0);
    assert_eq!(drive.on(), Some(TURN));
    assert!(drive.dials(&RELAY).is_empty());
    drive.fate(TURN, Fate::Silent).lose().until(120.0);
    assert_eq!(drive.on(), Some(RELAY));
}

#[test]
fn the_other_side_may_report_the_loss_and_the_link_is_closed_here_too() {
    let mut drive = Drive::new();
    drive.start().until(100.0).event(Event::PeerReportsLost { generation: Generation(1) }).until(110.0);
    assert_eq!(drive.count(|action| *action == Action::Drain { generation: Generation(1) }), 1);
    assert!(drive.story().contains(&("transport.lost", Reason::PeerReportedLoss)));
    assert_eq!(drive.generation(), Generation(2));
}

#[test]
fn a_fresh_link_that_died_before_ninety_seconds_is_the_failed_dial_and_one_at_ninety_is_not() {
    for (lived, relayed) in [(89.9, true), (90.0, false)] {
        let mut drive = Drive::new();
        drive.start().until(200.0).lose().until(200.5 + lived).lose().until(200.5 + lived + 0.45);
        assert_eq!(!drive.dials(&RELAY).is_empty(), relayed, "{lived}");
    }
}

#[test]
fn heavy_loss_is_the_verdict_of_its_own_rung_without_another_dial_on_it() {
    let mut drive = Drive::new();
    drive.start().until(100.0).sampling(112.0, |at| flowing(if at < 110.0 { 0.3 } else { 0.0 }));
    assert_eq!(drive.on(), Some(RELAY));
    assert!(drive.story().contains(&("transport.fallback.activated", Reason::HeavyLoss)));
    assert_eq!(drive.dials(&WEBRTC).len(), 1);
}

#[test]
fn a_poor_link_is_better_than_none_while_a_gate_is_closed() {
    let mut drive = Drive::new();
    drive.gate(Gate::Budget, GateState::Closed).start().until(100.0).sampling(200.0, |_| flowing(0.3));
    assert_eq!(*drive.policy.standing(), Standing::Held { why: Reason::GateBudget });
    assert_eq!((drive.snapshot().path.unwrap().transport, drive.dials(&WEBRTC).len()), (WEBRTC, 1));
    drive.sampling(220.0, |_| flowing(0.0));
    assert_eq!(drive.on(), Some(WEBRTC));
    assert_eq!(drive.switches().len(), 1);
}

#[test]
fn the_age_of_data_from_before_a_switch_is_not_held_against_the_new_link() {
    let mut drive = Drive::new();
    drive.start().until(100.0).lose().until(101.0).fate(WEBRTC, Fate::Silent);
    drive.sampling(103.4, |_| stalled(30.0));
    assert_eq!(drive.generation(), Generation(2));
    assert_eq!(drive.on(), Some(WEBRTC));
}

#[test]
fn after_a_wake_a_fresh_path_is_raced_and_taken() {
    let mut drive = Drive::new();
    drive.start().until(100.0).jump(8.0 * 3_600.0).event(Event::Woke).until(28_901.0);
    assert_eq!(drive.generation(), Generation(2));
    assert_eq!(drive.story().last(), Some(&("transport.recovered", Reason::Woke)));
}

#[test]
fn after_a_nap_a_link_that_still_carries_data_is_kept() {
    let mut drive = Drive::new();
    drive.start().until(100.0).jump(20.0).event(Event::Woke);
    let alive = Event::Health { generation: Generation(1), sample: flowing(0.0) };
    drive.event(alive.clone()).until(120.4).event(alive).until(200.0);
    assert_eq!((drive.on(), drive.generation()), (Some(WEBRTC), Generation(1)));
}

#[test]
fn after_a_nap_data_that_is_merely_young_proves_nothing() {
    let mut drive = Drive::new();
    drive.start().until(100.0).fate(WEBRTC, Fate::Connects(3.0)).jump(20.0).event(Event::Woke);
    let young = HealthSample { goodput: 0, ..flowing(0.0) };
    drive.sampling(125.0, |_| young);
    assert_eq!(drive.generation(), Generation(2));
}

#[test]
fn a_timer_that_comes_hours_late_is_a_wake_and_condemns_nobody() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(2.0).fate(WEBRTC, Fate::Connects(0.5)).jump(28_800.0);
    drive.until(28_803.0);
    assert_eq!(drive.on(), Some(WEBRTC));
    assert!(drive.dials(&RELAY).is_empty());
    assert_eq!(drive.snapshot().rungs[0].failures, 0);
}

#[test]
fn on_the_relay_a_wake_dials_everything_at_once() {
    let mut drive = Drive::new();
    let reasons = |action: &Action| matches!(action, Action::Dial { why: Reason::Woke, .. });
    drive.fate(WEBRTC, Fate::Silent).start().until(30.0);
    assert_eq!(drive.count(reasons), 0);
    drive.jump(28_800.0).event(Event::Woke);
    let woke = drive.seconds();
    assert_eq!(drive.dials(&RELAY).last(), Some(&woke));
    assert_eq!(drive.dials(&WEBRTC).last(), Some(&woke));
    assert_eq!(drive.count(reasons), 2);
    drive.until(woke + 1.0);
    assert_eq!(drive.story().last(), Some(&("transport.recovered", Reason::Woke)));
}

#[test]
fn after_a_wake_a_relay_that_cannot_be_reached_is_tried_with_backoff_and_one_that_refuses_is_left_alone() {
    for (kind, most) in [(ConnectErrorKind::Unreachable, 40), (ConnectErrorKind::Rejected, 1)] {
        let mut drive = Drive::new();
        drive.fate(WEBRTC, Fate::Silent).start().until(30.0).fate(RELAY, Fate::Fails(0.01, kind));
        let before = drive.dials(&RELAY).len();
        drive.event(Event::Woke).until(42.0);
        assert!(
            (1..=most).contains(&(drive.dials(&RELAY).len() - before)),
            "{kind:?}: {:?}",
            drive.dials(&RELAY)
        );
    }
}

#[test]
fn a_relay_link_that_ends_is_dialled_again_on_the_verdict_that_stands() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(30.0).lose().until(31.0);
    assert_eq!(drive.on(), Some(RELAY));
    assert!(drive.story().contains(&("transport.fallback.activated", Reason::RelayLost)));
}

#[test]
fn a_primary_that_wins_after_the_relay_died_is_a_return() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(30.0).fate(WEBRTC, Fate::Connects(0.2)).lose().until(31.0);
    assert_eq!(drive.on(), Some(WEBRTC));
    assert_eq!(drive.story().last(), Some(&("transport.restored", Reason::PrimaryHealed)));
}

#[test]
fn another_network_voids_the_verdict() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(30.0);
    drive.event(Event::NetworkChanged { network: OFFICE }).lose();
    let relayed = drive.dials(&RELAY).len();
    drive.until(33.9);
    assert_eq!(drive.dials(&RELAY).len(), relayed, "first the primaries, on this network too");
    drive.until(35.0);
    assert_eq!(drive.on(), Some(RELAY));
}

#[test]
fn on_another_network_a_direct_session_races_a_fresh_path() {
    let mut drive = Drive::new();
    drive.start().until(100.0).event(Event::NetworkChanged { network: OFFICE }).until(101.0);
    assert_eq!(drive.generation(), Generation(2));
    assert_eq!(drive.story().last(), Some(&("transport.recovered", Reason::NetworkChanged)));
}

#[test]
fn a_link_that_dies_for_seconds_over_and_over_is_left_at_the_fourth_time() {
    let mut drive = Drive::new();
    drive.start().until(100.0).fate(WEBRTC, Fate::Silent);
    // Five seconds dead, eleven alive.
    let breath =
        |at: f64| if (at - 100.0) % 16.0 < 5.0 { stalled((at - 100.0) % 16.0) } else { flowing(0.0) };
    drive.sampling(147.9, breath);
    assert_eq!((drive.on(), drive.generation()), (Some(WEBRTC), Generation(1)));
    drive.sampling(155.0, breath);
    assert_eq!(drive.on(), Some(RELAY));
}

#[test]
fn when_everything_was_down_the_direct_path_gets_one_more_race_before_the_relay_is_taken() {
    for (webrtc, on) in [(Fate::Connects(0.8), WEBRTC), (Fate::Silent, RELAY)] {
        let mut drive = Drive::new();
        drive.fate(WEBRTC, Fate::Silent).fate(RELAY, Fate::Fails(3.0, ConnectErrorKind::Unreachable));
        drive.start().until(20.0);
        assert_eq!(*drive.policy.standing(), Standing::Held { why: Reason::FallbackUnreachable });
        drive.fate(RELAY, Fate::Connects(0.3)).fate(WEBRTC, webrtc).until(45.0);
        assert_eq!(drive.on(), Some(on));
        assert_eq!(drive.switches().len(), 1);
    }
}

#[test]
fn a_fallback_that_connects_while_a_primary_is_just_answering_waits_for_it() {
    for (connects, on) in [(5.9, WEBRTC), (9.9, RELAY)] {
        let mut drive = Drive::new();
        drive.start().until(100.0).fate(WEBRTC, Fate::Answers(3.9, connects)).lose();
        drive.until(109.0);
        assert_eq!(drive.on(), Some(on), "{connects}");
    }
}

#[test]
fn a_path_that_passes_probes_and_nothing_else_does_not_hold_the_fallback_up() {
    let mut drive = Drive::new();
    drive.start().until(100.0).fate(WEBRTC, Fate::Teases(0.4)).lose().until(104.5);
    assert_eq!(drive.on(), Some(RELAY));
}

#[test]
fn the_token_is_fetched_again_when_the_last_one_has_aged_and_not_before() {
    let mut drive = Drive::new();
    let prefetches = |drive: &Drive| drive.count(|action| matches!(action, Action::PrefetchToken { .. }));
    drive.start().until(100.0).fate(WEBRTC, Fate::Silent);
    let generation = drive.generation();
    drive
        .event(Event::Health { generation, sample: stalled(2.6) })
        .event(Event::DialProgressed { generation: Generation(99) });
    drive.until(144.999).event(Event::DialProgressed { generation: Generation(99) });
    assert_eq!(prefetches(&drive), 1);
    drive.until(145.0).event(Event::DialProgressed { generation: Generation(99) });
    assert_eq!(prefetches(&drive), 2);
}

#[test]
fn on_the_verdict_that_stands_no_token_is_fetched_ahead_of_the_dial_that_brings_its_own() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(100.0);
    let generation = drive.generation();
    drive.event(Event::Lost { generation, cause: LossCause::Drained }).until(110.0);
    assert_eq!(drive.on(), Some(RELAY));
    assert_eq!(drive.count(|action| matches!(action, Action::PrefetchToken { .. })), 1);
}

#[test]
fn a_relay_link_that_ends_makes_everything_allowed_start_at_once() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(30.0).lose();
    // The quorum on the primary still stands, and gives the relay no head start here.
    assert_eq!((drive.dials(&WEBRTC).last(), drive.dials(&RELAY).last()), (Some(&30.0), Some(&30.0)));
}

#[test]
fn a_rung_that_has_its_quorum_does_not_outrun_one_that_has_not() {
    let mut drive = Drive::with(config(&[WEBRTC, TURN, RELAY]));
    drive.fate(WEBRTC, Fate::Fails(0.1, ConnectErrorKind::Unreachable)).fate(TURN, Fate::Connects(3.0));
    drive.start().until(10.0);
    assert_eq!((drive.on(), drive.snapshot().rungs[0].given_up), (Some(TURN), true));
    drive.fate(WEBRTC, Fate::Silent).fate(TURN, Fate::Silent).gate(Gate::Budget, GateState::Closed);
    drive.lose().until(14.0);
    let since = |drive: &Drive, rung| drive.dials(rung).into_iter().find(|at| *at >= 10.0);
    assert_eq!((since(&drive, &TURN), since(&drive, &WEBRTC)), (Some(10.0), Some(14.0)));
}

#[test]
fn any_event_that_comes_hours_late_is_a_wake_as_well() {
    let mut drive = Drive::new();
    drive
        .fate(WEBRTC, Fate::Silent)
        .start()
        .until(2.0)
        .jump(28_800.0)
        .event(Event::DialProgressed { generation: Generation(99) });
    assert_eq!(drive.snapshot().rungs[0].failures, 0);
    assert_eq!(drive.dials(&WEBRTC).last(), Some(&drive.seconds()));
}

#[test]
fn another_network_forgets_what_failed_on_the_last_one_and_says_so_once() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).gate(Gate::Budget, GateState::Closed).start().until(5.0);
    assert_eq!(*drive.policy.standing(), Standing::Held { why: Reason::GateBudget });
    assert_eq!(drive.snapshot().rungs[0].failures, 3);
    drive.event(Event::NetworkChanged { network: OFFICE });
    assert_eq!((drive.policy.standing(), drive.snapshot().rungs[0].failures), (&Standing::Connecting, 0));
    assert_eq!(drive.story().last(), Some(&("transport.connecting", Reason::NetworkChanged)));
    // One that is connecting goes on connecting.
    let told = drive.story().len();
    drive.event(Event::NetworkChanged { network: HOME });
    assert_eq!(drive.story().len(), told);
}

#[test]
fn a_fallback_that_was_not_reached_is_doubted_and_one_that_answered_is_not() {
    use ConnectErrorKind::{Rejected, TimedOut, Unreachable, Unready};
    for (kind, doubted) in [(Unreachable, true), (TimedOut, true), (Unready, false), (Rejected, false)] {
        let mut drive = Drive::new();
        drive.fate(WEBRTC, Fate::Silent).fate(RELAY, Fate::Fails(0.2, kind)).start().until(4.2);
        drive.fate(RELAY, Fate::Connects(0.4)).until(40.0);
        let connected = drive.dials(&RELAY)[1] + 0.4;
        let waited = drive.switches()[0] - connected;
        assert!((waited - if doubted { 2.0 } else { 0.0 }).abs() < 1e-6, "{kind:?}: {waited}");
    }
}

#[test]
fn a_fallback_as_slow_as_a_network_coming_back_is_doubted_and_a_faster_one_is_not() {
    for (connects, taken) in [(2.499, 6.499), (2.5, 8.5)] {
        let mut drive = Drive::new();
        drive.fate(WEBRTC, Fate::Silent).fate(RELAY, Fate::Connects(connects)).start().until(30.0);
        assert_eq!(drive.switches(), [taken]);
    }
}

#[test]
fn an_answer_is_recent_for_two_seconds_and_then_says_nothing_for_the_primary() {
    // The fallback is dialled at 104.0 and connects at 104.4.
    for (answers, waits) in [(2.4, false), (2.401, true)] {
        let mut drive = Drive::new();
        drive.start().until(100.0).fate(WEBRTC, Fate::Teases(answers)).lose().until(104.4);
        assert_eq!(drive.on() != Some(RELAY), waits, "{answers}");
    }
}

#[test]
fn a_primary_that_answers_has_four_seconds_beside_the_reserve_and_no_more() {
    // The fallback connects at 104.4.
    for (connects, on) in [(8.3, WEBRTC), (8.5, RELAY)] {
        let mut drive = Drive::new();
        drive.start().until(100.0).fate(WEBRTC, Fate::Answers(3.9, connects)).lose().until(109.0);
        assert_eq!((drive.on(), drive.switches().len()), (Some(on), 2), "{connects}");
    }
}

#[test]
fn an_answer_of_five_seconds_ago_gives_the_primary_no_more_time() {
    // The fallback is slow: it connects at 106.5 and is due at 108.5.
    for (answers, taken) in [(3.5, 108.5), (3.501, 110.5)] {
        let mut drive = Drive::new();
        drive
            .start()
            .until(100.0)
            .fate(WEBRTC, Fate::Teases(answers))
            .fate(RELAY, Fate::Connects(2.5))
            .lose();
        drive.fate(WEBRTC, Fate::Silent).until(120.0);
        assert_eq!(drive.switches()[1], taken, "{answers}");
    }
}

#[test]
fn beside_a_reserve_each_rung_that_was_not_answered_is_dialled_afresh() {
    // The fallback connects at 6.5; three attempts on each rung are open since before 3.3.
    let mut drive = Drive::with(config(&[WEBRTC, TURN, RELAY]));
    drive.fate(WEBRTC, Fate::Silent).fate(TURN, Fate::Silent).fate(RELAY, Fate::Connects(2.5)).start();
    // The second number went to the other rung's first.
    drive.until(6.2).event(Event::DialProgressed { generation: Generation(2) }).until(6.5);
    assert_eq!(drive.dials(&WEBRTC).last(), Some(&6.5));
    assert!(drive.dials(&TURN).last().unwrap() < &4.0, "it was answered a moment ago");
    // The oldest silent one makes room.
    let cancelled = |action: &Action| matches!(action, Action::CancelDial { .. });
    assert_eq!(drive.count(|action| *action == Action::CancelDial { generation: Generation(1) }), 1);
    assert_eq!(drive.count(cancelled), 1);
}

#[test]
fn a_look_for_the_way_back_that_is_under_way_is_not_doubled_when_the_relay_ends() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start();
    // Three attempts of the first connect, and a look that failed since.
    while drive.dials(&WEBRTC).len() < 5 {
        drive.until(drive.seconds() + 0.1);
    }
    let lost = drive.seconds();
    drive.lose().until(lost + 0.3);
    assert_eq!((drive.dials(&RELAY).len(), drive.dials(&WEBRTC).len()), (2, 5));
}

#[test]
fn a_slow_relay_is_not_doubted_when_it_is_dialled_again_on_the_verdict_that_stands() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(30.0).fate(RELAY, Fate::Connects(3.0)).lose().until(40.0);
    assert_eq!(drive.switches(), [4.4, 33.0]);
}

#[test]
fn a_slow_fallback_is_not_doubted_where_the_direct_path_is_impossible() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Fails(0.2, ConnectErrorKind::Incompatible)).fate(RELAY, Fate::Connects(2.5));
    drive.start().until(10.0);
    assert_eq!(drive.switches(), [2.7]);
}
