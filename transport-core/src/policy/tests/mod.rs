#![expect(clippy::disallowed_methods, reason = "an anchor for a hand-driven clock")]

mod first_connect;
mod harness;
mod held;
mod live;
mod properties;
mod returning;

use super::{FallbackPolicy, PolicyConfig, Rung, config::ConfigError};
use harness::*;

#[test]
fn a_setting_that_cannot_work_is_named() {
    let field = |change: fn(&mut PolicyConfig)| {
        let mut config = config(&[WEBRTC, RELAY]);
        change(&mut config);
        FallbackPolicy::new(config).err().map(|ConfigError { field, .. }| field)
    };
    assert_eq!(field(|_| ()), None);
    assert_eq!(field(|c| c.rungs.clear()), Some("rungs"));
    assert_eq!(field(|c| c.rungs.push(Rung::direct(WEBRTC))), Some("rungs"));
    assert_eq!(field(|c| c.attempts = 0), Some("attempts"));
    assert_eq!(field(|c| c.attempts = 17), Some("attempts"));
    assert_eq!(field(|c| c.attempts = 5), Some("dial.silence"));
    assert_eq!(field(|c| c.dial.attempt = c.dial.silence), Some("dial.attempt"));
    assert_eq!(field(|c| c.backoff.cap = c.backoff.base / 2), Some("backoff.cap"));
    assert_eq!(field(|c| c.health.loss_ceiling = f32::NAN), Some("health.loss_ceiling"));
    assert_eq!(field(|c| c.restore.flap_moves = 2), Some("restore.flap_moves"));
}
