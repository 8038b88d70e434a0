//! An unspent token, kept until it is needed or expires.

use beach_lifeguard_client::FallbackToken;
use parking_lot::Mutex;
use url::Url;

use crate::{
    runtime::{Duration, Instant, SystemTime, now, wall_clock},
    token::{Grant, TokenFor},
};

/// At most one grant, for one endpoint. Fetching ahead saves a round trip when the direct path dies;
/// it opens no relay socket.
#[derive(Debug, Default)]
pub(crate) struct Prefetched(Mutex<Option<Kept>>);

#[derive(Debug)]
struct Kept {
    whom: TokenFor,
    grant: Grant,
    until: Instant,
}

impl Prefetched {
    /// Keeps a grant that has some life left.
    pub(crate) fn keep(&self, whom: TokenFor, grant: Grant, wall: SystemTime, now: Instant) {
        let life = grant.expires_at.duration_since(wall).unwrap_or_default();
        let Some(usable) = life.checked_sub(MARGIN) else { return };
        *self.0.lock() = Some(Kept { whom, grant, until: now + usable });
    }

    /// Whether a grant for `whom` is at hand.
    pub(crate) fn holds(&self, whom: TokenFor, now: Instant) -> bool {
        self.0.lock().as_ref().is_some_and(|kept| kept.whom == whom && now < kept.until)
    }

    /// Takes the grant: a token is spent once.
    pub(crate) fn take(&self, whom: TokenFor, now: Instant) -> Option<Grant> {
        let kept = self.0.lock().take()?;
        (kept.whom == whom && now < kept.until).then_some(kept.grant)
    }

    /// Lends a grant to a dial that may never get as far as the hello.
    pub(crate) fn lend(&self, whom: TokenFor, grant: Grant) -> Lent<'_> {
        Lent { to: self, whom, grant, spent: false }
    }
}

/// A grant on its way to the relay. Dropped before it was [spent](Self::spend), it is kept for the next dial: while a
/// relay is down its clients must not ask for a token with each attempt.
#[derive(Debug)]
pub(crate) struct Lent<'a> {
    to: &'a Prefetched,
    whom: TokenFor,
    grant: Grant,
    spent: bool,
}

impl Lent<'_> {
    /// Returns where the relay is, as far as the control plane has said.
    pub(crate) fn relay_url(&self) -> Option<&Url> {
        self.grant.relay_url.as_ref()
    }

    /// Returns the token for the hello. It does not come back.
    pub(crate) fn spend(mut self) -> FallbackToken {
        self.spent = true;
        self.grant.token.clone()
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if !self.spent {
            self.to.keep(self.whom, self.grant.clone(), wall_clock(), now());
        }
    }
}

/// A token is not used in its last seconds: name, TCP, TLS and upgrade come before the hello.
const MARGIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use transport_core::{PeerId, SessionId};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_grant_is_spent_once_by_its_owner_within_its_life() {
        let whom = TokenFor { session: SessionId::from_bytes([1; 16]), peer: PeerId::from_bytes([2; 16]) };
        let other = TokenFor { peer: PeerId::from_bytes([3; 16]), ..whom };
        let (wall, now) = (wall_clock(), now());
        let grant = |life| Grant {
            token: FallbackToken::new("t"),
            expires_at: wall + Duration::from_secs(life),
            relay_url: None,
        };
        let kept = Prefetched::default();
        kept.keep(whom, grant(60), wall, now);
        assert!(kept.holds(whom, now + Duration::from_secs(49)) && !kept.holds(other, now));
        assert!(!kept.holds(whom, now + Duration::from_secs(50)));
        assert!(kept.take(whom, now).is_some());
        assert!(kept.take(whom, now).is_none());
        kept.keep(whom, grant(9), wall, now);
        assert!(!kept.holds(whom, now));
        kept.keep(whom, grant(60), wall, now);
        assert!(kept.take(other, now).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_grant_that_was_not_spent_comes_back() {
        let whom = TokenFor { session: SessionId::from_bytes([1; 16]), peer: PeerId::from_bytes([2; 16]) };
        let expires_at = wall_clock() + Duration::from_secs(60);
        let grant = Grant { token: FallbackToken::new("t"), expires_at, relay_url: None };
        let kept = Prefetched::default();
        drop(kept.lend(whom, grant));
        let again = kept.take(whom, now()).expect("it came back");
        assert_eq!(kept.lend(whom, again).spend(), FallbackToken::new("t"));
        assert!(!kept.holds(whom, now()));
    }
}
