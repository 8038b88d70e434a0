//! What a screen does not draw but passes on.

use transport_core::Text;

use super::history::History;

/// The bell, the title, what was copied, answers to questions, lines that left the top.
#[derive(Debug, Default)]
pub(super) struct Bells {
    /// How often the bell rang.
    pub(super) rung: u64,
    /// How often it had when it was last asked.
    pub(super) told: u64,
    pub(super) title: Option<String>,
    /// The title was set since it was last asked.
    pub(super) titled: bool,
    /// Titles that a program saved to restore them.
    titles: Vec<Option<String>>,
    /// How often something was copied, and what was last, in base64.
    pub(super) copied: (u64, Option<std::sync::Arc<str>>),
    /// It was not taken yet.
    pub(super) copy_waits: bool,
    answers: Vec<u8>,
    pub(super) history: History,
    /// The program chose a shape for the cursor.
    pub(super) cursor_chosen: bool,
}

impl Bells {
    pub(super) fn set_title(&mut self, title: &str) {
        self.title = Some(title.chars().filter(|&c| Text::shows(c)).take(MAX_TITLE).collect());
        self.titled = true;
    }

    pub(super) fn push_title(&mut self) {
        if self.titles.len() < MAX_TITLES {
            self.titles.push(self.title.clone());
        }
    }

    pub(super) fn pop_title(&mut self) {
        if let Some(title) = self.titles.pop() {
            self.set_title(title.as_deref().unwrap_or(""));
        }
    }

    pub(super) fn copy(&mut self, base64: &[u8]) {
        let fits = !base64.is_empty() && base64.len() <= MAX_COPY;
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
        if let Ok(text) = std::str::from_utf8(base64)
            && fits
            && base64.iter().all(plain)
        {
            self.copied = (self.copied.0 + 1, Some(text.into()));
            self.copy_waits = true;
        }
    }

    pub(super) fn answer(&mut self, answer: &str) {
        if self.answers.len() < MAX_ANSWERS {
            self.answers.extend_from_slice(answer.as_bytes());
        }
    }

    pub(super) fn take_answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.answers)
    }
}

/// Bytes of answers that may wait to be taken.
const MAX_ANSWERS: usize = 1024;

/// Characters of a window title that are kept.
const MAX_TITLE: usize = 256;

/// Titles that a program may save.
const MAX_TITLES: usize = 16;

/// Bytes of base64 that a program may copy: what xterm takes is about as much.
const MAX_COPY: usize = 96 * 1024;
