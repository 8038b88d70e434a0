//! `pipe` in one process, over a network in memory that is cut on the way.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used)]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use beach_link::{
    exit::Failure,
    pipe::{Totals, carry},
};
use bytes::Bytes;
use negotiator::NetworkConfig;
use rand::{RngCore, SeedableRng, rngs::StdRng};
use support::{Net, Scenes as _};
use tokio::io::{AsyncWriteExt, duplex};

fn random(bytes: usize, seed: u64) -> Vec<u8> {
    let mut data = vec![0; bytes];
    StdRng::seed_from_u64(seed).fill_bytes(&mut data);
    data
}

#[tokio::test(start_paused = true)]
async fn both_directions_arrive_whole_and_end_by_themselves() {
    let (_host, a, b) = Net::new().session(NetworkConfig::default()).await;
    let (up, down) = (random(3_000_001, 1), random(17, 2));
    let (mut got_up, mut got_down) = (Vec::new(), Vec::new());
    let (one, two) = tokio::join!(carry(&a, &up[..], &mut got_down), carry(&b, &down[..], &mut got_up));
    assert_eq!(one.unwrap(), Totals { sent: 3_000_001, received: 17 });
    assert_eq!(two.unwrap(), Totals { sent: 17, received: 3_000_001 });
    assert!(got_up == up && got_down == down);
}

#[tokio::test(start_paused = true)]
async fn empty_streams_end_too() {
    let (_host, a, b) = Net::new().session(NetworkConfig::default()).await;
    let (one, two) = tokio::join!(
        carry(&a, tokio::io::empty(), tokio::io::sink()),
        carry(&b, tokio::io::empty(), tokio::io::sink())
    );
    assert_eq!(
        (one.unwrap(), two.unwrap()),
        (Totals { sent: 0, received: 0 }, Totals { sent: 0, received: 0 })
    );
}

#[tokio::test(start_paused = true)]
async fn one_direction_may_end_long_before_the_other() {
    let (_host, a, b) = Net::new().session(NetworkConfig::default()).await;
    let (mut late, input) = duplex(64);
    let mut received = Vec::new();
    let slow = async {
        tokio::time::sleep(Duration::from_secs(600)).await;
        late.write_all(b"late").await.unwrap();
        drop(late);
    };
    let (one, two, ()) =
        tokio::join!(carry(&a, &b"early"[..], &mut received), carry(&b, input, tokio::io::sink()), slow);
    assert_eq!(one.unwrap(), Totals { sent: 5, received: 4 });
    assert_eq!(two.unwrap(), Totals { sent: 4, received: 5 });
    assert_eq!(received, b"late");
}

#[tokio::test(start_paused = true)]
async fn resets_on_the_way_change_nothing() {
    let net = Net::new();
    let (_host, a, b) = net.session(NetworkConfig::default()).await;
    let sent = random(20_000_000, 3);
    let mut received = Vec::new();
    let transfer = async {
        let (one, two) = tokio::join!(
            carry(&a, &sent[..], tokio::io::sink()),
            carry(&b, tokio::io::empty(), &mut received)
        );
        (one.unwrap(), two.unwrap())
    };
    let trouble = async {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            net.primary.cut();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        totals = transfer => assert_eq!(totals.0.sent, 20_000_000),
        () = trouble => {}
    }
    assert!(received == sent);
}

/// Takes a little and then fails, as a full disk does.
struct FullDisk(usize);

impl tokio::io::AsyncWrite for FullDisk {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        if self.0 == 0 {
            return std::task::Poll::Ready(Err(std::io::ErrorKind::StorageFull.into()));
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        std::task::Poll::Ready(Ok(taken))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_fails_both_ends() {
    let (_host, a, b) = Net::new().session(NetworkConfig::default()).await;
    let sent = random(5_000_000, 4);
    let (one, two) =
        tokio::join!(carry(&a, &sent[..], tokio::io::sink()), carry(&b, tokio::io::empty(), FullDisk(1000)));
    assert!(matches!(two, Err(Failure::Io { .. })), "{two:?}");
    let told = one.unwrap_err().to_string();
    assert!(told.contains("other side failed"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_something_else_is_an_error_and_no_panic() {
    for bytes in [&b"\x00"[..], b"\x06output", b"\x0d123", b"\x0e\0\0\0\0\0\0\0\x01"] {
        let (_host, a, b) = Net::new().session(NetworkConfig::default()).await;
        b.send(Bytes::from_static(bytes)).await.unwrap();
        let outcome =
            tokio::time::timeout(Duration::from_secs(5), carry(&a, tokio::io::empty(), tokio::io::sink()))
                .await;
        // "done" for nothing sent is no lie about bytes, but no end either.
        assert!(!matches!(outcome, Ok(Ok(_))), "{bytes:?}: {outcome:?}");
    }
}
