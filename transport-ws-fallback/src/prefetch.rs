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
pub(crate) struct Prefetched(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    kept: Option<Kept>,
    /// When no relay was reached for the first time and for the last, since one was.
    unreached: Option<(Instant, Instant)>,
}

#[derive(Debug)]
struct Kept {
    whom: TokenFor,
    fetched: Fetched,
    /// When it is too old for a hello.
    until: Instant,
}

/// A grant, and when it came.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    grant: Grant,
    at: Instant,
    /// A hello was said with it that, as far as is known, came to no relay.
    was_said: bool,
    /// Too old for a hello. It says where the relay was, and whether anybody is there again.
    expired: bool,
}

impl Fetched {
    /// Of this moment.
    pub(crate) fn fresh(grant: Grant, at: Instant) -> Self {
        Self { grant, at, was_said: false, expired: false }
    }

    /// Whether it still leads the way while no relay is reached: not for ever, since the pool may name another one.
    fn leads(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < LEADS
    }
}

impl Prefetched {
    /// Keeps a grant that has some life left, or leads the way.
    pub(crate) fn keep(&self, whom: TokenFor, fetched: Fetched, wall: SystemTime, now: Instant) {
        let life = fetched.grant.expires_at.duration_since(wall).unwrap_or_default();
        let until = now + life.saturating_sub(MARGIN);
        self.0.lock().kept = Some(Kept { whom, fetched, until });
    }

    /// Whether a grant for `whom` is at hand.
    pub(crate) fn holds(&self, whom: TokenFor, now: Instant) -> bool {
        self.0.lock().is_good(whom, now)
    }

    /// Takes the grant: a token is spent once. While no relay is reached one that [is too old](Lent::is_wanted) will do, so that
    /// a token is asked for when there is somebody to say it to.
    pub(crate) fn take(&self, whom: TokenFor, now: Instant) -> Option<Fetched> {
        let mut state = self.0.lock();
        let good = state.is_good(whom, now);
        let kept = state.kept.take().filter(|_| good)?;
        Some(Fetched { expired: now >= kept.until, ..kept.fetched })
    }

    /// Lends a grant to a dial that may never get as far as the hello.
    pub(crate) fn lend(&self, whom: TokenFor, fetched: Fetched) -> Lent<'_> {
        Lent { to: self, whom, fetched, spare: false, spent: false, wanted: false, used_up: false }
    }

    /// Lends a spare grant, which does not come back: its keeper still has it.
    pub(crate) fn lend_spare(&self, whom: TokenFor, grant: Grant) -> Lent<'_> {
        Lent {
            to: self,
            whom,
            fetched: Fetched::fresh(grant, now()),
            spare: true,
            spent: false,
            wanted: false,
            used_up: false,
        }
    }

    /// Takes back a grant that reached no relay. The control plane may know by now that the relay it named is gone: a grant of
    /// before it could know is given up for a fresh one.
    fn take_back(&self, whom: TokenFor, fetched: Fetched, wall: SystemTime, now: Instant) {
        let noticed = self.unreached_since(now) + NOTICED;
        if fetched.grant.relay_url.is_none() || now < noticed || fetched.at >= noticed {
            self.keep(whom, fetched, wall, now);
        }
    }

    /// Notes that no relay was reached. One that nobody needed for a while may have died since.
    fn unreached_since(&self, now: Instant) -> Instant {
        let mut state = self.0.lock();
        let known = state.unreached.filter(|(_, last)| now.saturating_duration_since(*last) < SAME_OUTAGE);
        let (since, _) = *state.unreached.insert((known.map_or(now, |(since, _)| since), now));
        since
    }
}

impl State {
    fn is_good(&self, whom: TokenFor, now: Instant) -> bool {
        let outage =
            self.unreached.is_some_and(|(_, last)| now.saturating_duration_since(last) < SAME_OUTAGE);
        let is_good = |kept: &Kept| now < kept.until || (outage && kept.fetched.leads(now));
        self.kept.as_ref().is_some_and(|kept| kept.whom == whom && is_good(kept))
    }
}

/// A grant on its way to the relay. Dropped before it was [spent](Self::spend), it is kept for the next dial: while a
/// relay is down its clients must not ask for a token with each attempt.
#[derive(Debug)]
pub(crate) struct Lent<'a> {
    to: &'a Prefetched,
    whom: TokenFor,
    fetched: Fetched,
    spare: bool,
    spent: bool,
    /// It was to be said, and is too old.
    wanted: bool,
    /// A relay may have taken it.
    used_up: bool,
}

impl Lent<'_> {
    /// Returns where the relay is, as far as the control plane has said.
    pub(crate) fn relay_url(&self) -> Option<&Url> {
        self.fetched.grant.relay_url.as_ref()
    }

    /// Returns the token, if it is a spare one.
    pub(crate) fn spare(&self) -> Option<FallbackToken> {
        self.spare.then(|| self.fetched.grant.token.clone())
    }

    /// Returns the token for the hello; `None` when it was said already, or is [too old](Self::is_wanted). It does not come back,
    /// unless it [reached no relay](Self::restore).
    pub(crate) fn spend(&mut self) -> Option<FallbackToken> {
        self.wanted |= self.fetched.expired;
        if self.wanted {
            return None;
        }
        (!std::mem::replace(&mut self.spent, true)).then(|| self.fetched.grant.token.clone())
    }

    /// Whether it only leads the way.
    pub(crate) fn is_expired(&self) -> bool {
        self.fetched.expired
    }

    /// Whether it was to be said and is too old: the next one is a fresh one.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Whether a hello was said with it.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent
    }

    /// The hello came to no relay, it seems.
    pub(crate) fn restore(&mut self) {
        self.spent = false;
        self.fetched.was_said = true;
    }

    /// Whether a relay may have seen it before: then its refusal says nothing about who holds it.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.spare || self.fetched.was_said
    }

    /// A relay may have heard the hello.
    pub(crate) fn used_up(mut self) {
        self.used_up = true;
        self.to.0.lock().unreached = None;
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if self.spare || self.used_up || self.wanted {
            return;
        }
        let mut fetched = self.fetched.clone();
        if self.spent {
            // Nobody waits for the answer any more. It may be as good as before, and a relay says so if it is not.
            fetched.was_said = true;
            self.to.keep(self.whom, fetched, wall_clock(), now());
        } else {
            self.to.take_back(self.whom, fetched, wall_clock(), now());
        }
    }
}

