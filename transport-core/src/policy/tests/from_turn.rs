//! From TURN to a direct path, later.

use super::harness::*;
use crate::{ids::Generation, lane::Lane, policy::*};

#[test]
fn a_session_that_came_up_on_turn_is_on_a_direct_path_soon_after_one_works_make_before_break() {
    for mode in [Override::Auto, Override::NoRelay] {
        for seed in 0..50 {
            let mut drive = on_turn(mode, seed);
            drive.until(200.0).fate(WEBRTC, Fate::Connects(0.5)).until(275.0);
            assert_eq!(drive.on(), Some(WEBRTC), "{mode:?}, seed {seed}");
            let is_switch = |(_, action): &(f64, Action)| matches!(action, Action::Switch { .. });
            let switch = drive.log.iter().rposition(is_switch).unwrap();
            assert!(matches!(drive.log[switch + 1].1, Action::Drain { .. }));
            assert_eq!(drive.story().last(), Some(&("transport.restored", Reason::DirectFound)));
            assert_eq!((drive.dials(&RELAY).len(), drive.moves()), (0, 1), "the fallback sleeps");
        }
    }
}

#[test]
fn on_turn_only_what_is_better_is_dialled_each_minute_and_then_more_seldom() {
    let mut drive = on_turn(Override::Auto, 0);
    drive.until(86_400.0);
    assert_eq!((drive.on(), drive.dials(&TURN).len(), drive.dials(&RELAY).len()), (Some(TURN), 1, 0));
    let dials: Vec<f64> = drive.dials(&WEBRTC).into_iter().filter(|at| *at > 20.0).collect();
    let gaps: Vec<f64> = dials.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[..9].iter().all(|gap| (48.0..=60.0).contains(gap)), "{gaps:?}");
    assert!(gaps[20..].iter().all(|gap| (240.0..=300.0).contains(gap)), "{gaps:?}");
}

#[test]
fn a_session_on_a_direct_path_and_one_without_a_direct_rung_look_for_nothing() {
    for rungs in [&[WEBRTC, TURN, RELAY][..], &[TURN, RELAY]] {
        let mut drive = Drive::with(config(rungs));
        drive.start().until(3_600.0);
        assert_eq!((drive.switches().len(), drive.policy.poll_timeout()), (1, None), "{rungs:?}");
    }
}

#[test]
fn a_direct_path_is_measured_before_it_takes_a_session_from_turn() {
    for (loss, taken) in [(0.0, true), (0.16, false)] {
        let mut drive = on_turn(Override::Auto, 0);
        let generation = stand_by(&mut drive);
        let opened = drive.seconds();
        for _ in 0..50 {
            let measured = (drive.seconds() >= opened + 4.0).then_some(loss);
            let sample = HealthSample { loss: measured, ..HealthSample::idle(Lane::Reliable) };
            let next = drive.seconds() + 0.5;
            drive.event(Event::Health { generation, sample }).until(next);
        }
        assert_eq!(drive.on() == Some(WEBRTC), taken, "{loss}");
        let took = drive.switches().get(1).map(|at| at - opened);
        assert!(took.is_none_or(|took| (8.5..=9.5).contains(&took)), "{took:?}");
    }
}

#[test]
fn when_turn_dies_or_is_too_poor_the_path_that_stands_by_is_taken_at_once() {
    let mut drive = on_turn(Override::Auto, 0);
    stand_by(&mut drive);
    drive.lose();
    assert_eq!((drive.on(), drive.dials(&RELAY).len()), (Some(WEBRTC), 0));

    let mut drive = on_turn(Override::Auto, 0);
    stand_by(&mut drive);
    let now = drive.seconds();
    drive.sampling(now + 2.0, |_| stalled(3.0));
    assert_eq!(drive.on(), Some(WEBRTC));
    assert_eq!((drive.dials(&TURN).len(), drive.dials(&RELAY).len()), (1, 0));
}

