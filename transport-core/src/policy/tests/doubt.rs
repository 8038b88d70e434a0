//! A link that falls silent: what is asked, dialled and concluded, with one witness and with two.

use super::harness::*;
use crate::{ids::Generation, lane::Lane, policy::*, time::Duration};

/// Data pending that old, nothing heard since, and messages that never arrived.
fn silent(age: f64) -> HealthSample {
    HealthSample { sent: 20, received: 10, ..stalled(age) }
}

/// A peer that has heard nothing for so long either.
fn deaf(seconds: f64) -> Testimony {
    let silent_ms = Duration::from_secs_f64(seconds).as_millis() as u32;
    Testimony { silent_ms, needs_ms: 0, received: 5, sent: 12 }
}

/// Plays a path that dies at 100 s: `answers` says what the peer answers to a question, if anything.
fn dies(drive: &mut Drive, until: f64, answers: impl Fn(f64) -> Option<Testimony>) {
    let mut answered = drive.log.len();
    while drive.seconds() + 0.5 <= until {
        drive.sampling(drive.seconds() + 0.5, |at| {
            if drive_alive(at) { flowing(0.0) } else { silent(at - 100.0) }
        });
        let asked: Vec<_> = drive.log[answered..]
            .iter()
            .filter_map(|(at, action)| match action {
                Action::Ask { generation, question } => Some((*at, *generation, question.number)),
                _ => None,
            })
            .collect();
        answered = drive.log.len();
        for (at, generation, number) in asked {
            if let Some(heard) = answers(at - 100.0) {
                drive.event(Event::PeerAnswers { generation, number, heard });
            }
        }
    }
}

fn drive_alive(at: f64) -> bool {
    at <= 100.0
}

fn asked(drive: &Drive) -> Vec<f64> {
    let is = |action: &Action| matches!(action, Action::Ask { .. });
    drive.log.iter().filter(|(_, action)| is(action)).map(|(at, _)| *at).collect()
}

fn lost_at(drive: &Drive) -> Option<f64> {
    let is = |action: &Action| matches!(action, Action::Emit(t) if t.kind == TransitionKind::Lost);
    drive.log.iter().find(|(_, action)| is(action)).map(|(at, _)| *at)
}

#[test]
fn two_witnesses_are_a_verdict_in_two_seconds_and_the_relay_is_dialled_after_three_and_a_bit() {
    let mut drive = Drive::new();
    drive.start().until(100.0).fate(WEBRTC, Fate::Silent);
    dies(&mut drive, 104.5, |silent| Some(deaf(silent)));
    assert_eq!((asked(&drive)[0], drive.dials(&WEBRTC)[1]), (101.5, 101.5), "at the first suspicion");
    assert_eq!(lost_at(&drive), Some(102.0));
    assert_eq!(drive.dials(&RELAY), [103.5]);
    assert_eq!(drive.on(), Some(RELAY));
    assert!(drive.story().contains(&("transport.fallback.activated", Reason::RedialFailed)));
    assert_eq!(drive.count(|action| matches!(action, Action::PrefetchToken { .. })), 1);
}

#[test]
fn one_witness_needs_its_quorum_and_the_fresh_dial_its_four_seconds() {
    let mut drive = Drive::new();
    drive.start().until(100.0).fate(WEBRTC, Fate::Silent);
    dies(&mut drive, 106.5, |_| None);
    assert!(lost_at(&drive).is_some_and(|at| (103.5..=105.0).contains(&at)), "{:?}", lost_at(&drive));
    assert_eq!(drive.dials(&RELAY), [105.5]);
}

#[test]
fn an_outage_of_three_seconds_opens_no_relay_socket() {
    let mut drive = Drive::new();
    drive.start().until(100.0).fate(WEBRTC, Fate::Silent);
    dies(&mut drive, 103.0, |silent| Some(deaf(silent)));
    drive.fate(WEBRTC, Fate::Connects(0.5)).sampling(140.0, |_| flowing(0.0));
    assert!(drive.dials(&RELAY).is_empty());
    assert_eq!(drive.on(), Some(WEBRTC));
}

#[test]
fn a_fresh_dial_that_is_answered_keeps_its_four_seconds() {
    let mut drive = Drive::new();
    drive.start().until(100.0).fate(WEBRTC, Fate::Teases(0.4));
    dies(&mut drive, 106.5, |silent| Some(deaf(silent)));
    assert_eq!(lost_at(&drive), Some(102.0));
    assert_eq!(drive.dials(&RELAY), [105.5]);
}

#[test]
fn a_peer_that_hears_everything_and_sent_nothing_more_is_no_second_witness() {
    let hears = Testimony { silent_ms: 100, needs_ms: 0, received: 20, sent: 10 };
    let mut drive = Drive::new();
    drive.start().until(100.0).fate(WEBRTC, Fate::Silent);
    dies(&mut drive, 102.5, |_| Some(hears));
    assert_eq!(lost_at(&drive), None);
    // What it says never came: then this direction is dead.
    let mut drive = Drive::new();
    drive.start().until(100.0).fate(WEBRTC, Fate::Silent);
    dies(&mut drive, 102.5, |_| Some(Testimony { sent: 11, ..hears }));
    assert_eq!(lost_at(&drive), Some(102.0));
}

