//! A chat: one host, as many viewers as come, and everybody hears everybody.
//! `cargo run -p beach-negotiator --example chat` plays one with three people, relay and control plane in this process.
#![allow(clippy::disallowed_methods, reason = "an example is an owner, which brings the runtime")]

use std::error::Error;

use bytes::Bytes;
use futures::StreamExt;
use lifeguard_relay::{Dev, DevConfig};
use negotiator::{Host, HostConfig, JoinLink, Negotiator, NetworkConfig, Received, Session};
use tokio::{sync::broadcast, task::JoinSet};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for (name, heard) in run().await? {
        println!("{name} heard: {}", heard.join(", "));
    }
    Ok(())
}

/// Plays the chat, and returns what each person heard of the others.
pub async fn run() -> Result<Vec<(&'static str, Vec<String>)>, Box<dyn Error>> {
    let service = Dev::start(DevConfig::default()).await?;
    let mut config = HostConfig::new(service.public_url());
    config.network = network();
    let host = Host::share(config).await?;
    let link = host.link().clone();

    // Hosting and talking go on at the same time; the chat is over when everybody has said and heard enough.
    let people = async { futures::future::try_join_all(PEOPLE.map(|name| person(name, link.clone()))).await };
    let heard = tokio::select! {
        heard = people => heard?,
        () = chat(&host) => return Err("the host ended first".into()),
    };
    host.close().await;
    service.shutdown().await;
    Ok(PEOPLE.into_iter().zip(heard).collect())
}

/// Passes on to everybody what anybody says.
async fn chat(host: &Host) {
    // Whoever falls further behind than this misses lines; a chat may.
    let (lines, _) = broadcast::channel(256);
    let mut people = JoinSet::new();
    let mut arriving = host.viewers();
    while let Some(viewer) = arriving.next().await {
        people.spawn(serve(viewer, lines.clone()));
    }
}

async fn serve(viewer: Session, lines: broadcast::Sender<(negotiator::PeerId, Bytes)>) {
    let mut others = lines.subscribe();
    let mut said = viewer.incoming();
    loop {
        tokio::select! {
            line = said.next() => match line {
                // Nobody else may be there.
                Some(Ok(Received::Message(line))) => drop(lines.send((viewer.peer(), line))),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            line = others.recv() => if let Ok((from, line)) = line
                && from != viewer.peer()
                && viewer.send(line).await.is_err()
            {
                return;
            },
        }
    }
}

/// Joins, says hello until it was heard from all the others, and leaves once the others are done too.
async fn person(name: &'static str, link: JoinLink) -> Result<Vec<String>, Box<dyn Error>> {
    let session = Negotiator::new(link, network()).named(name).connect().await?;
    let mut heard = Vec::new();
    let mut again = tokio::time::interval(std::time::Duration::from_millis(200));
    // A line of before somebody came is not repeated to it, so each says hello until all have.
    let mut rounds_after = 0;
    while rounds_after < 5 {
        tokio::select! {
            _ = again.tick() => {
                session.send(format!("hello from {name}").into()).await?;
                rounds_after += usize::from(heard.len() + 1 == PEOPLE.len());
            }
            received = session.recv() => if let Received::Message(line) = received? {
                let line = String::from_utf8_lossy(&line).into_owned();
                if !heard.contains(&line) {
                    heard.push(line);
                }
            },
        }
    }
    session.close().await;
    heard.sort();
    Ok(heard)
}

/// Paths of this machine alone.
fn network() -> NetworkConfig {
    let mut network = NetworkConfig::default();
    network.webrtc.loopback = true;
    network
}

const PEOPLE: [&str; 3] = ["ada", "bob", "cy"];
