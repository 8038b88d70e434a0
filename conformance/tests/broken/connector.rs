//! A connector that keeps every rule of clause 9 but one: both ends meet in a room in memory.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::timeout;
use transport_core::{
    ConnectError, ConnectErrorKind, Connector, DialRole, Target, Transport, TransportId,
    memory::{self, MemoryTransport},
    signaling::{LinkChannel, SignalingError},
};

use crate::flaw::Flaw;

/// The offerer leaves the other end in the room, and says through the channel of the dial under which ticket.
#[derive(Debug)]
pub(crate) struct RoomConnector {
    flaw: Option<Flaw>,
    room: Arc<Room>,
}

#[derive(Debug, Default)]
struct Room {
    ends: Mutex<HashMap<String, MemoryTransport>>,
    used: AtomicBool,
    tickets: AtomicU32,
}

impl RoomConnector {
    pub(crate) fn new(flaw: Option<Flaw>) -> Self {
        Self { flaw, room: Arc::default() }
    }
}

type Dialling<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Transport>, ConnectError>> + Send + 'a>>;

impl Connector for RoomConnector {
    fn id(&self) -> TransportId {
        if self.flaw == Some(Flaw::OtherName) { TransportId::from_static("x-room") } else { memory::ID }
    }

    // Written out, because what an `async fn` does can only happen when it is polled.
    fn connect<'life0, 'life1, 'a>(&'life0 self, target: &'life1 Target) -> Dialling<'a>
    where
        'life0: 'a,
        'life1: 'a,
    {
        let (flaw, room) = (self.flaw, self.room.clone());
        if flaw == Some(Flaw::DialsAhead)
            && let Some(channel) = target.signaling.clone()
        {
            tokio::spawn(async move { channel.send("ahead".to_owned()).await });
        }
        Box::pin(async move {
            let channel = target.channel(memory::ID).map_err(|error| match flaw {
                Some(Flaw::BlamesTheNetwork) => {
                    ConnectError::new(memory::ID, error.stage, ConnectErrorKind::Unreachable)
                }
                _ => error,
            })?;
            if flaw == Some(Flaw::KeepsTheChannel) {
                let channel = channel.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                    drop(channel);
                });
            }
            if flaw == Some(Flaw::DialsOnce)
                && room.used.swap(true, Ordering::Relaxed)
                && target.role == DialRole::Offerer
            {
                return Err(ConnectError::new(memory::ID, "room", ConnectErrorKind::Unreachable));
            }
            let limit = if flaw == Some(Flaw::NeverGivesUp) { Duration::MAX } else { STAGE };
            let met = timeout(limit, room.meet(flaw, target.role, &channel)).await;
            let kind = match met {
                Ok(Ok(Some(end))) => return Ok(Box::new(end) as Box<dyn Transport>),
                Ok(Ok(None)) if flaw == Some(Flaw::BlamesItself) => ConnectErrorKind::Misuse,
                Ok(_) => ConnectErrorKind::Unreachable,
                Err(_late) => ConnectErrorKind::TimedOut,
            };
            Err(ConnectError::new(memory::ID, "room", kind))
        })
    }
}

impl Room {
    /// `None`: the peer said something that opens nothing.
    async fn meet(
        &self,
        flaw: Option<Flaw>,
        role: DialRole,
        channel: &LinkChannel,
    ) -> Result<Option<MemoryTransport>, SignalingError> {
        if role == DialRole::Answerer {
            let mut ticket = channel.recv().await?;
            if flaw == Some(Flaw::CrossesDials) {
                // Whichever lies there, once all have been laid down.
                tokio::time::sleep(Duration::from_millis(100)).await;
                ticket = self.ends.lock().keys().max().cloned().unwrap_or(ticket);
            }
            let Some(end) = self.ends.lock().remove(&ticket) else { return Ok(None) };
            channel.send("here".to_owned()).await?;
            return Ok(Some(end));
        }
        let (mine, theirs, _link) = memory::pair(memory::profile(64 * 1024, 16 * 1024));
        let ticket = format!("{:03}", self.tickets.fetch_add(1, Ordering::Relaxed));
        self.ends.lock().insert(ticket.clone(), theirs);
        // Whoever crosses dials takes what another laid down, so it must still be there.
        let _taken_back =
            (flaw != Some(Flaw::CrossesDials)).then(|| TakeBack { room: self, ticket: ticket.clone() });
        channel.send(ticket).await?;
        Ok((channel.recv().await? == "here").then_some(mine))
    }
}

/// Leaves nothing in the room when a dial ends.
struct TakeBack<'a> {
    room: &'a Room,
    ticket: String,
}

impl Drop for TakeBack<'_> {
    fn drop(&mut self) {
        self.room.ends.lock().remove(&self.ticket);
    }
}

/// A dial ends after this, whatever the other side does.
const STAGE: Duration = Duration::from_secs(1);
