//! Certifies the WebSocket fallback through a real relay, bare and sealed.

#[path = "subjects/dev.rs"]
mod dev;
#[path = "subjects/secured.rs"]
mod secured;
#[path = "subjects/ws.rs"]
mod ws;

use std::{process::ExitCode, sync::Arc};

use conformance::suite::certify_all;
use secured::Secured;
use ws::WsFallback;

fn main() -> ExitCode {
    certify_all(vec![Arc::new(WsFallback), Arc::new(Secured(Arc::new(WsFallback)))])
}
