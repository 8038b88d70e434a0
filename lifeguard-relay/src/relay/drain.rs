//! How the relay lets its peers go: told first, with time to leave, closed at the deadline.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use beach_lifeguard_client::{CloseCode, Lane, control::Control};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    core::{Core, Phase},
    ending::Order,
    handle::PeerHandle,
    outbound::Outgoing,
    registry::Wire,
};

/// Lets everybody go, and waits for their goodbyes. Returns how many had to be closed.
pub(super) async fn drain(relay: &Arc<Core>, code: CloseCode) -> usize {
    relay.phase.send_replace(Phase::Draining);
    let closed = let_go(relay, code, "draining", |_| true).await;
    let deadline = Instant::now() + FAREWELL;
    while relay.sockets_open.load(Relaxed) > 0 && Instant::now() < deadline {
        sleep(POLL).await;
    }
    closed
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

/// Tells the chosen peers, waits for the grace time or until they are gone, closes the rest.
async fn let_go(
    relay: &Arc<Core>,
    code: CloseCode,
    reason: &'static str,
    chosen: impl Fn(&PeerHandle) -> bool,
) -> usize {
    let plan = relay.config.drain;
    let notice = Outgoing::Binary(Control::Drain { after: plan.grace, spread: plan.spread }.frame());
    relay.for_each_peer(|peer| {
        // v1 has no words for it; its clients learn it from the close.
        if chosen(peer) && peer.wire == Wire::V2 {
            peer.push(Lane::Reliable, notice.clone());
        }
    });
    let deadline = Instant::now() + plan.grace;
    loop {
        let mut left = 0;
        relay.for_each_peer(|peer| left += usize::from(chosen(peer)));
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
            closed += 1;
        }
    });
    closed
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
/// How often a drain looks who is left.
const POLL: Duration = Duration::from_millis(50);
