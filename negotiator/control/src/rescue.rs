//! The rescue grant of one member: asked for in the room, kept for the case that nobody can be asked when it is needed.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use beach_lifeguard_client::{
    FallbackToken,
    signaling::{RescueGrant, RescueRequest},
};
use url::Url;

use crate::runtime::{Duration, Instant, now};

/// What a member shows for a grant, and the newest that it was given. Clones share it.
#[derive(Clone)]
pub struct Rescue(Arc<Inner>);

struct Inner {
    request: RescueRequest,
    kept: Mutex<Option<KeptGrant>>,
}

/// A grant that still lives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeptGrant {
    /// The token; admits once.
    pub token: FallbackToken,
    /// Until when it admits, by this machine's monotonic clock.
    pub until: Instant,
    /// Which relay to use, if the room said.
    pub relay_url: Option<Url>,
}

impl Rescue {
    /// Asks for grants with `request`.
    pub fn new(request: RescueRequest) -> Self {
        Self(Arc::new(Inner { request, kept: Mutex::default() }))
    }

    /// Returns the newest grant. It stays here: whoever uses it knows that it admits once.
    pub fn newest(&self) -> Option<KeptGrant> {
        self.newest_at(now())
    }

    fn newest_at(&self, now: Instant) -> Option<KeptGrant> {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        kept.filter(|kept| now < kept.until)
    }

    pub(crate) fn request(&self) -> RescueRequest {
        self.0.request.clone()
    }

    /// Which relay the newest grant is for.
    pub(crate) fn relay(&self) -> Option<Url> {
        self.newest()?.relay_url
    }

    /// Keeps a grant, and says how long to wait before the next is asked for: half its life.
    pub(crate) fn keep(&self, grant: RescueGrant, now: Instant) -> Duration {
        let life = Duration::from_secs(grant.life_secs).min(LONGEST);
        let relay_url = grant.relay_url.as_deref().map(Url::parse).transpose();
        match relay_url {
            Ok(relay_url) => {
                let kept = KeptGrant { token: grant.token, until: now + life, relay_url };
                *self.0.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
            }
            Err(error) => tracing::warn!(%error, "a rescue grant names a relay that is no URL"),
        }
        (life / 2).max(SHORTEST)
    }
}

impl fmt::Debug for Rescue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rescue").field("kept", &self.newest()).finish_non_exhaustive()
    }
}

/// No grant is kept longer, whatever the room says.
const LONGEST: Duration = Duration::from_secs(3_600);
/// A room cannot make its members spin.
const SHORTEST: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(token: &str, life_secs: u64, relay_url: Option<&str>) -> RescueGrant {
        let relay_url = relay_url.map(str::to_owned);
        RescueGrant { token: FallbackToken::new(token), life_secs, relay_url }
    }

    #[test]
    fn the_newest_grant_is_kept_for_its_life_and_the_next_asked_for_at_half_of_it() {
        let (rescue, now) = (Rescue::new(RescueRequest::default()), now());
        assert!(rescue.newest().is_none());
        assert_eq!(rescue.keep(grant("a", 3_600, Some("wss://relay.example/v2/ws")), now).as_secs(), 1_800);
        assert_eq!(rescue.keep(grant("b", 100, None), now).as_secs(), 50);
        let kept = rescue.newest().unwrap();
        assert_eq!((kept.token, kept.relay_url), (FallbackToken::new("b"), None));
        assert!(rescue.newest_at(now + Duration::from_millis(99_999)).is_some());
        assert!(rescue.newest_at(now + Duration::from_secs(100)).is_none());
        // What a broken room says does no harm.
        assert_eq!(rescue.keep(grant("c", u64::MAX, None), now).as_secs(), 1_800);
        assert_eq!(rescue.keep(grant("d", 0, None), now), SHORTEST);
        rescue.keep(grant("e", 60, Some("no url")), now);
        assert!(rescue.newest().is_none());
        assert!(!format!("{rescue:?}").contains("\"e\""));
    }
}
