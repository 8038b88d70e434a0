//! A text laid over the top of a person's terminal.

use transport_core::Text;

use crate::wire::Size;

/// Lays a text over the top of the terminal; of one that is too long, its beginning.
pub fn panel(text: &str, terminal: Size) -> Vec<String> {
    pages(text, terminal).swap_remove(0)
}

/// Lays a text over the top of the terminal, in as many pages as it needs: at least one.
pub fn pages(text: &str, terminal: Size) -> Vec<Vec<String>> {
    let row = |text: &str| row(LAID, text, terminal);
    let indented = text.lines().flat_map(|line| wrap(line, usize::from(terminal.columns).saturating_sub(2)));
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

/// Lays a list over the top of the terminal, with one of its lines chosen and a last line of what can be done. Of a list
/// that is too long the part around the chosen line is shown.
pub fn listing(lines: &[String], chosen: Option<usize>, foot: &str, terminal: Size) -> Vec<String> {
    let row = |style: &str, text: &str| row(style, text, terminal);
    // Above and beneath stand a blank row each, the last line and the status line.
    let room = usize::from(terminal.rows).saturating_sub(4).max(1);
    let first = chosen.unwrap_or(0).saturating_sub(room / 2).min(lines.len().saturating_sub(room));
    let shown = lines.iter().enumerate().skip(first).take(room).map(|(index, line)| match chosen {
        Some(chosen) if chosen == index => row(CHOSEN, &format!(">{line}")),
        _ => row(LAID, &format!(" {line}")),
    });
    let foot = wrap(foot, usize::from(terminal.columns).saturating_sub(2));
    let foot = foot.iter().map(|line| row(LAID, &format!(" {line}")));
    let mut rows: Vec<String> =
        std::iter::once(row(LAID, "")).chain(shown).chain([row(LAID, "")]).chain(foot).collect();
    rows.truncate(usize::from(terminal.rows.saturating_sub(1)));
    rows
}

/// One row as wide as the terminal.
fn row(style: &str, text: &str, terminal: Size) -> String {
    let width = usize::from(terminal.columns);
    let mut row: String = text.chars().filter(|&c| Text::shows(c)).take(width).collect();
    row.extend(std::iter::repeat_n(' ', width - row.chars().count()));
    format!("{style}{row}\x1b[0m")
}

/// What the last page ends with.
const CONTINUES: &str = " any key continues";

/// Breaks a line at spaces, or anywhere in words that are wider than the row.
pub fn wrap(line: &str, width: usize) -> Vec<String> {
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

/// Reversed.
const LAID: &str = "\x1b[0;7m";

/// Bold, and not reversed.
const CHOSEN: &str = "\x1b[0;1m";

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

    #[test]
    fn of_a_long_list_the_part_around_the_chosen_line_is_shown() {
        let lines: Vec<String> = (0..40).map(|n| format!("line {n}")).collect();
        let terminal = Size { columns: 30, rows: 12 };
        for (chosen, first, last) in [(0, 0, 7), (20, 16, 23), (39, 32, 39)] {
            let rows = listing(&lines, Some(chosen), "q", terminal);
            let text = rows.join("\n");
            assert_eq!(rows.len(), 11);
            assert!(text.contains(&format!(">line {chosen} ")), "{text}");
            assert!(
                text.contains(&format!("line {first} ")) && text.contains(&format!("line {last} ")),
                "{text}"
            );
        }
    }
}
