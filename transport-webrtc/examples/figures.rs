//! Prints what a link costs on this machine: time to open, round trip, throughput, memory.
//!
//! ```text
//! cargo run --release -p beach-transport-webrtc --example figures
//! ```

use std::time::{Duration, Instant};

use bytes::Bytes;
use transport_core::{Connector, Lane, Target, Transport, TransportExt};
use transport_webrtc::{WebRtcConfig, WebRtcConnector};

type Link = Box<dyn Transport>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut opens = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        let _pair = connect().await?;
        opens.push(start.elapsed());
    }
    print("open both channels", &mut opens);

    let (a, b) = connect().await?;
    for lane in Lane::ALL {
        let mut trips = Vec::new();
        for _ in 0..1000 {
            let start = Instant::now();
            a.send(lane, Bytes::from_static(&[7; 64])).await?;
            b.send(lane, b.recv().await?.payload).await?;
            a.recv().await?;
            trips.push(start.elapsed());
        }
        print(&format!("round trip of 64 bytes, {lane:?}"), &mut trips);
    }

    let (count, size) = (2000, 16_000);
    let start = Instant::now();
    let receiving = tokio::spawn(async move {
        for _ in 0..count {
            b.recv().await?;
        }
        Ok::<_, transport_core::Closed>(b)
    });
    for _ in 0..count {
        a.send(Lane::Reliable, vec![0; size].into()).await?;
    }
    let b = receiving.await??;
    let rate = (count * size) as f64 / start.elapsed().as_secs_f64() / 1e6;
    println!("{:<34} {rate:.1} MB/s", "reliable lane, 16,000-byte messages");
    drop((a, b));

    tokio::time::sleep(Duration::from_secs(1)).await;
    let (before, mut pairs) = (resident_kib(), Vec::new());
    for _ in 0..50 {
        pairs.push(connect().await?);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let each = resident_kib().saturating_sub(before) / (2 * pairs.len());
    println!("{:<34} {each} KiB", "resident memory of one idle end");
    Ok(())
}

fn print(what: &str, samples: &mut [Duration]) {
    samples.sort();
    let at = |share: f64| samples[((samples.len() - 1) as f64 * share) as usize];
    println!("{what:<34} median {:?}, p95 {:?}", at(0.5), at(0.95));
}

async fn connect() -> Result<(Link, Link), Box<dyn std::error::Error>> {
    let mut config = WebRtcConfig::default();
    config.loopback = true;
    // One connector for both ends: a dial brings its own signaling.
    let (connector, (to_b, to_a)) = (WebRtcConnector::new(config)?, Target::pair());
    let (a, b) = tokio::join!(connector.connect(&to_b), connector.connect(&to_a));
    Ok((a?, b?))
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
