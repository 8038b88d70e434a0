//! Certifies the data channels, bare and sealed.

#[path = "subjects/secured.rs"]
mod secured;
#[path = "subjects/webrtc.rs"]
mod webrtc;

use std::{process::ExitCode, sync::Arc};

use conformance::suite::certify_all;
use secured::Secured;
use webrtc::WebRtc;

fn main() -> ExitCode {
    certify_all(vec![Arc::new(WebRtc), Arc::new(Secured(Arc::new(WebRtc)))])
}
