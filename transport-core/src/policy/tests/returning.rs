//! The way back to the direct path.

use super::harness::*;
use crate::{error::ConnectErrorKind, lane::Lane, policy::*};

#[test]
fn a_healed_path_is_in_use_again_within_seventy_five_seconds_make_before_break() {
    for seed in 0..50 {
        let mut config = config(&[WEBRTC, RELAY]);
        config.seed = seed;
        let mut drive = Drive::with(config);
        drive.fate(WEBRTC, Fate::Silent).start().until(200.0);
        drive.fate(WEBRTC, Fate::Connects(0.5)).until(275.0);
        assert_eq!(drive.on(), Some(WEBRTC), "seed {seed}");
        let switch =
            drive.log.iter().rposition(|(_, action)| matches!(action, Action::Switch { .. })).unwrap();
        assert!(matches!(drive.log[switch + 1].1, Action::Drain { .. }));
        assert_eq!(drive.story().last(), Some(&("transport.restored", Reason::PrimaryHealed)));
    }
}

#[test]
fn the_session_moves_at_the_end_of_the_dwell_and_a_bad_sample_starts_it_over_and_a_good_one_does_not() {
    let mut drive = on_the_relay();
    let connected = stand_by(&mut drive);
    drive.until(connected + 4.999);
    assert_eq!(drive.on(), Some(RELAY));
    let generation = drive.snapshot().standby.unwrap().generation;
    let lossy = HealthSample { loss: Some(0.4), ..HealthSample::idle(Lane::Reliable) };
    drive.event(Event::Health { generation, sample: lossy });
    let restarted = drive.seconds();
    drive.until(restarted + 2.0);
    drive.event(Event::Health { generation, sample: HealthSample::idle(Lane::Reliable) });
    drive.until(restarted + 4.999);
    assert_eq!(drive.on(), Some(RELAY));
    drive.until(restarted + 5.001);
    assert_eq!(drive.on(), Some(WEBRTC));
}

#[test]
fn a_path_that_never_gets_healthy_is_let_go_after_half_a_minute() {
    let mut drive = on_the_relay();
    let connected = stand_by(&mut drive);
    let generation = drive.snapshot().standby.unwrap().generation;
    while drive.seconds() < connected + 31.0 {
        drive.until(drive.seconds() + 1.0);
        let sample = HealthSample { loss: Some(0.4), ..HealthSample::idle(Lane::Reliable) };
        drive.event(Event::Health { generation, sample });
    }
    assert_eq!(drive.on(), Some(RELAY));
    assert_eq!(drive.count(|action| *action == Action::Drain { generation }), 1);
}

/// Gives a path that stands by these measurements of its loss, one each half second, and returns when it was taken.
fn taken_after(losses: impl IntoIterator<Item = Option<f32>>) -> Option<f64> {
    let mut drive = on_the_relay();
    let connected = stand_by(&mut drive);
    let generation = drive.snapshot().standby.unwrap().generation;
    for loss in losses {
        let sample = HealthSample { loss, ..HealthSample::idle(Lane::Reliable) };
        let next = drive.seconds() + 0.5;
        drive.event(Event::Health { generation, sample }).until(next);
        if drive.on() == Some(WEBRTC) {
            return Some((drive.seconds() - connected).round());
        }
    }
    None
}

#[test]
fn a_path_that_is_looked_at_shows_what_it_loses_before_its_dwell_begins() {
    let measured = |share| std::iter::repeat_n(None, 9).chain(std::iter::repeat_n(Some(share), 40));
    assert_eq!(taken_after(measured(0.0)), Some(9.0), "4 s of pings, and the dwell");
    assert_eq!(taken_after(measured(0.1)), Some(9.0));
    assert_eq!(taken_after(measured(0.16)), None, "less than what it would be left for, and too near to it");
    assert_eq!(taken_after(std::iter::repeat_n(None, 40)), Some(11.0), "it never says");
}

#[test]
fn a_path_that_loses_a_third_is_not_taken_for_one_lucky_measurement() {
    let lucky = [0.35, 0.25, 0.12, 0.05, 0.12, 0.12, 0.21, 0.12, 0.12, 0.29, 0.35, 0.12, 0.05, 0.33];
    let losses = std::iter::repeat_n(None, 9).chain(lucky.into_iter().cycle().take(60).map(Some));
    assert_eq!(taken_after(losses), None);
}

#[test]
fn when_the_relay_dies_the_path_that_stands_by_is_taken_at_once() {
    let mut drive = on_the_relay();
    let connected = stand_by(&mut drive);
    drive.until(connected + 1.0).lose();
    assert_eq!(drive.on(), Some(WEBRTC));
}

#[test]
fn looks_keep_a_minute_and_slow_down_to_five() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(86_400.0);
    let dials = drive.dials(&WEBRTC);
    let gaps: Vec<f64> = dials[3..].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[..9].iter().all(|gap| (48.0..=60.0).contains(gap)), "{gaps:?}");
    assert!(gaps[20..].iter().all(|gap| (240.0..=300.0).contains(gap)), "{gaps:?}");
}

#[test]
fn another_network_is_looked_at_immediately() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(7_000.0);
    drive.fate(WEBRTC, Fate::Connects(0.5)).event(Event::NetworkChanged { network: OFFICE }).until(7_005.6);
    assert_eq!(drive.on(), Some(WEBRTC));
}

