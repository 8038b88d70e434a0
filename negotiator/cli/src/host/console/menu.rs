//! The lists behind the escape key: who is here, which links there are, and what can be done about them. No IO.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, Bytes};
use negotiator::Access;

use super::view::Seat;
use crate::{
    host::control::protocol::{Knock, Link, Request, State, Viewer, called, may, short},
    terminal::panel::{listing, panel, wrap},
    viewer::status::span,
    wire::Size,
};

/// A list that is laid over the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Menu {
    /// The keys.
    Help(Seat),
    /// The links.
    Links {
        /// As they were told; `None` until they were.
        links: Option<Vec<Link>>,
        /// The id of the chosen one.
        chosen: Option<String>,
    },
    /// A question before something that cannot be taken back.
    Sure {
        /// The question.
        question: String,
        /// What a yes asks for.
        request: Request,
        /// The list behind it.
        behind: Option<Box<Menu>>,
    },
    /// Who knocks and who is here.
    Who {
        /// The id of the chosen one.
        chosen: Option<String>,
    },
}

/// What a key in a list leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Ask for this, and show that.
    Ask(Request, Option<Menu>),
    /// Give this text to the terminal's clipboard, and show that.
    Copy(String, Menu),
    /// The list is gone; say this.
    Left(Option<&'static str>),
    /// Show this.
    Stay(Menu),
}

/// A key that is typed while a list is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// A letter, or anything that comes as one byte.
    Character(u8),
    /// Cursor down.
    Down,
    /// Escape, a key of several bytes, or a paste.
    Leave,
    /// Cursor up.
    Up,
}

impl Key {
    /// Takes the first key of what was typed. What begins with an escape and is no cursor key goes whole: it may be a
    /// paste.
    pub(super) fn take(typed: &mut Bytes) -> Self {
        let (key, length) = match &typed[..] {
            [0x1b, b'[' | b'O', b'A', ..] => (Self::Up, 3),
            [0x1b, b'[' | b'O', b'B', ..] => (Self::Down, 3),
            [0x1b, ..] | [] => (Self::Leave, typed.len()),
            [byte, ..] => (Self::Character(*byte), 1),
        };
        typed.advance(length);
        key
    }
}

impl Menu {
    pub(super) fn who() -> Self {
        Self::Who { chosen: None }
    }

    pub(super) fn links() -> Self {
        Self::Links { links: None, chosen: None }
    }

    pub(super) fn end() -> Self {
        let question = "End the program, and the session for everybody?".to_owned();
        Self::Sure { question, request: Request::Stop, behind: None }
    }

    /// Says what must be asked before there is something to show.
    pub(super) fn needs(&self) -> Option<Request> {
        matches!(self, Self::Links { links: None, .. }).then_some(Request::Links)
    }

    pub(super) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    pub(super) fn take_links(&mut self, told: Vec<Link>) {
        match self {
            Self::Links { links, .. } => *links = Some(told),
            Self::Sure { behind: Some(behind), .. } => behind.take_links(told),
            _ => {}
        }
    }

    /// Takes a key that is typed while it is shown.
    pub(super) fn handle_typed(self, key: Key, state: &State) -> Outcome {
        match self {
            Self::Help(_) => Outcome::Left(None),
            Self::Sure { request, behind, .. } => match key {
                Key::Character(b'y') => Outcome::Ask(request, behind.map(|menu| *menu)),
                _ => Outcome::Left(Some("nothing was done")),
            },
            Self::Who { chosen } => who_key(chosen, key, state),
            Self::Links { links, chosen } => links_key(links, chosen, key),
        }
    }

