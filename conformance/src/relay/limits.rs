//! What ends a socket at once (wire §1.2, §1.5 and §1.6).

use std::time::Duration;

use beach_lifeguard_client::{Access, Header, Kind, Lane, LinkNumber, PeerAddr, Role};
use bytes::Bytes;
use futures::SinkExt;
use tokio_tungstenite::tungstenite::Message;

use super::{
    Endpoint, RelayTarget, Session,
    client::{closed, is},
    relay_cases,
};
use crate::{case::Result, cases::payload, ensure};

relay_cases! { "limits":
    a_frame_too_large [ "1.2" ];
    frames_that_cannot_be_read [ "1.2" ];
    a_text_message [ "1.2" ];
    a_viewer_may_address_hosts_only [ "1.2" ];
    a_read_only_peer_is_held_to_a_trickle [ "1.2" ];
    a_read_only_peer_hears_and_says_goodbye [ "1.2" ];
    a_heartbeat_is_echoed [ "1.5" ];
    one_bad_peer_does_not_hurt_the_others [ "1.6" ];
}

async fn lone(target: &RelayTarget) -> Result<Endpoint> {
    Session::register(target).await?.join(Role::Host).await
}

async fn a_frame_too_large(target: &RelayTarget) -> Result<()> {
    let mut peer = lone(target).await?;
    let most = peer.hello.limits.frame_bytes as usize;
    // The relay may stop reading, and reset, before all of it has left.
    let _ = peer.socket.send(Message::binary(vec![0; most + 1])).await;
    is(&peer.closed().await?, 1009, "")
}

async fn frames_that_cannot_be_read(target: &RelayTarget) -> Result<()> {
    let good = Header::data(Lane::Reliable, PeerAddr::EVERYONE, LinkNumber(1)).frame(b"x");
    let with = |at: usize, byte: u8| {
        let mut bad = good.to_vec();
        bad[at] = byte;
        Bytes::from(bad)
    };
    let bad = [
        Bytes::new(),
        good.slice(..1),
        good.slice(..11),
        with(0, 1),
        with(0, 3),
        with(1, 4),
        with(1, 255),
        with(2, 2),
    ];
    for frame in bad {
        let mut peer = lone(target).await?;
        peer.send_raw(frame).await?;
        is(&peer.closed().await?, 4501, "")?;
    }
    Ok(())
}

async fn a_text_message(target: &RelayTarget) -> Result<()> {
    let mut peer = lone(target).await?;
    peer.socket.send(Message::text("hello again")).await?;
    is(&peer.closed().await?, 4501, "")
}

async fn read_only(target: &RelayTarget, session: &Session) -> Result<Endpoint> {
    let mut hello = session.hello(&session.member(Role::Viewer)?).await?;
    hello.access = Access::ReadOnly;
    Endpoint::enter(target, &hello).await
}

async fn a_viewer_may_address_hosts_only(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?;
    let (mut host, mut other) = (session.join(Role::Host).await?, session.join(Role::Viewer).await?);
    for lane in [Lane::Datagram, Lane::Reliable] {
        for to in [other.addr(), PeerAddr::EVERYONE] {
            let mut viewer = session.join(Role::Viewer).await?;
            viewer.send(lane, to, LinkNumber(1), b"psst").await?;
            is(&closed(&mut viewer.socket).await?, 4507, "")?;
        }
    }
    other.stays_quiet().await?;
    host.stays_quiet().await
}

async fn a_read_only_peer_is_held_to_a_trickle(target: &RelayTarget) -> Result<()> {
    const FRAME: usize = 4_096;
    const FRAMES: u64 = 512;
    let session = Session::register(target).await?;
    let mut host = session.join(Role::Host).await?;
    let mut viewer = read_only(target, &session).await?;
    viewer.send(Lane::Reliable, host.addr(), LinkNumber(1), b"a handshake fits").await?;
    host.expect(Lane::Reliable, viewer.addr(), LinkNumber(1), b"a handshake fits").await?;
    for index in 0..FRAMES {
        // The relay may cut it off at any moment.
        if viewer.send(Lane::Reliable, host.addr(), LinkNumber(1), &payload(index, FRAME)).await.is_err() {
            break;
        }
    }
    let mut passed = 0;
    while let Ok(Ok(_frame)) = tokio::time::timeout(Duration::from_millis(500), host.recv()).await {
        passed += 1;
    }
    ensure!(passed * 4 < FRAMES, "{passed} of {FRAMES} frames of a read-only peer passed at once");
    Ok(())
}

async fn a_read_only_peer_hears_and_says_goodbye(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?;
    let mut host = session.join(Role::Host).await?;
    let mut viewer = read_only(target, &session).await?;
    host.send(Lane::Reliable, viewer.addr(), LinkNumber(1), b"look").await?;
    viewer.expect(Lane::Reliable, host.addr(), LinkNumber(1), b"look").await?;
    viewer.send_raw(Header::close(host.addr(), LinkNumber(1)).frame(&1000u16.to_be_bytes())).await?;
    let (header, _) = host.recv().await?;
    ensure!(header == Header::close(viewer.addr(), LinkNumber(1)), "{header:?} came where a close is due");
    Ok(())
}

async fn a_heartbeat_is_echoed(target: &RelayTarget) -> Result<()> {
    let mut peer = lone(target).await?;
    peer.send_raw(Header::relay(Kind::Heartbeat).frame(b"")).await?;
    loop {
        let (header, payload) = peer.recv_any().await?;
        if header.kind == Kind::Heartbeat {
            ensure!(
                header == Header::relay(Kind::Heartbeat) && payload.is_empty(),
                "an odd heartbeat: {header:?}"
            );
            return Ok(());
        }
    }
}

async fn one_bad_peer_does_not_hurt_the_others(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?;
    let (mut host, mut viewer) = (session.join(Role::Host).await?, session.join(Role::Viewer).await?);
    for index in 0..10u8 {
        let mut bad = session.join(Role::Viewer).await?;
        bad.send_raw(Bytes::from_static(b"\xFF\xFF")).await?;
        host.send(Lane::Reliable, viewer.addr(), LinkNumber(1), &[index]).await?;
        viewer.expect(Lane::Reliable, host.addr(), LinkNumber(1), &[index]).await?;
        is(&bad.closed().await?, 4501, "")?;
    }
    Ok(())
}
