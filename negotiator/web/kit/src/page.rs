//! The page's side: transports by number, and the socket to the test.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use bytes::Bytes;
use js_sys::{Function, Uint8Array};
use transport_core::{Connector, Transport};
use wasm_bindgen::prelude::*;

use crate::{
    call,
    dial::Dials,
    waits::Waits,
    wire::{self, Answer, Told},
};

/// Carries out what a test asks for.
#[derive(Debug)]
#[wasm_bindgen]
pub struct Page(Rc<Desk>);

#[wasm_bindgen]
impl Page {
    /// Makes a page without transports that gives its messages, each a `Uint8Array`, to `send`.
    #[wasm_bindgen(constructor)]
    pub fn new(send: Function) -> Self {
        // Thrown, with its words, instead of a trap without any: the page hands them on.
        std::panic::set_hook(Box::new(|panic| wasm_bindgen::throw_str(&panic.to_string())));
        let (ends, made, waits, dials) = Default::default();
        Self(Rc::new(Desk { send, ends, made, waits, dials }))
    }

    /// Takes a message of the test.
    ///
    /// Throws where it is none: the two were built apart.
    pub fn take(&self, message: Vec<u8>) -> Result<(), JsError> {
        let (asked, payload) = wire::decode(&message.into())?;
        call::carry_out(&self.0, asked, payload);
        Ok(())
    }
}

/// What the calls share.
#[derive(Debug)]
pub(crate) struct Desk {
    send: Function,
    ends: RefCell<HashMap<u64, End>>,
    made: Cell<u64>,
    pub(crate) waits: Waits,
    pub(crate) dials: Dials,
}

/// A live transport, and what made it.
#[derive(Debug, Clone)]
struct End {
    transport: Rc<dyn Transport>,
    /// The links of a relay's connector share its socket.
    _connector: Rc<dyn Connector>,
}

impl Desk {
    /// Keeps a transport, and returns its number.
    pub(crate) fn keep(&self, transport: Box<dyn Transport>, connector: Rc<dyn Connector>) -> u64 {
        let number = self.made.get();
        self.made.set(number + 1);
        let end = End { transport: transport.into(), _connector: connector };
        self.ends.borrow_mut().insert(number, end);
        number
    }

    /// The transport of this number.
    ///
    /// # Panics
    ///
    /// It was dropped: the test called a transport that it had given away.
    pub(crate) fn end(&self, number: u64) -> Rc<dyn Transport> {
        self.ends.borrow().get(&number).expect("a test drops a transport last").transport.clone()
    }

    /// Drops the transport of this number. No call on it waits any more, so it is its last handle.
    pub(crate) fn drop_end(&self, number: u64) {
        let end = self.ends.borrow_mut().remove(&number);
        drop(end);
    }

    pub(crate) fn answer(&self, number: u64, answer: Answer) {
        self.tell(&Told::Answer(number, answer));
    }

    pub(crate) fn tell(&self, told: &Told) {
        self.tell_with(told, &Bytes::new());
    }

    pub(crate) fn tell_with(&self, told: &Told, payload: &[u8]) {
        let message = wire::encode(told, payload).expect("each of these words has its JSON");
        // It throws when the test is gone, and then there is nobody to be told.
        let _ = self.send.call1(&JsValue::NULL, &Uint8Array::from(&message[..]));
    }
}
