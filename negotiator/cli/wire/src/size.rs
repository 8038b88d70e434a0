//! How large a terminal is, and how large a shared one may be.

/// The size of a terminal, in characters. Neither side is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Characters in a row.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

impl Size {
    /// The smallest that a terminal is shared in: below it programs draw nonsense, and a viewer could make
    /// everybody's terminal useless.
    pub const SMALLEST: Self = Self { columns: 20, rows: 4 };

    /// The largest: half a million cells, some 16 MiB in the screen model. What asks for more would make the
    /// other side hold it.
    pub const LARGEST: Self = Self { columns: 1000, rows: 500 };

    /// Makes a size, or `None` when a side is 0.
    pub fn new(columns: u16, rows: u16) -> Option<Self> {
        (columns > 0 && rows > 0).then_some(Self { columns, rows })
    }

    /// Returns the largest size that fits into both.
    #[must_use]
    pub fn fit(self, other: Self) -> Self {
        Self { columns: self.columns.min(other.columns), rows: self.rows.min(other.rows) }
    }

    /// Returns the nearest size in which a terminal is shared.
    #[must_use]
    pub fn shared(self) -> Self {
        Self {
            columns: self.columns.clamp(Self::SMALLEST.columns, Self::LARGEST.columns),
            rows: self.rows.clamp(Self::SMALLEST.rows, Self::LARGEST.rows),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_size_is_within_its_bounds_and_others_are_moved_there() {
        for (asked, shared) in [
            ((80, 24), (80, 24)),
            ((20, 4), (20, 4)),
            ((19, 3), (20, 4)),
            ((1, 1), (20, 4)),
            ((1000, 500), (1000, 500)),
            ((1001, 501), (1000, 500)),
            ((u16::MAX, u16::MAX), (1000, 500)),
        ] {
            let [asked, shared] = [asked, shared].map(|(columns, rows)| Size { columns, rows });
            assert_eq!(asked.shared(), shared);
        }
    }
}
