//! A file through `beach-link pipe` while the UDP path beneath it is cut and restored again and again.
//!
//! By hand, larger: `PIPE_MEGABYTES=100 PIPE_CUTS=5 cargo test -p beach-link --test cut -- --nocapture`.
#![allow(missing_docs, clippy::unwrap_used)]

mod program;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use beach_link::{pipe::carry, viewer::enter::ask, wire::Service};
use lifeguard_relay::{Dev, DevConfig};
use negotiator::{Negotiator, NetworkConfig, Session, TransportId, TunePolicy};
use program::{Program, read_when_there};
use rand::{RngCore, SeedableRng, rngs::StdRng};
use sha2::{Digest, Sha256};
use tokio::{io::AsyncReadExt, time::timeout};
use transport_core::policy::PolicyConfig;
use transport_webrtc::impair::ImpairedUdp;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_arrives_whole_whatever_happens_to_the_path() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let megabytes = number("PIPE_MEGABYTES", 12);
    let cuts = number("PIPE_CUTS", 2);
    let dev = Dev::start(DevConfig::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("link").to_str().unwrap().to_owned();
    let url = dev.public_url();
    let expected_bytes = megabytes * 1_000_000;
    let mut sent = vec![0; expected_bytes];
    StdRng::seed_from_u64(4).fill_bytes(&mut sent);
    let expected = Sha256::digest(&sent);
    let host = Program::new(&["pipe", "host", "--loopback", "--control-plane", &url, "--link-file", &file])
        .start_with(sent);
    let link = read_when_there(Path::new(&file)).parse().unwrap();

    let udp = ImpairedUdp::seeded(4);
    let mut network = NetworkConfig::default();
    network.webrtc.loopback = true;
    network.webrtc.udp = Some(Arc::new(udp.clone()));
    network.tune_policy = Some(TunePolicy::new(restless));
    let session = Negotiator::new(link, network).connect().await.unwrap();
    ask(&session, Service::Pipe).await.unwrap();

    let mut received = Vec::new();
    let started = Instant::now();
    // One portion of the file flows for each cut, and one after the last: every cut hits moving bytes.
    let (mut pipe, output) = tokio::io::duplex(64 * 1024);
    let (allow, mut allowed) = tokio::sync::watch::channel(1);
    let portion = expected_bytes / (cuts + 1);
    let reader = async {
        for number in 1..=cuts {
            allowed.wait_for(|allowed| *allowed >= number).await.unwrap();
            let start = received.len();
            received.resize(start + portion, 0);
            pipe.read_exact(&mut received[start..]).await.unwrap();
        }
        allowed.wait_for(|allowed| *allowed > cuts).await.unwrap();
        pipe.read_to_end(&mut received).await.unwrap();
    };
    let carried = carry(&session, tokio::io::empty(), output);
    let trouble = async {
        for cut in 1..=cuts {
            tokio::time::sleep(Duration::from_secs(1)).await;
            udp.cut();
            on(&session, "ws-fallback").await;
            println!("{:>6.1} s  cut {cut}: on the relay", started.elapsed().as_secs_f64());
            tokio::time::sleep(Duration::from_secs(1)).await;
            udp.restore();
            on(&session, "webrtc").await;
            allow.send(cut + 1).unwrap();
            println!("{:>6.1} s  restored: back on the direct path", started.elapsed().as_secs_f64());
        }
    };
    let (totals, (), ()) =
        timeout(Duration::from_secs(900), async { tokio::join!(carried, trouble, reader) }).await.unwrap();
    assert_eq!(totals.unwrap().received, expected_bytes as u64);
    session.close().await;
    let (code, _, stderr) = host.bytes();
    assert_eq!(code, 0, "{stderr}");
    assert!(Sha256::digest(&received) == expected, "the hashes differ");
    println!("{megabytes} MB, {cuts} cuts, equal SHA-256, {:.1} s", started.elapsed().as_secs_f64());
    dev.shutdown().await;
}

/// Looks for the way back often, and does not tire of moving.
fn restless(policy: &mut PolicyConfig) {
    policy.restore.cadence = Duration::from_secs(1);
    policy.restore.dwell = Duration::from_secs(1);
    policy.restore.flap_moves = 64;
}

async fn on(session: &Session, path: &'static str) {
    let path = TransportId::from_static(path);
    let reached = async {
        loop {
            let changed = session.changed();
            if session.status().path.as_ref() == Some(&path) {
                return;
            }
            changed.await;
        }
    };
    timeout(Duration::from_secs(60), reached)
        .await
        .unwrap_or_else(|_| panic!("not on {path}: {}", session.explain()));
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |value| value.parse().unwrap())
}
