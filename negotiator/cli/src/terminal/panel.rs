//! A text laid over the top of a person's terminal.

use transport_core::Text;

use crate::wire::Size;

/// Lays a text over the top of the terminal.
pub fn panel(text: &str, terminal: Size) -> Vec<String> {
    let width = usize::from(terminal.columns);
    let row = |text: &str| {
        let mut row: String = text.chars().filter(|&c| Text::shows(c)).take(width).collect();
        row.extend(std::iter::repeat_n(' ', width - row.chars().count()));
        format!("\x1b[0;7m{row}\x1b[0m")
    };
    let indented = text.lines().flat_map(|line| wrap(line, width.saturating_sub(2)));
    let mut rows: Vec<String> = std::iter::once(row(""))
        .chain(indented.map(|line| row(&format!(" {line}"))))
        .chain([row(""), row(" any key continues")])
        .collect();
    rows.truncate(usize::from(terminal.rows.saturating_sub(1)));
    rows
}

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
    fn a_panel_fits_the_terminal() {
        let rows = panel(&"a\n".repeat(20), Size { columns: 30, rows: 8 });
        assert_eq!(rows.len(), 7);
    }
}
