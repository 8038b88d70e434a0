//! *Loss and narrow links*: what a path does that carries little, late, or not all.

mod crowd;
mod echo;
mod goodput;
mod line;
mod loss;

use line::Way::{Direct, Relay};

use std::time::Duration;

use crate::row::{Row, State};

/// All rows of the chapter.
pub(super) const ROWS: &[Row] = &[
    Row::new("echo_64k", ECHO_64K, ECHO_SEEN, ECHO_SLOW, State::Nightly(|p| echo::behind(p, 64, Direct))),
    Row::new("echo_256k", ECHO_256K, ECHO_SEEN, ECHO_DUE, State::Nightly(|p| echo::behind(p, 256, Direct))),
    Row::new("echo_1m", ECHO_1M, UNKNOWN, ECHO_DUE, State::Nightly(|p| echo::behind(p, 1_000, Direct))),
    Row::new("echo_2m", ECHO_2M, UNKNOWN, ECHO_DUE, State::Nightly(|p| echo::behind(p, 2_000, Direct))),
    Row::new("echo_4m", ECHO_4M, UNKNOWN, ECHO_DUE, State::Nightly(|p| echo::behind(p, 4_000, Direct))),
    Row::new(
        "relay_echo_64k",
        RELAY_64K,
        ECHO_SEEN,
        ECHO_SLOW,
        State::Nightly(|p| echo::behind(p, 64, Relay)),
    ),
    Row::new(
        "relay_echo_256k",
        RELAY_256K,
        ECHO_SEEN,
        ECHO_DUE,
        State::Nightly(|p| echo::behind(p, 256, Relay)),
    ),
    Row::new("relay_echo_1m", RELAY_1M, UNKNOWN, ECHO_DUE, State::Nightly(|p| echo::behind(p, 1_000, Relay))),
    Row::new("relay_echo_2m", RELAY_2M, UNKNOWN, ECHO_DUE, State::Nightly(|p| echo::behind(p, 2_000, Relay))),
    Row::new("relay_echo_4m", RELAY_4M, UNKNOWN, ECHO_DUE, State::Nightly(|p| echo::behind(p, 4_000, Relay))),
    Row::new("pipe_64k", PIPE_64K, PIPE_SEEN, PIPE_DUE, State::NotYet(|p| goodput::of(p, 64, Direct))),
    Row::new("pipe_256k", PIPE_256K, UNKNOWN, PIPE_DUE, State::NotYet(|p| goodput::of(p, 256, Direct))),
    Row::new("pipe_1m", PIPE_1M, UNKNOWN, PIPE_DUE, State::Nightly(|p| goodput::of(p, 1_000, Direct))),
    Row::new("pipe_4m", PIPE_4M, UNKNOWN, PIPE_DUE, State::Nightly(|p| goodput::of(p, 4_000, Direct))),
    Row::new("pipe_20m", PIPE_20M, UNKNOWN, PIPE_DUE, State::Nightly(|p| goodput::of(p, 20_000, Direct))),
    Row::new("relay_pipe_64k", PIPE_64K_R, PIPE_SEEN, PIPE_DUE, State::NotYet(|p| goodput::of(p, 64, Relay))),
    Row::new(
        "relay_pipe_256k",
        PIPE_256K_R,
        UNKNOWN,
        PIPE_DUE,
        State::Nightly(|p| goodput::of(p, 256, Relay)),
    ),
    Row::new("relay_pipe_1m", PIPE_1M_R, UNKNOWN, PIPE_DUE, State::Nightly(|p| goodput::of(p, 1_000, Relay))),
    Row::new("relay_pipe_4m", PIPE_4M_R, UNKNOWN, PIPE_DUE, State::Nightly(|p| goodput::of(p, 4_000, Relay))),
    Row::new(
        "relay_pipe_20m",
        PIPE_20M_R,
        UNKNOWN,
        PIPE_DUE,
        State::Nightly(|p| goodput::of(p, 20_000, Relay)),
    ),
    Row::new(
        "policed_256k",
        POLICED,
        "dead, five times",
        ECHO_DUE,
        State::NotYet(|p| crowd::policed(p, 256, Direct)),
    ),
    Row::new(
        "four_viewers_1m",
        "four viewers, and the host's uplink carries 1 Mbit/s with a queue of 400 ms; on WebRTC",
        "dead, five times",
        ECHO_SLOW,
        State::Nightly(|p| crowd::on_uplink(p, 1_000, Direct)),
    ),
    Row::new(
        "relay_four_viewers_1m",
        "the same on the relay",
        UNKNOWN,
        ECHO_SLOW,
        State::Nightly(|p| crowd::on_uplink(p, 1_000, Relay)),
    ),
    Row::new(
        "loss_5",
        "5 % of the packets are lost each way, a person types; on WebRTC",
        "p50 4 ms, p95 508 ms",
        "p95 ≤ 250 ms",
        State::Nightly(|p| loss::typing(p, 5, Direct, Duration::from_millis(250))),
    ),
    Row::new(
        "relay_loss_5",
        "the same on the relay",
        "p50 2 ms, p95 114 ms",
        "p95 ≤ 500 ms",
        State::Nightly(|p| loss::typing(p, 5, Relay, Duration::from_millis(500))),
    ),
    Row::new(
        "loss_20",
        "20 % are lost each way",
        "p50 0.8 s, p95 2.8 s",
        "p95 ≤ 700 ms",
        State::Nightly(|p| loss::typing(p, 20, Direct, Duration::from_millis(700))),
    ),
    Row::new(
        "relay_loss_20",
        "the same on the relay",
        "p50 0.2 s, p95 1.0 s, worst 5 s",
        "p95 ≤ 2 s",
        State::Nightly(|p| loss::typing(p, 20, Relay, Duration::from_secs(2))),
    ),
    Row::new(
        "udp_loss_30",
        "30 % of UDP alone is lost",
        "moves after 20 s",
        "on the relay within 8 s",
        State::NotYet(|p| loss::leaves(p, 30, Duration::from_secs(8))),
    ),
];

