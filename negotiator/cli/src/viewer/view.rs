//! What a viewer's terminal shows: the shared screen, the status line, a text laid over it. No IO.

use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use clap::ValueEnum;
use negotiator::{Access, Explanation, Status};
use serde::Deserialize;

use super::{
    pager::{Outcome, Pager},
    predict::{Predict, Predictor},
    status::Line,
};
use crate::{
    screen::{Frame, Painter, Screen},
    terminal::{
        keys::{Command, EscapeKey, Keys, Typed, inputs},
        panel::pages,
        usable,
    },
    wire::{Message, Size},
};

/// The state behind a viewer's terminal.
#[derive(Debug)]
pub struct View {
    screen: Screen,
    painter: Painter,
    predictor: Predictor,
    predict: Predict,
    terminal: Size,
    access: Access,
    keys: Keys<Command>,
    escape: Option<String>,
    viewers: u16,
    notice: Option<(String, Instant)>,
    /// A text that stays until a key is typed.
    lasting: Option<String>,
    /// The session was lost: why, and what stands in the way of entering it anew.
    still: Option<String>,
    /// What left the top of the screen, laid over it.
    pager: Option<Pager>,
    overlay: Option<Overlay>,
    /// The page of the overlay, and whether there are more behind it.
    page: (usize, bool),
    ring: bool,
    title: Option<String>,
    clipboard: Clipboard,
    /// What the shared program copied, in base64, and the person was not asked yet or has not answered.
    copied: Option<String>,
    /// The person lets it have the clipboard.
    copies: bool,
}

/// Whether what the shared program copies reaches this terminal's clipboard. It is never told what is in there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Clipboard {
    /// Never.
    Off,
    /// When the person says so, each time.
    Ask,
    /// Always.
    On,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overlay {
    Explain,
    Help,
}

/// What the program must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Do {
    /// Try at once to enter anew.
    Again,
    /// End: the command did, with this status.
    End(u8),
    /// Leave.
    Quit,
    /// Stop until the shell brings this program back.
    Suspend,
    /// Send it to the host.
    Send(Message),
}

impl View {
    /// Shows nothing yet, in a terminal of this size.
    pub fn new(terminal: Size, access: Access, escape: EscapeKey) -> Self {
        Self {
            screen: Screen::new(usable(terminal)),
            painter: Painter::default(),
            predictor: Predictor::new(Predict::Adaptive),
            predict: Predict::Adaptive,
            terminal,
            access,
            keys: Keys::new(escape, Command::of),
            escape: escape.name(),
            viewers: 0,
            notice: None,
            lasting: None,
            still: None,
            pager: None,
            overlay: None,
            page: (0, false),
            ring: false,
            title: None,
            clipboard: Clipboard::Off,
            copied: None,
            copies: false,
        }
    }

    /// Says what becomes of what the shared program copies.
    #[must_use]
    pub fn copying(mut self, clipboard: Clipboard) -> Self {
        self.clipboard = clipboard;
        self
    }

    /// Says when characters are shown before the host has drawn them.
    #[must_use]
    pub fn predicting(mut self, when: Predict) -> Self {
        (self.predictor, self.predict) = (Predictor::new(when), when);
        self
    }

    /// Takes a message of the host.
    pub fn handle_message(&mut self, now: Instant, message: Message) -> Option<Do> {
        match message {
            Message::Snapshot { size, bytes } => {
                self.screen = Screen::new(size);
                self.draw(now, &bytes);
            }
            Message::Change(bytes) => self.draw(now, &bytes),
            Message::Viewers(count) => self.viewers = count,
            // The host decided anew. Who may type has a say in the size.
            Message::Welcome(access) => {
                self.access = access;
                return self.opening().map(Do::Send);
            }
            Message::Recalled(past) => {
                return self.pager.as_mut().and_then(|pager| pager.take(&past)).map(Do::Send);
            }
            Message::Notice(text) => self.notice = Some((text, now)),
            Message::Exit(status) => return Some(Do::End(status)),
            other => tracing::warn!(kind = other.encode()[0], "a message that is not for a viewer"),
        }
        None
    }

