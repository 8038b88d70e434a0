//! Joins a session: `cargo run -p beach-negotiator --example viewer -- 'LINK'`.
#![allow(clippy::disallowed_methods, reason = "an example is an owner, which brings the runtime")]

use negotiator::{Negotiator, NetworkConfig, Received};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let link = std::env::args().nth(1).ok_or("usage: viewer 'LINK'")?.parse()?;
    let session = Negotiator::new(link, NetworkConfig::default()).connect().await?;
    session.send("hello".into()).await?;
    if let Received::Message(words) = session.recv().await? {
        println!("{} came back; {}", String::from_utf8_lossy(&words), session.explain());
    }
    session.close().await;
    Ok(())
}
