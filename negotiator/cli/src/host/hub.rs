//! One screen, many viewers: who is present, what each has and lacks, how large the terminal is.
//!
//! A viewer is sent states, not a stream: the newest picture as a difference to the one it was sent before. Pictures in
//! between are never made, so nothing of the screen queues and no viewer holds the command back. Messages arrive once
//! and in order, so the picture sent last is the one the next will be drawn over.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use negotiator::Access;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::{
    screen::{Picture, Screen},
    wire::{Message, Size},
};

/// The viewers of one terminal.
#[derive(Debug)]
pub struct Hub {
    state: Mutex<State>,
    present: watch::Sender<usize>,
}

/// Names a viewer of a [`Hub`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewerId(u64);

/// What there is to send to a viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// This message.
    Message(Message),
    /// Nothing at the moment.
    Nothing,
    /// A newer [`picture`](Hub::picture).
    Picture {
        /// It answers a key of this viewer's, or is the last: it should not wait for others to go with it.
        at_once: bool,
    },
}

#[derive(Debug)]
struct State {
    screen: Screen,
    /// How often the screen changed.
    number: u64,
    /// The screen as it is, once somebody wanted it.
    newest: Option<Arc<Version>>,
    /// What leads to the newest, and from where: viewers that stand at the same picture are sent the same.
    changes: Vec<(Option<u64>, Message)>,
    viewers: BTreeMap<ViewerId, Viewer>,
    next: u64,
    ended: Option<u8>,
    /// The size stays, whoever watches.
    fixed: bool,
}

#[derive(Debug)]
struct Version {
    number: u64,
    picture: Picture,
}

#[derive(Debug, Default)]
struct Viewer {
    /// What is not a picture: rare, small, never skipped.
    messages: VecDeque<Message>,
    /// The picture it was sent last; `None` when the next must be drawn from nothing.
    has: Option<Arc<Version>>,
    /// The screen changed since.
    behind: bool,
    /// It typed, and the command has printed nothing since.
    typed: bool,
    at_once: bool,
    told_the_end: bool,
    /// Nothing was heard of it for a while: it counts neither for the size nor among those present.
    silent: bool,
    /// It sits at this machine: it is no viewer to others, and takes no place of theirs.
    local: bool,
    /// It may no longer type: it has no say in the size.
    watches: bool,
    size: Option<Size>,
    /// Lines of the past that it asked for: before which, how many. The newest question counts.
    recalls: Option<(u64, u16)>,
    wake: Arc<Notify>,
}

impl Hub {
    /// Makes the hub of a terminal without viewers. It will have the size of the smallest that may type.
    pub fn new(size: Size) -> Self {
        Self::make(size, false)
    }

    /// Keeps so many bytes of the lines that leave the top of the terminal.
    #[must_use]
    pub fn keeping(mut self, most: usize) -> Self {
        let state = self.state.get_mut();
        state.screen = Screen::new(state.screen.size()).keeping(most);
        self
    }

    /// Makes the hub of a terminal that keeps its size. Larger viewers see a border, smaller ones a part of it.
    pub fn fixed(size: Size) -> Self {
        Self::make(size, true)
    }

    fn make(size: Size, fixed: bool) -> Self {
        let state = State {
            screen: Screen::new(size),
            number: 0,
            newest: None,
            changes: Vec::new(),
            viewers: BTreeMap::new(),
            next: 0,
            ended: None,
            fixed,
        };
        Self { state: Mutex::new(state), present: watch::Sender::new(0) }
    }

    /// Adds a viewer, to which the whole screen is to be sent. `None` when no more fit.
    pub fn enter(&self) -> Option<ViewerId> {
        let mut state = self.state.lock();
        let id = state.enter(Viewer::default(), MAX_VIEWERS)?;
        self.announce(&mut state);
        Some(id)
    }

    /// Adds a terminal of this machine, which is no viewer to others but has a say in the size. Returns the shared
    /// one's new size when that changes it. `None` when no more fit.
    pub fn enter_local(&self, size: Size) -> Option<(ViewerId, Option<Size>)> {
        let mut state = self.state.lock();
        let local = Viewer { local: true, size: Some(size), ..Viewer::default() };
        let id = state.enter(local, MAX_LOCAL)?;
        self.announce(&mut state);
        Some((id, state.fit()))
    }

    /// Removes a viewer. Returns the terminal's new size when that changes it.
    pub fn leave(&self, id: ViewerId) -> Option<Size> {
        let mut state = self.state.lock();
        if let Some(viewer) = state.viewers.remove(&id) {
            viewer.wake.notify_one();
        }
        self.announce(&mut state);
        state.fit()
    }

