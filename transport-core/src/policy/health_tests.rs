#![expect(clippy::disallowed_methods, reason = "an anchor for a hand-driven clock")]

use super::*;

#[test]
fn idle_is_never_dead() {
    let mut link = Probe::new();
    for second in 0..7_200 {
        assert_eq!(link.at(second as f64, HealthSample::idle(Lane::Reliable)), Health::Idle);
    }
}

#[test]
fn death_with_data_pending_is_seen_within_six_seconds_at_the_slowest_pace_and_phase() {
    for phase in [0.001, 0.25, 0.5, 0.75, 0.999] {
        let mut link = Probe::new();
        let seen = (0..20)
            .map(|tick| f64::from(tick) + phase)
            .find(|at| link.at(*at, stalled(*at)) == Health::Failing(Reason::PathDead));
        assert!(seen.is_some_and(|at| at <= 6.0), "phase {phase}: {seen:?}");
    }
}

#[test]
fn two_bad_samples_are_suspicious_and_the_third_is_death() {
    let mut link = Probe::new();
    assert_eq!(link.at(3.0, stalled(3.0)), Health::Suspect);
    assert_eq!(link.at(4.0, stalled(4.0)), Health::Suspect);
    assert_eq!(link.at(5.0, stalled(5.0)), Health::Failing(Reason::PathDead));
}

#[test]
fn age_is_bad_at_the_threshold_and_not_just_below() {
    let mut link = Probe::new();
    assert_eq!(link.at(1.0, stalled(2.5 - 1e-6)), Health::Good);
    assert_eq!(link.at(2.0, stalled(2.5)), Health::Suspect);
}

#[test]
fn a_long_queue_is_not_death_while_anything_comes_back() {
    let mut link = Probe::new();
    for tick in 0..1_200 {
        // 128 KiB ahead of 64 kbit/s: the oldest byte has waited for 16 s.
        let sample = bulk(16.0, 0.4, 8_000);
        assert_eq!(link.at(f64::from(tick) * 0.5, sample), Health::Good, "{tick}");
    }
    // Nothing comes any more: what is under way needs no more than four seconds, then it is dead as ever.
    let dead = (1..40).map(|tick| f64::from(tick) * 0.5).find(|gap| {
        link.at(600.0 + gap, bulk(16.0 + gap, 0.4 + gap, 0)) == Health::Failing(Reason::PathDead)
    });
    assert!(dead.is_some_and(|gap| (6.0..9.0).contains(&gap)), "{dead:?}");
}

#[test]
fn a_direction_is_dead_when_nothing_is_acknowledged_although_the_other_one_talks() {
    let mut link = Probe::new();
    link.at(0.0, bulk(0.1, 0.1, 8_000));
    let dead = (1..60).map(|tick| f64::from(tick) * 0.5).find(|age| {
        // Its output keeps coming; what was typed has gone nowhere.
        let typed = HealthSample { pending_bytes: 100, under_way: 100, demand: 0, ..bulk(*age, 0.0, 0) };
        link.at(*age, typed) == Health::Failing(Reason::PathDead)
    });
    assert!(dead.is_some_and(|age| (10.0..12.5).contains(&age)), "{dead:?}");
}

#[test]
fn a_whole_segment_may_take_its_time_on_a_narrow_path_and_a_key_may_not() {
    // A segment is acknowledged when it has arrived whole: 3.8 s apart at 64 kbit/s, on a link that has shown nothing.
    let mut link = Probe::new();
    for tick in 0..240 {
        let gap = f64::from(tick % 8) * 0.5;
        let goodput = if tick > 0 && tick % 8 == 0 { 60_000 } else { 0 };
        assert_eq!(link.at(f64::from(tick) * 0.5, bulk(16.0, gap, goodput)), Health::Good, "{tick}");
    }
    // On a path that has just carried a megabyte a second the same silence says more.
    let mut link = Probe::new();
    for tick in 0..20 {
        link.at(f64::from(tick) * 0.5, bulk(0.1, 0.1, 1_000_000));
    }
    assert_eq!(link.at(13.0, bulk(3.0, 3.0, 0)), Health::Suspect);
    assert_eq!(link.at(13.5, bulk(3.5, 3.5, 0)), Health::Suspect);
    assert_eq!(link.at(14.0, bulk(4.0, 4.0, 0)), Health::Failing(Reason::PathDead));
}

#[test]
fn a_round_trip_through_a_queue_is_no_fault_of_the_path() {
    let rtt = |seconds: f64| busy(None, Some(Duration::from_secs_f64(seconds)));
    let mut link = Probe::new();
    assert_eq!(link.at(0.0, rtt(0.05)), Health::Good);
    for second in 1..600 {
        assert_eq!(link.at(f64::from(second), rtt(16.0)), Health::Good);
    }
}

