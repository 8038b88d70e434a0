//! How often one viewer may change the size of the terminal. No IO.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::wire::Size;

/// The sizes that one viewer asks for, at most [`MOST`] in any second: each makes the command redraw and sends
/// everybody a snapshot. Of those that have to wait the newest counts.
#[derive(Debug, Default)]
pub(super) struct Resizes {
    wanted: Option<Size>,
    /// When the last ones were taken, oldest first.
    taken: VecDeque<Instant>,
}

impl Resizes {
    /// Notes what the viewer asks for, in place of what it asked for before.
    pub(super) fn ask(&mut self, size: Size) {
        self.wanted = Some(size);
    }

    /// Says when [`take`](Self::take) gives something; at once when that time has passed.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.wanted.map(|_| self.free().unwrap_or(now))
    }

    /// Takes the size that is due.
    pub(super) fn take(&mut self, now: Instant) -> Option<Size> {
        if self.free().is_some_and(|free| now < free) {
            return None;
        }
        let size = self.wanted.take()?;
        if self.taken.len() == MOST {
            self.taken.pop_front();
        }
        self.taken.push_back(now);
        Some(size)
    }

    /// When the next may be taken, if that is not at any time.
    fn free(&self) -> Option<Instant> {
        self.taken.front().filter(|_| self.taken.len() == MOST).map(|oldest| *oldest + SECOND)
    }
}

/// In any second: a window that is dragged looks smooth, and a flood costs no more than that.
const MOST: usize = 10;
const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn size(columns: u16) -> Size {
        Size { columns, rows: 24 }
    }

    #[test]
    fn ten_are_taken_at_once_and_of_a_flood_the_newest_after_a_second() {
        let (mut resizes, start) = (Resizes::default(), Instant::now());
        assert_eq!((resizes.due(start), resizes.take(start)), (None, None));
        for columns in 80..90 {
            resizes.ask(size(columns));
            assert_eq!(resizes.due(start), Some(start));
            assert_eq!(resizes.take(start), Some(size(columns)));
        }
        resizes.ask(size(90));
        resizes.ask(size(91));
        let later = start + SECOND;
        assert_eq!(resizes.due(start), Some(later));
        assert_eq!(resizes.take(later - Duration::from_nanos(1)), None);
        assert_eq!(resizes.take(later), Some(size(91)));
        assert_eq!(resizes.due(later), None);
    }

    #[test]
    fn forty_three_thousand_in_two_seconds_are_twenty() {
        let (mut resizes, start) = (Resizes::default(), Instant::now());
        let taken = (0..43_000_u32).filter(|nth| {
            resizes.ask(size(20 + (nth % 900) as u16));
            resizes.take(start + Duration::from_secs(2) * *nth / 43_000).is_some()
        });
        assert_eq!(taken.count(), 20);
    }
}
