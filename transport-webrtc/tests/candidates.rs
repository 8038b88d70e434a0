//! A peer that offers hundreds of candidates to make this machine send packets to addresses it chose.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::{net::UdpSocket, time::Duration};

use serde_json::json;
use support::{Peers, Side, connector, plain};
use transport_core::Connector;
use transport_webrtc::WebRtcConfig;
use webrtc::{api::APIBuilder, peer_connection::configuration::RTCConfiguration};

/// Victims, each of which the peer names as a candidate of its own.
const NAMED: usize = 400;

/// The most that one dial tries.
const TRIED: usize = 20;

/// Packets that one candidate may cost: a check and its seven repetitions, from eight addresses of this machine.
const EACH: usize = 8 * 8;

/// Lets ours answer an offer that names `victims`, half of them inside the description, and counts the packets that
/// came to each.
async fn probe(mut config: WebRtcConfig, victims: &[UdpSocket]) -> Vec<usize> {
    let line = |socket: &UdpSocket| {
        let port = socket.local_addr().unwrap().port();
        format!("candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host")
    };
    let pc = APIBuilder::new().build().new_peer_connection(RTCConfiguration::default()).await.unwrap();
    pc.create_data_channel("beach/ctrl/1", None).await.unwrap();
    let mut sdp = pc.create_offer(None).await.unwrap().sdp;
    let (inside, outside) = victims.split_at(victims.len() / 2);
    sdp.extend(inside.iter().map(|victim| format!("a={}\r\n", line(victim))));
    let offer = json!({"type": "offer", "version": 1, "sdp": sdp, "ctrl": "beach/ctrl/1"});

    config.deadlines.total = Duration::from_secs(3);
    let peers = Peers::new();
    let (link, target) = (peers.link(Side::Offerer, 1), peers.target(Side::Answerer, 1));
    let connector = connector(config);
    let (ours, ()) = tokio::join!(connector.connect(&target), async {
        link.send(offer.to_string()).await.unwrap();
        for (number, victim) in outside.iter().enumerate() {
            // No faster than the mailbox is emptied.
            if number % 40 == 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let message = json!({"type": "candidate", "candidate": line(victim)});
            let _ = link.send(message.to_string()).await;
        }
    });
    ours.unwrap_err();
    pc.close().await.unwrap();
    let mut buffer = [0; 2048];
    victims.iter().map(|victim| std::iter::from_fn(|| victim.recv(&mut buffer).ok()).count()).collect()
}

fn victims() -> Vec<UdpSocket> {
    let bind = || UdpSocket::bind("127.0.0.1:0").unwrap();
    let victims: Vec<_> = (0..NAMED).map(|_| bind()).collect();
    victims.iter().for_each(|victim| victim.set_nonblocking(true).unwrap());
    victims
}

#[tokio::test]
async fn four_hundred_candidates_are_twenty_targets() {
    let packets = probe(plain(), &victims()).await;
    let hit = packets.iter().filter(|packets| **packets > 0).count();
    let sum: usize = packets.iter().sum();
    assert!((1..=TRIED).contains(&hit), "{hit} of {NAMED} were sent to");
    assert!(sum <= TRIED * EACH, "{sum} packets");
    assert!(packets[TRIED..].iter().all(|packets| *packets == 0), "the first are tried");
}

#[tokio::test]
async fn services_of_this_machine_hear_nothing() {
    let packets = probe(WebRtcConfig::default(), &victims()).await;
    assert_eq!(packets.iter().sum::<usize>(), 0);
}