const ECHO_64K: &str = "a key's echo under output without end, the viewer's link carries 64 kbit/s, its router queues 50 and 400 ms; on WebRTC";
const ECHO_256K: &str = "the same at 256 kbit/s";
const ECHO_1M: &str = "the same at 1 Mbit/s";
const ECHO_2M: &str = "the same at 2 Mbit/s";
const ECHO_4M: &str = "the same at 4 Mbit/s";
const RELAY_64K: &str = "the same at 64 kbit/s on the relay";
const RELAY_256K: &str = "the same at 256 kbit/s on the relay";
const RELAY_1M: &str = "the same at 1 Mbit/s on the relay";
const RELAY_2M: &str = "the same at 2 Mbit/s on the relay";
const RELAY_4M: &str = "the same at 4 Mbit/s on the relay";
const PIPE_64K: &str = "a pipe over a link of 64 kbit/s with a queue of 400 ms; on WebRTC";
const PIPE_256K: &str = "the same at 256 kbit/s";
const PIPE_1M: &str = "the same at 1 Mbit/s";
const PIPE_4M: &str = "the same at 4 Mbit/s";
const PIPE_20M: &str = "the same at 20 Mbit/s";
const PIPE_64K_R: &str = "the same at 64 kbit/s on the relay";
const PIPE_256K_R: &str = "the same at 256 kbit/s on the relay";
const PIPE_1M_R: &str = "the same at 1 Mbit/s on the relay";
const PIPE_4M_R: &str = "the same at 4 Mbit/s on the relay";
const PIPE_20M_R: &str = "the same at 20 Mbit/s on the relay";

const POLICED: &str =
    "a key's echo under output without end, a policer drops what exceeds 256 kbit/s; on WebRTC";
const UNKNOWN: &str = "not measured";
const ECHO_SEEN: &str = "two of fifty keys were ever echoed, after 8 s; declared dead again and again";
const ECHO_DUE: &str = "p95 ≤ 250 ms, and it stays on its path";
const ECHO_SLOW: &str = "p95 ≤ 800 ms, and it stays on its path";
const PIPE_SEEN: &str = "100 KB cost 720 KB";
const PIPE_DUE: &str = "≥ 85 % of the link; bytes sent ÷ arrived ≤ 1.15";