#[test]
fn sixty_four_kilobits_are_slow_and_work() {
    assert_eq!(Probe::new().verdict_after(60, trickle(6_500, 90_000)), Health::Good);
}

#[test]
fn a_burst_of_bad_samples_is_one_look_until_the_span_is_over() {
    let mut link = Probe::new();
    for tick in 0..10 {
        let at = 3.0 + f64::from(tick) * 0.1;
        assert_eq!(link.at(at, stalled(at)), Health::Suspect, "{at}");
    }
    assert_eq!(link.at(4.0, stalled(4.0)), Health::Failing(Reason::PathDead));
}

#[test]
fn one_acknowledgement_starts_the_row_over() {
    let mut link = Probe::new();
    link.at(3.0, stalled(3.0));
    link.at(4.0, stalled(4.0));
    assert_eq!(link.at(5.0, stalled(0.4)), Health::Good);
    assert_eq!(link.at(8.0, stalled(3.0)), Health::Suspect);
    assert_eq!(link.at(8.5, HealthSample::idle(Lane::Reliable)), Health::Idle);
    assert_eq!(link.at(11.0, stalled(3.0)), Health::Suspect);
}

#[test]
fn a_stall_of_a_second_and_a_half_throws_nobody_off() {
    let mut link = Probe::new();
    for cycle in 0..600 {
        let at = f64::from(cycle) * 2.0;
        assert_eq!(link.at(at, stalled(1.5)), Health::Good);
    }
}

#[test]
fn thirty_percent_loss_under_demand_is_seen_and_ten_is_not() {
    assert_eq!(Probe::new().verdict_after(15, busy(Some(0.3), None)), Health::Failing(Reason::HeavyLoss));
    assert_eq!(Probe::new().verdict_after(60, busy(Some(0.1), None)), Health::Good);
    assert_eq!(
        Probe::new()
            .verdict_after(60, HealthSample { loss: Some(0.3), ..HealthSample::idle(Lane::Datagram) }),
        Health::Idle
    );
}

#[test]
fn seven_bad_samples_are_short_of_the_quorum_and_eight_are_one() {
    let bad = busy(Some(0.3), None);
    assert_eq!(Probe::new().verdict_after(7, bad), Health::Suspect);
    assert_eq!(Probe::new().verdict_after(8, bad), Health::Failing(Reason::HeavyLoss));
}

#[test]
fn a_mixed_link_is_kept() {
    let mut link = Probe::new();
    for second in 0..600 {
        let loss = if second % 3 == 0 { 0.02 } else { 0.3 };
        let health = link.at(f64::from(second), busy(Some(loss), None));
        assert!(!matches!(health, Health::Failing(_)), "second {second}");
    }
}

#[test]
fn satellite_is_slow_and_fine_but_three_seconds_are_not() {
    let rtt = |seconds: f32| busy(None, Some(Duration::from_secs_f32(seconds)));
    assert_eq!(Probe::new().verdict_after(60, rtt(0.8)), Health::Good);
    assert_eq!(Probe::new().verdict_after(60, rtt(3.0)), Health::Failing(Reason::HighRtt));
}

#[test]
fn a_trickle_under_demand_is_seen_and_a_small_demand_is_not_a_trickle() {
    assert_eq!(Probe::new().verdict_after(60, trickle(1_000, 50_000)), Health::Failing(Reason::LowGoodput));
    let typing = HealthSample { pending_bytes: 4, goodput: 0, demand: 20, ..busy(None, None) };
    assert_eq!(Probe::new().verdict_after(60, typing), Health::Good);
    assert_eq!(Probe::new().verdict_after(60, trickle(900_000, 90_000_000)), Health::Good);
}

#[test]
fn each_threshold_holds_at_its_value_and_not_just_beside_it() {
    let fault = |sample: HealthSample| {
        HealthConfig::default().fault(&sample, Shown { rtt: sample.rtt, ..Shown::default() })
    };
    let second = Duration::from_secs(1);
    for (bad, good, why) in [
        (busy(Some(0.2), None), busy(Some(0.199), None), Reason::HeavyLoss),
        (busy(None, Some(second * 5 / 2)), busy(None, Some(second * 2)), Reason::HighRtt),
        // The least demand that says anything, and nearly none of it carried.
        (trickle(0, 2_048), trickle(0, 2_047), Reason::LowGoodput),
        // Below the floor of goodput, and a share of the demand that is large.
        (trickle(4_095, 1_000_000), trickle(4_096, 1_000_000), Reason::LowGoodput),
        // A fifth of the demand.
        (trickle(1_999, 10_000), trickle(2_000, 10_000), Reason::LowGoodput),
    ] {
        assert_eq!((fault(bad), fault(good)), (Some(why), None));
    }
}

