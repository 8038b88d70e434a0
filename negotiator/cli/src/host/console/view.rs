//! What a console shows: the shared screen, who is here in the last row, a list laid over it. No IO.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{Buf, Bytes};

use super::menu::{Key, Menu, Outcome, knock_line};
use crate::{
    host::control::protocol::{Answer, Request, State, short},
    screen::{Frame, Painter, Screen},
    terminal::{
        keys::{EscapeKey, Keys, Typed, inputs},
        line::{ATTENTION, CALM, painted},
        usable,
    },
    viewer::{
        pager::{Outcome as Paged, Pager},
        status,
    },
    wire::{BadMessage, Message, Size},
};

/// Whose console it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seat {
    /// Of `beach-link attach`: whoever leaves it leaves the session running.
    Attached,
    /// Of `beach-link share` itself: the session ends with it.
    Own,
}

/// The state behind a console.
#[derive(Debug)]
pub struct ConsoleView {
    seat: Seat,
    screen: Screen,
    painter: Painter,
    terminal: Size,
    keys: Keys<Command>,
    escape: String,
    state: State,
    menu: Option<Menu>,
    /// What left the top of the screen, laid over it.
    pager: Option<Pager>,
    notice: Option<(String, Instant)>,
    ring: bool,
    title: Option<String>,
    /// For the terminal's clipboard.
    copied: Option<String>,
}

/// What stands behind the escape key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Approve,
    Help,
    History,
    Links,
    Quit,
    Redraw,
    Refuse,
    Who,
}

/// What the program must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Do {
    /// Ask the session for it.
    Ask(Request),
    /// End: the program did, with this status.
    End(u8),
    /// Leave.
    Quit,
}

impl ConsoleView {
    /// Shows nothing yet, in a terminal of this size.
    pub fn new(seat: Seat, terminal: Size, escape: EscapeKey) -> Self {
        Self {
            seat,
            screen: Screen::new(usable(terminal)),
            painter: Painter::default(),
            terminal,
            keys: Keys::new(escape, Command::of),
            escape: escape.name().unwrap_or_default(),
            state: State::default(),
            menu: None,
            pager: None,
            notice: None,
            ring: false,
            title: None,
            copied: None,
        }
    }

    /// Returns what the session must be asked first.
    pub fn opening(&self) -> Request {
        let Size { columns, rows } = usable(self.terminal);
        Request::Console { columns, rows }
    }

    /// Takes what the session says.
    ///
    /// # Errors
    ///
    /// [`BadMessage`] for a message that is none.
    pub fn handle_answer(&mut self, now: Instant, answer: Answer) -> Result<Option<Do>, BadMessage> {
        match answer {
            Answer::Done { said: text } | Answer::Failed { why: text } => self.notice = Some((text, now)),
            Answer::Links { links } => {
                if let Some(menu) = &mut self.menu {
                    menu.take_links(links);
                }
            }
            Answer::Message { bytes } => match Message::decode(bytes)? {
                Message::Snapshot { size, bytes } => {
                    self.screen = Screen::new(size);
                    self.draw(&bytes);
                }
                Message::Change(bytes) => self.draw(&bytes),
                Message::Recalled(past) => {
                    let ask = self.pager.as_mut().and_then(|pager| pager.take(&past));
                    return Ok(ask.and_then(asking).map(Do::Ask));
                }
                Message::Notice(text) => self.notice = Some((text, now)),
                Message::Exit(status) => return Ok(Some(Do::End(status))),
                _ => {}
            },
            Answer::State(state) => {
                self.ring |= state.knocks.len() > self.state.knocks.len();
                self.state = state;
            }
        }
        Ok(None)
    }

    /// Takes what was typed.
    pub fn handle_typed(&mut self, now: Instant, bytes: &[u8]) -> Vec<Do> {
        let mut todo = Vec::new();
        for typed in self.keys.feed(bytes) {
            match typed {
                Typed::Input(bytes) => self.handle_input(now, bytes, &mut todo),
                Typed::Command(command) => todo.extend(self.handle_command(now, command)),
            }
        }
        todo
    }

