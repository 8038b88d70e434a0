#![expect(clippy::disallowed_methods, reason = "an anchor for a hand-driven clock")]

mod doubt;
mod first_connect;
mod from_turn;
mod golden;
mod harness;
mod held;
mod links;
mod live;
mod properties;
mod returning;

use crate::time::Duration;

use super::{ConfigError, FallbackPolicy, PolicyConfig, Rung};
use crate::TransportId;
use harness::*;

/// A change that makes one setting legal to the last bit, or illegal by one.
type Change = fn(&mut PolicyConfig);

#[test]
fn each_setting_works_up_to_its_edge_and_is_named_beyond_it() {
    let edges: &[(&str, Change, Change)] = &[
        ("rungs", |c| c.rungs = rungs(1), |c| c.rungs.clear()),
        ("rungs", |c| c.rungs = rungs(16), |c| c.rungs = rungs(17)),
        ("rungs", |_| (), |c| c.rungs.push(Rung::direct(WEBRTC))),
        ("attempts", |c| c.attempts = 1, |c| c.attempts = 0),
        ("attempts", |c| (c.attempts, c.dial.stagger) = (16, MS), |c| c.attempts = 17),
        ("window", |c| c.window = NS, |c| c.window = Duration::ZERO),
        ("wake_jump", |c| c.wake_jump = SECOND, |c| c.wake_jump = SECOND - NS),
        ("give_up_after", |c| c.give_up_after = Some(NS), |c| c.give_up_after = Some(Duration::ZERO)),
        // Three attempts start 0.8, 2.0 and 3.2 s after the first.
        ("dial.silence", |c| c.dial.silence = MS * 3_200 + NS, |c| c.dial.silence = MS * 3_200),
        ("dial.silence", |c| c.attempts = 3, |c| c.attempts = 4),
        ("dial.attempt", |c| c.dial.attempt = c.dial.silence + NS, |c| c.dial.attempt = c.dial.silence),
        ("dial.fresh", |c| c.dial.fresh = NS, |c| c.dial.fresh = Duration::ZERO),
        ("dial.attempt", |c| c.dial.fresh = c.dial.attempt, |c| c.dial.fresh = c.dial.attempt + NS),
        (
            "dial.answered_stagger",
            |c| c.dial.answered_stagger = c.dial.stagger,
            |c| c.dial.answered_stagger = c.dial.stagger - NS,
        ),
        ("dial.confirm", |c| c.dial.confirm = c.dial.silence, |c| c.dial.confirm = c.dial.silence + NS),
        ("dial.refused", |c| c.dial.refused = SECOND, |c| c.dial.refused = SECOND - NS),
        ("dial.impossible", |c| c.dial.impossible = NS, |c| c.dial.impossible = Duration::ZERO),
        ("dial.token", |c| c.dial.token = NS, |c| c.dial.token = Duration::ZERO),
        ("backoff.base", |c| c.backoff.base = MS * 50, |c| c.backoff.base = MS * 50 - NS),
        ("backoff.cap", |c| c.backoff.cap = c.backoff.base, |c| c.backoff.cap = c.backoff.base - NS),
        ("backoff.growth", |c| c.backoff.growth = 1.0, |c| c.backoff.growth = 0.999),
        ("backoff.growth", |c| c.backoff.growth = f64::MAX, |c| c.backoff.growth = f64::INFINITY),
        ("health.dead_age", |c| c.health.dead_age = NS, |c| c.health.dead_age = Duration::ZERO),
        ("health.dead_quorum", |c| c.health.dead_quorum = 1, |c| c.health.dead_quorum = 0),
        ("health.dead_quorum", |c| c.health.dead_quorum = 64, |c| c.health.dead_quorum = 65),
        ("health.loss_ceiling", |c| c.health.loss_ceiling = 1.0, |c| c.health.loss_ceiling = 1.001),
        ("health.loss_ceiling", |c| c.health.loss_ceiling = 0.0, |c| c.health.loss_ceiling = f32::NAN),
        ("health.approved_loss", |c| c.health.approved_loss = 1.0, |c| c.health.approved_loss = 1.001),
        ("health.approved_loss", |c| c.health.approved_loss = 0.0, |c| c.health.approved_loss = -0.001),
        ("health.goodput_share", |c| c.health.goodput_share = 1.0, |c| c.health.goodput_share = 1.001),
        ("health.sustain_quorum", |c| c.health.sustain_quorum = 64, |c| c.health.sustain_quorum = 65),
        (
            "health.sustain_span",
            |c| c.health.sustain_span = c.health.sustain_window - NS,
            |c| c.health.sustain_span = c.health.sustain_window,
        ),
        ("restore.cadence", |c| c.restore.cadence = SECOND, |c| c.restore.cadence = SECOND - NS),
        ("restore.growth", |c| c.restore.growth = 1.0, |c| c.restore.growth = 0.999),
        ("restore.growth", |c| c.restore.growth = f64::MAX, |c| c.restore.growth = f64::INFINITY),
        ("restore.cap", |c| c.restore.cap = c.restore.cadence, |c| c.restore.cap = c.restore.cadence - NS),
        ("restore.late_dwell", |c| c.restore.late_dwell = NS, |c| c.restore.late_dwell = Duration::ZERO),
        (
            "restore.dwell",
            |c| c.restore.dwell = c.restore.late_dwell,
            |c| c.restore.dwell = c.restore.late_dwell - NS,
        ),
        (
            "restore.patience",
            |c| (c.restore.measured, c.restore.patience) = (c.restore.dwell, c.restore.dwell + NS),
            |c| (c.restore.measured, c.restore.patience) = (NS, c.restore.dwell),
        ),
        (
            "restore.patience",
            |c| c.restore.patience = c.restore.measured + NS,
            |c| c.restore.patience = c.restore.measured,
        ),
        ("restore.flap_moves", |c| c.restore.flap_moves = 3, |c| c.restore.flap_moves = 2),
        ("restore.flap_moves", |c| c.restore.flap_moves = 64, |c| c.restore.flap_moves = 65),
        ("restore.flap_window", |c| c.restore.flap_window = NS, |c| c.restore.flap_window = Duration::ZERO),
    ];
    for (at, (field, legal, illegal)) in edges.iter().enumerate() {
        assert_eq!(refused(*legal), None, "edge {at} of {field}");
        assert_eq!(refused(*illegal), Some(*field), "beyond edge {at}");
    }
}

/// The field the constructor refuses after a change to working settings.
fn refused(change: Change) -> Option<&'static str> {
    let mut config = config(&[WEBRTC, RELAY]);
    change(&mut config);
    FallbackPolicy::new(config).err().map(|ConfigError { field, .. }| field)
}

fn rungs(count: u32) -> Vec<Rung> {
    (0..count).map(|n| Rung::direct(TransportId::parse(format!("direct-{n}")).unwrap())).collect()
}

const NS: Duration = Duration::from_nanos(1);
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
