//! What goes beyond letters and colours: kept in pictures, answered once, passed on.

use super::{Screen, glyph::write_row, tests::seen};
use crate::wire::Size;

const SIZE: Size = Size { columns: 40, rows: 4 };

/// Returns the first row as it is painted, after it went through a picture.
fn painted(bytes: &str) -> String {
    let mut screen = Screen::new(SIZE);
    screen.feed(bytes.as_bytes());
    let viewer = Screen::restore(SIZE, &screen.picture().whole());
    assert_eq!(seen(&viewer), seen(&screen));
    let mut row = String::new();
    write_row(&mut row, viewer.model.row(0), SIZE.columns);
    row
}

#[test]
fn every_attribute_reaches_a_viewers_terminal() {
    for codes in
        ["1", "2", "3", "4", "4:2", "4:3", "4:4", "4:5", "5", "7", "8", "9", "4;58:5:9", "4:3;58:2::1:2:3"]
    {
        assert_eq!(painted(&format!("\x1b[{codes}ma\x1b[m")), format!("\x1b[{codes}ma\x1b[m"));
    }
    assert_eq!(painted("\x1b[5;8;9ma\x1b[25;28;29mb"), "\x1b[5;8;9ma\x1b[mb");
}

#[test]
fn lines_are_drawn_from_letters() {
    assert_eq!(painted("\x1b(0lqk\x1b(Blqk\x1b)0\x0ex\x0fx"), "┌─┐lqk│x");
}

#[test]
fn links_are_kept_with_their_names_and_without_control_characters() {
    assert_eq!(
        painted("a \x1b]8;id=x;http://beach.example/\x07b c\x1b]8;;\x07 d"),
        "a \x1b]8;id=x;http://beach.example/\x1b\\b c\x1b]8;;\x1b\\ d"
    );
    assert_eq!(
        painted("\x1b]8;;http://beach.example/\x1b\\b"),
        "\x1b]8;;http://beach.example/\x1b\\b\x1b]8;;\x1b\\"
    );
    assert_eq!(painted("\x1b]8;;http://\u{202e}beach\x1b\\b"), "b");
    assert_eq!(painted(&format!("\x1b]8;;http://{}\x1b\\b", "x".repeat(3000))), "b");
}

#[test]
fn a_character_carries_a_bounded_number_of_marks() {
    assert_eq!(painted(&format!("a{}b", "\u{301}".repeat(1000))), format!("a{}b", "\u{301}".repeat(6)));
}

#[test]
fn questions_for_colours_are_answered_with_what_the_program_set_or_light_on_dark() {
    let mut screen = Screen::new(SIZE);
    screen.feed(b"\x1b]10;?\x07\x1b]11;?\x1b\\");
    assert_eq!(screen.take_answers(), "\x1b]10;rgb:e5e5/e5e5/e5e5\x07\x1b]11;rgb:0000/0000/0000\x1b\\");
    screen.feed(b"\x1b]11;#ffffff\x07\x1b]11;?\x07");
    assert_eq!(screen.take_answers(), "\x1b]11;rgb:ffff/ffff/ffff\x07");
}

#[test]
fn a_title_that_was_saved_comes_back() {
    let mut screen = Screen::new(SIZE);
    screen.feed(b"\x1b]2;shell\x07\x1b[22;0t\x1b]2;editor\x07");
    assert_eq!(screen.take_title().as_deref(), Some("editor"));
    screen.feed(b"\x1b[23;0t");
    assert_eq!(screen.take_title().as_deref(), Some("shell"));
}

#[test]
fn focus_and_mouse_reports_are_asked_for_where_the_program_does() {
    let mut screen = Screen::new(SIZE);
    let before = screen.picture();
    screen.feed(b"\x1b[?1004h\x1b[?1002h\x1b[?1006h");
    let change = screen.picture().since(&before);
    assert_eq!(change, "\x1b[?1004h\x1b[?1002h\x1b[?1006h");
    let before = screen.picture();
    screen.feed(b"\x1b[?1004l\x1b[?1002l");
    assert_eq!(screen.picture().since(&before), "\x1b[?1004l\x1b[?1002l");
}

#[test]
fn what_was_copied_reaches_who_is_there_and_nobody_who_comes_later() {
    let mut screen = Screen::new(SIZE);
    let before = screen.picture();
    let mut viewer = Screen::restore(SIZE, &before.whole());
    screen.feed(b"\x1b]52;c;aGVsbG8=\x07");
    let after = screen.picture();
    viewer.feed(&after.since(&before));
    assert_eq!((viewer.take_copied().as_deref(), viewer.take_copied()), (Some("aGVsbG8="), None));
    assert_eq!(Screen::restore(SIZE, &after.whole()).take_copied(), None);
    // What is in a clipboard is never told, and what is no base64 never copied.
    viewer.feed(b"\x1b]52;c;?\x07\x1b]52;c;a\xffb\x07");
    assert_eq!((viewer.take_copied(), viewer.take_answers().len()), (None, 0));
    viewer.feed(format!("\x1b]52;c;{}\x07", "a".repeat(200_000)).as_bytes());
    assert_eq!(viewer.take_copied(), None);
}