    pub(super) fn paint(&self, state: &State, terminal: Size) -> Vec<String> {
        let width = usize::from(terminal.columns).saturating_sub(2);
        match self {
            Self::Help(seat) => {
                let quit = match seat {
                    Seat::Attached => "leave; the session goes on, `beach-link attach` comes back",
                    Seat::Own => "end the program, and the session for everybody",
                };
                panel(&HELP.replace("{quit}", quit), terminal)
            }
            Self::Sure { question, .. } => {
                listing(&wrap(question, width), None, "y does it, any other key does not", terminal)
            }
            Self::Who { chosen } => {
                let mut lines: Vec<String> = state.knocks.iter().map(knock_line).collect();
                lines.extend(state.viewers.iter().map(viewer_line));
                if lines.is_empty() {
                    return listing(&["Nobody is here.".to_owned()], None, "any key continues", terminal);
                }
                let place = place(&people(state), chosen.as_ref());
                listing(&lines, Some(place), WHO_KEYS, terminal)
            }
            Self::Links { links: None, .. } => listing(&["…".to_owned()], None, LINK_KEYS, terminal),
            Self::Links { links: Some(links), chosen } => {
                let shown: Vec<&Link> = links.iter().filter(|link| link.is_in_force()).collect();
                let mut lines: Vec<String> = shown.iter().map(|link| link_line(link)).collect();
                let ids: Vec<String> = shown.iter().map(|link| link.id.clone()).collect();
                let place = place(&ids, chosen.as_ref());
                if let Some(link) = shown.get(place) {
                    lines.push(String::new());
                    // Anywhere: a link has no spaces.
                    lines.extend(wrap(&format!("beach-link join '{}'", link.link), width));
                }
                listing(&lines, shown.get(place).map(|_| place), LINK_KEYS, terminal)
            }
        }
    }
}

fn who_key(chosen: Option<String>, key: Key, state: &State) -> Outcome {
    let people = people(state);
    let place = place(&people, chosen.as_ref());
    let Some(id) = people.get(place).cloned() else { return Outcome::Left(None) };
    let at = |index: usize| Menu::Who { chosen: people.get(index).or(people.last()).cloned() };
    let stay = Menu::Who { chosen: Some(id.clone()) };
    let knocks = place < state.knocks.len();
    match key {
        Key::Up => Outcome::Stay(at(place.saturating_sub(1))),
        Key::Down => Outcome::Stay(at(place + 1)),
        Key::Character(b'y') if knocks => Outcome::Ask(Request::Approve { viewer: id }, Some(Menu::who())),
        Key::Character(b'n') if knocks => Outcome::Ask(Request::Refuse { viewer: id }, Some(Menu::who())),
        Key::Character(b'r') if !knocks => {
            Outcome::Ask(Request::Access { viewer: id, access: Access::ReadOnly }, Some(stay))
        }
        Key::Character(b'f') if !knocks => {
            Outcome::Ask(Request::Access { viewer: id, access: Access::Full }, Some(stay))
        }
        Key::Character(b'x') if !knocks => {
            let name =
                state.viewers.iter().find(|viewer| viewer.id == id).and_then(|viewer| viewer.name.as_deref());
            let question =
                format!("Remove {} and keep them out? Their link stays in force.", called(name, &id));
            Outcome::Stay(Menu::Sure {
                question,
                request: Request::Remove { viewer: id },
                behind: Some(Box::new(Menu::who())),
            })
        }
        Key::Character(b'y' | b'n' | b'r' | b'f' | b'x') => Outcome::Stay(stay),
        Key::Character(_) | Key::Leave => Outcome::Left(None),
    }
}

