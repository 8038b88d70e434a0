//! The last row of a person's terminal: a text at the left, one at the right.

use transport_core::Text;

/// Fits both texts into a row; the right one gives way first.
pub fn painted(style: &str, left: &str, right: &str, columns: usize) -> String {
    let mut line: String = left.chars().filter(|&c| Text::shows(c)).take(columns).collect();
    let (used, wanted) = (line.chars().count(), right.chars().count());
    if used + wanted < columns {
        line.extend(std::iter::repeat_n(' ', columns - used - wanted));
        line.push_str(right);
    } else {
        line.extend(std::iter::repeat_n(' ', columns - used));
    }
    format!("{style}{line}\x1b[0m")
}

/// Dim.
pub const CALM: &str = "\x1b[0;2m";

/// Reversed.
pub const ATTENTION: &str = "\x1b[0;7m";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_exactly_as_wide_as_the_terminal() {
        for columns in [1, 5, 20, 80] {
            let line = painted(CALM, " webrtc · 3 ms", "Ctrl-^ ? ", columns);
            let shown = line.strip_prefix(CALM).unwrap().strip_suffix("\x1b[0m").unwrap();
            assert_eq!(shown.chars().count(), columns);
        }
    }

    #[test]
    fn the_right_side_gives_way_first() {
        assert_eq!(painted("", "abc", "de", 6), "abc de\x1b[0m");
        assert_eq!(painted("", "abc", "de", 5), "abc  \x1b[0m");
    }
}