    /// A list that is shown takes key after key; what is typed once it is gone is for the program.
    fn handle_input(&mut self, now: Instant, mut bytes: Bytes, todo: &mut Vec<Do>) {
        while !bytes.is_empty() {
            let Some(menu) = self.menu.take() else {
                if let Some(pager) = &mut self.pager {
                    let (outcomes, taken) = pager.handle_typed(&bytes);
                    bytes.advance(taken);
                    for outcome in outcomes {
                        match outcome {
                            Paged::Ask(message) => todo.extend(asking(message).map(Do::Ask)),
                            Paged::Close => self.pager = None,
                            Paged::Stay => {}
                        }
                    }
                    continue;
                }
                todo.extend(inputs(bytes).filter_map(typing).map(Do::Ask));
                return;
            };
            match menu.handle_typed(Key::take(&mut bytes), &self.state) {
                Outcome::Ask(request, menu) => {
                    let needs = menu.as_ref().and_then(Menu::needs);
                    todo.extend([Some(request), needs].into_iter().flatten().map(Do::Ask));
                    self.menu = menu;
                }
                Outcome::Copy(text, menu) => {
                    self.copied = Some(text);
                    self.notice = Some((COPIED.to_owned(), now));
                    self.menu = Some(menu);
                }
                Outcome::Left(said) => self.notice = said.map(|said| (said.to_owned(), now)),
                Outcome::Stay(menu) => self.menu = Some(menu),
            }
        }
    }

    fn handle_command(&mut self, now: Instant, command: Command) -> Option<Do> {
        let knock = self.state.knocks.first().map(|knock| knock.id.clone());
        match command {
            Command::Approve | Command::Refuse => {
                let Some(viewer) = knock else {
                    self.notice = Some(("nobody asks to come in".to_owned(), now));
                    return None;
                };
                let answer = match command {
                    Command::Approve => Request::Approve { viewer },
                    _ => Request::Refuse { viewer },
                };
                Some(Do::Ask(answer))
            }
            Command::Help => self.toggle(Menu::Help(self.seat)),
            Command::History => self.toggle_history(),
            Command::Links => self.toggle(Menu::links()),
            Command::Quit if self.seat == Seat::Attached => Some(Do::Quit),
            Command::Quit => self.toggle(Menu::end()),
            Command::Redraw => {
                self.painter.forget();
                Some(Do::Ask(Request::Redraw))
            }
            Command::Who => self.toggle(Menu::who()),
        }
    }

    /// The person's terminal has another size.
    pub fn handle_resize(&mut self, terminal: Size) -> Do {
        self.terminal = terminal;
        if let Some(pager) = &mut self.pager {
            pager.fit(terminal);
        }
        let Size { columns, rows } = usable(terminal);
        Do::Ask(Request::Resize { columns, rows })
    }

