//! One screen, many viewers: who is present, what each is sent, how large the terminal is.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::mailbox::Mailbox;
use crate::{
    screen::Screen,
    wire::{Message, Size},
};

/// The viewers of one terminal. Everything under one lock, so that a snapshot and the output after it fit
/// together exactly.
#[derive(Debug)]
pub struct Hub {
    state: Mutex<State>,
    /// A viewer came or went, or took something out of its mailbox.
    moved: Notify,
    present: watch::Sender<usize>,
}

/// Names a viewer of a [`Hub`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewerId(u64);

#[derive(Debug)]
struct State {
    screen: Screen,
    viewers: BTreeMap<ViewerId, Viewer>,
    next: u64,
    ended: Option<u8>,
}

#[derive(Debug, Default)]
struct Viewer {
    mailbox: Mailbox,
    size: Option<Size>,
    filled: Arc<Notify>,
}

impl Hub {
    /// Makes the hub of a terminal without viewers.
    pub fn new(size: Size) -> Self {
        let state = State { screen: Screen::new(size), viewers: BTreeMap::new(), next: 0, ended: None };
        Self { state: Mutex::new(state), moved: Notify::new(), present: watch::Sender::new(0) }
    }

    /// Adds a viewer; the first thing in its mailbox is the screen. `None` when no more fit.
    pub fn enter(&self) -> Option<ViewerId> {
        let mut state = self.state.lock();
        if state.viewers.len() >= MAX_VIEWERS {
            return None;
        }
        let id = ViewerId(state.next);
        state.next += 1;
        let mut viewer = Viewer::default();
        viewer.mailbox.push(state.snapshot());
        if let Some(status) = state.ended {
            viewer.mailbox.push(Message::Exit(status));
        }
        state.viewers.insert(id, viewer);
        self.announce(&mut state);
        Some(id)
    }

    /// Removes a viewer. Returns the terminal's new size when that changes it.
    pub fn leave(&self, id: ViewerId) -> Option<Size> {
        let mut state = self.state.lock();
        state.viewers.remove(&id);
        self.announce(&mut state);
        state.fit()
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
        for viewer in state.viewers.values_mut() {
            if viewer.mailbox.is_full() {
                viewer.mailbox.skip_output(bytes);
            } else {
                viewer.mailbox.push_output(bytes.clone());
            }
            viewer.filled.notify_one();
        }
        state.screen.take_answers()
    }

    /// Waits until at least one viewer can follow, or nobody watches: a lone viewer holds the command back,
    /// as a slow terminal does, but only for so long, and never for the others.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn room(&self) {
        let any = async {
            loop {
                let moved = self.moved.notified();
                tokio::pin!(moved);
                moved.as_mut().enable();
                if !self.state.lock().is_held_up() {
                    return;
                }
                moved.await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, any).await;
    }

    /// Sends every viewer something.
    pub fn tell(&self, message: &Message) {
        let mut state = self.state.lock();
        state.tell(message);
    }

    /// Sends one viewer a text, unless the same text still waits for it.
    pub fn notify(&self, id: ViewerId, text: &str) {
        let mut state = self.state.lock();
        if let Some(viewer) = state.viewers.get_mut(&id) {
            viewer.mailbox.push(Message::Notice(text.to_owned()));
            viewer.filled.notify_one();
        }
    }

    /// Sends one viewer the whole screen.
    pub fn resync(&self, id: ViewerId) {
        let mut state = self.state.lock();
        let snapshot = state.snapshot();
        if let Some(viewer) = state.viewers.get_mut(&id) {
            viewer.mailbox.push(snapshot);
            viewer.filled.notify_one();
        }
    }

    /// Tells every viewer, and whoever still comes, that the command ended.
    pub fn end(&self, status: u8) {
        let mut state = self.state.lock();
        state.ended = Some(status);
        state.tell(&Message::Exit(status));
    }

    /// Waits for the next message to a viewer; `None` when the viewer is not here any more.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn next(&self, id: ViewerId) -> Option<Message> {
        loop {
            let filled = self.state.lock().viewers.get(&id)?.filled.clone();
            if let Some(message) = self.take(id) {
                self.moved.notify_waiters();
                return Some(message);
            }
            filled.notified().await;
        }
    }

    /// Returns how many viewers are present, and their number whenever it changes.
    pub fn present(&self) -> watch::Receiver<usize> {
        self.present.subscribe()
    }

    /// Returns how many bytes of output a viewer was not sent, because a snapshot replaced them.
    pub fn skipped(&self, id: ViewerId) -> u64 {
        self.state.lock().viewers.get(&id).map_or(0, |viewer| viewer.mailbox.skipped())
    }

    /// Returns the terminal's size.
    pub fn size(&self) -> Size {
        self.state.lock().screen.size()
    }

    fn take(&self, id: ViewerId) -> Option<Message> {
        let mut state = self.state.lock();
        let snapshot = state.snapshot_if_due(id);
        let mailbox = &mut state.viewers.get_mut(&id)?.mailbox;
        if let Some((skipped, snapshot)) = snapshot {
            let text = format!("{} KiB of output skipped: this is the screen as it is", skipped / 1024 + 1);
            mailbox.push(Message::Notice(text));
            mailbox.push(snapshot);
        }
        mailbox.pop()
    }

    fn announce(&self, state: &mut State) {
        let count = state.viewers.len();
        state.tell(&Message::Viewers(u16::try_from(count).unwrap_or(u16::MAX)));
        self.present.send_replace(count);
        self.moved.notify_waiters();
    }
}

