use super::{
    model::{Line, Model},
    *,
};
use crate::runtime::now;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Bytes a second of a line with so many kbit/s.
fn kbit(kbit: u64) -> f64 {
    kbit as f64 * 125.0
}

/// What one session does on a line while it floods: its share of the line and bytes sent for each that arrived. With keys:
/// their delay beyond half a round trip, nineteen of twenty.
fn flood(line: Line, keys: bool, seconds: u64) -> (f64, f64, Duration) {
    let mut model = Model::new(line);
    model.flood(ms(200), 0);
    model.run(ms(200));
    let mut worst = Duration::ZERO;
    for n in 0..seconds * 10 {
        model.run(ms(100));
        if keys && n % 7 == 6 {
            model.key();
        }
        worst = worst.max(model.queue());
    }
    model.run(ms(1));
    let party = &mut model.parties[0];
    let share = party.arrived as f64 / (line.rate * seconds as f64);
    party.delays.sort();
    let late = party.delays.get(party.delays.len() * 19 / 20).copied().unwrap_or_default();
    let late = late.saturating_sub(line.round_trip / 2);
    println!(
        "{:>7} kbit/s, {:?}: {:.1} % of it, keys {:?} late, queue {:?} at most, limit {}, {:.3} sent for each",
        line.rate / 125.0,
        line.round_trip,
        share * 100.0,
        late,
        worst,
        party.limit.limit,
        model.sent as f64 / party.arrived as f64,
    );
    (share, model.sent as f64 / party.arrived as f64, late)
}

#[test]
fn from_a_modem_to_loopback_the_path_is_busy_and_a_key_waits_little() {
    for (rate, round_trip, late) in [
        (64, 40, 800),
        (256, 40, 250),
        (1_000, 40, 120),
        (4_000, 40, 120),
        (20_000, 40, 120),
        (100_000, 40, 60),
        (256, 300, 250),
        (4_000, 150, 120),
        (1_000_000, 1, 20),
    ] {
        let line = Line::new(kbit(rate), ms(round_trip));
        let seconds = match rate {
            100_000 => 10,
            1_000_000 => 4,
            _ => 40,
        };
        let (share, sent, _) = flood(line, false, seconds);
        let (.., delay) = flood(line, true, seconds);
        assert!(share > 0.85, "{rate} kbit/s: {share} of the line");
        assert!(delay <= ms(late), "{rate} kbit/s: a key is {delay:?} late");
        assert!(sent < 1.15, "{rate} kbit/s: {sent}");
    }
}

#[test]
fn who_looks_in_turns_at_what_arrived_is_kept_busy() {
    for (rate, turn) in [(40_000, 5), (80_000, 5), (160_000, 5), (80_000, 10)] {
        let line = Line { turn: ms(turn), ..Line::new(kbit(rate), ms(1)) };
        let (share, ..) = flood(line, false, 4);
        assert!(share > 0.7, "{rate} kbit/s, each {turn} ms: {share} of the line");
    }
}

#[test]
fn four_sessions_share_an_uplink_and_each_has_half_of_its_share_at_least() {
    for (rate, apart) in [(256, 0), (1_000, 0), (1_000, 3), (4_000, 3), (20_000, 3)] {
        let line = Line::new(kbit(rate), ms(40));
        let mut model = Model::new(line);
        (0..4).for_each(|n| model.flood(ms(200 + n * apart * 1_000), 0));
        model.run(ms(20_000));
        let before: Vec<u64> = model.parties.iter().map(|party| party.arrived).collect();
        let mut worst = Duration::ZERO;
        for _ in 0..200 {
            model.run(ms(100));
            worst = worst.max(model.queue());
        }
        let carried: Vec<f64> = model
            .parties
            .iter()
            .zip(before)
            .map(|(party, before)| (party.arrived - before) as f64 / (line.rate * 20.0))
            .collect();
        println!("{rate} kbit/s, {apart} s apart: {carried:.3?}, queue {worst:?}");
        assert!(carried.iter().all(|share| (0.125..0.5).contains(share)), "{rate}: {carried:?}");
        assert!(carried.iter().sum::<f64>() > 0.85, "{rate}: {carried:?}");
        assert!(worst < ms(800), "{rate}: {worst:?}");
    }
}

