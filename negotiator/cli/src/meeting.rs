//! The control plane as the meeting place, with what stands in its way on the live line.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use negotiator::{ControlPlaneRendezvous, Membership, Obstacle, PeerId, Rendezvous, SignalingError, Way};
use tokio::sync::watch;
use transport_core::signaling::{Signaling, SignalingEvent};

use crate::ui::Lines;

/// What stands in the way of the meeting place; empty while nothing does.
#[derive(Debug, Clone)]
pub struct Obstacles(watch::Sender<String>);

impl Default for Obstacles {
    fn default() -> Self {
        Self(watch::Sender::new(String::new()))
    }
}

impl Obstacles {
    /// Meets as `standard` does, and notes here what stands in the way.
    pub fn beside(&self, standard: ControlPlaneRendezvous) -> Arc<dyn Rendezvous> {
        Arc::new(Meeting { standard, obstacles: self.clone() })
    }

    /// Notes what is waited for.
    pub fn note(&self, what: &str) {
        self.0.send_replace(what.to_owned());
    }

    /// Tells what stands in the way, and whenever that changes.
    pub fn told(&self) -> watch::Receiver<String> {
        self.0.subscribe()
    }

    /// Does `work`, and shows meanwhile that it is going on and what stands in the way.
    pub async fn shown<T>(&self, lines: &mut Lines, work: impl Future<Output = T>) -> T {
        let mut told = self.0.subscribe();
        tokio::pin!(work);
        loop {
            let line = match told.borrow_and_update().as_str() {
                "" => "connecting …".to_owned(),
                obstacle => format!("connecting … {obstacle}"),
            };
            lines.show_whole(&line);
            tokio::select! {
                done = &mut work => {
                    lines.clear();
                    return done;
                }
                // Never an error: this end holds the sender.
                _ = told.changed() => {}
            }
        }
    }
}

/// Says what stands in the way, and what this program has against it.
pub fn in_words(detail: &str, obstacle: Obstacle) -> String {
    match obstacle {
        Obstacle::Untrusted => format!("{detail}: --ca FILE; {PIN}"),
        Obstacle::OtherCertificate => format!("{detail}; {OTHER_CERTIFICATE}"),
        _ => detail.to_owned(),
    }
}

/// Who joins has the fingerprint in the link.
const PIN: &str =
    "where the session is shared also --pin, with the fingerprint that `beach-lifeguard up` printed";

const OTHER_CERTIFICATE: &str = "ask who runs the service whether that is its new one: if so, a new link (or --pin) \
                                 is needed; if not, somebody stands in between";

#[derive(Debug)]
struct Meeting {
    standard: ControlPlaneRendezvous,
    obstacles: Obstacles,
}

#[async_trait]
impl Rendezvous for Meeting {
    fn wrapped(&self) -> Option<&dyn Rendezvous> {
        Some(&self.standard)
    }

    async fn enter(&self, membership: &Membership) -> Result<Arc<dyn Signaling>, SignalingError> {
        let room = self.standard.enter(membership).await?;
        Ok(Arc::new(Watched { room, obstacles: self.obstacles.clone() }))
    }

    fn ways(&self, membership: &Membership) -> Result<Vec<Way>, String> {
        self.standard.ways(membership)
    }
}

/// The room, and whoever wants to know whether it is reachable.
#[derive(Debug)]
struct Watched {
    room: Arc<dyn Signaling>,
    obstacles: Obstacles,
}

#[async_trait]
impl Signaling for Watched {
    async fn send(&self, to: PeerId, envelope: Bytes) -> Result<(), SignalingError> {
        self.room.send(to, envelope).await
    }

    async fn recv(&self) -> Result<SignalingEvent, SignalingError> {
        let event = self.room.recv().await;
        match &event {
            Ok(SignalingEvent::Down { detail, obstacle }) => {
                self.obstacles.0.send_replace(in_words(detail, *obstacle));
            }
            Ok(SignalingEvent::Up) => {
                self.obstacles.0.send_replace(String::new());
            }
            _ => {}
        }
        event
    }

    fn doubt(&self) {
        self.room.doubt();
    }
}
