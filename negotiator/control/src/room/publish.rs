//! Publishes what the host changes.

use beach_lifeguard_client::SignedDocument;
use tokio::sync::watch;
use transport_core::backoff::{Backoff, BackoffConfig};

use crate::{plane::ControlPlane, runtime::timeout};

/// Publishes each document that follows the first, which every entry publishes by itself. One that does not reach the
/// control plane is tried again until it does, or a newer one replaces it.
pub(super) async fn follow(control: ControlPlane, mut documents: watch::Receiver<SignedDocument>) {
    let mut backoff = Backoff::default();
    documents.mark_unchanged();
    while documents.changed().await.is_ok() {
        backoff.reset();
        loop {
            let document = documents.borrow_and_update().clone();
            match control.publish(&document).await {
                Ok(_) => break,
                Err(error) if error.is_passing() => {
                    tracing::debug!(%error, "the session's document is not published yet");
                    let pause = backoff.scaled(&BackoffConfig::default(), rand::random());
                    // A newer one ends the pause.
                    if matches!(timeout(pause, documents.changed()).await, Ok(Err(_))) {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the session's document was refused");
                    break;
                }
            }
        }
    }
}