#[test]
fn a_relay_link_that_ends_with_the_old_address_is_dialled_afresh_without_a_new_quorum() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(7_000.0);
    drive.event(Event::NetworkChanged { network: OFFICE }).until(7_001.5);
    drive.lose().until(7_002.5);
    assert_eq!(drive.on(), Some(RELAY));
}

#[test]
fn a_path_that_comes_and_goes_moves_the_session_three_times_in_ten_minutes_and_then_rests() {
    for seed in 0..50 {
        let mut config = config(&[WEBRTC, RELAY]);
        config.seed = seed;
        let mut drive = Drive::with(config);
        drive.start().until(300.0);
        // Every direct link dies five seconds after it took the session.
        while drive.seconds() < 3_900.0 {
            drive.until(drive.seconds() + 5.0);
            if drive.on() == Some(WEBRTC) {
                drive.lose();
            }
        }
        let moves = &drive.switches()[1..];
        for window in moves.windows(4) {
            assert!(window[3] - window[0] >= 600.0, "seed {seed}: {moves:?}");
        }
        assert!(drive.story().contains(&("transport.fallback.held", Reason::FlapBudget)));
        assert!(moves.len() > 4, "it never stops looking: {moves:?}");
    }
}

#[test]
fn no_link_is_left_open_when_the_session_ends() {
    let mut drive = on_the_relay();
    stand_by(&mut drive);
    let (path, standby) = (drive.generation(), drive.snapshot().standby.unwrap().generation);
    drive.event(Event::Closed);
    for generation in [path, standby] {
        assert_eq!(drive.count(|action| *action == Action::Drain { generation }), 1);
    }
    assert_eq!(drive.policy.poll_timeout(), None);
    assert_eq!(drive.story().last(), Some(&("transport.closed", Reason::Closed)));
}

fn on_the_relay() -> Drive {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(30.0);
    assert_eq!(drive.on(), Some(RELAY));
    drive
}

/// Heals the path and runs until it stands by; returns when it connected.
fn stand_by(drive: &mut Drive) -> f64 {
    drive.fate(WEBRTC, Fate::Connects(0.5));
    while drive.snapshot().standby.is_none() {
        drive.until(drive.seconds() + 0.001);
    }
    drive.seconds()
}

#[test]
fn with_two_primaries_a_path_that_comes_and_goes_still_moves_the_session_three_times_only() {
    for seed in 0..50 {
        let mut config = config(&[WEBRTC, TURN, RELAY]);
        config.seed = seed;
        let mut drive = Drive::with(config);
        drive.start().until(300.0);
        let lives = [5.0, 13.0, 130.0][seed as usize % 3];
        while drive.seconds() < 7_500.0 {
            drive.until(drive.seconds() + lives);
            if drive.on().is_some_and(|on| on != RELAY) {
                drive.lose();
            }
        }
        let moves = &drive.switches()[1..];
        for window in moves.windows(4) {
            assert!(window[3] - window[0] >= 600.0, "seed {seed}: {moves:?}");
        }
    }
}

#[test]
fn when_the_last_return_of_the_budget_dies_it_speaks_for_the_rungs_it_raced_as_well_and_no_others() {
    for (turn, raced) in [(Fate::Silent, true), (Fate::Fails(0.1, ConnectErrorKind::Rejected), false)] {
        let mut drive = Drive::with(config(&[WEBRTC, TURN, RELAY]));
        drive.start().until(10.0).event(Event::Override(Override::RelayOnly)).until(20.0);
        drive.fate(TURN, turn).event(Event::Override(Override::Auto)).until(30.0);
        assert_eq!((drive.on(), drive.moves()), (Some(WEBRTC), 2));
        drive.fate(WEBRTC, Fate::Silent).lose();
        assert_eq!(drive.dials(&RELAY).last() == Some(&30.0), raced);
    }
}

#[test]
fn a_path_that_won_over_a_dead_relay_speaks_for_the_rungs_it_raced_and_no_others() {
    for (turn, raced) in [(Fate::Silent, true), (Fate::Fails(0.05, ConnectErrorKind::Rejected), false)] {
        let mut drive = Drive::with(config(&[WEBRTC, TURN, RELAY]));
        drive.start().until(10.0).event(Event::Override(Override::RelayOnly)).until(20.0);
        drive.fate(TURN, turn).event(Event::Override(Override::Auto)).lose().until(21.0);
        assert_eq!((drive.on(), drive.moves()), (Some(WEBRTC), 2));
        drive.fate(WEBRTC, Fate::Silent).until(30.0).lose();
        assert_eq!(drive.dials(&RELAY).last() == Some(&30.0), raced, "{:?}", drive.dials(&RELAY));
    }
}

#[test]
fn the_death_of_a_first_path_is_no_failed_return_and_lengthens_no_dwell() {
    let mut drive = Drive::new();
    drive.start().until(10.0).fate(WEBRTC, Fate::Silent).lose().until(40.0);
    assert_eq!(drive.on(), Some(RELAY));
    let connected = stand_by(&mut drive);
    drive.until(connected + 5.001);
    assert_eq!(drive.on(), Some(WEBRTC));
}
