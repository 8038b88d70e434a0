//! A file through a session, as bytes: copied in, each direction ended on its own, an answer after the end of the other.
//! `cargo run -p beach-negotiator --example byte_stream` does it over relay and control plane in this process.
#![allow(clippy::disallowed_methods, reason = "an example is an owner, which brings the runtime")]

use std::error::Error;

use lifeguard_relay::{Dev, DevConfig};
use negotiator::{Host, HostConfig, Negotiator, NetworkConfig, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = vec![b'x'; 3_000_000];
    println!("{}", run(&file).await?);
    Ok(())
}

/// Sends `file`, and returns what the other side says about it.
pub async fn run(file: &[u8]) -> Result<String, Box<dyn Error>> {
    let service = Dev::start(DevConfig::default()).await?;
    let mut network = NetworkConfig::default();
    network.webrtc.loopback = true;
    let mut config = HostConfig::new(service.public_url());
    config.network = network.clone();
    let host = Host::share(config).await?;
    let joining = Negotiator::new(host.link().clone(), network).connect();
    let (viewer, hosted) = tokio::join!(joining, host.accept());
    let (viewer, hosted) = (viewer?, hosted.ok_or("the host ended first")?);

    let (answer, counted) = tokio::join!(send(viewer.clone(), file), count(hosted));
    counted?;
    viewer.close().await;
    host.close().await;
    service.shutdown().await;
    answer
}

async fn send(session: Session, mut file: &[u8]) -> Result<String, Box<dyn Error>> {
    let mut bytes = session.into_bytes();
    copy(&mut file, &mut bytes).await?;
    bytes.shutdown().await?;
    let mut answer = String::new();
    bytes.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn count(session: Session) -> Result<(), Box<dyn Error>> {
    let mut bytes = session.into_bytes();
    let length = copy(&mut bytes, &mut tokio::io::sink()).await?;
    bytes.write_all(format!("{length} bytes came").as_bytes()).await?;
    Ok(bytes.shutdown().await?)
}
