//! Which datagrams were seen already: a sliding bitmap, as in RFC 6479.

/// Remembers the newest [`WIDTH`] counters of one key.
///
/// Ask [`is_fresh`](Self::is_fresh), verify the tag, and only then [`mark`](Self::mark): a forged
/// datagram must not move the window.
#[derive(Debug, Clone)]
pub(super) struct ReplayWindow {
    /// A ring of 64-bit blocks. One more than the width needs: the block that `highest` entered is
    /// not full yet.
    blocks: [u64; BLOCKS],
    /// One above the highest counter marked; 0 before the first.
    end: u64,
}

impl ReplayWindow {
    pub(super) const fn new() -> Self {
        Self { blocks: [0; BLOCKS], end: 0 }
    }

    /// Says whether `counter` is neither marked nor too old to tell.
    pub(super) fn is_fresh(&self, counter: u64) -> bool {
        if counter >= self.end {
            return true;
        }
        self.end - counter <= WIDTH && self.blocks[block(counter)] & bit(counter) == 0
    }

    /// Marks a counter that [`is_fresh`](Self::is_fresh) let through.
    pub(super) fn mark(&mut self, counter: u64) {
        if counter >= self.end {
            let entered = (counter / 64).saturating_sub(self.end.saturating_sub(1) / 64);
            for step in 0..entered.min(BLOCKS as u64) {
                self.blocks[block(counter - step * 64)] = 0;
            }
            self.end = counter + 1;
        }
        self.blocks[block(counter)] |= bit(counter);
    }
}

/// Counters remembered. A path that reorders by more than this delivers its datagrams too late for
/// a terminal anyway; 2,048 are 32 MiB of full messages.
pub(super) const WIDTH: u64 = 2048;

const BLOCKS: usize = WIDTH as usize / 64 + 1;

const fn block(counter: u64) -> usize {
    ((counter / 64) % BLOCKS as u64) as usize
}

const fn bit(counter: u64) -> u64 {
    1 << (counter % 64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_remembered_counter_is_known_and_the_one_before_is_too_old() {
        for highest in [WIDTH - 1, WIDTH, 5_000, 64 * 33 * 7 - 1, 64 * 33 * 7, 1 << 47] {
            let mut window = ReplayWindow::new();
            window.mark(highest);
            let oldest = highest + 1 - WIDTH;
            assert!(!window.is_fresh(highest) && window.is_fresh(highest + 1), "{highest}");
            assert!(window.is_fresh(oldest), "{highest}");
            window.mark(oldest);
            assert!(!window.is_fresh(oldest), "{highest}");
            if let Some(older) = oldest.checked_sub(1) {
                assert!(!window.is_fresh(older), "{highest}");
            }
        }
    }

    #[test]
    fn a_leap_far_ahead_forgets_everything_behind_it_as_too_old() {
        let mut window = ReplayWindow::new();
        (0..100).for_each(|counter| window.mark(counter));
        window.mark(1_000_000);
        assert!((0..100).all(|counter| !window.is_fresh(counter)));
        assert!((1_000_000 - WIDTH + 1..1_000_000).all(|counter| window.is_fresh(counter)));
    }

    #[test]
    fn of_an_unbroken_row_no_counter_inside_the_window_is_ever_fresh_again() {
        let mut window = ReplayWindow::new();
        for highest in 0..WIDTH * 3 {
            window.mark(highest);
            for counter in highest.saturating_sub(WIDTH - 1)..=highest {
                assert!(!window.is_fresh(counter), "{counter} after {highest}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_counter_passes_twice_and_none_inside_the_window_is_lost(
            steps in proptest::collection::vec((0u64..200, 0u64..2_500), 1..600),
        ) {
            let (mut window, mut seen, mut top) = (ReplayWindow::new(), BTreeSet::new(), 0u64);
            for (ahead, behind) in steps {
                top += ahead;
                let counter = top.saturating_sub(behind);
                let end = seen.last().map_or(0, |highest: &u64| highest + 1);
                let expected = !seen.contains(&counter) && counter + WIDTH >= end;
                prop_assert_eq!(window.is_fresh(counter), expected);
                if expected {
                    window.mark(counter);
                    seen.insert(counter);
                }
            }
        }
    }
}
