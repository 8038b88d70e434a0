//! What a line says, and where a pattern stands in it.

use transport_core::Text;

/// The first match in a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) before: String,
    pub(super) hit: String,
    pub(super) after: String,
}

/// Looks for a pattern in a line. Capitals count where the pattern has one.
pub(super) fn found(line: &[u8], pattern: &str) -> Option<Found> {
    let folds = !pattern.chars().any(char::is_uppercase);
    let fold = |c: char| if folds { c.to_lowercase().next().unwrap_or(c) } else { c };
    let letters: Vec<char> = plain(line).chars().collect();
    let pattern: Vec<char> = pattern.chars().map(fold).collect();
    if pattern.is_empty() {
        return None;
    }
    let fits = |window: &[char]| window.iter().zip(&pattern).all(|(letter, wanted)| fold(*letter) == *wanted);
    let at = letters.windows(pattern.len()).position(fits)?;
    let part = |range: std::ops::Range<usize>| letters[range].iter().collect::<String>();
    let behind = at + pattern.len();
    Some(Found { before: part(0..at), hit: part(at..behind), after: part(behind..letters.len()) })
}

/// The letters of a line, without what colours them.
fn plain(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let mut text = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\x1b' => {
                // What is no colour is taken out below.
                let rest = letters.clone();
                if letters.next() == Some('[') {
                    letters.find(|letter| ('\x40'..='\x7e').contains(letter));
                } else {
                    letters = rest;
                }
            }
            letter if Text::shows(letter) => text.push(letter),
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_no_letters_and_capitals_count_where_they_are_meant() {
        let line = "\x1b[1;31mÄrger\x1b[m: No\x1b[K space".as_bytes();
        let hit = |pattern| found(line, pattern).map(|found| (found.before, found.hit, found.after));
        let parts = |before: &str, hit: &str, after: &str| {
            Some((before.to_owned(), hit.to_owned(), after.to_owned()))
        };
        assert_eq!(hit("no s"), parts("Ärger: ", "No s", "pace"));
        assert_eq!(hit("ärger"), parts("", "Ärger", ": No space"));
        assert_eq!(hit("NO"), None);
        assert_eq!(hit("31"), None);
        assert_eq!(hit(""), None);
    }

    #[test]
    fn half_a_sequence_is_no_text() {
        for line in ["\x1b", "\x1b[", "\x1b[31", "\x1bab"] {
            assert!(plain(line.as_bytes()).chars().all(|letter| "ab".contains(letter)), "{line:?}");
        }
    }
}