    /// Takes what was typed.
    pub fn handle_typed(&mut self, now: Instant, bytes: &[u8]) -> Vec<Do> {
        let mut todo = Vec::new();
        self.lasting = None;
        for typed in self.keys.feed(bytes) {
            match typed {
                Typed::Input(bytes) => self.input(now, bytes, &mut todo),
                Typed::Command(Command::Copy) => self.copies = self.copied.is_some(),
                Typed::Command(Command::Explain) => self.toggle(Overlay::Explain),
                Typed::Command(Command::History) => todo.extend(self.toggle_history()),
                Typed::Command(Command::Help) => self.toggle(Overlay::Help),
                Typed::Command(Command::Quit) => todo.push(Do::Quit),
                Typed::Command(Command::Suspend) => todo.push(Do::Suspend),
                Typed::Command(Command::Redraw) => {
                    self.forget();
                    todo.push(Do::Send(Message::Resync));
                }
            }
        }
        todo
    }

    /// The person's terminal has another size.
    pub fn handle_resize(&mut self, terminal: Size) -> Option<Do> {
        self.terminal = terminal;
        if let Some(pager) = &mut self.pager {
            pager.fit(terminal);
        }
        self.opening().map(Do::Send)
    }

    /// The session was lost. Its last screen stays, what is typed goes nowhere, and the last row says `why` and what stands
    /// in the way of entering it anew.
    pub fn stand_still(&mut self, why: &str, obstacle: String) {
        let obstacle = if obstacle.is_empty() { String::new() } else { format!(" · {obstacle}") };
        self.still = Some(format!("entering anew, any key tries at once · {why}{obstacle}"));
        self.predictor = Predictor::new(self.predict);
    }

    /// Shows another session of the same terminal; `said` until a key is typed.
    pub fn enter_anew(&mut self, access: Access, said: String) {
        (self.still, self.notice, self.viewers) = (None, None, 0);
        self.access = access;
        self.lasting = Some(said);
    }

    /// Returns what is to be asked in another session, because it was in the one before and not answered.
    pub fn asked(&mut self) -> Option<Message> {
        self.pager.as_mut().and_then(Pager::again)
    }

    /// What the person's terminal shows is not known any more: everything is painted next time.
    pub fn forget(&mut self) {
        self.painter.forget();
    }

    /// Returns what the host must know first. Who only watches has no say in the size.
    pub fn opening(&self) -> Option<Message> {
        (self.access == Access::Full).then(|| Message::Resize(usable(self.terminal)))
    }

    /// Returns what must be written so that the terminal shows the present; empty when it does.
    pub fn paint(&mut self, now: Instant, status: &Status, explain: impl FnOnce() -> Explanation) -> String {
        self.predictor.measured(status.rtt);
        self.predictor.expire(now, status.path.is_some(), &self.screen);
        self.notice.take_if(|(_, since)| now.duration_since(*since) >= NOTICE);
        let line = Line {
            status,
            viewers: self.viewers,
            read_only: self.access == Access::ReadOnly,
            notice: self
                .notice
                .as_ref()
                .map(|(text, _)| text)
                .or(self.still.as_ref())
                .or(self.lasting.as_ref())
                .map(String::as_str),
            escape: self.escape.as_deref(),
            armed: self.keys.is_armed(),
        };
        let mut line = line.render(self.terminal.columns);
        let overlay = match (self.overlay, &self.pager) {
            (Some(Overlay::Help), _) => self.laid_over(HELP),
            (Some(Overlay::Explain), _) => self.laid_over(&explain().to_string()),
            (None, Some(pager)) => {
                let (rows, status) = pager.paint(self.terminal);
                // What is worth a notice comes first.
                if self.still.is_none() && self.notice.is_none() && !self.keys.is_armed() {
                    line = status;
                }
                rows
            }
            (None, None) => Vec::new(),
        };
        let frame = Frame { screen: &self.screen, terminal: self.terminal, status: &line, overlay: &overlay };
        self.painter.guess(self.predictor.echo(now));
        let mut out = self.painter.paint(&frame);
        if let Some(title) = self.title.take() {
            out.push_str(&format!("\x1b]2;{title}\x07"));
        }
        if std::mem::take(&mut self.copies)
            && let Some(text) = self.copied.take()
        {
            out.push_str(&format!("\x1b]52;c;{text}\x07"));
        }
        if std::mem::take(&mut self.ring) {
            out.push('\x07');
        }
        out
    }

