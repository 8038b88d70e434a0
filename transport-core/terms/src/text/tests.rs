use proptest::{collection::vec, prelude::*};

use super::*;

/// What must never come out, written down a second time and apart from the code.
const FORBIDDEN: &[(u32, u32)] = &[
    (0x00, 0x1F),
    (0x7F, 0x9F),
    (0x061C, 0x061C),
    (0x200B, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0xE000, 0xF8FF),
    (0xFDD0, 0xFDEF),
    (0xFEFF, 0xFEFF),
    (0xFFF9, 0xFFFB),
    (0xFFFE, 0xFFFF),
    (0x1FFFE, 0x1FFFF),
    (0x2FFFE, 0x2FFFF),
    (0xDFFFE, 0xDFFFF),
    (0xE0000, 0x10FFFF),
];

fn is_safe(text: &Text) -> bool {
    let forbidden = |c: char| FORBIDDEN.iter().any(|&(from, to)| (from..=to).contains(&u32::from(c)));
    text.len() <= Text::MAX_BYTES && !text.chars().any(forbidden)
}

#[test]
fn a_terminal_cannot_be_steered() {
    assert_eq!(Text::from_bytes(b"bye\x1b[2J\r\n\x07 \xff ok"), "bye[2J \u{fffd} ok");
    assert_eq!(Text::from_bytes("a\u{9b}31mb\u{9d}0;x\u{9c}".as_bytes()), "a31mb0;x");
}

#[test]
fn what_is_read_is_what_is_there() {
    assert_eq!(Text::new("pay\u{202E}drow\u{202C}"), "paydrow");
    assert_eq!(Text::new("ad\u{200B}min\u{FEFF}\u{2028}\u{E0041}"), "admin");
}

#[test]
fn every_forbidden_character_is_removed_and_all_others_of_a_language_stay() {
    for c in FORBIDDEN.iter().flat_map(|&(from, to)| from..=to).filter_map(char::from_u32) {
        assert_eq!(Text::new(c.to_string()), "", "U+{:04X}", u32::from(c));
    }
    for plain in ["", " ", "Grüße, wieder in 3 s", "再见", "до свидания", "مع السلامة", "👋 bye"]
    {
        assert_eq!(Text::new(plain), plain);
    }
}

#[test]
fn the_bound_is_exact_and_between_characters() {
    assert_eq!(Text::from_bytes(&[b'x'; 123]).len(), 123);
    assert_eq!(Text::from_bytes(&[b'x'; 124]).len(), 123);
    assert_eq!(Text::new("é".repeat(70)), "é".repeat(61).as_str());
    // What is removed does not count.
    assert_eq!(Text::new("\n".repeat(200) + "bye"), "bye");
    assert_eq!(Text::from_bytes(&[0xFF; 500]).len(), 41 * 3);
}

#[test]
fn every_way_in_cleans_and_every_way_out_shows_the_same() {
    let ways = [
        Text::from("b\u{1b}ye"),
        Text::from(String::from("b\u{1b}ye")),
        Text::from(Cow::Borrowed("b\u{1b}ye")),
    ];
    for text in ways {
        assert!(text == "bye" && text == *"bye" && text != "b\u{1b}ye" && text != *"by");
        assert_eq!(AsRef::<str>::as_ref(&text), "bye");
        assert_eq!((&*text, String::from(text.clone())), ("bye", "bye".to_owned()));
    }
}

#[test]
fn display_pads_like_any_text() {
    assert_eq!(format!("[{:>5}] {:?}", Text::new("bye"), Text::new("b\"e")), "[  bye] \"b\\\"e\"");
}

#[cfg(feature = "serde")]
#[test]
fn json_is_cleaned_as_it_is_read() {
    let text: Text = serde_json::from_str(r#""\u001b[2Jbye""#).unwrap();
    assert_eq!(serde_json::to_string(&text).unwrap(), r#""[2Jbye""#);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_bytes_come_in_only_safe_text_comes_out(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert!(is_safe(&Text::from_bytes(&bytes)));
    }

    #[test]
    fn whatever_characters_come_in_only_safe_text_comes_out(text in vec(any::<char>(), 0..200)) {
        let text: String = text.into_iter().collect();
        let clean = Text::new(text.clone());
        prop_assert!(is_safe(&clean));
        prop_assert_eq!(&clean, &Text::from_bytes(text.as_bytes()));
        prop_assert_eq!(&clean, &Text::new(clean.to_string()), "cleaning twice changes nothing");
    }

    #[test]
    fn dense_mixtures_of_what_is_forbidden_are_cleaned(
        text in "[a-z \u{1b}\u{9b}\u{202a}-\u{202e}\u{2028}\u{200b}-\u{200f}\u{feff}\u{e000}]{0,200}",
    ) {
        prop_assert!(is_safe(&Text::new(text)));
    }
}