    /// Notes whether a viewer fell silent. Returns the terminal's new size when that changes it.
    pub fn silent(&self, id: ViewerId, silent: bool) -> Option<Size> {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.viewers.get_mut(&id)?.silent, silent) == silent {
            return None;
        }
        self.announce(&mut state);
        state.fit()
    }

    /// Notes whether a viewer may type, and tells it. Returns the terminal's new size when that changes it.
    pub fn allow(&self, id: ViewerId, access: Access) -> Option<Size> {
        let mut state = self.state.lock();
        let viewer = state.viewers.get_mut(&id)?;
        viewer.watches = access == Access::ReadOnly;
        viewer.tell(Message::Welcome(access));
        state.fit()
    }

    /// Sends a viewer something that it acknowledges, so that it is heard.
    pub fn ask(&self, id: ViewerId) {
        let mut state = self.state.lock();
        let present = state.present();
        if let Some(viewer) = state.viewers.get_mut(&id).filter(|viewer| viewer.messages.is_empty()) {
            viewer.tell(Message::Viewers(present));
        }
    }

    /// Notes the size of a viewer's terminal. Returns the shared one's new size when that changes it.
    pub fn resize(&self, id: ViewerId, size: Size) -> Option<Size> {
        let mut state = self.state.lock();
        state.viewers.get_mut(&id)?.size = Some(size);
        state.fit()
    }

    /// Prints what the command printed. Returns what a terminal answers to it, for the command to read.
    #[must_use]
    pub fn print(&self, bytes: &Bytes) -> Bytes {
        let mut state = self.state.lock();
        state.screen.feed(bytes);
        state.changed();
        state.screen.take_answers()
    }

    /// Notes that a viewer typed: what the command prints next is shown to it at once.
    pub fn typed(&self, id: ViewerId) {
        if let Some(viewer) = self.state.lock().viewers.get_mut(&id) {
            viewer.typed = true;
        }
    }

    /// Sends one viewer a text, unless the same text still waits for it.
    pub fn notify(&self, id: ViewerId, text: &str) {
        if let Some(viewer) = self.state.lock().viewers.get_mut(&id) {
            viewer.notify(text);
        }
    }

    /// Sends the terminals of this machine a text. One that takes nothing is told the newest few.
    pub fn notify_local(&self, text: &str) {
        for viewer in self.state.lock().viewers.values_mut().filter(|viewer| viewer.local) {
            if viewer.messages.len() >= MAX_TOLD {
                viewer.messages.pop_front();
            }
            viewer.notify(text);
        }
    }

    /// Lets one viewer be sent the whole screen.
    pub fn resync(&self, id: ViewerId) {
        if let Some(viewer) = self.state.lock().viewers.get_mut(&id) {
            viewer.has = None;
            viewer.behind = true;
            viewer.wake.notify_one();
        }
    }

    /// Lets one viewer be sent lines that left the top of the terminal: the last `lines` before the one of this number. A
    /// question that was not answered yet is forgotten.
    pub fn recall(&self, id: ViewerId, before: u64, lines: u16) {
        if let Some(viewer) = self.state.lock().viewers.get_mut(&id) {
            viewer.recalls = Some((before, lines));
            viewer.wake.notify_one();
        }
    }

    /// Tells every viewer, and whoever still comes, that the command ended. Each is sent the last picture before.
    pub fn end(&self, status: u8) {
        let mut state = self.state.lock();
        state.ended = Some(status);
        for viewer in state.viewers.values() {
            viewer.wake.notify_one();
        }
    }

    /// Returns what wakes when [`next`](Self::next) of a viewer may be something else; `None` when it is not here.
    pub fn wake(&self, id: ViewerId) -> Option<Arc<Notify>> {
        self.state.lock().viewers.get(&id).map(|viewer| viewer.wake.clone())
    }

    /// Returns what to send to a viewer next. A message counts as sent. `None` when the viewer is not here any more.
    pub fn next(&self, id: ViewerId) -> Option<Next> {
        let mut state = self.state.lock();
        let ended = state.ended;
        let viewer = state.viewers.get_mut(&id)?;
        if let Some(message) = viewer.messages.pop_front() {
            return Some(Next::Message(message));
        }
        if let Some((before, lines)) = viewer.recalls.take() {
            return Some(Next::Message(Message::Recalled(state.screen.past(before, lines.into()))));
        }
        if viewer.behind {
            return Some(Next::Picture { at_once: viewer.at_once || ended.is_some() });
        }
        match ended {
            Some(status) if !std::mem::replace(&mut viewer.told_the_end, true) => {
                Some(Next::Message(Message::Exit(status)))
            }
            _ => Some(Next::Nothing),
        }
    }

    /// Returns what turns a viewer's picture into the newest, which counts as sent; `None` when it has that.
    pub fn picture(&self, id: ViewerId) -> Option<Message> {
        let mut state = self.state.lock();
        let newest = state.newest();
        let viewer = state.viewers.get_mut(&id)?;
        (viewer.behind, viewer.at_once) = (false, false);
        let had = viewer.has.replace(newest.clone());
        if had.as_ref().is_some_and(|had| had.number == newest.number) {
            return None;
        }
        let message = state.change(had.as_deref(), &newest);
        state.forget_old();
        message
    }

    /// Returns the rows of the screen, drawable one by one, none after the last that shows something.
    pub fn lines(&self, columns: u16) -> Vec<String> {
        self.state.lock().screen.lines(columns)
    }

    /// Returns how many viewers are present, and their number whenever it changes.
    pub fn present(&self) -> watch::Receiver<usize> {
        self.present.subscribe()
    }

    /// Returns the terminal's size.
    pub fn size(&self) -> Size {
        self.state.lock().screen.size()
    }

    fn announce(&self, state: &mut State) {
        let present = state.present();
        for viewer in state.viewers.values_mut() {
            viewer.messages.retain(|message| !matches!(message, Message::Viewers(_)));
            viewer.tell(Message::Viewers(present));
        }
        self.present.send_replace(present.into());
    }
}

