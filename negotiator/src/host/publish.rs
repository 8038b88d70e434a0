//! Tells whoever admits what the host has changed.

use std::sync::Arc;

use tokio::sync::watch;
use transport_core::{
    backoff::{Backoff, BackoffConfig},
    signaling::SignalingError,
};

use super::host_state::HostState;
use crate::{
    rendezvous::{Membership, Rendezvous},
    runtime::{Duration, timeout},
};

/// Publishes the newest document each time its revision changes, again and again until it stands. Ends with its task.
pub(super) async fn publish(
    host_state: Arc<HostState>,
    mut revisions: watch::Receiver<u64>,
    rendezvous: Arc<dyn Rendezvous>,
    membership: Membership,
) {
    let mut backoff = Backoff::default();
    while revisions.changed().await.is_ok() {
        backoff.reset();
        loop {
            revisions.mark_unchanged();
            let document = host_state.document();
            let told = timeout(ATTEMPT, rendezvous.publish(&membership, &document)).await;
            match told {
                Ok(Ok(())) => {
                    host_state.note_known(document.revision, None);
                    break;
                }
                Ok(Err(SignalingError::Unreachable { detail, .. })) => {
                    tracing::info!(detail, "the session's document is not published yet");
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, "the session's document was refused");
                    host_state.note_known(document.revision, Some(error));
                    break;
                }
                Err(_) => tracing::info!("publishing the session's document takes too long"),
            }
            let pause = backoff.scaled(&BackoffConfig::default(), rand::random());
            // A newer one ends the pause.
            if let Ok(Err(_)) = timeout(pause, revisions.changed()).await {
                return;
            }
        }
    }
}

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);
