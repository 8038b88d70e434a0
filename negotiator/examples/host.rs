//! Shares a session and echoes what each viewer says: `cargo run -p beach-negotiator --example host`.
//! Needs `beach-lifeguard dev` running on this machine.
#![allow(clippy::disallowed_methods, reason = "an example is an owner, which brings the runtime")]

use negotiator::{Host, HostConfig, Received};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let host = Host::share(HostConfig::new("http://127.0.0.1:9443")).await?;
    println!("{}", host.link().reveal());
    while let Some(viewer) = host.accept().await {
        tokio::spawn(async move {
            while let Ok(Received::Message(words)) = viewer.recv().await {
                let _ = viewer.send(words).await;
            }
        });
    }
    Ok(())
}
