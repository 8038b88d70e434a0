//! How often one address may ask.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use beach_lifeguard_client::reason::Reason;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::{ControlPlane, refusal::Refused};
use crate::{listen::Client, relay::network_of};

/// Requests by address.
#[derive(Debug)]
pub(super) struct ByAddress {
    limiter: Option<DefaultKeyedRateLimiter<IpAddr>>,
    asked: AtomicU64,
}

impl ByAddress {
    pub(super) fn new(per_second: u32) -> Self {
        let quota = NonZeroU32::new(per_second)
            .map(|rate| Quota::per_second(rate).allow_burst(rate.saturating_mul(BURST)));
        Self { limiter: quota.map(RateLimiter::keyed), asked: AtomicU64::new(0) }
    }

    fn admits(&self, address: IpAddr) -> bool {
        let Some(limiter) = &self.limiter else { return true };
        let network = network_of(address);
        if network.is_loopback() {
            return true;
        }
        // Addresses whose rate has recovered are forgotten now and then; otherwise it only grows.
        if self.asked.fetch_add(1, Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
        limiter.check_key(&network).is_ok()
    }
}

/// Refuses an address that asks too often. Mounted in another service, whose listener does not tell us
/// addresses, the limit is that service's business.
pub(super) async fn admit(State(control): State<ControlPlane>, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<Client>().map(|client| client.address);
    if address.is_some_and(|address| !control.0.by_address.admits(address)) {
        return Refused(Reason::RateLimited).into_response();
    }
    next.run(request).await
}

/// At once, as seconds' worth: a page of viewers behind one address.
const BURST: NonZeroU32 = NonZeroU32::new(5).unwrap();

/// Requests between two clean-ups.
const FORGET_EVERY: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_burst_and_loopback_has_no_limit() {
        let limit = ByAddress::new(2);
        let admitted = |address: &str| (0..50).filter(|_| limit.admits(address.parse().unwrap())).count();
        assert_eq!(admitted("192.0.2.1"), 10);
        assert_eq!(admitted("192.0.2.2"), 10);
        assert_eq!(admitted("127.0.0.1"), 50);
        assert_eq!(admitted("2001:db8::1") + admitted("2001:db8::2"), 10, "one /64 is one client");
        let none = ByAddress::new(0);
        assert!((0..50).all(|_| none.admits("192.0.2.1".parse().unwrap())));
    }
}