impl State {
    /// Somebody watches, and nobody who does can follow.
    fn is_held_up(&self) -> bool {
        !self.viewers.is_empty() && self.viewers.values().all(|viewer| viewer.mailbox.is_full())
    }

    fn snapshot(&self) -> Message {
        Message::Snapshot { size: self.screen.size(), bytes: self.screen.snapshot() }
    }

    fn snapshot_if_due(&mut self, id: ViewerId) -> Option<(u64, Message)> {
        let skipped = self.viewers.get_mut(&id)?.mailbox.take_skipped();
        (skipped > 0).then(|| (skipped, self.snapshot()))
    }

    fn tell(&mut self, message: &Message) {
        for viewer in self.viewers.values_mut() {
            viewer.mailbox.push(message.clone());
            viewer.filled.notify_one();
        }
    }

    /// Gives the terminal the largest size that every viewer can show. Without viewers it stays.
    fn fit(&mut self) -> Option<Size> {
        let sizes = self.viewers.values().filter_map(|viewer| viewer.size);
        let size = sizes.reduce(Size::fit)?;
        if size == self.screen.size() {
            return None;
        }
        self.screen.resize(size);
        let snapshot = self.snapshot();
        self.tell(&snapshot);
        Some(size)
    }
}

/// Viewers of one terminal. Each costs a mailbox and a session, about 2 MiB when it is behind.
const MAX_VIEWERS: usize = 64;

/// How long viewers that all are behind may hold the command back before output is skipped.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::mailbox::LIMIT;

    const SIZE: Size = Size { columns: 20, rows: 4 };

    async fn drain(hub: &Hub, id: ViewerId) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = hub.take(id) {
            messages.push(message);
        }
        hub.moved.notify_waiters();
        messages
    }

    /// What a viewer that got these messages sees.
    fn screen(messages: &[Message]) -> String {
        let mut screen = Screen::new(SIZE);
        for message in messages {
            match message {
                Message::Snapshot { size, bytes } => screen = Screen::restore(*size, bytes),
                Message::Output(bytes) => screen.feed(bytes),
                _ => {}
            }
        }
        screen.text()
    }

    #[tokio::test]
    async fn a_late_viewer_gets_the_screen_and_then_the_rest() {
        let hub = Hub::new(SIZE);
        let _ = hub.print(&"one\r\n".into());
        let id = hub.enter().unwrap();
        let _ = hub.print(&"two".into());
        assert_eq!(screen(&drain(&hub, id).await), "one\ntwo");
    }

    #[tokio::test]
    async fn the_terminal_has_the_size_of_the_smallest_viewer() {
        let hub = Hub::new(SIZE);
        let (a, b) = (hub.enter().unwrap(), hub.enter().unwrap());
        assert_eq!(hub.resize(a, Size { columns: 100, rows: 40 }), Some(Size { columns: 100, rows: 40 }));
        assert_eq!(hub.resize(b, Size { columns: 120, rows: 30 }), Some(Size { columns: 100, rows: 30 }));
        assert_eq!(hub.resize(b, Size { columns: 120, rows: 30 }), None);
        assert_eq!(hub.leave(b), Some(Size { columns: 100, rows: 40 }));
        assert_eq!(hub.leave(a), None);
    }

    #[tokio::test]
    async fn a_viewer_that_is_behind_skips_to_the_current_screen_and_is_told() {
        let hub = Hub::new(SIZE);
        let id = hub.enter().unwrap();
        for _ in 0..3 {
            let _ = hub.print(&vec![b'x'; LIMIT].into());
        }
        let _ = hub.print(&"\x1b[2J\x1b[Hend".into());
        let messages = drain(&hub, id).await;
        assert_eq!(screen(&messages), "end");
        assert!(messages.iter().any(|message| matches!(message, Message::Notice(_))), "{messages:?}");
        assert_eq!(hub.skipped(id), 3 * LIMIT as u64 + 10);
    }

    #[tokio::test(start_paused = true)]
    async fn only_viewers_that_are_all_behind_hold_the_command_back_and_not_for_long() {
        let hub = Hub::new(SIZE);
        let start = tokio::time::Instant::now();
        hub.room().await;
        let (slow, fast) = (hub.enter().unwrap(), hub.enter().unwrap());
        let _ = hub.print(&vec![b'x'; LIMIT].into());
        drain(&hub, fast).await;
        hub.room().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        hub.leave(fast);
        hub.room().await;
        assert_eq!(start.elapsed(), PATIENCE);
        drain(&hub, slow).await;
        hub.room().await;
        assert_eq!(start.elapsed(), PATIENCE);
    }

    #[tokio::test]
    async fn whoever_comes_after_the_end_is_told_the_status() {
        let hub = Hub::new(SIZE);
        hub.end(3);
        let id = hub.enter().unwrap();
        assert!(drain(&hub, id).await.contains(&Message::Exit(3)));
    }
}
