//! A host and two viewers without `async`, each in a thread of its own, over relay and control plane in this process:
//! `cargo run -p beach-negotiator --example blocking --features blocking`.

use std::{error::Error, thread, time::Duration};

use lifeguard_relay::{Dev, DevConfig};
use negotiator::{
    HostConfig, JoinLink, NetworkConfig,
    blocking::{BlockingHost, BlockingSession, Payload},
};

fn main() -> Result<(), Box<dyn Error>> {
    for echoed in run()? {
        println!("{echoed}");
    }
    Ok(())
}

/// Returns what each viewer heard.
pub fn run() -> Result<Vec<String>, Box<dyn Error>> {
    // The services alone are asynchronous.
    let services = tokio::runtime::Runtime::new()?;
    let service = services.block_on(Dev::start(DevConfig::default()))?;
    let mut network = NetworkConfig::default();
    network.webrtc.loopback = true;
    let mut config = HostConfig::new(service.public_url());
    config.network = network.clone();
    let host = BlockingHost::share(config)?;
    let names = ["ada", "grace"];
    let viewers = names.map(|name| {
        let (link, network) = (host.link().clone(), network.clone());
        thread::spawn(move || view(link, network, name).map_err(|error| error.to_string()))
    });
    // Kept until the viewers have heard their answers.
    let mut sessions = Vec::new();
    for _ in names {
        let viewer = host.accept().ok_or("the host ended first")?;
        let words = viewer.recv(PATIENCE)?;
        viewer.send(&words.payload)?;
        sessions.push(viewer);
    }
    let mut heard = Vec::new();
    for viewer in viewers {
        heard.push(viewer.join().map_err(|_| "a viewer panicked")??);
    }
    host.close();
    services.block_on(service.shutdown());
    Ok(heard)
}

fn view(link: JoinLink, network: NetworkConfig, name: &str) -> Result<String, Box<dyn Error>> {
    let session = BlockingSession::join(link, network)?;
    session.send(&Payload::Text(format!("hello from {name}")))?;
    let Payload::Text(words) = session.recv(PATIENCE)?.payload else { return Err("not a text".into()) };
    session.close();
    Ok(words)
}

const PATIENCE: Duration = Duration::from_secs(60);
