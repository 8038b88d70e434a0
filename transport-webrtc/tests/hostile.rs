//! A peer of the session that does not keep the rules: links end with a code, nothing panics.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};
use support::{Link, Peers, Side, connector, plain, raw::RawPeer};
use tokio::time::timeout;
use transport_core::{Carriage, CloseCode, Closed, ConnectErrorKind, Connector, Initiator, Lane, Transport};
use webrtc::data::data_channel::DataChannel;

/// Connects ours, the offerer, with a raw peer that shows life on both channels.
async fn meet(peers: &Peers) -> (Link, RawPeer) {
    let (connector, target) = (connector(plain()), peers.target(Side::Offerer, 1));
    let raw = async {
        let raw = RawPeer::answer(peers.link(Side::Answerer, 1)).await;
        RawPeer::show_life(&raw.ctrl).await;
        RawPeer::show_life(&raw.term).await;
        raw
    };
    let (ours, raw) = tokio::join!(connector.connect(&target), raw);
    (ours.unwrap_or_else(|e| panic!("{}", e.chain())), raw)
}

async fn write(channel: &DataChannel, message: &[u8]) {
    channel.write(&Bytes::copy_from_slice(message)).await.unwrap();
}

async fn end(link: &Link) -> Closed {
    timeout(Duration::from_secs(5), link.closed()).await.expect("the link ends")
}

#[tokio::test]
async fn an_empty_or_an_oversized_message_is_the_loss_of_the_link() {
    for message in [vec![], vec![0; 16_385], vec![0; 65_000]] {
        for on_ctrl in [true, false] {
            let peers = Peers::new();
            let (ours, raw) = meet(&peers).await;
            write(if on_ctrl { &raw.ctrl } else { &raw.term }, &message).await;
            assert_eq!(end(&ours).await.initiator, Initiator::Network, "{} bytes", message.len());
        }
    }
}

#[tokio::test]
async fn a_message_of_no_known_form_ends_the_link_with_a_code() {
    for message in [&[9, 9][..], &[0], &[1, 0], &[3, 3, 238], &[0xFF; 100]] {
        let peers = Peers::new();
        let (ours, raw) = meet(&peers).await;
        write(&raw.ctrl, message).await;
        let closed = end(&ours).await;
        assert_eq!((closed.initiator, closed.code), (Initiator::Local, CloseCode::BAD_FRAME), "{message:?}");
    }
}

#[tokio::test]
async fn closing_one_channel_or_opening_a_third_ends_the_link() {
    let peers = Peers::new();
    let (ours, raw) = meet(&peers).await;
    raw.term.close().await.unwrap();
    assert_eq!(end(&ours).await.initiator, Initiator::Network);

    let peers = Peers::new();
    let (ours, raw) = meet(&peers).await;
    let _third = raw.pc.create_data_channel("beach/term/1", None).await.unwrap();
    let closed = end(&ours).await;
    assert_eq!((closed.initiator, closed.code), (Initiator::Local, CloseCode::PROTOCOL_ERROR));
}

#[tokio::test]
async fn a_flood_of_pings_and_made_up_pongs_does_no_harm() {
    let peers = Peers::new();
    let (ours, raw) = meet(&peers).await;
    for number in 0..3000u32 {
        let mut message = vec![1 + (number % 2) as u8];
        message.extend_from_slice(&number.to_be_bytes());
        write(if number % 3 == 0 { &raw.term } else { &raw.ctrl }, &message).await;
    }
    write(&raw.ctrl, b"\0still here").await;
    let inbound = timeout(Duration::from_secs(10), ours.recv()).await.unwrap().unwrap();
    assert_eq!((inbound.lane, &inbound.payload[..]), (Lane::Reliable, &b"still here"[..]));
    assert!(ours.stats().rtt.is_none_or(|rtt| rtt < Duration::from_secs(1)));
}

#[tokio::test]
async fn a_channel_for_datagrams_that_never_answers_is_done_without() {
    let peers = Peers::new();
    let mut config = plain();
    config.deadlines.channel_open = Duration::from_millis(500);
    let (connector, target) = (connector(config), peers.target(Side::Offerer, 1));
    let raw = async {
        let raw = RawPeer::answer(peers.link(Side::Answerer, 1)).await;
        RawPeer::show_life(&raw.ctrl).await;
        raw
    };
    let (ours, raw) = tokio::join!(connector.connect(&target), raw);
    let ours = ours.unwrap();
    assert_eq!(ours.profile().datagram.carriage, Carriage::Emulated);
    ours.try_send(Lane::Datagram, Bytes::from_static(b"x")).unwrap();
    let mut buffer = [0; 100];
    let datagram = timeout(Duration::from_secs(5), async {
        loop {
            let length = raw.ctrl.read(&mut buffer).await.unwrap();
            if buffer[0] == 4 {
                return buffer[1..length].to_vec();
            }
        }
    });
    assert_eq!(datagram.await.unwrap(), b"x");
}

#[tokio::test]
async fn words_over_signaling_that_are_none_end_the_dial() {
    let peers = Peers::new();
    let bodies = [
        "",
        "nonsense",
        "{}",
        r#"{"type":"answer"}"#,
        r#"{"type":"answer","sdp":"v=0"}"#,
        r#"{"type":"answer","sdp":"\u0000\u0000"}"#,
        &format!(r#"{{"type":"answer","sdp":"{}"}}"#, "a=x\\r\\n".repeat(2000)),
    ];
    for (generation, body) in (1..).zip(bodies) {
        let link = peers.link(Side::Answerer, generation);
        let (connector, target) = (connector(plain()), peers.target(Side::Offerer, generation));
        let (ours, _) = tokio::join!(connector.connect(&target), async {
            link.recv().await.unwrap();
            link.send(body.to_owned()).await.unwrap();
        });
        let error = ours.unwrap_err();
        assert_eq!((error.stage, error.kind), ("signaling", ConnectErrorKind::Incompatible), "{body:.40}");
    }
}

#[tokio::test]
async fn a_mangled_description_never_panics() {
    let mut random = StdRng::seed_from_u64(11);
    let peers = Peers::new();
    for generation in 1..150 {
        let link = peers.link(Side::Offerer, generation);
        // A real offer, taken from a dial that is then dropped.
        let answerer = Peers::new();
        let (offering, target) = (connector(plain()), answerer.target(Side::Offerer, 1));
        let listening = answerer.link(Side::Answerer, 1);
        let body = tokio::select! {
            _ = offering.connect(&target) => unreachable!("nobody answers"),
            body = listening.recv() => body.unwrap(),
        };
        let mut offer: serde_json::Value = serde_json::from_str(&body).unwrap();
        let mut sdp = offer["sdp"].as_str().unwrap().as_bytes().to_vec();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..sdp.len());
            match random.random_range(0..3) {
                0 => sdp[at] = random.random_range(32..127),
                1 => sdp.truncate(at.max(1)),
                _ => drop(sdp.drain(at..(at + random.random_range(1..40)).min(sdp.len()))),
            }
            if sdp.is_empty() {
                sdp.push(b'v');
            }
        }
        offer["sdp"] = String::from_utf8_lossy(&sdp).into_owned().into();
        link.send(offer.to_string()).await.unwrap();
        let mut config = plain();
        config.deadlines.total = Duration::from_millis(30);
        let target = peers.target(Side::Answerer, generation);
        let ended = connector(config).connect(&target).await;
        assert!(ended.is_err());
    }
}
