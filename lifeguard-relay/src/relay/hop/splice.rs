//! A client's socket and the one to its session's owner, joined until one of them ends.

use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use beach_lifeguard_client::{
    CloseCode,
    control::Control,
    websocket::{HeadBytes, Opcode},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep_until, timeout},
};

use super::{
    boundary::Boundary,
    copy::{Copy, Gone},
    longest_hold,
};
use crate::{
    listen::Socket,
    relay::{
        core::{Core, Phase},
        direct::farewell,
        drain::MARGIN,
        ending::{ANSWER_DEADLINE, CLOSE_DEADLINE, Order},
        ws::Reader,
    },
};

/// Two sockets, and what is under way between them.
#[derive(Debug)]
pub(super) struct Splice {
    client: Box<Socket>,
    owner: Box<Socket>,
    up: Copy,
    down: Copy,
    boundary: Boundary,
    /// To be said to the client between two messages of the owner.
    notice: Option<Vec<u8>>,
    /// Since when the owner takes nothing any more. What it said last is still passed on.
    up_ended: Option<Instant>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The client is gone.
    ClientGone,
    /// The client took nothing for as long as any peer may.
    ClientStalled,
    /// The owner said goodbye to the client, and left.
    OwnerLeft,
    /// The owner is gone without a word, or takes nothing any more.
    OwnerLost,
    /// This node ends it.
    Told(Order),
}

impl Splice {
    /// `ahead` is what the client sent behind its hello.
    pub(super) fn new(client: Box<Socket>, owner: Socket, ahead: &[u8]) -> Self {
        let mut up = Copy::default();
        up.add(ahead);
        Self {
            client,
            owner: Box::new(owner),
            up,
            down: Copy::default(),
            boundary: Boundary::default(),
            notice: None,
            up_ended: None,
        }
    }

    /// Copies until one end is gone, stalls, or this node has to let the client go.
    pub(super) async fn run(&mut self, relay: &Core) -> End {
        let mut phase = relay.phase.subscribe();
        let plan = relay.config.drain;
        let mut leave_by = None;
        loop {
            match *phase.borrow_and_update() {
                Phase::Serving => leave_by = None,
                Phase::Draining if leave_by.is_none() => {
                    self.notice = Some(drain_notice(plan.grace, plan.spread));
                    leave_by = Some(Instant::now() + plan.grace + plan.spread + MARGIN);
                }
                Phase::Draining => {}
                Phase::Stopped => return End::Told(Order::new(CloseCode::RESTART, "shutdown")),
            }
            let (due, end) = self.due(relay, leave_by);
            tokio::select! {
                ended = poll_fn(|cx| self.poll(cx)) => {
                    if let Some(end) = ended {
                        return end;
                    }
                }
                () = sleep_until(due) => return end,
                changed = phase.changed() => {
                    if changed.is_err() {
                        return End::Told(Order::new(CloseCode::RESTART, "shutdown"));
                    }
                }
            }
        }
    }

    /// Ready with none when a direction has come to a halt, or goes on: the deadlines are others then.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        let before = self.halted();
        loop {
            if self.up_ended.is_none() {
                match self.up.poll(cx, (&mut self.client, &mut self.owner), |_| {}) {
                    Poll::Pending => {}
                    Poll::Ready(Gone::Target) => self.up_ended = Some(Instant::now()),
                    Poll::Ready(_) => return Poll::Ready(Some(End::ClientGone)),
                }
            }
            let boundary = &mut self.boundary;
            match self.down.poll(cx, (&mut self.owner, &mut self.client), |bytes| boundary.note(bytes)) {
                Poll::Pending => {}
                Poll::Ready(Gone::Target) => return Poll::Ready(Some(End::ClientGone)),
                Poll::Ready(_) if self.boundary.said_goodbye() => return Poll::Ready(Some(End::OwnerLeft)),
                Poll::Ready(_) => return Poll::Ready(Some(End::OwnerLost)),
            }
            if !self.boundary.is_between_messages() || !self.down.is_empty() {
                break;
            }
            let Some(notice) = self.notice.take() else { break };
            self.down.add(&notice);
        }
        if self.halted() == before { Poll::Pending } else { Poll::Ready(None) }
    }

    fn halted(&self) -> [Option<Instant>; 3] {
        [self.up.blocked_since(), self.down.blocked_since(), self.up_ended]
    }

    /// The next deadline, and what it means to reach it.
    fn due(&self, relay: &Core, leave_by: Option<Instant>) -> (Instant, End) {
        let after = |since: Option<Instant>, limit: Duration, end| since.map(|since| (since + limit, end));
        let deadlines = [
            after(self.up.blocked_since(), longest_hold(&relay.config), End::OwnerLost),
            after(self.down.blocked_since(), relay.config.patience.write_deadline, End::ClientStalled),
            after(self.up_ended, CLOSE_DEADLINE, End::OwnerLost),
            after(leave_by, Duration::ZERO, End::Told(Order::new(CloseCode::RESTART, "draining"))),
        ];
        let none = (Instant::now() + NEVER, End::OwnerLost);
        deadlines.into_iter().flatten().min_by_key(|(due, _)| *due).unwrap_or(none)
    }

    /// Lets both ends go, each as far as it is still there.
    pub(super) async fn finish(mut self, end: End) {
        let order = match end {
            End::ClientStalled => return,
            End::ClientGone => return drain_out(&mut self.owner, CLOSE_DEADLINE).await,
            End::OwnerLeft => return drain_out(&mut self.client, ANSWER_DEADLINE).await,
            // As a relay that restarts: come back with a new token, which names the owner of that moment.
            End::OwnerLost => Order::new(CloseCode::RESTART, "owner_lost"),
            End::Told(order) => order,
        };
        drop(self.owner);
        // In the middle of a frame there is no room for a goodbye. The client comes back from a lost connection too.
        if self.boundary.is_between_frames() && !self.boundary.said_goodbye() {
            let rest = self.down.into_waiting();
            farewell(&mut self.client, &mut Reader::new(usize::MAX), rest, order).await;
        }
    }
}

/// Says that nothing more comes, and reads what the other end still says, so that nothing on its way to it is reset.
async fn drain_out(socket: &mut Socket, deadline: Duration) {
    let last = async {
        socket.shutdown().await?;
        let mut rest = [0; 1_024];
        while socket.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    };
    let _ = timeout(deadline, last).await;
}

fn drain_notice(after: Duration, spread: Duration) -> Vec<u8> {
    let frame = Control::Drain { after, spread }.frame();
    [HeadBytes::server(Opcode::Binary, frame.len()).as_bytes(), &frame].concat()
}

/// Longer than any socket stays without an event.
const NEVER: Duration = Duration::from_secs(24 * 3_600);
