//! Which network this is, and whether the machine slept.

use crate::time::Duration;

use crate::policy::NetworkId;

/// What was last seen of this side's surroundings.
#[derive(Debug, Clone, Default)]
pub(super) struct Surroundings {
    last: Option<NetworkId>,
    /// There was no network at the last look.
    away: bool,
    /// How often the peer said that it moved.
    peer_moves: u32,
}

impl Surroundings {
    /// Takes the network of this moment as the one that is known.
    pub(super) fn set(&mut self, network: Option<NetworkId>) {
        self.last = network.or(self.last);
        self.away = false;
    }

    /// Takes a look, and says whether this is another network, or one that is back.
    pub(super) fn see(&mut self, network: Option<NetworkId>) -> bool {
        let Some(network) = network else {
            // Nothing to try while there is nothing to try it with.
            self.away = self.last.is_some();
            return false;
        };
        let other = self.last.replace(network) != Some(network);
        std::mem::take(&mut self.away) || other
    }

    pub(super) fn peer_moved(&mut self) {
        self.peer_moves = self.peer_moves.wrapping_add(1);
    }

    /// Names the path's network, so that what worked here is known again: the same place gives the same name until
    /// the peer has moved, which makes it another path. Two may share a name; that costs the order of the first dials.
    pub(super) fn network(&self) -> NetworkId {
        let place = self.last.unwrap_or_default().0;
        // An odd constant spreads the moves over all bits (Knuth, multiplicative hashing).
        NetworkId(place ^ u64::from(self.peer_moves).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// Says whether a wall clock so far ahead of the monotonic one means sleep, and not a correction by NTP.
    pub(super) fn slept(ahead: Duration) -> bool {
        ahead > SLEPT
    }
}

const SLEPT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(place: u64) -> Option<NetworkId> {
        Some(NetworkId(place))
    }

    #[test]
    fn another_address_is_another_network_and_so_is_one_that_comes_back() {
        let mut surroundings = Surroundings::default();
        surroundings.set(at(1));
        assert!(!surroundings.see(at(1)));
        assert!(surroundings.see(at(2)));
        assert!(!surroundings.see(at(2)));
        assert!(!surroundings.see(None) && !surroundings.see(None), "nothing to try there");
        assert!(surroundings.see(at(2)), "the same, but whatever was open may be gone");
        assert!(!surroundings.see(at(2)));
    }

    #[test]
    fn a_machine_that_had_no_network_finds_one() {
        let mut surroundings = Surroundings::default();
        assert!(!surroundings.see(None));
        assert!(surroundings.see(at(1)));
    }

    #[test]
    fn a_place_has_one_name_until_the_peer_moves() {
        let mut surroundings = Surroundings::default();
        surroundings.set(at(1));
        let before = surroundings.network();
        surroundings.set(None);
        assert_eq!(surroundings.network(), before, "one that cannot be told is the one before");
        surroundings.peer_moved();
        assert_ne!(surroundings.network(), before);
    }

    #[test]
    fn ten_seconds_of_the_wall_clock_are_no_sleep_and_more_are() {
        assert!(!Surroundings::slept(SLEPT));
        assert!(Surroundings::slept(SLEPT + Duration::from_millis(1)));
    }
}
