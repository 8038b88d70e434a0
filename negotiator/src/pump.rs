//! The task of one link: moves frames between a transport and the session until the transport ends.

use std::{pin::pin, sync::Arc};

use futures::FutureExt;
use transport_core::{Generation, Inbound, Lane, Transport};

use crate::{
    core::SessionCore,
    runtime::{now, sleep_until},
};

/// Whether a link waits for the leader's first frame before it is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attach {
    /// Attached already, or not to be attached by a frame: the leading side.
    ByDriver,
    /// By the first frame that arrives: the following side.
    ByFirstFrame,
}

/// Runs until the transport ends; then everything it delivered has been handled.
pub(crate) async fn pump(
    core: Arc<SessionCore>,
    generation: Generation,
    link: Arc<dyn Transport>,
    attach: Attach,
) {
    let mut attached = attach == Attach::ByDriver;
    let mut writable = true;
    // A deadline moves with every message; the clock is set only for one that comes sooner, and one that has moved away
    // costs a look at it.
    let mut alarm = pin!(sleep_until(now()));
    let mut armed = None;
    let closed = 'link: loop {
        let kicked = core.kicked();
        let wait = core.flush(generation);
        if let Some(deadline) = wait.deadline
            && armed.is_none_or(|armed| deadline < armed)
        {
            alarm.as_mut().reset(deadline.into());
            armed = Some(deadline);
        }
        tokio::select! {
            inbound = link.recv() => match inbound {
                Ok(inbound) => {
                    if !attached {
                        // A newer generation got there first: this link lost its race.
                        if let Err(stale) = core.attach(generation, link.clone()) {
                            tracing::debug!(%stale, "not attached");
                            link.close(transport_core::CloseCode::NORMAL, "superseded");
                            continue;
                        }
                        attached = true;
                    }
                    let mut handled = cost(&inbound);
                    core.receive(generation, &*link, inbound);
                    // What came with it is handled before anything is answered: one acknowledgement and one look at the
                    // clock for all of it.
                    while handled < AT_ONCE {
                        match link.recv().now_or_never() {
                            Some(Ok(inbound)) => {
                                handled += cost(&inbound);
                                core.receive(generation, &*link, inbound);
                            }
                            Some(Err(closed)) => break 'link closed,
                            None => break,
                        }
                    }
                }
                Err(closed) => break closed,
            },
            room = link.writable(Lane::Reliable), if wait.blocked && writable => {
                // Once it is closed only the draining of what arrived is left, above.
                writable = room.is_ok();
                if writable {
                    core.unblocked(generation);
                }
            }
            () = kicked => {}
            () = &mut alarm, if armed.is_some() => {
                armed = None;
                core.handle_timeout();
            }
        }
    };
    core.link_ended(generation, closed);
}

/// What a message counts of [`AT_ONCE`]: its bytes, and what handling the smallest one takes.
fn cost(inbound: &Inbound) -> usize {
    inbound.payload.len().max(1024)
}

/// Bytes handled before anything is answered, if so many have come: an acknowledgement covers that much at most.
const AT_ONCE: usize = 128 * 1024;
