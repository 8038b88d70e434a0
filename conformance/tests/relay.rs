//! Certifies our own relay with the kit that certifies anybody's.

#[path = "subjects/dev.rs"]
mod dev;

use std::{process::ExitCode, sync::Arc, time::Duration};

use beach_lifeguard_client::CloseCode;
use conformance::relay::{RelayTarget, certify_relay};
use dev::Services;
use futures::FutureExt;
use libtest_mimic::Arguments;
use lifeguard_relay::DevConfig;

fn main() -> ExitCode {
    let plain = target(Services::with(brisk()));
    let mut config = brisk();
    config.tls = true;
    let services = Services::with(config);
    let certificate = services.certificate.clone().expect("it speaks TLS");
    let mut tls = target(services).trusting(certificate.as_bytes()).expect("a certificate");
    tls.name = "relay-tls".to_owned();

    let (arguments, report) = (Arguments::from_args(), std::env::var("CONFORMANCE_REPORT").ok());
    let certified = [
        certify_relay(&plain, &arguments, report.as_deref()),
        certify_relay(&tls, &arguments, report.map(|path| format!("{path}.tls")).as_deref()),
    ];
    if certified.contains(&ExitCode::FAILURE) { ExitCode::FAILURE } else { certified[1] }
}

/// The defaults, but for how long a drain spreads its goodbyes.
fn brisk() -> DevConfig {
    let mut config = DevConfig::default();
    config.relay.drain.spread = Duration::from_secs(1);
    config
}

fn target(services: Services) -> RelayTarget {
    let relay = services.public_url.replacen("http", "ws", 1);
    let mut target = RelayTarget::new(relay, &services.public_url);
    let services = Arc::new(services);
    target.drain = Some(Arc::new(move || {
        let services = services.clone();
        async move {
            services.run(|dev| drain(dev).boxed()).await;
            Ok(())
        }
        .boxed()
    }));
    target
}

/// Begins to drain; the peers see the rest.
async fn drain(dev: &lifeguard_relay::Dev) {
    let relay = dev.relay().clone();
    tokio::spawn(async move { relay.drain(CloseCode::DRAIN).await });
}
