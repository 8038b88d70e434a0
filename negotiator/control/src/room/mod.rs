//! The session's signaling room: a WebSocket that is sought again whenever it is lost.

mod answer;
mod publish;
mod socket;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod upgrade;
mod visit;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use beach_lifeguard_client::{SignedDocument, api::SIGNALING_PATH, membership::Credentials};
use bytes::Bytes;
use tokio::sync::{Mutex, Notify, mpsc, watch};
use transport_core::{
    PeerId,
    signaling::{MAX_ENVELOPE, Obstacle, Signaling, SignalingError, SignalingEvent},
};

use self::visit::Visitor;
use crate::{
    error::ControlError,
    plane::{ControlPlane, Protocol},
    rescue::Rescue,
    runtime::{Duration, JoinSet, timeout},
};

/// A place in the control plane's room. Reconnects by itself with jittered backoff; dropping it leaves.
pub struct Room {
    outbox: mpsc::Sender<(PeerId, Bytes)>,
    events: Mutex<mpsc::Receiver<SignalingEvent>>,
    state: watch::Receiver<RoomState>,
    doubted: Arc<Notify>,
    _task: JoinSet<()>,
}

/// How this side stands with the room.
#[derive(Debug, Clone, PartialEq, Eq)]
enum RoomState {
    Down,
    Up,
    /// It will never work again.
    Over(SignalingError),
}

impl Room {
    fn join(
        control: ControlPlane,
        credentials: Credentials,
        documents: Option<watch::Receiver<SignedDocument>>,
        rescue: Option<Rescue>,
    ) -> Result<Self, ControlError> {
        let path = format!("{SIGNALING_PATH}/{}", credentials.session_id());
        let url = control.url(&path, Protocol::WebSocket)?;
        let (outbox, said) = mpsc::channel(QUEUE);
        let (events, inbox) = mpsc::channel(QUEUE);
        let (state, watched) = watch::channel(RoomState::Down);
        let mut task = JoinSet::new();
        let doubted = Arc::<Notify>::default();
        if let Some(documents) = documents.clone() {
            task.spawn(publish::follow(control.clone(), documents));
        }
        let visitor = Visitor {
            url,
            control,
            credentials,
            documents,
            rescue,
            said,
            events,
            state,
            doubted: doubted.clone(),
        };
        task.spawn(visit::stay(visitor));
        Ok(Self { outbox, events: Mutex::new(inbox), state: watched, doubted, _task: task })
    }
}

impl ControlPlane {
    /// Begins to enter the signaling room of the session, and returns at once;
    /// [`recv`](Signaling::recv) says [`SignalingEvent::Up`] when inside. A host hands in its session's
    /// `documents`: the newest is published before each entry, so that a control plane that restarted without
    /// its memory learns the session again, and whenever it changes, again and again until it stands. Must be called within
    /// a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ControlError::Misuse`] when the address has no such room, [`ControlError::PlainText`] for one that is
    /// neither sealed nor on this machine.
    pub fn room(
        &self,
        credentials: Credentials,
        documents: Option<watch::Receiver<SignedDocument>>,
    ) -> Result<Room, ControlError> {
        Room::join(self.clone(), credentials, documents, None)
    }

    /// As [`room`](Self::room), and asks for rescue grants inside, which `rescue` keeps.
    ///
    /// # Errors
    ///
    /// As [`room`](Self::room).
    pub fn room_with_rescue(
        &self,
        credentials: Credentials,
        documents: Option<watch::Receiver<SignedDocument>>,
        rescue: Rescue,
    ) -> Result<Room, ControlError> {
        Room::join(self.clone(), credentials, documents, Some(rescue))
    }
}

#[async_trait]
impl Signaling for Room {
    async fn send(&self, to: PeerId, envelope: Bytes) -> Result<(), SignalingError> {
        if envelope.len() > MAX_ENVELOPE {
            return Err(SignalingError::TooLarge);
        }
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| *state != RoomState::Down);
        match timeout(PATIENCE, settled).await.map(|state| state.map(|state| state.clone())) {
            Ok(Ok(RoomState::Over(error))) => return Err(error),
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return Err(SignalingError::Closed),
            Err(_) => {
                return Err(SignalingError::Unreachable {
                    detail: "not in the room".to_owned(),
                    obstacle: Obstacle::Unknown,
                });
            }
        }
        self.outbox.send((to, envelope)).await.map_err(|_| SignalingError::Closed)
    }

    async fn recv(&self) -> Result<SignalingEvent, SignalingError> {
        let event = self.events.lock().await.recv().await;
        event.ok_or_else(|| match &*self.state.borrow() {
            RoomState::Over(error) => error.clone(),
            _ => SignalingError::Closed,
        })
    }

    fn doubt(&self) {
        self.doubted.notify_one();
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

/// Messages that may wait in each direction.
const QUEUE: usize = 256;

/// How long a message waits for the room to be reachable; the dial's stages have deadlines of their own.
const PATIENCE: Duration = Duration::from_secs(2);
