//! *The path dies or changes*: what a session does when the network under it goes away or becomes another.

mod address;
mod flow;
mod service;
mod session;
mod udp;

pub(super) use service::{name_server_dies, name_server_dies_on_relay};
use std::time::Duration;

use crate::row::{Row, State};

/// All rows of the chapter.
pub(super) const ROWS: &[Row] = &[
    Row::new(
        "udp_dies",
        "UDP dropped in both directions, a key typed",
        "silence 7.8–8.5 s",
        "median ≤ 4 s, worst ≤ 6 s",
        State::Nightly(udp::dies),
    ),
    Row::new("udp_pauses_2s", "the same for 2 s only", "3.1 s", PAUSE, State::Nightly(|p| udp::pauses(p, 2))),
    Row::new(
        "udp_pauses_4s",
        "the same for 4 s only",
        "4.7 s",
        "outage + 1 s",
        State::Nightly(|p| udp::pauses(p, 4)),
    ),
    Row::new(
        "udp_pauses_6s",
        "the same for 6 s only",
        "6.3 s",
        "outage + 1 s",
        State::Nightly(|p| udp::pauses(p, 6)),
    ),
    Row::new(
        "udp_dies_idle",
        "idle, then a key 3 s after the death",
        "6.0 s",
        "≤ 4 s",
        State::Nightly(udp::dies_idle),
    ),
    Row::new(
        "udp_dies_one_way",
        "UDP dropped from the host to the viewer only, and the other way only",
        "8.3, 7.7 s",
        "≤ 6 s",
        State::Nightly(udp::dies_one_way),
    ),
    Row::new(
        "viewer_moves",
        "the viewer's address is replaced; on WebRTC",
        "1.7 s",
        "≤ 1.5 s",
        State::Nightly(address::viewer),
    ),
    Row::new(
        "viewer_moves_on_relay",
        "the same on the relay",
        "6.5 s",
        "≤ 2.5 s",
        State::Nightly(address::viewer_on_relay),
    ),
    Row::new(
        "second_uplink",
        "the viewer's link goes down and a second one takes over; on WebRTC",
        "2.7 s",
        "≤ 2 s",
        State::Nightly(address::second_uplink),
    ),
    Row::new(
        "second_uplink_on_relay",
        "the same on the relay",
        "7.0 s",
        "≤ 2.5 s",
        State::Nightly(address::second_uplink_on_relay),
    ),
    Row::new(
        "host_moves_on_relay",
        "the host's address is replaced while on the relay",
        "45 s",
        "≤ 3 s",
        State::Nightly(address::host_on_relay),
    ),
    Row::new(
        "viewer_flow_lost",
        "a NAT forgets the viewer's relay connection and drops what comes on it; a key typed",
        "14.7 s",
        "≤ 3 s",
        State::Nightly(flow::viewer),
    ),
    Row::new("host_flow_lost", "the same for the host's", "45.4 s", "≤ 3 s", State::Nightly(flow::host)),
    Row::new(
        "relay_one_way",
        "what the relay sends on the viewer's connection vanishes, UDP is blocked",
        "back after 15 s",
        "≤ 6 s",
        State::Nightly(flow::one_way),
    ),
    Row::new(
        "no_address",
        "no address for 30 s, then the same again",
        "back 2 s after",
        "back 2 s after",
        State::Nightly(address::none_for_30s),
    ),
    Row::new(
        "nat_forgets",
        "a NAT forgets everything; on WebRTC",
        "4.5 s",
        "≤ 3 s",
        State::Nightly(flow::nat_forgets),
    ),
    Row::new(
        "nat_forgets_on_relay",
        "the same on the relay",
        "0.4 s",
        "≤ 2.5 s",
        State::Nightly(flow::nat_forgets_on_relay),
    ),
    Row::new(
        "relay_down",
        "UDP dies while the relay is down; it is back 20 s later",
        "usable 2.4 s after",
        "≤ 2 s after",
        State::Nightly(service::relay_down),
    ),
    Row::new(
        "control_down",
        "UDP dies while the control plane is down; it is back 60 s later",
        "usable 5.1 s after",
        "on the relay within 6 s, by the rescue grant",
        State::Nightly(service::control_gone),
    ),
    Row::new(
        "relay_restarts_alone",
        "on the relay, the control plane gone for good, the relay restarts",
        "nothing more",
        "on the relay again within 6 s, by a rejoin ticket",
        State::Due(service::relay_restarts_alone),
    ),
    Row::new(
        "large_packets_vanish",
        "packets above 1,200 bytes vanish, TCP's too, under output without end",
        "hangs for ever, on both paths",
        "a key's echo within 10 s",
        State::Due(service::large_packets_vanish),
    ),
    Row::new(
        "who_is_away",
        "on the relay, the host's network dies, then the viewer's too, a key typed each time; what the last line says",
        "\"reconnecting\" in both",
        "the host is silent and the relay answers; then the relay cannot be reached; each within 45 s",
        State::Nightly(session::who_is_away),
    ),
    Row::new(
        "lid_closed",
        "the viewer's machine sleeps for 150 s",
        "exit 84 after 120 s",
        "back ≤ 2 s after the wake, same session",
        State::Nightly(session::lid_closed),
    ),
    Row::new(
        "lid_closed_overnight",
        "the same for a night",
        "exit 84 after 120 s",
        "back ≤ 2 s after the wake, same session",
        State::Later("a run would take a night; the simulator plays it in virtual time"),
    ),
];

const PAUSE: &str = "outage + 1 s, and no relay socket";

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
