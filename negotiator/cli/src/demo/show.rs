//! The viewer's side of the demo: joins, types, checks, and takes notes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use negotiator::{Received, Session};
use parking_lot::Mutex;
use tokio::{task::JoinSet, time::MissedTickBehavior};

use super::{bulk::Ledger, stage::SIZE, story::Story, typist::Typist};
use crate::{exit::Failure, screen::Screen, viewer::status, wire::Message};

/// What the viewer's tasks know together.
#[derive(Debug)]
pub struct Notes {
    /// What happened when.
    pub story: Story,
    /// What arrived.
    pub ledger: Ledger,
    /// What was typed.
    pub typist: Typist,
    /// When the first record came over the relay after the cut.
    pub usable_again: Option<Instant>,
    /// Events that were not shown yet.
    pub unshown: Vec<String>,
    /// The typist stops.
    pub quiet: bool,
    /// How the session ended, if it did.
    pub end: Option<Failure>,
}

/// A viewer at work.
#[derive(Debug)]
pub struct Show {
    /// The viewer's session.
    pub session: Session,
    notes: Arc<Mutex<Notes>>,
    _tasks: JoinSet<()>,
}

impl Show {
    /// Starts typing, checking and taking notes.
    pub fn start(session: Session, start: Instant) -> Self {
        let mut story = Story::new(start);
        story.path(Instant::now(), session.status().path);
        let notes = Arc::new(Mutex::new(Notes {
            story,
            ledger: Ledger::default(),
            typist: Typist::default(),
            usable_again: None,
            unshown: Vec::new(),
            quiet: false,
            end: None,
        }));
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(session.clone(), notes.clone()));
        tasks.spawn(receive(session.clone(), notes.clone()));
        tasks.spawn(type_lines(session.clone(), notes.clone()));
        Self { session, notes, _tasks: tasks }
    }

    /// Looks at the notes, or writes into them.
    pub fn note<T>(&self, look: impl FnOnce(&mut Notes) -> T) -> T {
        look(&mut self.notes.lock())
    }

    /// Returns the line that shows how it goes.
    pub fn line(&self) -> String {
        let status = self.session.status();
        let path = status.path.map_or_else(|| "no path".to_owned(), |path| path.to_string());
        let rtt = status.rtt.map_or_else(|| "–".to_owned(), status::milliseconds);
        self.note(|notes| {
            let seconds = notes.story.since_start(Instant::now()).as_secs_f64();
            let shell = notes.typist.median().map_or_else(|| "–".to_owned(), status::milliseconds);
            format!(
                "{seconds:>6.1} s  {path:<11}  {:>9} received  rtt {rtt:<8}  shell {shell:<8}  {} lines typed",
                status::bytes(notes.ledger.bytes()),
                notes.typist.typed(),
            )
        })
    }
}

/// Notes every decision and every change of path.
async fn listen(session: Session, notes: Arc<Mutex<Notes>>) {
    let mut events = session.events();
    loop {
        tokio::select! {
            Some(event) = events.next() => {
                let now = Instant::now();
                let mut notes = notes.lock();
                let seconds = notes.story.since_start(now).as_secs_f64();
                notes.unshown.push(format!("{seconds:>6.1} s  {event}"));
                notes.story.path(now, session.status().path);
                notes.story.event(now, event);
            }
            () = session.changed() => notes.lock().story.path(Instant::now(), session.status().path),
            else => return,
        }
    }
}

async fn receive(session: Session, notes: Arc<Mutex<Notes>>) {
    let mut screen = Screen::new(SIZE);
    let end = loop {
        let bytes = match session.recv().await {
            Ok(Received::Message(bytes)) => bytes,
            Ok(_) => continue,
            Err(end) => break Failure::SessionLost(end),
        };
        let message = match Message::decode(bytes) {
            Ok(message) => message,
            Err(bad) => break Failure::Unintelligible(bad),
        };
        let now = Instant::now();
        let mut notes = notes.lock();
        match message {
            Message::Record { number, body } => {
                notes.ledger.record(now, number, &body);
                if notes.usable_again.is_none()
                    && notes.story.since_cut(now).is_some()
                    && session.status().path.is_some_and(|path| path.as_str() == RELAY)
                {
                    notes.usable_again = Some(now);
                }
            }
            Message::End(sum) => notes.ledger.end(sum),
            Message::Snapshot { size, bytes } => {
                screen = Screen::restore(size, &bytes);
                notes.typist.read(now, &screen.text());
            }
            Message::Change(bytes) => {
                screen.feed(&bytes);
                notes.typist.read(now, &screen.text());
            }
            _ => {}
        }
    };
    notes.lock().end.get_or_insert(end);
}

async fn type_lines(session: Session, notes: Arc<Mutex<Notes>>) {
    let mut pace = tokio::time::interval(TYPING);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let line = {
            let mut notes = notes.lock();
            if notes.quiet {
                return;
            }
            notes.typist.type_line(Instant::now())
        };
        if session.send(Message::Input(line).encode()).await.is_err() {
            return;
        }
    }
}

/// Time between two typed lines.
const TYPING: Duration = Duration::from_millis(200);

/// The registered name of the relay's transport.
const RELAY: &str = "ws-fallback";
