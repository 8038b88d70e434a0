//! Calls that wait: polled once at the call, then by the page, and dropped when the test drops theirs.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use bytes::Bytes;
use futures::FutureExt;
use tokio::sync::oneshot;
use wasm_bindgen_futures::spawn_local;

use crate::{
    page::Desk,
    wire::{Answer, Told},
};

/// The calls that were not ready, by their numbers. Dropping an entry drops its future.
#[derive(Debug, Default)]
pub(crate) struct Waits(RefCell<HashMap<u64, oneshot::Sender<()>>>);

/// Polls `call` once and answers; where it waits, has the page go on with it.
pub(crate) fn poll(desk: &Rc<Desk>, number: u64, call: impl Future<Output = (Answer, Bytes)> + 'static) {
    let mut call = Box::pin(call);
    if let Some((answer, payload)) = call.as_mut().now_or_never() {
        desk.tell_with(&Told::Answer(number, answer), &payload);
        return;
    }
    desk.answer(number, Answer::Pending);
    let (kept, abandoned) = oneshot::channel();
    desk.waits.0.borrow_mut().insert(number, kept);
    let desk = desk.clone();
    spawn_local(async move {
        tokio::select! {
            // First: a message that nobody waits for any more stays where it is.
            biased;
            _ = abandoned => {}
            (answer, payload) = call => {
                desk.waits.0.borrow_mut().remove(&number);
                desk.tell_with(&Told::Answer(number, answer), &payload);
            }
        }
    });
}

impl Waits {
    /// Drops the future of a call, and says whether it waited still.
    pub(crate) fn abandon(&self, number: u64) -> bool {
        self.0.borrow_mut().remove(&number).is_some()
    }
}