/// After this long a pool has noticed that one of its relays is gone, and names another. One more token for each client of a
/// relay that stays down.
const NOTICED: Duration = Duration::from_secs(4);
/// For so long one token leads the way to a relay that is not there.
const LEADS: Duration = Duration::from_secs(100);
/// Attempts that are no further apart are of one outage.
const SAME_OUTAGE: Duration = Duration::from_secs(30);
/// A token is not used in its last seconds: name, TCP, TLS and upgrade come before the hello.
const MARGIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use transport_core::{PeerId, SessionId};

    use super::*;
    use crate::runtime::sleep;

    #[tokio::test(start_paused = true)]
    async fn a_grant_is_spent_once_by_its_owner_within_its_life() {
        let whom = TokenFor { session: SessionId::from_bytes([1; 16]), peer: PeerId::from_bytes([2; 16]) };
        let other = TokenFor { peer: PeerId::from_bytes([3; 16]), ..whom };
        let (wall, now) = (wall_clock(), now());
        let grant = |life| {
            let expires_at = wall + Duration::from_secs(life);
            Fetched::fresh(Grant { token: FallbackToken::new("t"), expires_at, relay_url: None }, now)
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
    async fn while_no_relay_is_reached_one_grant_leads_the_way_for_a_while_and_is_not_said_when_it_is_old() {
        let whom = TokenFor { session: SessionId::from_bytes([1; 16]), peer: PeerId::from_bytes([2; 16]) };
        // Too old by the time that a dial gives it back.
        let expires_at = wall_clock() + MARGIN;
        let fetch =
            || Fetched::fresh(Grant { token: FallbackToken::new("t"), expires_at, relay_url: None }, now());
        let (kept, start) = (Prefetched::default(), now());
        let mut asked = Vec::new();
        for _ in 0..250 {
            let fetched = kept.take(whom, now()).unwrap_or_else(|| {
                asked.push(now().saturating_duration_since(start).as_secs());
                fetch()
            });
            drop(kept.lend(whom, fetched));
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(asked, [0, 100, 200]);
        let mut old = kept.lend(whom, kept.take(whom, now()).expect("it leads"));
        assert!(old.is_expired() && old.spend().is_none() && old.is_wanted() && !old.is_spent());
        drop(old);
        assert!(kept.take(whom, now()).is_none(), "what was wanted is not lent again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_grant_that_was_not_spent_comes_back() {
        let whom = TokenFor { session: SessionId::from_bytes([1; 16]), peer: PeerId::from_bytes([2; 16]) };
        let expires_at = wall_clock() + Duration::from_secs(60);
        let grant = Grant { token: FallbackToken::new("t"), expires_at, relay_url: None };
        let kept = Prefetched::default();
        drop(kept.lend(whom, Fetched::fresh(grant, now())));
        let again = kept.take(whom, now()).expect("it came back");
        let mut lent = kept.lend(whom, again);
        assert!(lent.spend() == Some(FallbackToken::new("t")) && !kept.holds(whom, now()));
        // As when the peer dials anew before an answer came.
        drop(lent);
        let mut lent = kept.lend(whom, kept.take(whom, now()).expect("it came back"));
        assert!(lent.is_doubtful() && lent.spend().is_some());
        lent.used_up();
        assert!(!kept.holds(whom, now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_grant_for_a_relay_that_may_be_gone_is_given_up_once_and_then_kept() {
        let whom = TokenFor { session: SessionId::from_bytes([1; 16]), peer: PeerId::from_bytes([2; 16]) };
        let fetch = || {
            let relay_url = Some("wss://relay.test/v2/ws".parse().expect("a URL"));
            let expires_at = wall_clock() + Duration::from_secs(60);
            Fetched::fresh(Grant { token: FallbackToken::new("t"), expires_at, relay_url }, now())
        };
        let kept = Prefetched::default();
        let refused = async || {
            let fetched = kept.take(whom, now()).unwrap_or_else(fetch);
            drop(kept.lend(whom, fetched));
            sleep(Duration::from_secs(1)).await;
            kept.holds(whom, now())
        };
        let mut held = Vec::new();
        for _ in 0..20 {
            held.push(refused().await);
        }
        let asked_anew: Vec<_> = (0..20).filter(|second| !held[*second]).collect();
        assert_eq!(asked_anew, [4]);
        let mut lent = kept.lend(whom, fetch());
        assert!(lent.spend().is_some() && lent.spend().is_none() && lent.is_spent());
        // A proxy answered the hello; then a relay did.
        assert!(!lent.is_doubtful());
        lent.restore();
        assert!(lent.is_doubtful() && lent.spend().is_some());
        assert!(kept.0.lock().unreached.is_some());
        lent.used_up();
        assert_eq!(kept.0.lock().unreached, None);
    }
}