#[test]
fn beside_turn_that_falls_silent_a_path_that_stands_by_is_the_fresh_link() {
    let mut drive = on_turn(Override::Auto, 0);
    stand_by(&mut drive);
    let dials = drive.dials(&WEBRTC).len();
    let now = drive.seconds();
    drive.sampling(now + 1.0, |_| stalled(1.5));
    assert_eq!((drive.on(), drive.dials(&WEBRTC).len(), drive.dials(&TURN).len()), (Some(TURN), dials, 1));
    assert!(drive.count(|action| matches!(action, Action::Ask { .. })) > 0);
    drive.sampling(now + 2.0, |_| flowing(0.0)).until(now + 6.0);
    assert_eq!((drive.on(), drive.dials(&RELAY).len()), (Some(WEBRTC), 0));
}

#[test]
fn direct_paths_that_never_last_move_a_session_off_turn_once_in_ten_minutes_and_never_wake_the_fallback() {
    for seed in 0..50 {
        let mut drive = on_turn(Override::Auto, seed);
        drive.fate(WEBRTC, Fate::Connects(1.5));
        let mut dwells = Vec::new();
        while drive.seconds() < 7_200.0 {
            drive.until(drive.seconds() + 1.0);
            if let Some(standby) = drive.snapshot().standby {
                dwells.push((standby.at - drive.now()).as_secs());
            }
            if drive.on() == Some(WEBRTC) {
                drive.until(drive.seconds() + 5.0).lose();
            }
        }
        assert!(drive.dials(&RELAY).is_empty(), "seed {seed}: {:?}", drive.story());
        let moves = &drive.switches()[1..];
        for window in moves.windows(3) {
            assert!(window[2] - window[0] >= 600.0, "seed {seed}: {moves:?}");
        }
        assert!(moves.len() > 6, "it never stops looking: {moves:?}");
        assert!(dwells.iter().any(|dwell| *dwell > 10), "each dwell after one that did not last is longer");
        assert!(!drive.story().contains(&("transport.fallback.held", Reason::FlapBudget)));
    }
}

#[test]
fn a_link_in_doubt_on_turn_is_raced_as_ever_and_looks_go_on_afterwards() {
    let mut drive = on_turn(Override::Auto, 0);
    drive.event(Event::Woke).until(30.0).event(Event::Woke).until(35.0);
    assert_eq!(drive.on(), Some(TURN));
    let before = drive.dials(&WEBRTC).len();
    drive.until(200.0);
    assert!(drive.dials(&WEBRTC).len() >= before + 2, "{:?}", drive.dials(&WEBRTC));
}

#[test]
fn long_looks_on_turn_do_not_slow_those_on_the_fallback() {
    let mut drive = on_turn(Override::Auto, 0);
    drive.until(20_000.0).fate(TURN, Fate::Silent).lose().until(20_030.0);
    assert_eq!(drive.on(), Some(RELAY));
    drive.until(20_100.0).fate(WEBRTC, Fate::Connects(0.5)).until(20_175.0);
    assert_eq!(drive.on(), Some(WEBRTC));
    assert_eq!(drive.story().last(), Some(&("transport.restored", Reason::PrimaryHealed)));
}

/// A session that came up on TURN because nothing answered directly.
fn on_turn(mode: Override, seed: u64) -> Drive {
    let mut config = config(&[WEBRTC, TURN, RELAY]);
    (config.mode, config.seed) = (mode, seed);
    let mut drive = Drive::with(config);
    drive.fate(WEBRTC, Fate::Silent).start().until(20.0);
    assert_eq!(drive.on(), Some(TURN));
    drive
}

/// Heals the direct path and runs until it stands by.
fn stand_by(drive: &mut Drive) -> Generation {
    drive.fate(WEBRTC, Fate::Connects(0.5));
    loop {
        if let Some(standby) = drive.snapshot().standby {
            return standby.generation;
        }
        drive.until(drive.seconds() + 0.001);
    }
}
