//! What two applications allow together.

use crate::policy::Override;

/// Joins what this side allows with what the peer allows: the stricter one. Where the two exclude each other
/// (one allows the relay alone, the other everything but), each keeps its own, and the follower declines.
pub(super) fn both(own: Override, peer: Override) -> Override {
    match (own, peer) {
        (Override::Auto, peer) => peer,
        (Override::NoRelay, Override::DirectOnly) => Override::DirectOnly,
        (own, _) => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_side_decides_and_a_contradiction_is_left_alone() {
        use Override::{Auto, DirectOnly, NoRelay, RelayOnly};
        for (own, peer, allowed) in [
            (Auto, Auto, Auto),
            (Auto, RelayOnly, RelayOnly),
            (NoRelay, Auto, NoRelay),
            (NoRelay, DirectOnly, DirectOnly),
            (DirectOnly, NoRelay, DirectOnly),
            (RelayOnly, DirectOnly, RelayOnly),
            (DirectOnly, RelayOnly, DirectOnly),
        ] {
            assert_eq!(both(own, peer), allowed, "{own:?} {peer:?}");
        }
    }
}