#[test]
fn with_nothing_pending_neither_age_nor_goodput_says_anything() {
    for sample in [
        HealthSample { pending_bytes: 0, oldest_unacked: Duration::ZERO, ..stalled(9.0) },
        HealthSample { pending_bytes: 0, ..trickle(0, 90_000) },
    ] {
        assert_eq!(Probe::new().verdict_after(60, sample), Health::Good);
    }
    // It is busy all the same: what else is wrong counts.
    let lossy = HealthSample { pending_bytes: 0, ..busy(Some(0.4), None) };
    assert_eq!(Probe::new().verdict_after(8, lossy), Health::Failing(Reason::HeavyLoss));
}

#[test]
fn bad_samples_must_outnumber_good_ones_four_to_one() {
    for (good, failing) in [(2, true), (3, false)] {
        let mut link = Probe::new();
        for second in 0..good {
            assert_eq!(link.at(f64::from(second), busy(Some(0.0), None)), Health::Good);
        }
        let last = (0..8).map(|second| link.at(f64::from(good + second), busy(Some(0.4), None))).last();
        let expected = if failing { Health::Failing(Reason::HeavyLoss) } else { Health::Suspect };
        assert_eq!(last, Some(expected), "{good} good ones");
    }
}

#[test]
fn a_burst_of_poor_samples_is_one_look_until_five_seconds_are_over() {
    let mut link = Probe::new();
    for tick in 0..10 {
        assert_eq!(link.at(f64::from(tick) * 0.5, busy(Some(0.4), None)), Health::Suspect);
    }
    assert_eq!(link.at(5.0, busy(Some(0.4), None)), Health::Failing(Reason::HeavyLoss));
}

#[test]
fn a_sample_counts_just_inside_the_window_and_not_at_its_edge() {
    for (at, failing) in [(14.999, true), (15.0, false)] {
        let mut link = Probe::new();
        for second in 0..7 {
            assert_eq!(link.at(f64::from(second), busy(Some(0.4), None)), Health::Suspect);
        }
        let health = link.at(at, busy(Some(0.4), None));
        assert_eq!(matches!(health, Health::Failing(_)), failing, "{at}");
    }
}

#[test]
fn each_lane_is_judged_by_itself() {
    let mut link = Probe::new();
    for second in 0..60 {
        let at = f64::from(second);
        link.at(at, busy(None, None));
        let lossy = HealthSample { lane: Lane::Datagram, ..busy(Some(0.4), None) };
        if link.at(at, lossy) == Health::Failing(Reason::HeavyLoss) {
            return;
        }
    }
    panic!("the reliable lane's health hid the datagram lane's loss");
}

struct Probe {
    start: Instant,
    monitor: HealthMonitor,
    config: HealthConfig,
}

impl Probe {
    fn new() -> Self {
        Self { start: Instant::now(), monitor: HealthMonitor::default(), config: HealthConfig::default() }
    }

    fn at(&mut self, seconds: f64, sample: HealthSample) -> Health {
        self.monitor.observe(self.start + Duration::from_secs_f64(seconds), &sample, &self.config)
    }

    /// Feeds the sample once a second and returns the last verdict.
    fn verdict_after(&mut self, samples: u32, sample: HealthSample) -> Health {
        (0..samples).map(|second| self.at(f64::from(second), sample)).last().unwrap()
    }
}

fn stalled(age: f64) -> HealthSample {
    let age = Duration::from_secs_f64(age);
    HealthSample {
        pending_bytes: 100,
        oldest_unacked: age,
        last_heard: age,
        demand: 100,
        ..HealthSample::idle(Lane::Reliable)
    }
}

/// Output that fills the path, the oldest byte that old, the last answer so long ago.
fn bulk(oldest: f64, heard: f64, goodput: u64) -> HealthSample {
    HealthSample {
        pending_bytes: 128 * 1024,
        under_way: 128 * 1024,
        oldest_unacked: Duration::from_secs_f64(oldest),
        last_heard: Duration::from_secs_f64(heard),
        goodput,
        demand: goodput,
        ..HealthSample::idle(Lane::Reliable)
    }
}

fn trickle(goodput: u64, demand: u64) -> HealthSample {
    HealthSample { pending_bytes: 60_000, goodput, demand, ..busy(None, None) }
}

fn busy(loss: Option<f32>, rtt: Option<Duration>) -> HealthSample {
    HealthSample {
        pending_bytes: 10,
        demand: 500,
        goodput: 500,
        loss,
        rtt,
        ..HealthSample::idle(Lane::Reliable)
    }
}

#[test]
fn an_idle_lane_is_no_evidence_for_a_dead_one() {
    let mut link = Probe::new();
    for second in [3.0, 4.0, 5.0] {
        link.at(second, stalled(second));
        link.at(second, HealthSample::idle(Lane::Datagram));
    }
    assert_eq!(link.at(5.5, HealthSample::idle(Lane::Datagram)), Health::Failing(Reason::PathDead));
    assert_eq!(link.at(6.0, HealthSample::idle(Lane::Reliable)), Health::Idle);
}
