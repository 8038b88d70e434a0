//! The first message (wire §1.1).

use std::time::{Duration, Instant};

use beach_lifeguard_client::Role;
use futures::SinkExt;
use tokio_tungstenite::tungstenite::Message;

use super::{
    RelayTarget, Session,
    client::{Endpoint, closed, is, open},
    relay_cases,
};
use crate::{case::Result, ensure};

relay_cases! { "hello":
    answered_with_address_and_limits [ "1.1" ];
    silence_is_closed [ "1.1" ];
    nonsense_is_refused [ "4" ];
    an_oversized_one_is_refused [ "4" ];
    another_version_is_told_so [ "1.1" ];
    unknown_fields_are_ignored [ "1.1" ];
}

async fn answered_with_address_and_limits(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?;
    let first = session.join(Role::Host).await?;
    let second = session.join(Role::Viewer).await?;
    ensure!(first.addr() != second.addr(), "two peers have the same address");
    ensure!(first.addr().generation() > 0, "a generation starts at 1");
    ensure!(first.hello.peers.is_empty(), "the first peer was told of others: {:?}", first.hello.peers);
    let others: Vec<_> = second.hello.peers.iter().map(|peer| peer.peer).collect();
    ensure!(others == [first.addr()], "the second peer was told of {others:?}");
    let limits = &second.hello.limits;
    ensure!(
        limits.frame_bytes >= 16_384 && limits.reliable_bytes >= limits.frame_bytes,
        "odd limits: {limits:?}"
    );
    ensure!(limits.in_flight_bytes <= limits.reliable_bytes, "a sender may send more than the relay holds");
    ensure!(
        second.hello.heartbeat >= Duration::from_secs(1),
        "a heartbeat every {:?}",
        second.hello.heartbeat
    );
    Ok(())
}

async fn silence_is_closed(target: &RelayTarget) -> Result<()> {
    let mut socket = open(target).await?;
    let before = Instant::now();
    let close = closed(&mut socket).await?;
    ensure!(before.elapsed() > Duration::from_secs(2), "closed after {:?} already", before.elapsed());
    is(&close, 4000, "timeout")
}

async fn nonsense_is_refused(target: &RelayTarget) -> Result<()> {
    for nonsense in ["", "{", "[]", "null", "{}", "\u{0}", "{\"protocol_version\":2}", "hello"] {
        let mut socket = open(target).await?;
        socket.send(Message::text(nonsense)).await?;
        is(&closed(&mut socket).await?, 4501, "invalid_payload")?;
    }
    Ok(())
}

async fn an_oversized_one_is_refused(target: &RelayTarget) -> Result<()> {
    let mut socket = open(target).await?;
    socket.send(Message::text(" ".repeat(8_193))).await?;
    is(&closed(&mut socket).await?, 1009, "")
}

async fn another_version_is_told_so(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?;
    for version in [0, 1, 3, 65_535] {
        let mut hello = session.hello(&session.member(Role::Host)?).await?;
        hello.protocol_version = version;
        let mut socket = open(target).await?;
        socket.send(Message::text(hello.encode())).await?;
        is(&closed(&mut socket).await?, 1003, "unsupported_version")?;
    }
    Ok(())
}

async fn unknown_fields_are_ignored(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?;
    let hello = session.hello(&session.member(Role::Host)?).await?;
    let extended = hello.encode().replacen('{', "{\"from_the_future\":{\"a\":[1,2]},", 1);
    let mut socket = open(target).await?;
    socket.send(Message::text(extended)).await?;
    let Message::Text(_) = super::client::next(&mut socket).await? else {
        return Err(crate::Failure("a hello with an unknown field was not answered".to_owned()));
    };
    // And the ordinary one still works beside it.
    let other = session.hello(&session.member(Role::Viewer)?).await?;
    Endpoint::enter(target, &other).await?;
    Ok(())
}