#[test]
fn an_answer_that_comes_late_or_to_nothing_that_was_asked_says_nothing() {
    let mut drive = Drive::new();
    drive.start().until(100.0).fate(WEBRTC, Fate::Silent);
    let generation = drive.generation();
    drive.event(Event::PeerAnswers { generation, number: 1, heard: deaf(9.0) });
    drive.sampling(101.5, |at| silent(at - 100.0));
    drive.event(Event::PeerAnswers { generation, number: 7, heard: deaf(9.0) });
    drive.until(102.6).event(Event::PeerAnswers { generation, number: 1, heard: deaf(9.0) });
    let event = Event::Health { generation, sample: silent(2.7) };
    drive.event(event);
    assert_eq!(lost_at(&drive), None);
}

#[test]
fn what_the_peer_has_under_way_on_a_narrow_path_needs_its_time() {
    let bulk = Testimony { needs_ms: 3_000, ..deaf(0.1) };
    let mut drive = Drive::new();
    drive.start().until(100.0).fate(WEBRTC, Fate::Silent);
    dies(&mut drive, 103.0, |_| Some(bulk));
    assert_eq!(lost_at(&drive), None);
}

#[test]
fn a_fresh_link_replaces_the_silent_one_without_any_verdict() {
    let mut drive = Drive::new();
    drive.start().until(100.0);
    dies(&mut drive, 103.0, |_| None);
    assert_eq!((drive.on(), drive.generation()), (Some(WEBRTC), Generation(2)));
    assert!((drive.switches()[1] - 102.6).abs() < 1e-6, "{:?}", drive.switches());
    assert_eq!(
        drive.story()[2..],
        [("transport.lost", Reason::PathDead), ("transport.recovered", Reason::RedialSucceeded)]
    );
}

#[test]
fn a_stall_that_ends_ends_the_doubt_and_nothing_is_told() {
    let mut drive = Drive::new();
    drive.start().until(100.0).fate(WEBRTC, Fate::Silent);
    let story = drive.story().len();
    dies(&mut drive, 101.5, |_| None);
    drive.sampling(130.0, |_| flowing(0.0));
    assert_eq!((drive.story().len(), drive.generation()), (story, Generation(1)));
    assert_eq!(drive.count(|action| matches!(action, Action::CancelDial { .. })), 1);
    assert_eq!(drive.snapshot().rungs[0].failures, 0);
}

#[test]
fn a_peer_that_asks_is_answered_and_a_fresh_link_dialled_and_not_more_than_five_times_a_second() {
    let mut drive = Drive::new();
    drive.start().until(100.0).fate(WEBRTC, Fate::Silent);
    let generation = drive.generation();
    let sample = HealthSample { received: 10, sent: 10, ..HealthSample::idle(Lane::Reliable) };
    drive.event(Event::Health { generation, sample });
    for number in 0..20 {
        drive.event(Event::PeerAsks { generation, number, heard: deaf(1.5) });
    }
    let answers = |action: &Action| matches!(action, Action::Answer { .. });
    assert_eq!((drive.count(answers), drive.dials(&WEBRTC).len()), (1, 2));
    // Its verdict is the second one, and the silence it told of counts.
    drive.until(100.6).event(Event::PeerReportsDead { generation }).until(102.0);
    assert!(drive.dials(&RELAY)[0] - 101.85 < 1e-6, "{:?}", drive.dials(&RELAY));
}

/// As after a death of which nobody knew: the transport of one side ends before the second question is due.
#[test]
fn a_link_that_ends_after_the_peer_answered_that_it_hears_nothing_hastens_the_relay() {
    for ends in [
        |generation| Event::PeerReportsLost { generation },
        |generation| Event::Lost { generation, cause: LossCause::Path },
    ] {
        let mut drive = Drive::new();
        drive.start().until(100.0).fate(WEBRTC, Fate::Silent);
        let generation = drive.generation();
        drive.sampling(101.5, |at| silent(at - 100.0));
        let Some((_, Action::Ask { question, .. })) =
            drive.log.iter().find(|(_, action)| matches!(action, Action::Ask { .. })).cloned()
        else {
            panic!("nothing was asked")
        };
        drive.event(Event::PeerAnswers { generation, number: question.number, heard: deaf(1.5) });
        drive.until(101.7).event(ends(generation)).until(104.0);
        let at = drive.dials(&RELAY)[0];
        assert!(
            (at - 103.35).abs() < 1e-6,
            "{at}: counted from the silence, not four seconds after the dial"
        );
    }
}

#[test]
fn a_link_that_is_silent_here_too_stays_open_when_the_peer_calls_it_dead_and_may_heal() {
    let mut drive = Drive::new();
    drive.start().until(100.0).fate(WEBRTC, Fate::Silent).sampling(101.5, |at| silent(at - 100.0));
    drive.event(Event::PeerReportsDead { generation: Generation(1) });
    assert_eq!(lost_at(&drive), Some(101.5));
    drive.sampling(102.5, |at| silent(at - 100.0)).sampling(130.0, |_| flowing(0.0));
    assert_eq!((drive.on(), drive.generation()), (Some(WEBRTC), Generation(1)));
    assert_eq!(drive.count(|action| matches!(action, Action::Drain { .. })), 0);
}

#[test]
fn on_the_relay_silence_dials_the_relay_afresh_and_no_primary() {
    let mut drive = Drive::new();
    drive.fate(WEBRTC, Fate::Silent).start().until(30.0);
    let (relay, webrtc) = (drive.dials(&RELAY).len(), drive.dials(&WEBRTC).len());
    let generation = drive.generation();
    drive.event(Event::Health { generation, sample: silent(1.5) }).until(31.0);
    assert_eq!((drive.dials(&RELAY).len(), drive.dials(&WEBRTC).len()), (relay + 1, webrtc));
    assert_eq!(drive.story().last(), Some(&("transport.recovered", Reason::PathSilent)));
    assert!(drive.generation() > generation);
}
