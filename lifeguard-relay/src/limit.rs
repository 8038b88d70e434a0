//! Rates, and how often one address may do something.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde::{Deserialize, Serialize};

use crate::listen::{Scope, scopes_of};

/// A rate with its burst, both in the unit of whatever it limits; a rate of 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Sustained units per second; 0 switches the limit off.
    pub per_second: u32,
    /// Units that may come at once after a quiet time.
    pub burst: u32,
}

impl Rate {
    /// No limit.
    pub const UNLIMITED: Rate = Rate { per_second: 0, burst: 0 };

    /// The quota, and how many units are one of its cells. The limiter counts a cell's time in whole nanoseconds: of single
    /// bytes at 64 MiB/s it would let 6 % more through than asked for.
    pub(crate) fn quota(self) -> Option<(Quota, u32)> {
        let cell = self.per_second.div_ceil(CELLS_PER_SECOND).max(1);
        let per_second = NonZeroU32::new(self.per_second / cell)?;
        let burst = NonZeroU32::new(self.burst / cell).unwrap_or(NonZeroU32::MIN);
        Some((Quota::per_second(per_second).allow_burst(burst), cell))
    }
}

/// At most; a cell takes a microsecond or more.
const CELLS_PER_SECOND: u32 = 1_000_000;

/// Whether a limit by address counts this machine's own address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loopback {
    Counted,
    /// A proxy on this machine speaks for many.
    Exempt,
}

/// A rate for each address, counted by network, and a multiple of it for what is wider. Networks whose rate has recovered are forgotten now and then.
#[derive(Debug)]
pub(crate) struct ByAddress {
    /// One for each width; `None` for no limit.
    limiters: Option<[(u32, DefaultKeyedRateLimiter<Scope>); Scope::SHARES.len()]>,
    loopback: Loopback,
    asked: AtomicU64,
}

impl ByAddress {
    pub(crate) fn new(rate: Rate, loopback: Loopback) -> Self {
        // One event is one cell: the rates of these are far below a million.
        let limiters = rate.quota().is_some().then(|| {
            Scope::SHARES.map(|share| {
                let times =
                    |units: u32| NonZeroU32::new(units.saturating_mul(share)).unwrap_or(NonZeroU32::MIN);
                let quota = Quota::per_second(times(rate.per_second)).allow_burst(times(rate.burst));
                (share, RateLimiter::keyed(quota))
            })
        });
        Self { limiters, loopback, asked: AtomicU64::new(0) }
    }

    /// Whether one more from `address` is within its rate.
    pub(crate) fn admits(&self, address: IpAddr) -> bool {
        let Some(limiters) = &self.limiters else { return true };
        if self.loopback == Loopback::Exempt && address.to_canonical().is_loopback() {
            return true;
        }
        if self.asked.fetch_add(1, Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            for (_, limiter) in limiters {
                limiter.retain_recent();
                limiter.shrink_to_fit();
            }
        }
        scopes_of(address).all(|scope| {
            let limiter = limiters.iter().find(|(share, _)| *share == scope.share);
            limiter.is_none_or(|(_, limiter)| limiter.check_key(&scope).is_ok())
        })
    }
}

/// Events between two clean-ups.
const FORGET_EVERY: u64 = 10_000;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_is_asked_for_is_what_gets_through() {
        for per_second in [1, 4_096, 999_999, 1_500_000, 64 << 20, 300_000_000, u32::MAX] {
            let (quota, cell) = Rate { per_second, burst: 1 << 20 }.quota().unwrap();
            let kept = f64::from(cell) / quota.replenish_interval().as_secs_f64();
            let ratio = kept / f64::from(per_second);
            assert!((0.999..1.001).contains(&ratio), "{per_second}: {ratio}");
        }
    }

    #[test]
    fn each_network_has_a_burst_of_its_own() {
        let limit = ByAddress::new(Rate { per_second: 2, burst: 10 }, Loopback::Exempt);
        let admitted = |address: &str| (0..50).filter(|_| limit.admits(address.parse().unwrap())).count();
        assert_eq!(admitted("192.0.2.1"), 10);
        assert_eq!(admitted("::ffff:192.0.2.1"), 0, "the same address, written as IPv6");
        assert_eq!(admitted("192.0.2.2"), 10);
        assert_eq!(admitted("2001:db8::1") + admitted("2001:db8::2"), 10, "one /64 is one client");
        assert_eq!(admitted("2001:db8:0:1::1"), 10);
        assert_eq!(admitted("127.0.0.1") + admitted("::1"), 100);
    }

    #[test]
    fn whoever_has_many_networks_does_not_have_as_many_bursts() {
        let limit = || ByAddress::new(Rate { per_second: 1, burst: 10 }, Loopback::Exempt);
        // `per_second`: what comes back meanwhile, on a machine that is slow.
        let admits = |step: u32, bursts: usize, per_second: f64| {
            let (limit, began) = (limit(), Instant::now());
            let admitted = (0..1_000u128)
                .filter(|n| {
                    let address = std::net::Ipv6Addr::from_bits((0x2001_0db8_0001_u128 << 80) + (n << step));
                    limit.admits(address.into())
                })
                .count();
            let back = (began.elapsed().as_secs_f64() * per_second).ceil() as usize;
            assert!((bursts..=bursts + back).contains(&admitted), "{admitted} of {bursts}, and {back} later");
        };
        // 1,000 networks of four /56, of four /48, and different sites.
        admits(64, 40 * 4, 4.0 * 4.0);
        admits(72, 160 * 4, 16.0 * 4.0);
        admits(80, 1_000, 0.0);
    }

    #[test]
    fn loopback_counts_where_it_is_told_to_and_a_rate_of_zero_is_no_limit() {
        let local: IpAddr = [127, 0, 0, 1].into();
        let limit = ByAddress::new(Rate { per_second: 1, burst: 2 }, Loopback::Counted);
        assert_eq!((0..50).filter(|_| limit.admits(local)).count(), 2);
        let none = ByAddress::new(Rate::UNLIMITED, Loopback::Counted);
        assert!((0..50).all(|_| none.admits(local)));
    }
}
