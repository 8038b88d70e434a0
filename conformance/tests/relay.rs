//! Certifies our own relay with the kit that certifies anybody's.

#[path = "subjects/dev.rs"]
mod dev;

use std::{process::ExitCode, sync::Arc};

use beach_lifeguard_client::CloseCode;
use conformance::relay::{RelayTarget, certify_relay};
use futures::FutureExt;
use libtest_mimic::Arguments;

fn main() -> ExitCode {
    let services = dev::Services::start();
    let relay = services.public_url.replacen("http", "ws", 1);
    let mut target = RelayTarget::new(relay, &services.public_url);
    target.drain = Some(Arc::new(move || {
        async move {
            services.run(|dev| drain(dev).boxed()).await;
            Ok(())
        }
        .boxed()
    }));
    certify_relay(&target, &Arguments::from_args(), std::env::var("CONFORMANCE_REPORT").ok().as_deref())
}

/// Begins to drain; the peers see the rest.
async fn drain(dev: &lifeguard_relay::Dev) {
    let relay = dev.relay().clone();
    tokio::spawn(async move { relay.drain(CloseCode::DRAIN).await });
}
