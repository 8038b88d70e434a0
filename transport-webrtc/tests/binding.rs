//! What ties a handshake to one DTLS association, and somebody in the middle who has two of them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use support::{Link, Peers, plain};
use transport_core::{
    CloseCode, Generation, PeerId, SessionId, Transport, TransportExt, TransportId,
    secure::{
        Access, Answer, Binding, HandshakeError, Identity, Joiner, LinkSecret, Request, Secure, SecureConfig,
        SecureError, Visitor,
    },
};

#[tokio::test]
async fn both_ends_of_a_path_have_one_binding_and_every_path_another() {
    let ((a, b), (c, d)) =
        (Peers::new().connect(plain(), plain()).await, Peers::new().connect(plain(), plain()).await);
    let [a, b, c, d] = [&a, &b, &c, &d].map(|end| end.profile().channel_binding.clone());
    assert_eq!((a.len(), &a, &c), (64, &b, &d));
    assert_ne!(a, c);
    assert_ne!(a[..32], a[32..], "two certificates");
}

#[tokio::test]
async fn who_joins_two_paths_in_the_middle_is_found_out() {
    for bound in [true, false] {
        let (viewer, left) = Peers::new().connect(plain(), plain()).await;
        let (right, host) = Peers::new().connect(plain(), plain()).await;
        let (left, right): (Arc<dyn Transport>, Arc<dyn Transport>) = (Arc::from(left), Arc::from(right));
        let middle = [tokio::spawn(pass(left.clone(), right.clone())), tokio::spawn(pass(right, left))];
        let ([identity, key], link) = (identities(), LinkSecret::from_bytes([4; 16]));
        let joiner = Joiner { identity: &identity, link: &link, host: key.public() };
        let (at_viewer, at_host) = (config(&viewer, bound), config(&host, bound));
        let welcome = |_: &Visitor| Answer::Accept { access: Access::Full, app: Bytes::new() };
        let (viewer, host) = tokio::join!(
            Secure::initiate(viewer, at_viewer, &joiner, Request::new(Access::Full)),
            Secure::accept(host, at_host, &key, &link, welcome),
        );
        if bound {
            let found_out = SecureError::Handshake(HandshakeError::NotAuthentic);
            assert_eq!((host.unwrap_err(), viewer.is_err()), (found_out, true));
        } else {
            assert!(viewer.is_ok() && host.is_ok(), "who is in the middle hides well");
        }
        middle.into_iter().for_each(|task| task.abort());
    }
}

async fn pass(from: Arc<dyn Transport>, to: Arc<dyn Transport>) {
    while let Ok(inbound) = from.recv().await {
        to.send(inbound.lane, inbound.payload).await.unwrap();
    }
    to.close(CloseCode::NORMAL, "");
}

fn config(end: &Link, bound: bool) -> SecureConfig {
    let [joiner, host] = identities().map(|identity| PeerId::of(&identity.public()));
    let (session, transport) = (SessionId::from_bytes([3; 16]), TransportId::from_static("webrtc"));
    let mut binding = Binding::new(session, joiner, host, transport, Generation(1));
    if bound {
        binding.extra = end.profile().channel_binding.clone();
    }
    SecureConfig::new(binding, Instant::now)
}

/// The viewer's and the host's.
fn identities() -> [Identity; 2] {
    [[5; 32], [6; 32]].map(|seed| Identity::from_seed(&seed))
}