fn links_key(links: Option<Vec<Link>>, chosen: Option<String>, key: Key) -> Outcome {
    let listed = links.as_deref().unwrap_or_default();
    let ids: Vec<String> =
        listed.iter().filter(|link| link.is_in_force()).map(|link| link.id.clone()).collect();
    let place = place(&ids, chosen.as_ref());
    let chosen = ids.get(place).cloned();
    let at = |index: usize, links| Menu::Links { links, chosen: ids.get(index).or(ids.last()).cloned() };
    let add = |access| Request::AddLink { access, lifetime: None, uses: None };
    let sure = |question: String, request| {
        let behind = Some(Box::new(Menu::links()));
        Outcome::Stay(Menu::Sure { question, request, behind })
    };
    match (key, chosen) {
        (Key::Up, _) => Outcome::Stay(at(place.saturating_sub(1), links)),
        (Key::Down, _) => Outcome::Stay(at(place + 1, links)),
        (Key::Character(b'a'), chosen) => {
            Outcome::Ask(add(Access::Full), Some(Menu::Links { links, chosen }))
        }
        (Key::Character(b'o'), chosen) => {
            Outcome::Ask(add(Access::ReadOnly), Some(Menu::Links { links, chosen }))
        }
        (Key::Character(b'c'), Some(id)) => {
            let text = listed.iter().find(|link| link.id == id).map(|link| link.link.clone());
            let stay = Menu::Links { links, chosen: Some(id) };
            text.map_or_else(|| Outcome::Stay(stay.clone()), |text| Outcome::Copy(text, stay.clone()))
        }
        (Key::Character(b'x'), Some(id)) => sure(
            format!("Revoke link {}? Whoever came by it is out at once.", short(&id)),
            Request::RevokeLink { link: id },
        ),
        (Key::Character(b'R'), _) => sure(
            "Put a new link in the place of each? Whoever came by the old ones is out at once.".to_owned(),
            Request::RotateLinks,
        ),
        (Key::Character(_) | Key::Leave, _) => Outcome::Left(None),
    }
}

/// Everybody who can be chosen, in the order in which they are shown.
fn people(state: &State) -> Vec<String> {
    let knocks = state.knocks.iter().map(|knock| knock.id.clone());
    knocks.chain(state.viewers.iter().map(|viewer| viewer.id.clone())).collect()
}

/// Where the chosen one stands. Chosen is a person, not a place: others come and go meanwhile.
fn place(ids: &[String], chosen: Option<&String>) -> usize {
    chosen.and_then(|chosen| ids.iter().position(|id| id == chosen)).unwrap_or(0)
}

/// One who asks to come in.
pub fn knock_line(knock: &Knock) -> String {
    let who = called(knock.name.as_deref(), &knock.id);
    let left = span(Duration::from_secs(knock.left));
    format!("{who} asks to come in by link {} ({}), {left} left", short(&knock.link), may(knock.access))
}

/// One who is here.
pub fn viewer_line(viewer: &Viewer) -> String {
    let mut parts = vec![called(viewer.name.as_deref(), &viewer.id), may(viewer.access).to_owned()];
    parts.push(viewer.path.clone().unwrap_or_else(|| "no path, waiting for it".to_owned()));
    parts.push(format!("link {}", short(&viewer.link)));
    parts.push(format!("here for {}", span(Duration::from_secs(viewer.since))));
    let heard = viewer.last_heard.map(|silence| format!("heard {} ago", span(Duration::from_secs(silence))));
    parts.extend(heard);
    parts.join(" · ")
}

/// One link, without its secret.
pub fn link_line(link: &Link) -> String {
    let mut parts = vec![format!("link {}", short(&link.id)), may(link.access).to_owned()];
    parts.push(link.state.replace('_', " "));
    parts.push(match link.uses {
        Some(uses) => format!("used {} of {uses}", link.used),
        None => format!("used {}", link.used),
    });
    if let Some(at) = link.expires_at.filter(|_| link.is_open()) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        parts.push(format!("for {} more", span(Duration::from_secs(at.saturating_sub(now)))));
    }
    parts.join(" · ")
}

const WHO_KEYS: &str = "up, down choose · r read-only · f may type · x remove · y let in · n turn away · any other key continues";

const LINK_KEYS: &str = "up, down choose · c copy · a add one to type · o add one to watch · x revoke · R replace all · any other key \
     continues; `beach-link sessions links` prints them whole";

const HELP: &str = "\
Behind the escape key:
  w   who is here, by which link and path: let in, remove, make read-only
  k   the links: copy, add, revoke, replace
  y   let in whoever asks to come in
  n   turn them away
  h   history: the lines that left the top; arrows, PgUp, PgDn, g, G,
      / searches older ones, n and N go on, q goes back
  l   draw everything anew
  q   {quit}
  ?   this list
The escape key twice types the key itself. Ctrl-C and everything else goes to the program.";
