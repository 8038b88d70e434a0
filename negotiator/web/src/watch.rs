//! What the browser tells of the machine: events of a page, as hints for a session.

use std::sync::Arc;

use js_sys::{Function, Reflect};
use negotiator::Session;
use tokio::sync::{Notify, mpsc};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{AbortSignal, EventTarget};

/// Listens for one event for as long as it lives.
#[derive(Debug)]
struct Listener {
    target: EventTarget,
    event: &'static str,
    heard: Closure<dyn FnMut()>,
}

impl Listener {
    fn new(target: EventTarget, event: &'static str, heard: impl FnMut() + 'static) -> Self {
        let heard = Closure::<dyn FnMut()>::new(heard);
        // A target that takes no listener tells nothing.
        let _ = target.add_event_listener_with_callback(event, heard.as_ref().unchecked_ref());
        Self { target, event, heard }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ =
            self.target.remove_event_listener_with_callback(self.event, self.heard.as_ref().unchecked_ref());
    }
}

/// Tells `session` of the network and of sleep, for as long as this lives.
///
/// | event | of | is told as |
/// |---|---|---|
/// | `online`, `offline` | page or worker | the network changed |
/// | `resume` | document, after `freeze` | the machine woke |
/// | `visibilitychange` to visible | document | the machine woke: timers of a hidden page come late |
/// | `pageshow` | page, from the back-forward cache | the machine woke |
#[derive(Debug)]
pub(crate) struct Watch(#[expect(dead_code, reason = "they listen until they are dropped")] Vec<Listener>);

impl Watch {
    pub(crate) fn new(session: &Session) -> Self {
        let global: JsValue = js_sys::global().into();
        let mut listeners = Vec::new();
        if let Ok(target) = global.clone().dyn_into::<EventTarget>() {
            for event in ["online", "offline"] {
                let told = session.clone();
                listeners.push(Listener::new(target.clone(), event, move || told.network_changed()));
            }
            let told = session.clone();
            listeners.push(Listener::new(target, "pageshow", move || told.woke()));
        }
        // A worker has none.
        let document = Reflect::get(&global, &"document".into()).ok();
        if let Some(document) = document.and_then(|document| document.dyn_into::<EventTarget>().ok()) {
            let told = session.clone();
            listeners.push(Listener::new(document.clone(), "resume", move || told.woke()));
            let (told, page) = (session.clone(), document.clone());
            listeners.push(Listener::new(document, "visibilitychange", move || {
                let state = Reflect::get(&page, &"visibilityState".into());
                if state.is_ok_and(|state| state == "visible") {
                    told.woke();
                }
            }));
        }
        Self(listeners)
    }
}

/// Waits until `signal` says stop.
pub(crate) async fn aborted(signal: &AbortSignal) {
    let stop = Arc::<Notify>::default();
    let told = stop.clone();
    let _listener = Listener::new(signal.clone().into(), "abort", move || told.notify_one());
    if !signal.aborted() {
        stop.notified().await;
    }
}

/// Makes a call that may come from anywhere, once, of a page's function, which stays on its thread.
pub(crate) fn once(told: Function) -> impl Fn() + Send + Sync + 'static {
    let (call, mut called) = mpsc::channel(1);
    wasm_bindgen_futures::spawn_local(async move {
        if called.recv().await.is_some() {
            // What it throws is the page's own business, and shown in its console.
            let _ = told.call0(&JsValue::UNDEFINED);
        }
    });
    move || {
        // Full: it was told.
        let _ = call.try_send(());
    }
}
