//! How the relay lets its peers go: told first when to leave, each at a moment of its own, closed if they stay.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use beach_lifeguard_client::{CloseCode, Lane, PeerAddr, control::Control};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    core::{Core, Phase},
    ending::Order,
    handle::PeerHandle,
    hop,
    outbound::Outgoing,
    ownership,
    registry::Wire,
};

/// Lets everybody go, and waits for their goodbyes. Returns how many had to be closed.
pub(super) async fn drain(relay: &Arc<Core>, code: CloseCode) -> usize {
    relay.phase.send_replace(Phase::Draining);
    ownership::release(relay).await;
    let (closed, stayed) = tokio::join!(let_go(relay, code, "draining", |_| true), hop::leave(relay));
    let deadline = Instant::now() + FAREWELL;
    while relay.sockets_open.load(Relaxed) > 0 && Instant::now() < deadline {
        sleep(POLL).await;
    }
    closed + stayed
}

/// Serves again after a drain; after a stop it does nothing.
pub(super) fn resume(relay: &Core) {
    relay.phase.send_if_modified(|phase| {
        let drained = *phase == Phase::Draining;
        if drained {
            *phase = Phase::Serving;
        }
        drained
    });
}

/// Orders everything to end.
pub(super) fn stop(relay: &Core, code: CloseCode) {
    relay.phase.send_replace(Phase::Stopped);
    relay.for_each_peer(|peer| peer.end(Order::new(code, "shutdown")));
    relay.stop.cancel();
}

/// Orders everything to end, and waits until it has.
pub(super) async fn shutdown(relay: &Core, code: CloseCode) {
    stop(relay, code);
    relay.tasks.close();
    // Closing a socket takes at most its own two deadlines.
    let _ = tokio::time::timeout(FAREWELL, relay.tasks.wait()).await;
}

/// Tells the chosen peers when to leave, waits until they have, and closes who stays. Returns how many stayed although they
/// were told.
async fn let_go(
    relay: &Arc<Core>,
    code: CloseCode,
    reason: &'static str,
    chosen: impl Fn(&PeerHandle) -> bool,
) -> usize {
    let plan = relay.config.drain;
    let notice = Outgoing::Binary(Control::Drain { after: plan.grace, spread: plan.spread }.frame());
    relay.for_each_peer(|peer| {
        if chosen(peer) && peer.wire == Wire::V2 {
            peer.push(Lane::Reliable, notice.clone());
        }
    });
    let (told, deadline) = (Instant::now(), Instant::now() + plan.grace + plan.spread + MARGIN);
    loop {
        let mut left = 0;
        let since = told.elapsed();
        relay.for_each_peer(|peer| {
            if !chosen(peer) {
                return;
            }
            // v1 has no words for it: the relay draws the moment at which its clients learn it from the close.
            if peer.wire == Wire::V1 && since >= plan.grace + plan.spread.mul_f64(share(peer.address)) {
                peer.end(Order::new(code, reason));
            } else {
                left += 1;
            }
        });
        if left == 0 {
            return 0;
        }
        let next = Instant::now() + POLL;
        if next >= deadline {
            sleep_until(deadline).await;
            break;
        }
        sleep_until(next).await;
    }
    let mut closed = 0;
    relay.for_each_peer(|peer| {
        if chosen(peer) {
            peer.end(Order::new(code, reason));
            closed += usize::from(peer.wire == Wire::V2);
        }
    });
    closed
}

/// Where in a spread an address falls, 0 to 1: neighbours far from each other (Fibonacci hashing).
fn share(address: PeerAddr) -> f64 {
    f64::from(address.to_wire().wrapping_mul(2_654_435_769)) / f64::from(u32::MAX)
}

/// Follows the kill switch: lets the peers go that it names.
pub(super) async fn obey_kill_switch(relay: Arc<Core>) {
    let mut changes = relay.admission.kill_switch.subscribe();
    loop {
        let _ = changes.borrow_and_update();
        let stopped = |peer: &PeerHandle| relay.admission.kill_switch.is_stopped(&peer.cohort);
        relay.for_each_peer(|peer| {
            if stopped(peer) {
                peer.end(Order::new(CloseCode::PAUSED, "stopped"));
            }
        });
        let draining = |peer: &PeerHandle| relay.admission.kill_switch.is_draining(&peer.cohort);
        tokio::select! {
            () = relay.stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            _ = let_go(&relay, CloseCode::PAUSED, "draining", draining) => {
                tokio::select! {
                    () = relay.stop.cancelled() => return,
                    changed = changes.changed() => if changed.is_err() { return },
                }
            }
        }
    }
}

/// For close frames and their answers, once everybody has been told to end.
const FAREWELL: Duration = Duration::from_secs(3);
/// For the goodbye of a client that drew the last moment to be here.
pub(super) const MARGIN: Duration = Duration::from_secs(1);
/// How often a drain looks who is left.
pub(super) const POLL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_leave_at_moments_far_from_each_other() {
        let mut shares: Vec<f64> = (0..100).map(|n| share(PeerAddr::from_wire(n))).collect();
        shares.sort_by(f64::total_cmp);
        assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
        // A hundred clients in 10 s: never more than half a second without one, and never two at once.
        for pair in shares.windows(2) {
            assert!((0.001..0.05).contains(&(pair[1] - pair[0])), "{pair:?}");
        }
    }
}