impl Viewer {
    fn notify(&mut self, text: &str) {
        let notice = Message::Notice(text.to_owned());
        if !self.messages.contains(&notice) {
            self.tell(notice);
        }
    }

    fn tell(&mut self, message: Message) {
        self.messages.push_back(message);
        self.wake.notify_one();
    }
}

impl State {
    fn enter(&mut self, viewer: Viewer, most: usize) -> Option<ViewerId> {
        if self.viewers.values().filter(|other| other.local == viewer.local).count() >= most {
            return None;
        }
        let id = ViewerId(self.next);
        self.next += 1;
        self.viewers.insert(id, Viewer { behind: true, ..viewer });
        Some(id)
    }

    /// How many viewers are present and heard.
    fn present(&self) -> u16 {
        let present = self.viewers.values().filter(|viewer| !viewer.silent && !viewer.local);
        u16::try_from(present.count()).unwrap_or(u16::MAX)
    }

    fn changed(&mut self) {
        self.number += 1;
        self.newest = None;
        self.changes.clear();
        for viewer in self.viewers.values_mut() {
            let typed = std::mem::take(&mut viewer.typed);
            // A flood wakes nobody who knows already.
            let wake = !viewer.behind || (typed && !viewer.at_once);
            viewer.behind = true;
            viewer.at_once |= typed;
            if wake {
                viewer.wake.notify_one();
            }
        }
    }

    fn newest(&mut self) -> Arc<Version> {
        let (screen, number) = (&self.screen, self.number);
        self.newest.get_or_insert_with(|| Arc::new(Version { number, picture: screen.picture() })).clone()
    }

    fn change(&mut self, had: Option<&Version>, newest: &Version) -> Option<Message> {
        let size = newest.picture.size();
        let had = had.filter(|had| had.picture.size() == size);
        let from = had.map(|had| had.number);
        if let Some((_, message)) = self.changes.iter().find(|(known, _)| *known == from) {
            return Some(message.clone());
        }
        let message = match had {
            None => Message::Snapshot { size, bytes: newest.picture.whole() },
            Some(had) => Message::Change(newest.picture.since(&had.picture)),
        };
        if matches!(&message, Message::Change(bytes) if bytes.is_empty()) {
            return None;
        }
        if self.changes.len() < MAX_HELD {
            self.changes.push((from, message.clone()));
        }
        Some(message)
    }

    /// Keeps the pictures of viewers that are behind bounded: the ones furthest behind get the next from nothing.
    fn forget_old(&mut self) {
        let numbers: BTreeSet<u64> =
            self.viewers.values().filter_map(|viewer| viewer.has.as_ref().map(|has| has.number)).collect();
        let most = held(self.screen.size());
        let Some(oldest_kept) = numbers.iter().rev().nth(most - 1) else { return };
        for viewer in self.viewers.values_mut() {
            viewer.has.take_if(|has| has.number < *oldest_kept);
        }
    }

    /// Gives the terminal the largest size that everybody who may type can show. Without anybody it stays, and where it is
    /// fixed.
    fn fit(&mut self) -> Option<Size> {
        if self.fixed {
            return None;
        }
        let counts = |viewer: &&Viewer| !viewer.silent && !viewer.watches;
        let sizes = self.viewers.values().filter(counts).filter_map(|viewer| viewer.size);
        let size = sizes.reduce(Size::fit)?;
        if size == self.screen.size() {
            return None;
        }
        self.screen.resize(size);
        self.changed();
        Some(size)
    }
}

/// How many pictures of a terminal this large are kept for viewers that are behind: in all at most [`HELD_CELLS`].
fn held(size: Size) -> usize {
    let cells = usize::from(size.columns) * usize::from(size.rows);
    (HELD_CELLS / cells).clamp(2, MAX_HELD)
}

/// Viewers of one terminal. Each costs a session.
const MAX_VIEWERS: usize = 64;

/// Terminals of this machine at one session.
const MAX_LOCAL: usize = 8;

/// Messages that wait for a terminal of this machine.
const MAX_TOLD: usize = 16;

/// Pictures kept for viewers that are behind, and changes kept for viewers that stand at the same.
const MAX_HELD: usize = 8;

/// Cells of the pictures kept, at 24 bytes each: 24 MiB, two of the largest.
const HELD_CELLS: usize = 1024 * 1024;

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
