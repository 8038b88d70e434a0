//! Finds rows that were moved up or down: to move them again costs a few bytes, to draw them anew a screen.

/// Rows that move within a part of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scroll {
    /// The first row of the part.
    pub(super) top: u16,
    /// Its last row.
    pub(super) bottom: u16,
    /// Rows by which it moves up; down when negative.
    pub(super) by: i32,
}

impl Scroll {
    /// Finds the move after which the fewest rows differ, from the rows' hashes; `None` when it would not save at least
    /// [`WORTH`] rows.
    pub(super) fn find(old: &[u64], new: &[u64], blank: u64) -> Option<Self> {
        let rows = old.len().min(new.len());
        let mut best = (WORTH - 1, None);
        for by in 1..rows {
            for up in [true, false] {
                // Row `to(nth)` shows what stood in row `from(nth)`.
                let (from, to) = if up { (by, 0) } else { (0, by) };
                let mut start = 0;
                let mut saved = 0_usize;
                for nth in 0..=rows - by {
                    let same = nth < rows - by && old[nth + from] == new[nth + to];
                    if same {
                        // A blank row costs nothing to draw, and one that is right where it is neither.
                        saved += usize::from(new[nth + to] != blank && old[nth + to] != new[nth + to]);
                        continue;
                    }
                    if saved <= best.0 {
                        (start, saved) = (nth + 1, 0);
                        continue;
                    }
                    // Blank rows come in. They must be drawn, even where they were right before.
                    let uncovered = if up { nth..nth + by } else { start..start + by };
                    let spoiled = |row: &usize| old[*row] == new[*row] && new[*row] != blank;
                    let saved_in_all = saved.saturating_sub(uncovered.filter(spoiled).count());
                    if saved_in_all > best.0 {
                        let by = if up { by as i32 } else { -(by as i32) };
                        let bottom = nth - 1 + by.unsigned_abs() as usize;
                        best = (saved_in_all, Some(Self { top: start as u16, bottom: bottom as u16, by }));
                    }
                    (start, saved) = (nth + 1, 0);
                }
            }
        }
        best.1
    }

    /// Returns which row stands in `row` after the move; `None` for a blank one that came in.
    pub(super) fn source(self, row: u16) -> Option<u16> {
        if !(self.top..=self.bottom).contains(&row) {
            return Some(row);
        }
        let source = i32::from(row) + self.by;
        u16::try_from(source).ok().filter(|source| (self.top..=self.bottom).contains(source))
    }
}

/// Rows that a move must save. The rows it uncovers may have to be drawn.
const WORTH: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moved_up_or_down_is_found() {
        let old = [9, 1, 2, 3, 4, 8];
        assert_eq!(Scroll::find(&old, &[9, 2, 3, 4, 5, 8], 0), Some(Scroll { top: 1, bottom: 4, by: 1 }));
        assert_eq!(Scroll::find(&old, &[9, 7, 1, 2, 3, 8], 0), Some(Scroll { top: 1, bottom: 4, by: -1 }));
        assert_eq!(Scroll::find(&old, &[2, 3, 4, 8, 5, 6], 0), Some(Scroll { top: 0, bottom: 5, by: 2 }));
        for unmoved in [[9, 1, 2, 3, 4, 8], [9, 1, 5, 6, 4, 8], [0; 6], [9, 2, 5, 6, 7, 8]] {
            assert_eq!(Scroll::find(&old, &unmoved, 0), None, "{unmoved:?}");
        }
    }

    #[test]
    fn blank_rows_are_not_worth_a_move() {
        assert_eq!(Scroll::find(&[0, 0, 0, 1], &[0, 0, 1, 0], 0), None);
    }

    #[test]
    fn a_move_says_where_each_row_came_from() {
        let up = Scroll { top: 1, bottom: 3, by: 2 };
        assert_eq!([0, 1, 2, 3, 4].map(|row| up.source(row)), [Some(0), Some(3), None, None, Some(4)]);
        let down = Scroll { top: 1, bottom: 3, by: -1 };
        assert_eq!([0, 1, 2, 3, 4].map(|row| down.source(row)), [Some(0), None, Some(1), Some(2), Some(4)]);
    }
}
