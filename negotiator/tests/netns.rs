//! Two processes in network namespaces of their own, and a router between them that drops UDP while TCP to
//! the relay works: no proxy of ours pretends anything. Needs root, `ip` and `nft`; where they are not to be
//! had the same is played through the proxy in this process, and the reason is printed.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod real;
#[path = "netns/mod.rs"]
mod spaces;

use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use lifeguard_relay::DevConfig;
use real::{Stage, network, scenes};
use spaces::{Lab, role};

fn main() {
    if let Some(role) = role::wanted() {
        return runtime().block_on(role::play(role));
    }
    let trial = Trial::test("udp_dropped_between_two_machines", || runtime().block_on(machines()));
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit();
}

async fn machines() -> Result<(), Failed> {
    let lab = match Lab::build() {
        Ok(lab) => lab,
        Err(why) => {
            println!("no network namespaces here ({why}); playing it through the proxy in this process");
            let stage = Stage::set(DevConfig::default(), network()).await;
            println!("usable after {:?}", scenes::udp_blocked(&stage).await);
            stage.end().await;
            return Ok(());
        }
    };
    let mut relay = lab.start("router", "relay", "");
    relay.expect("ready").await;
    let mut host = lab.start("host", "host", "");
    let link = host.expect("link ").await;

    // Without the rule the two reach each other directly: what follows is the rule's doing.
    let mut first = lab.start("viewer", "viewer", &link);
    println!("open: on {}", first.expect("path webrtc after ").await);
    lab.drop_udp();
    println!("UDP dropped while data is pending: on {}", first.expect("path ws-fallback after ").await);

    let mut second = lab.start("viewer", "viewer", &link);
    let usable = second.expect("path ws-fallback after ").await;
    println!("UDP dropped from the start: usable after {usable}");
    second.finish("echoed ").await;

    lab.pass_udp();
    println!("UDP passes again: on {}", first.expect("path webrtc after ").await);
    let mut third = lab.start("viewer", "viewer", &link);
    third.expect("path webrtc after ").await;
    lab.move_viewer();
    let moved = Instant::now();
    let path = third.expect("path ").await;
    println!("another address: usable again after {:.2} s, on {path}", moved.elapsed().as_secs_f64());
    third.finish("echoed ").await;
    let echoed: u64 = first.finish("echoed ").await.parse()?;
    println!("{echoed} messages went and came back, each once and in order");
    assert!(echoed > 20, "{echoed}");
    host.end().await;
    relay.end().await;
    Ok(())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// How long anything may take, on a machine that builds something else meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);
