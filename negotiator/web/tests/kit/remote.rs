//! Calls of the page: each is carried out there, and its caller waits for the answer, as for any function.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    time::Duration,
};

use beach_web_kit::wire::{self, Answer, Ask, Asked, Told};
use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot},
    task::block_in_place,
};
use transport_core::Progress;

/// The page, from afar.
#[derive(Debug)]
pub(crate) struct Remote {
    outgoing: mpsc::Sender<Bytes>,
    numbers: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    calls: HashMap<u64, Call>,
    dials: HashMap<u64, Ears>,
    /// Why the page is gone.
    gone: Option<String>,
}

/// An answer, and the payload behind it.
pub(crate) type Reply = (Answer, Bytes);

#[derive(Debug)]
enum Call {
    /// Its caller is blocked.
    Asked(SyncSender<Reply>, oneshot::Sender<Reply>),
    /// It was polled once, and waits.
    Waits(oneshot::Sender<Reply>),
}

/// Who listens in a dial.
#[derive(Debug)]
pub(crate) struct Ears {
    /// Marked when the page's path answered.
    pub(crate) progress: Progress,
    /// What the page's connector says. It ends with the page's end of the channel.
    pub(crate) words: mpsc::Sender<String>,
}

/// What a call came to when it was polled once.
pub(crate) enum Polled<F: FnMut(Reply)> {
    Ready(Reply),
    Waits(Wait<F>),
}

/// A call that waits. Dropping it drops the page's future; what that had come to meanwhile goes to `late`.
pub(crate) struct Wait<F: FnMut(Reply)> {
    remote: Arc<Remote>,
    number: u64,
    answered: oneshot::Receiver<Reply>,
    is_over: bool,
    late: F,
}

impl Remote {
    /// Makes one, and what it has to say to the page.
    pub(crate) fn new() -> (Arc<Self>, mpsc::Receiver<Bytes>) {
        let (outgoing, out) = mpsc::channel(OUTGOING);
        (Arc::new(Self { outgoing, numbers: AtomicU64::default(), state: Mutex::default() }), out)
    }

    /// Draws the number of a call.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Calls, and waits for the answer.
    pub(crate) fn call(&self, ask: Ask) -> Answer {
        self.call_with(ask, &[]).0
    }

    /// Calls with a payload, and waits for the answer.
    pub(crate) fn call_with(&self, ask: Ask, payload: &[u8]) -> Reply {
        self.begin(self.number(), ask, payload).0
    }

    /// Has the page make a future and poll it once.
    pub(crate) fn poll<F: FnMut(Reply)>(self: &Arc<Self>, number: u64, ask: Ask, late: F) -> Polled<F> {
        match self.begin(number, ask, &[]) {
            ((Answer::Pending, _), answered) => {
                Polled::Waits(Wait { remote: self.clone(), number, answered, is_over: false, late })
            }
            (ready, _) => Polled::Ready(ready),
        }
    }

    /// Tells the page something that has no answer.
    pub(crate) fn tell(&self, ask: Ask) {
        self.say(self.number(), ask, &[]);
    }

    /// Listens in a dial.
    pub(crate) fn listen(&self, dial: u64, ears: Ears) {
        self.state.lock().unwrap().dials.insert(dial, ears);
    }

    /// Takes what the page tells.
    pub(crate) fn take(&self, message: Bytes) {
        let (told, payload) = wire::decode::<Told>(&message).expect("both sides of one build");
        let mut state = self.state.lock().unwrap();
        match told {
            Told::Answer(number, answer) => {
                let call = state.calls.remove(&number).expect("an answer to a call");
                match (call, answer) {
                    (Call::Asked(first, later), Answer::Pending) => {
                        state.calls.insert(number, Call::Waits(later));
                        let _ = first.send((Answer::Pending, payload));
                    }
                    // Whoever asked may have given up.
                    (Call::Asked(first, _), answer) => drop(first.send((answer, payload))),
                    (Call::Waits(later), answer) => drop(later.send((answer, payload))),
                }
            }
            Told::Says(dial, said) => {
                if let Some(ears) = state.dials.get(&dial) {
                    // The case may be over.
                    let _ = ears.words.try_send(said);
                }
            }
            Told::SaysNoMore(dial) => drop(state.dials.remove(&dial)),
            Told::PathAnswered(dial) => {
                if let Some(ears) = state.dials.get(&dial) {
                    ears.progress.mark_answered();
                }
            }
        }
    }

    /// Notes that the page is gone. Whoever waits, or calls later, finds out.
    pub(crate) fn end(&self, why: String) {
        *self.state.lock().unwrap() = State { gone: Some(why), ..State::default() };
    }

    fn begin(&self, number: u64, ask: Ask, payload: &[u8]) -> (Reply, oneshot::Receiver<Reply>) {
        let (first, answer) = sync_channel(1);
        let (later, answered) = oneshot::channel();
        {
            let mut state = self.state.lock().unwrap();
            assert!(state.gone.is_none(), "the page is gone: {:?}", state.gone);
            state.calls.insert(number, Call::Asked(first, later));
        }
        self.say(number, ask, payload);
        // A case that sends without a pause must not keep its thread's other tasks, such as the far end's, from running.
        let answer = block_in_place(|| answer.recv_timeout(PATIENCE));
        (answer.unwrap_or_else(|_| panic!("the page gave no answer")), answered)
    }

    fn say(&self, number: u64, ask: Ask, payload: &[u8]) {
        let message = wire::encode(&Asked { number, ask }, payload).unwrap();
        self.outgoing.try_send(message).expect("fewer calls at a time than that");
    }
}

impl<F: FnMut(Reply)> Wait<F> {
    /// Waits for the answer.
    pub(crate) async fn answer(mut self) -> Reply {
        let reply = (&mut self.answered).await.expect("the page lives as long as its cases");
        self.is_over = true;
        reply
    }
}

impl<F: FnMut(Reply)> Drop for Wait<F> {
    fn drop(&mut self) {
        if self.is_over || std::thread::panicking() {
            return;
        }
        let Answer::Abandoned(waited) = self.remote.call(Ask::Abandon(self.number)) else { return };
        if waited {
            // Nothing answers it any more.
            self.remote.state.lock().unwrap().calls.remove(&self.number);
        } else if let Ok(reply) = self.answered.try_recv() {
            (self.late)(reply);
        }
    }
}

/// Calls that may be on their way to the page: each caller waits for its own.
const OUTGOING: usize = 4_096;

/// How long an answer may take: a page that computes answers in milliseconds, one that is gone never does.
const PATIENCE: Duration = Duration::from_secs(30);