    /// Returns what must be written so that the terminal shows the present; empty when it does.
    pub fn paint(&mut self, now: Instant) -> String {
        self.notice.take_if(|(_, since)| now.duration_since(*since) >= NOTICE);
        let mut line = self.line();
        let overlay = match (&self.menu, &self.pager) {
            (Some(menu), _) => menu.paint(&self.state, self.terminal),
            (None, Some(pager)) => {
                let (rows, status) = pager.paint(self.terminal);
                // What the person is asked or told comes first.
                if self.state.knocks.is_empty() && self.notice.is_none() && !self.keys.is_armed() {
                    line = status;
                }
                rows
            }
            (None, None) => Vec::new(),
        };
        let frame = Frame { screen: &self.screen, terminal: self.terminal, status: &line, overlay: &overlay };
        let mut out = self.painter.paint(&frame);
        if let Some(title) = self.title.take() {
            out.push_str(&format!("\x1b]2;{title}\x07"));
        }
        if let Some(text) = self.copied.take() {
            // OSC 52: of a link and of nothing that others wrote.
            out.push_str(&format!("\x1b]52;c;{}\x07", STANDARD.encode(text)));
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

    fn line(&self) -> String {
        let columns = self.terminal.columns.into();
        if self.keys.is_armed() {
            let quit = if self.seat == Seat::Own { "end" } else { "leave" };
            let keys = format!(
                " w who   k links   y let in   n turn away   h history   l redraw   q {quit}   ? help"
            );
            return painted(ATTENTION, &keys, "", columns);
        }
        if let Some((notice, _)) = &self.notice {
            return painted(ATTENTION, &format!(" {notice}"), "", columns);
        }
        if let Some(knock) = self.state.knocks.first() {
            // The keys first: a name must not push them out of the row.
            let line = format!(" {} y or n: {}", self.escape, knock_line(knock));
            return painted(ATTENTION, &line, "", columns);
        }
        let right = if self.escape.is_empty() { String::new() } else { format!("{} ? ", self.escape) };
        painted(CALM, &here(&self.state), &right, columns)
    }

    fn draw(&mut self, bytes: &[u8]) {
        self.screen.feed(bytes);
        self.ring |= self.screen.take_bell();
        self.title = self.screen.take_title().or(self.title.take());
    }

    /// Shows what left the top of the screen, or takes it away.
    fn toggle_history(&mut self) -> Option<Do> {
        if self.pager.take().is_some() {
            return None;
        }
        let (pager, ask) = Pager::open(self.terminal);
        self.pager = Some(pager);
        asking(ask).map(Do::Ask)
    }

    /// Shows a list, or takes it away where it is shown. Returns what must be asked for it.
    fn toggle(&mut self, menu: Menu) -> Option<Do> {
        if self.menu.take().is_some_and(|open| open.is_like(&menu)) {
            return None;
        }
        let ask = menu.needs().map(Do::Ask);
        self.menu = Some(menu);
        ask
    }
}

impl Command {
    /// Reads the key behind the escape key; an unknown one asks for the list.
    fn of(key: u8) -> Self {
        match key {
            b'w' | b'e' => Self::Who,
            b'h' => Self::History,
            b'k' => Self::Links,
            b'y' => Self::Approve,
            b'n' => Self::Refuse,
            b'l' => Self::Redraw,
            b'q' | b'.' => Self::Quit,
            _ => Self::Help,
        }
    }
}

fn typing(message: Message) -> Option<Request> {
    match message {
        Message::Input(bytes) => Some(Request::Type { bytes }),
        _ => None,
    }
}

fn asking(message: Message) -> Option<Request> {
    match message {
        Message::Recall { before, lines } => Some(Request::Recall { before, lines }),
        _ => None,
    }
}

/// Who is here, for the last row.
fn here(state: &State) -> String {
    let each = state.viewers.iter().map(|viewer| {
        let name = viewer.name.clone().unwrap_or_else(|| short(&viewer.id).to_owned());
        let silence = viewer.last_heard.map(Duration::from_secs).filter(|silence| *silence >= status::SILENT);
        match (&viewer.path, silence) {
            (None, _) => format!("{name} away"),
            (_, Some(silence)) => format!("{name} silent for {}", status::span(silence)),
            (Some(path), None) => format!("{name} {path}"),
        }
    });
    let each: Vec<String> = each.collect();
    let count = match each.len() {
        0 => return format!(" sharing {} · nobody is here", state.program),
        1 => "1 viewer".to_owned(),
        count => format!("{count} viewers"),
    };
    format!(" {count} · {}", each.join(", "))
}

const COPIED: &str = "the link went to your terminal's clipboard, if it lets programs have one";

/// How long a notice covers the last row.
const NOTICE: Duration = Duration::from_secs(4);

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
