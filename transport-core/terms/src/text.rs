//! Text from others that is safe to show.

use std::{borrow::Cow, fmt, ops::Deref};

/// A short text for a person, whoever wrote it: a close's reason, a refusal's message, a notice.
///
/// The constructors clean, so a value can be printed to a terminal, a log or a page as it is:
///
/// - at most [`MAX_BYTES`](Self::MAX_BYTES) bytes of UTF-8, cut between characters;
/// - no control characters (C0, DEL, C1), which steer a terminal;
/// - no characters that change the direction of text or the order in which it is read;
/// - no invisible characters: zero width, soft hyphen, tags, annotations;
/// - no line and paragraph separators, no private-use characters and no noncharacters.
///
/// What is not allowed is removed and leaves nothing behind. A mark in its place would make a long
/// reason full of them unreadable, and two words joined where a line break was do no harm. Bytes that
/// are no UTF-8 become U+FFFD, so that garbage is seen to be garbage.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(Cow<'static, str>);

impl Text {
    /// The longest text in bytes: what a WebSocket close frame holds beside its code (RFC 6455 §5.5).
    pub const MAX_BYTES: usize = 123;

    /// Cleans and cuts. Text that is clean already is kept without a copy.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
        let text = text.into();
        if text.len() <= Self::MAX_BYTES && text.chars().all(Self::shows) {
            return Self(text);
        }
        Self::collect(text.chars())
    }

    /// Cleans and cuts bytes that should be UTF-8. What is none becomes U+FFFD.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let chars = bytes.utf8_chunks().flat_map(|chunk| {
            let broken = (!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
            chunk.valid().chars().chain(broken)
        });
        Self::collect(chars)
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Says whether a reader sees `c` where it stands, and a terminal only draws it. For texts that may be
    /// longer than this type holds.
    pub fn shows(c: char) -> bool {
        !matches!(c,
            // C0, DEL and C1 controls: escape sequences, also the private ones, begin with one.
            '\0'..='\u{1F}' | '\u{7F}'..='\u{9F}'
            // Direction: Arabic letter mark; marks, embeddings, overrides and isolates (UAX #9).
            | '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
            // Zero width and invisible: joiners, byte order mark, soft hyphen, fillers, operators.
            | '\u{00AD}' | '\u{034F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200D}' | '\u{2060}'..='\u{2065}' | '\u{206A}'..='\u{206F}' | '\u{3164}' | '\u{FEFF}'
            | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
            // Line and paragraph separators.
            | '\u{2028}' | '\u{2029}'
            // Private use, code points that are no characters, and planes 14 to 16: tags and private use.
            | '\u{E000}'..='\u{F8FF}' | '\u{FDD0}'..='\u{FDEF}' | '\u{E0000}'..='\u{10FFFF}'
        ) && (c as u32) & 0xFFFE != 0xFFFE
    }

    fn collect(chars: impl Iterator<Item = char>) -> Self {
        let mut clean = String::new();
        for c in chars.filter(|c| Self::shows(*c)) {
            if clean.len() + c.len_utf8() > Self::MAX_BYTES {
                break;
            }
            clean.push(c);
        }
        Self(clean.into())
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<Cow<'static, str>> for Text {
    fn from(text: Cow<'static, str>) -> Self {
        Self::new(text)
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0.into_owned()
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Text {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <String as serde::Deserialize>::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests;
