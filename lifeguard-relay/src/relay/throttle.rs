//! A sender that owes for what it has sent is not read from.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use beach_lifeguard_client::{CloseCode, control::Control};
use tokio::time::{Instant, Sleep, sleep};

use super::{ending::Order, inbound::Inbound};

/// Whether the sender is held, and since when without a break.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    wait: Option<Pin<Box<Sleep>>>,
    since: Option<Instant>,
}

impl Throttle {
    /// Lets the sender pay for what it has sent; to be asked before each read. Ready when it may be read from, or
    /// with the order to cut it because it keeps pushing against its limit.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, inbound: &mut Inbound) -> Poll<Option<Order>> {
        loop {
            if let Some(wait) = &mut self.wait {
                ready!(wait.as_mut().poll(cx));
                self.wait = None;
            }
            let Some(wait) = inbound.settle() else {
                self.since = None;
                return Poll::Ready(None);
            };
            let since = *self.since.get_or_insert_with(|| {
                inbound.tell_sender(&Control::RateLimited { retry_after: wait });
                Instant::now()
            });
            if since.elapsed() >= inbound.patience() {
                return Poll::Ready(Some(Order::new(CloseCode::RATE_LIMITED, "rate_limited")));
            }
            self.wait = Some(Box::pin(sleep(wait.min(MAX_WAIT))));
        }
    }
}

/// A held sender is asked again after this, so that a limit that was raised takes effect.
const MAX_WAIT: Duration = Duration::from_secs(1);
