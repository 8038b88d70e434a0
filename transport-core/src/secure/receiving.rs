//! The receiving half of [`Secure`]: one step takes a message from below and opens it.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};

use super::{
    keys::DirectionKeys,
    seal::{Kind, OrderedOpener, WindowedOpener},
    transport::{Secure, index},
};
use crate::{
    close::{CloseCode, Closed, Initiator, Text},
    lane::Lane,
    stats::LaneStats,
    transport::{Inbound, Transport},
};

/// Opens what arrives, in the order in which it was taken.
pub(super) struct Opening {
    pub(super) reliable: OrderedOpener,
    pub(super) datagram: WindowedOpener,
    pub(super) stats: [LaneStats; 2],
    /// Opened by [`Transport::closed`] while it looked for the sealed close.
    pub(super) drained: VecDeque<Inbound>,
    /// Nothing more comes out of the transport below.
    pub(super) finished: bool,
}

impl Opening {
    pub(super) fn new(keys: DirectionKeys) -> Self {
        Self {
            reliable: OrderedOpener::new(keys.reliable),
            datagram: WindowedOpener::new(keys.datagram),
            stats: [LaneStats::default(); 2],
            drained: VecDeque::new(),
            finished: false,
        }
    }
}

/// A pending `recv` of the transport below.
pub(super) type Receiving<'a> = Pin<Box<dyn Future<Output = Result<Inbound, Closed>> + Send + 'a>>;

impl<T: Transport> Secure<T> {
    /// Polls the transport below and opens what comes, as one step: two readers must not open in
    /// another order than they took.
    pub(super) fn poll_opened<'a>(
        &'a self,
        cx: &mut Context<'_>,
        opening: &mut Opening,
        receiving: &mut Option<Receiving<'a>>,
    ) -> Poll<Result<Inbound, Closed>> {
        for _ in 0..FORGERIES_PER_POLL {
            if opening.finished {
                return Poll::Ready(Err(self.final_end()));
            }
            let received = match receiving.get_or_insert_with(|| self.inner.recv()).as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(received) => received,
            };
            *receiving = None;
            match received {
                Ok(inbound) => {
                    if let Some(opened) = self.open(opening, inbound) {
                        return Poll::Ready(Ok(opened));
                    }
                }
                Err(below) => self.finish(opening, unannounced(below)),
            }
        }
        // A flood of forgeries must not keep the thread to itself.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Opens a message; `None` when it was not for the application.
    fn open(&self, opening: &mut Opening, inbound: Inbound) -> Option<Inbound> {
        let Inbound { lane, payload } = inbound;
        let opened = match lane {
            Lane::Datagram => opening.datagram.open((self.clock)(), payload),
            Lane::Reliable => opening.reliable.open(payload),
        };
        let stats = &mut opening.stats[index(lane)];
        match (lane, opened) {
            (_, Ok((Kind::Data, payload))) if !payload.is_empty() => {
                stats.received_messages += 1;
                stats.received_bytes += payload.len() as u64;
                Some(Inbound { lane, payload })
            }
            (Lane::Reliable, Ok((Kind::Close, detail))) => {
                self.finish(opening, peer_close(detail));
                self.inner.close(self.final_end().code, "");
                None
            }
            (Lane::Datagram, _) => {
                stats.dropped_messages += 1;
                None
            }
            (Lane::Reliable, _) => {
                self.close(CloseCode::PROTOCOL_ERROR, "a message that does not verify");
                self.finish(opening, Closed::local(CloseCode::PROTOCOL_ERROR, ""));
                None
            }
        }
    }

    fn finish(&self, opening: &mut Opening, end: Closed) {
        opening.finished = true;
        let _ = self.end.set(end);
        self.moved.notify_waiters();
    }

    /// The end, once something has set it.
    pub(super) fn final_end(&self) -> Closed {
        self.end.get().cloned().unwrap_or_else(|| Closed::network(""))
    }

    pub(super) fn own_view(&self, below: Closed) -> Closed {
        self.end.get().cloned().unwrap_or_else(|| unannounced(below))
    }
}

/// An end below that no sealed close announced.
fn unannounced(below: Closed) -> Closed {
    Closed { initiator: Initiator::Network, ..below }
}

fn peer_close(mut detail: Bytes) -> Closed {
    let code = detail.try_get_u16().ok().and_then(CloseCode::from_wire).unwrap_or(CloseCode::POLICY);
    Closed::peer(code, Text::from_bytes(&detail))
}

/// Datagrams that may fail to verify before other tasks get their turn.
const FORGERIES_PER_POLL: usize = 64;
