//! Certifies the transports of a browser: the cases of the conformance kit with a page in a real Chromium as one end, and
//! the transport of a machine as the other. `scripts/web dev` builds what the page runs.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "../chromium/browser.rs"]
#[allow(dead_code, reason = "of other tests too")]
mod browser;
mod connector;
#[path = "../../../../conformance/tests/subjects/dev.rs"]
mod dev;
#[path = "../chromium/page.rs"]
#[allow(dead_code, reason = "of other tests too")]
mod page;
mod relay;
mod remote;
#[path = "../../../../conformance/tests/subjects/secured.rs"]
mod secured;
mod stage;
mod transport;
mod webrtc;

use std::{process::ExitCode, sync::Arc};

use conformance::{Subject, suite::certify_all};
use relay::PageWsFallback;
use secured::Secured;
use stage::Stage;
use transport_core::DialRole;
use transport_ws_fallback::CarrierChoice;
use webrtc::PageWebRtc;

fn main() -> ExitCode {
    let mut subjects: Vec<Arc<dyn Subject>> =
        vec![Arc::new(PageWebRtc(DialRole::Offerer)), Arc::new(PageWsFallback(CarrierChoice::WebSocketOnly))];
    // As long again: for `scripts/nightly kit`.
    if std::env::var_os("KIT_ALL").is_some() {
        subjects.push(Arc::new(Secured(Arc::new(PageWebRtc(DialRole::Answerer)))));
        subjects.push(Arc::new(PageWsFallback(CarrierChoice::HttpOnly)));
    }
    let code = certify_all(subjects);
    Stage::close();
    code
}
