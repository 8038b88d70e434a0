//! Whom a host put out lately: a relay that was not told then is told when a socket to it opens. Sans-IO.

use std::collections::VecDeque;

use beach_lifeguard_client::{session::MAX_REMOVED, token::MAX_LIFE_SECS};
use uuid::Uuid;

use crate::runtime::{Duration, Instant};

/// The newest, oldest first.
#[derive(Debug, Default)]
pub(crate) struct PutOut(VecDeque<(Uuid, Instant)>);

impl PutOut {
    pub(crate) fn add(&mut self, peer_id: Uuid, now: Instant) {
        self.0.retain(|(known, _)| *known != peer_id);
        if self.0.len() >= MAX_REMOVED {
            self.0.pop_front();
        }
        self.0.push_back((peer_id, now));
    }

    /// Those who may still hold a token of before. The others are nobody's business here any more.
    pub(crate) fn lately(&mut self, now: Instant) -> Vec<Uuid> {
        self.0.retain(|(_, at)| now.saturating_duration_since(*at) < OUTLIVES_TOKENS);
        self.0.iter().map(|(peer_id, _)| *peer_id).collect()
    }
}

/// A token may have been minted until the control plane heard of it, and lives so long after that.
const OUTLIVES_TOKENS: Duration = Duration::from_secs(MAX_LIFE_SECS + 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::now;

    #[test]
    fn each_is_told_once_until_its_tokens_have_expired() {
        let (mut put_out, start) = (PutOut::default(), now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let [a, b] = [1, 2].map(Uuid::from_u128);
        put_out.add(a, at(0));
        put_out.add(b, at(1));
        put_out.add(a, at(2));
        assert_eq!(put_out.lately(at(360)), [b, a]);
        assert_eq!(put_out.lately(at(361)), [a]);
        assert!(put_out.lately(at(362)).is_empty());
    }

    #[test]
    fn there_are_as_many_as_a_relay_remembers() {
        let (mut put_out, start) = (PutOut::default(), now());
        (0..=1_024).for_each(|n| put_out.add(Uuid::from_u128(n), start));
        let told = put_out.lately(start);
        assert_eq!((told.len(), told[0]), (1_024, Uuid::from_u128(1)));
    }
}
