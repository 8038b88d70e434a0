//! The HTTP carrier: what a WebSocket would carry, over one streaming answer and numbered requests
//! (`docs/adr/0022-the-relay-over-plain-http.md`).
//!
//! Both ways carry the very bytes of the WebSocket. So a carrier becomes a [`Socket`](crate::listen::Socket) like any
//! other, and whoever greets, serves, counts, limits and ends sockets does not know of it.

mod answer;
mod open;
mod pipe;
mod upload;
mod uploads;

use std::sync::Arc;

use beach_lifeguard_client::stream::CarrierId;
use bytes::Bytes;
use dashmap::DashMap;
use tokio::io::DuplexStream;

pub(super) use self::{open::open, upload::upload};
use self::{pipe::Pipe, uploads::Uploads};
use crate::listen::Stranger;

/// The carriers that are open. Each removes itself when its socket is dropped, however it ends.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    open: DashMap<CarrierId, Arc<Uploads>>,
}

impl Streams {
    /// Opens a carrier whose client has sent `first` already, over the connection of `opener`. Returns its socket, and what
    /// its answer is read from.
    fn start(
        self: &Arc<Self>,
        first: Bytes,
        opener: Option<Arc<Stranger>>,
    ) -> (CarrierId, Pipe, DuplexStream) {
        let (id, uploads) = (CarrierId::from_bytes(rand::random()), Arc::new(Uploads::new(first, opener)));
        self.open.insert(id, uploads.clone());
        let (down, answer) = tokio::io::duplex(DOWN_BYTES);
        (id, Pipe::new(uploads, down, (self.clone(), id)), answer)
    }

    fn find(&self, id: &CarrierId) -> Option<Arc<Uploads>> {
        self.open.get(id).map(|uploads| uploads.clone())
    }

    fn remove(&self, id: &CarrierId) {
        self.open.remove(id);
    }
}

/// Bytes of one carrier between its socket and its answer. A kernel holds more of a WebSocket's; what waits here is
/// counted in nobody's budget, so it is little.
const DOWN_BYTES: usize = 64 * 1024;
