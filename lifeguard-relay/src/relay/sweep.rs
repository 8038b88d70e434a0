//! The one timer of all sockets: heartbeats, deadlines, idle peers.
//!
//! A timer per socket would wake ten thousand tasks to find that nothing is due. One pass over the
//! handles reads a few atomics each and wakes only those that have something to do.

use std::{sync::Arc, time::Duration};

use beach_lifeguard_client::{CloseCode, token::MAX_LIFE_SECS};
use tokio::time::{MissedTickBehavior, interval};

use super::{core::Core, ending::Order, handle::PeerHandle, idle::Due, tickets};

/// Sweeps until the relay is dropped or told to stop.
pub(super) async fn run(relay: Arc<Core>) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut since_recycling, mut since_forgetting) = (Duration::ZERO, Duration::ZERO);
    let mut second = 0;
    loop {
        tokio::select! {
            () = relay.stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        sweep(&relay);
        tickets::renew_some(&relay, second);
        second += 1;
        since_recycling += PERIOD;
        if since_recycling >= RECYCLE_PERIOD {
            since_recycling = Duration::ZERO;
            relay.admission.forget();
        }
        since_forgetting += PERIOD;
        if since_forgetting >= KEPT_OUT {
            since_forgetting = Duration::ZERO;
            relay.registry.forget_removed();
        }
    }
}

fn sweep(relay: &Core) {
    let now = relay.clock.now();
    relay.for_each_peer(|peer| match relay.patience.judge(now, peer.observed()) {
        Due::Leave => {}
        Due::Ping => peer.ping(),
        Due::CloseIdle => recycle(relay, peer, CloseCode::IDLE, "idle_timeout"),
        Due::CloseLost => recycle(relay, peer, CloseCode::CONNECTION_LOST, "heartbeat_lost"),
        Due::CloseSlow => peer.end(Order::new(CloseCode::SLOW_CONSUMER, "write_deadline")),
    });
}

fn recycle(relay: &Core, peer: &PeerHandle, code: CloseCode, reason: &'static str) {
    if peer.order().is_none() {
        relay.metrics.idle_pruned();
    }
    peer.end(Order::new(code, reason));
}

/// Fine enough for a write deadline of seconds.
const PERIOD: Duration = Duration::from_secs(1);
/// How often what has expired is forgotten.
const RECYCLE_PERIOD: Duration = Duration::from_secs(30);
/// How long it is remembered at least who was put out of a session that ended. A token may have been minted until the
/// control plane heard of it, clocks differ by some seconds, and no token lives longer than the rest.
const KEPT_OUT: Duration = Duration::from_secs(MAX_LIFE_SECS + 60);
