//! A text laid over the top of a person's terminal.

use transport_core::Text;

use crate::wire::Size;

/// Lays a text over the top of the terminal; of one that is too long, its beginning.
pub fn panel(text: &str, terminal: Size) -> Vec<String> {
    pages(text, terminal).swap_remove(0)
}

/// Lays a text over the top of the terminal, in as many pages as it needs: at least one.
pub fn pages(text: &str, terminal: Size) -> Vec<Vec<String>> {
    let width = usize::from(terminal.columns);
    let row = |text: &str| {
        let mut row: String = text.chars().filter(|&c| Text::shows(c)).take(width).collect();
        row.extend(std::iter::repeat_n(' ', width - row.chars().count()));
        format!("\x1b[0;7m{row}\x1b[0m")
    };
    let indented = text.lines().flat_map(|line| wrap(line, width.saturating_sub(2)));
    let mut lines: Vec<String> = indented.map(|line| row(&format!(" {line}"))).collect();
    if lines.is_empty() {
        lines.push(row(""));
    }
    // All but the last row, which is not covered.
    let room = usize::from(terminal.rows.saturating_sub(1));
    if lines.len() + 3 <= room {
        let frame = |lines: Vec<String>| {
            std::iter::once(row("")).chain(lines).chain([row(""), row(CONTINUES)]).collect()
        };
        return vec![frame(lines)];
    }
    let chunks = lines.chunks(room.saturating_sub(1).max(1));
    let count = chunks.len();
    let page = |(nth, chunk): (usize, &[String])| {
        let hint =
            if nth + 1 < count { format!(" any key: more, {}/{count}", nth + 1) } else { CONTINUES.into() };
        let mut page: Vec<String> = chunk.iter().cloned().chain([row(&hint)]).collect();
        page.truncate(room);
        page
    };
    chunks.enumerate().map(page).collect()
}

/// What the last page ends with.
const CONTINUES: &str = " any key continues";

/// Breaks a line at spaces, or anywhere in words that are wider than the row.
fn wrap(line: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut rows = vec![String::new()];
    for word in line.split_inclusive(' ') {
        for (index, letter) in word.chars().enumerate() {
            let last = rows.len() - 1;
            let used = rows[last].chars().count();
            let wanted = if index == 0 { word.trim_end().chars().count().clamp(1, width) } else { 1 };
            if used + wanted > width {
                rows.push(String::new());
            }
            let last = rows.len() - 1;
            rows[last].push(letter);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_wrapped_at_spaces() {
        assert_eq!(wrap("one two three", 8), ["one two ", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("", 3), [""]);
    }

    #[test]
    fn a_text_that_is_too_long_has_pages_and_none_of_it_is_lost() {
        let text: Vec<String> = (0..20).map(|n| format!("line {n}.")).collect();
        for rows in [2, 3, 5, 8, 22, 23, 24, 100] {
            let pages = pages(&text.join("\n"), Size { columns: 20, rows });
            assert!(pages.iter().all(|page| page.len() < usize::from(rows)), "{rows}");
            let shown = pages.concat().concat();
            assert!(text.iter().all(|line| rows < 3 || shown.contains(line)), "{rows}: {shown}");
            let last = pages.last().and_then(|page| page.last()).is_some_and(|row| row.contains(CONTINUES));
            assert!(rows < 3 || last, "{rows}");
            assert_eq!(pages.len() == 1, rows >= 22, "{rows}");
        }
        assert_eq!(pages("", Size { columns: 1, rows: 1 }), [[""; 0]]);
    }

    #[test]
    fn a_panel_fits_the_terminal() {
        let rows = panel(&"a\n".repeat(20), Size { columns: 30, rows: 8 });
        assert_eq!(rows.len(), 7);
    }
}
