//! Certifies the fallback through a real relay, over either carrier, bare and sealed.

#[path = "subjects/dev.rs"]
mod dev;
#[path = "subjects/secured.rs"]
mod secured;
#[path = "subjects/ws.rs"]
mod ws;

use std::{process::ExitCode, sync::Arc};

use conformance::{Subject, suite::certify_all};
use secured::Secured;
use transport_ws_fallback::CarrierChoice;
use ws::WsFallback;

fn main() -> ExitCode {
    let carriers = [CarrierChoice::WebSocketOnly, CarrierChoice::HttpOnly].map(WsFallback);
    let subjects = carriers.into_iter().flat_map(|subject| -> [Arc<dyn Subject>; 2] {
        [Arc::new(subject), Arc::new(Secured(Arc::new(subject)))]
    });
    certify_all(subjects.collect())
}