    /// Returns what the shared screen shows, row by row: what stays in the person's terminal after the end.
    pub fn last_screen(&self) -> String {
        self.screen.lines(self.terminal.columns).into_iter().map(|line| line + "\r\n").collect()
    }

    fn draw(&mut self, now: Instant, bytes: &[u8]) {
        self.screen.feed(bytes);
        self.predictor.drawn(now, &self.screen);
        self.ring |= self.screen.take_bell();
        self.title = self.screen.take_title().or(self.title.take());
        if let Some(text) = self.screen.take_copied() {
            self.copied(now, text);
        }
    }

    fn copied(&mut self, now: Instant, text: String) {
        match (self.clipboard, &self.escape) {
            (Clipboard::Off, _) => {}
            (Clipboard::On, _) => (self.copied, self.copies) = (Some(text), true),
            (Clipboard::Ask, None) => {
                self.notice = Some((
                    "the program copied something; without an escape key nobody can be asked".to_owned(),
                    now,
                ));
            }
            (Clipboard::Ask, Some(escape)) => {
                let said = format!(
                    "{escape} c puts what the program copied into your clipboard: {} bytes",
                    text.len() / 4 * 3
                );
                self.notice = Some((said, now));
                self.copied = Some(text);
            }
        }
    }

    /// Returns the page that is shown. The text may have become shorter, the terminal larger.
    fn laid_over(&mut self, text: &str) -> Vec<String> {
        let mut pages = pages(text, self.terminal);
        let page = self.page.0.min(pages.len() - 1);
        self.page = (page, page + 1 < pages.len());
        pages.swap_remove(page)
    }

    fn turn_page(&mut self) {
        match self.page {
            (page, true) => self.page = (page + 1, false),
            _ => self.overlay = None,
        }
    }

    fn input(&mut self, now: Instant, bytes: Bytes, todo: &mut Vec<Do>) {
        // What the terminal says about its focus is no key that answers anything here.
        let focus = matches!(&bytes[..], b"\x1b[I" | b"\x1b[O");
        if focus
            && (self.overlay.is_some()
                || self.pager.is_some()
                || self.still.is_some()
                || self.access == Access::ReadOnly)
        {
            return;
        }
        if self.overlay.is_some() {
            // Any key turns the page or takes the overlay away; it was not meant for the host.
            self.turn_page();
        } else if self.pager.is_some() {
            self.page(now, bytes, todo);
        } else if self.still.is_some() {
            todo.push(Do::Again);
        } else if self.access == Access::ReadOnly {
            self.notice = Some((READ_ONLY.to_owned(), now));
        } else {
            self.predictor.typed(now, &bytes, &self.screen);
            todo.extend(inputs(bytes).map(Do::Send));
        }
    }

    fn page(&mut self, now: Instant, mut bytes: Bytes, todo: &mut Vec<Do>) {
        let Some(pager) = &mut self.pager else { return };
        let (outcomes, taken) = pager.handle_typed(&bytes);
        for outcome in outcomes {
            match outcome {
                Outcome::Ask(message) => todo.push(Do::Send(message)),
                Outcome::Close => self.pager = None,
                Outcome::Stay => {}
            }
        }
        bytes.advance(taken);
        if !bytes.is_empty() {
            self.input(now, bytes, todo);
        }
    }

    /// Shows what left the top of the screen, or takes it away.
    fn toggle_history(&mut self) -> Option<Do> {
        if self.pager.take().is_some() {
            return None;
        }
        let (pager, ask) = Pager::open(self.terminal);
        self.pager = Some(pager);
        Some(Do::Send(ask))
    }

    fn toggle(&mut self, overlay: Overlay) {
        self.page = (0, false);
        self.overlay = if self.overlay == Some(overlay) { None } else { Some(overlay) };
    }
}

/// How long a notice covers the status line.
const NOTICE: Duration = Duration::from_secs(4);

const READ_ONLY: &str = "read-only: what you type goes nowhere";

const HELP: &str = "\
Behind the escape key:
  c   with --clipboard ask: take what the program copied
  e   explain which path is used, since when and why, and what happens next
  h   history: the lines that left the top; arrows, PgUp, PgDn, g, G,
      / searches older ones, n and N go on, q goes back
  l   draw everything anew
  q   quit; the session goes on without you
  z   suspend this program; `fg` in your shell brings it back
  ?   this list
The escape key twice types the key itself.

The last row shows the path, its round trip, since when and why it is used.";

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