#[test]
fn a_path_that_narrows_has_no_long_queue_two_seconds_later_and_one_that_widens_is_filled() {
    let mut model = Model::new(Line::new(kbit(20_000), ms(40)));
    model.flood(ms(200), 0);
    model.run(ms(5_000));
    model.line.rate = kbit(1_000);
    model.run(ms(3_000));
    assert!(model.queue() < ms(150), "{:?}", model.queue());
    model.line.rate = kbit(20_000);
    model.run(ms(3_000));
    let before = model.parties[0].arrived;
    model.run(ms(1_000));
    let carried = (model.parties[0].arrived - before) as f64 / model.line.rate;
    assert!(carried > 0.8, "{carried}");
}

#[test]
fn a_longer_way_is_learnt_although_the_path_is_always_busy() {
    let mut model = Model::new(Line::new(kbit(4_000), ms(20)));
    model.flood(ms(200), 0);
    model.run(ms(5_000));
    model.line.round_trip = ms(200);
    model.run(ms(25_000));
    let before = model.parties[0].arrived;
    model.run(ms(10_000));
    let carried = (model.parties[0].arrived - before) as f64 / (model.line.rate * 10.0);
    assert!(carried > 0.8, "{carried}");
    model.line.round_trip = ms(20);
    model.run(ms(10_000));
    assert!(model.queue() < ms(100), "{:?}", model.queue());
}

#[test]
fn a_key_goes_ahead_of_waiting_bulk_and_many_are_bulk() {
    let limit = SendLimit::new();
    assert!(!limit.admits(START, SMALL + 1) && limit.admits(START, SMALL));
    assert!(!limit.admits(START * 3 / 2, SMALL));
}

#[test]
fn a_long_message_does_not_go_far_beyond_the_limit_and_never_waits_for_ever() {
    let limit = SendLimit::new();
    assert!(limit.admits(0, 1 << 20));
    assert!(limit.admits(START / 2 - 1, 1 << 20) && !limit.admits(START / 2, 1 << 20));
    assert!(limit.admits(START - 1_000, 1_998) && !limit.admits(START - 1_000, 2_000));
}

#[test]
fn another_path_is_another_matter() {
    let mut model = Model::new(Line::new(kbit(100_000), ms(10)));
    model.flood(ms(0), 0);
    model.run(ms(2_000));
    let mut resume = Resume::new(Default::default(), 1, 1);
    let limit = &mut model.parties[0].limit;
    assert!(limit.limit > 4 * START, "{}", limit.limit);
    limit.moved(&mut resume);
    assert_eq!(limit.ahead(), Ahead::of(START));
}

#[test]
fn what_the_application_does_not_send_says_nothing_about_the_path() {
    let mut limit = SendLimit::new();
    let start = now();
    for n in 1..1_000u64 {
        let seen = Progress {
            acknowledged: n * 100,
            pending: 0,
            in_flight: 0,
            round_trip: Some(ms(5)),
            held: false,
        };
        limit.progress(start + ms(20) * n as u32, seen);
    }
    assert_eq!((limit.limit, limit.fastest), (START, 0.0));
}

#[test]
fn the_time_in_which_an_application_says_nothing_is_not_the_paths() {
    let (mut limit, mut now, mut acknowledged) = (SendLimit::new(), now(), 0);
    // A sender that waits for room, and then learns that everything has arrived.
    let mut sends = |limit: &mut SendLimit, after: Duration| {
        now += after;
        acknowledged += 20_000;
        limit.held_back(now - ms(5));
        let (pending, in_flight, round_trip) = (0, 0, Some(ms(5)));
        limit.progress(now, Progress { acknowledged, pending, in_flight, round_trip, held: false });
    };
    (0..20).for_each(|_| sends(&mut limit, ms(5)));
    let fastest = limit.fastest;
    assert!((3.9e6..4.1e6).contains(&fastest), "{fastest}");
    (0..10).for_each(|_| sends(&mut limit, ms(500)));
    assert_eq!(limit.fastest, fastest);
}
