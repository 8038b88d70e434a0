//! The task of one link: moves frames between a transport and the session until the transport ends.

use std::sync::Arc;

use tokio::time::Instant;
use transport_core::{Generation, Lane, Transport};

use crate::shared::Shared;

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
    shared: Arc<Shared>,
    generation: Generation,
    link: Arc<dyn Transport>,
    attach: Attach,
) {
    let mut attached = attach == Attach::ByDriver;
    let mut writable = true;
    let closed = loop {
        let kicked = shared.kicked();
        let wait = shared.flush(generation);
        let deadline = wait.deadline.map(Instant::from_std);
        tokio::select! {
            inbound = link.recv() => match inbound {
                Ok(inbound) => {
                    if !attached {
                        // A newer generation got there first: this link lost its race.
                        if let Err(stale) = shared.attach(generation, link.clone()) {
                            tracing::debug!(%stale, "not attached");
                            link.close(transport_core::CloseCode::NORMAL, "superseded");
                            continue;
                        }
                        attached = true;
                    }
                    shared.receive(generation, &*link, inbound);
                }
                Err(closed) => break closed,
            },
            room = link.writable(Lane::Reliable), if wait.blocked && writable => {
                // Once it is closed only the draining of what arrived is left, above.
                writable = room.is_ok();
                if writable {
                    shared.unblocked(generation);
                }
            }
            () = kicked => {}
            () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                shared.handle_timeout();
            }
        }
    };
    shared.link_ended(generation, closed);
}
