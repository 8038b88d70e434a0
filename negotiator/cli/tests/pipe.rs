//! `pipe` in one process, over a network in memory that is cut on the way.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used)]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use beach_link::{
    exit::Failure,
    pipe::{Totals, carry, carry_until, receive::take, send::Source},
    ui::{Lines, To},
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

/// Sends `sent` to a receiver whose folder holds `had` of it already; both must succeed. Returns what arrived, and how
/// much of it went over the wire.
async fn through(sent: &[u8], had: &[u8]) -> (Vec<u8>, u64) {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("file"), folder.path().join("to"));
    std::fs::write(&from, sent).unwrap();
    std::fs::create_dir(&to).unwrap();
    if !had.is_empty() {
        std::fs::write(to.join("file.part"), had).unwrap();
    }
    let (_host, a, b) = Net::new().session(NetworkConfig::default()).await;
    let source = Source::find(&from).unwrap();
    let (mut here, mut there) = (Lines::new(To::Stderr), Lines::new(To::Stderr));
    let before = a.accepted_bytes();
    let (given, taken) = tokio::join!(
        source.give(&a, &mut here, std::future::pending()),
        take(&b, Some(&to), &mut there, std::future::pending())
    );
    let (sum, place) = taken.unwrap();
    assert_eq!(given.unwrap(), sum);
    assert_eq!(place, to.join("file"));
    assert!(!to.join("file.part").exists());
    (std::fs::read(place).unwrap(), a.accepted_bytes() - before)
}

#[tokio::test]
async fn a_file_arrives_whole_and_what_was_there_is_not_sent_again() {
    let sent = random(3_000_001, 5);
    for had in [0, 1, 2_000_000, 3_000_001] {
        let (got, wire) = through(&sent, &sent[..had]).await;
        assert!(got == sent, "{had}");
        let most = (sent.len() - had) as u64 * 11 / 10 + 4_000;
        assert!(wire < most, "{wire} bytes for all behind {had}");
    }
    assert_eq!(through(b"", b"").await.0, b"");
}

#[tokio::test]
async fn what_is_there_of_another_file_is_thrown_away() {
    let sent = random(200_000, 6);
    for had in [random(100_000, 7), random(300_000, 8), [&sent[..], b"more"].concat()] {
        assert!(through(&sent, &had).await.0 == sent);
    }
}

#[tokio::test]
async fn an_interrupted_file_is_told_at_once_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("file"), folder.path().join("mine"));
    let sent = random(8_000_000, 9);
    std::fs::write(&from, &sent).unwrap();
    let source = Source::find(&from).unwrap();
    let part = folder.path().join("mine.part");
    {
        let (_host, a, b) = Net::new().session(NetworkConfig::default()).await;
        let (mut here, mut there) = (Lines::new(To::Stderr), Lines::new(To::Stderr));
        let some = async {
            while part.metadata().map_or(0, |part| part.len()) < 1_000_000 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Failure::Interrupted
        };
        let (given, taken) = tokio::join!(
            source.give(&a, &mut here, std::future::pending()),
            take(&b, Some(&to), &mut there, some)
        );
        assert!(matches!(taken, Err(Failure::Interrupted)), "{taken:?}");
        assert_eq!(given.unwrap_err().to_string(), "the host refused: the other side failed: interrupted");
    }
    let there = std::fs::read(&part).unwrap();
    assert!(sent.starts_with(&there) && there.len() < sent.len() && !to.exists(), "{}", there.len());
    let (_host, a, b) = Net::new().session(NetworkConfig::default()).await;
    let (mut here, mut there) = (Lines::new(To::Stderr), Lines::new(To::Stderr));
    let (given, taken) = tokio::join!(
        source.give(&a, &mut here, std::future::pending()),
        take(&b, Some(&to), &mut there, std::future::pending())
    );
    assert_eq!(given.unwrap(), taken.unwrap().0);
    assert!(std::fs::read(&to).unwrap() == sent);
}

#[tokio::test]
async fn a_sender_that_sends_something_else_than_it_offered_is_found_out() {
    use beach_link::wire::{Message, Sum};

    let folder = tempfile::tempdir().unwrap();
    let nothing = Message::From(Sum { bytes: 0, sha256: [0; 32] });
    let offer = |name: &str| Message::Offer { bytes: 3, name: name.to_owned() };
    let end = |bytes| Message::End(Sum { bytes, sha256: [1; 32] });
    for messages in [
        vec![offer("f"), nothing.clone(), Message::Data("four".into())],
        vec![offer("f"), nothing.clone(), Message::Data("abc".into()), end(3)],
        vec![offer("f"), nothing.clone(), end(0)],
        vec![offer("f"), Message::From(Sum { bytes: 9, sha256: [0; 32] })],
        vec![offer("../f")],
        vec![Message::Data("abc".into())],
    ] {
        let (_host, a, b) = Net::new().session(NetworkConfig::default()).await;
        for message in &messages {
            a.send(message.encode()).await.unwrap();
        }
        let mut lines = Lines::new(To::Stderr);
        let taken = take(&b, Some(folder.path()), &mut lines, std::future::pending()).await;
        assert!(taken.is_err(), "{messages:?}");
        assert!(!folder.path().join("f").exists(), "{messages:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_pipe_is_told_at_once() {
    let (_host, a, b) = Net::new().session(NetworkConfig::default()).await;
    let (_open, input) = duplex(64);
    let stop = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Failure::Interrupted
    };
    let start = tokio::time::Instant::now();
    let (one, two) = tokio::join!(
        carry_until(&a, input, tokio::io::sink(), stop),
        carry(&b, tokio::io::empty(), tokio::io::sink())
    );
    assert!(matches!(one, Err(Failure::Interrupted)), "{one:?}");
    assert!(two.unwrap_err().to_string().contains("interrupted"));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}
