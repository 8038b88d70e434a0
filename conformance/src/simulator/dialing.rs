//! How long a dial takes, and how it ends, stage by stage.

use std::time::Duration;

use rand::Rng;
use transport_core::ConnectErrorKind;

use super::weather::Weather;

/// What becomes of a dial, if nobody cancels it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outcome {
    /// When its first answer comes.
    pub(super) answered: Option<Duration>,
    /// When and how it ends; `None` when it hangs until its deadline.
    pub(super) end: Option<(Duration, Result<(), ConnectErrorKind>)>,
}

/// Dials WebRTC at `now`: signaling and gathering, checks until a probe passes (at most 5 s), then
/// DTLS, SCTP, the channels and the Noise handshake, each flight of which may be lost and repeated.
pub(super) fn webrtc(now: Duration, weather: &Weather, turn: bool, rng: &mut impl Rng) -> Outcome {
    let rtt = weather.round_trip(now) + if turn { TURN_DETOUR } else { Duration::ZERO };
    // The signaling client comes back by itself once there is a network.
    let Some(online) = weather.online_from(now).filter(|at| *at < now + SIGNALING_LIMIT) else {
        let end = Some((now + SIGNALING_LIMIT, Err(ConnectErrorKind::TimedOut)));
        return Outcome { answered: None, end };
    };
    let reconnect = if online > now { rng.random_range(0.05..0.4) } else { 0.0 };
    let signaling = (online - now) + Duration::from_secs_f64(reconnect + rng.random_range(0.06..0.25)) + rtt;
    let gathering = Duration::from_secs_f64(rng.random_range(0.02..0.15)) + if turn { 2 * rtt } else { rtt };
    let checks = now + signaling + gathering;
    let mut probe = checks;
    let limit = checks + CHECKS_LIMIT;
    loop {
        if probe >= limit {
            return Outcome { answered: None, end: Some((limit, Err(ConnectErrorKind::TimedOut))) };
        }
        if weather.probes(probe, turn) && !rng.random_bool(round_trip_loss(weather.loss)) {
            break;
        }
        probe += CHECK_PACE;
    }
    let answered = probe + rtt;
    let mut at = answered;
    for _ in 0..FLIGHTS {
        let mut pause = Duration::from_secs(1);
        while !weather.carries(at, turn) || rng.random_bool(round_trip_loss(weather.loss)) {
            at += pause;
            pause = (pause * 2).min(Duration::from_secs(4));
            if at > now + Duration::from_secs(30) {
                return Outcome { answered: Some(answered), end: None };
            }
        }
        at += rtt;
    }
    Outcome { answered: Some(answered), end: Some((at, Ok(()))) }
}

/// Dials the relay at `now`: a token unless one is at hand, TCP, TLS, upgrade, hello, Noise.
pub(super) fn relay(now: Duration, weather: &Weather, token: bool, rng: &mut impl Rng) -> Outcome {
    let queue = weather.round_trip(now) - weather.rtt;
    let rtt = weather.rtt.min(Duration::from_millis(120)).max(weather.rtt / 2) + queue;
    let mut at = now + Duration::from_secs_f64(rng.random_range(0.01..0.08));
    let fail = |at: Duration, kind| Outcome { answered: None, end: Some((at, Err(kind))) };
    if !weather.access.at(now) {
        // SYNs are repeated after 1, 3 and 7 s; one of them may find the way open again.
        let syns = [1, 3, 7].map(|second| now + Duration::from_secs(second));
        match syns.into_iter().find(|syn| weather.access.at(*syn)) {
            Some(syn) => at = syn,
            None => return fail(now + Duration::from_secs(9), ConnectErrorKind::Unreachable),
        }
    }
    if !token {
        at += 3 * rtt;
        if !weather.minting.at(at) {
            return fail(at, ConnectErrorKind::Rejected);
        }
    }
    if !weather.relay.at(at) {
        return fail(at + rtt, ConnectErrorKind::Unready);
    }
    // TCP repeats what was lost; with a lossy path that is a stall of a fraction of a second each.
    let stalls = (0..RELAY_FLIGHTS).filter(|_| rng.random_bool(round_trip_loss(weather.loss))).count();
    at += RELAY_FLIGHTS * rtt + Duration::from_millis(300) * stalls as u32;
    if weather.relay_reachable(at) {
        Outcome { answered: None, end: Some((at, Ok(()))) }
    } else {
        fail(at + Duration::from_secs(3), ConnectErrorKind::TimedOut)
    }
}

fn round_trip_loss(loss: f64) -> f64 {
    1.0 - (1.0 - loss) * (1.0 - loss)
}

/// DTLS 2, SCTP 2, channel open, Noise: round trips after the checks.
const FLIGHTS: u32 = 6;
/// TCP, TLS, upgrade, hello, Noise.
const RELAY_FLIGHTS: u32 = 6;
/// Between two checks of one candidate pair.
const CHECK_PACE: Duration = Duration::from_millis(200);
/// What the transport allows for checks.
const CHECKS_LIMIT: Duration = Duration::from_secs(5);
/// What the transport allows for signaling.
const SIGNALING_LIMIT: Duration = Duration::from_secs(5);
/// The way around through a TURN server.
const TURN_DETOUR: Duration = Duration::from_millis(30);
