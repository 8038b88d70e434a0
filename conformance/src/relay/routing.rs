//! Who gets what (wire §1.2 to 1.4).

use beach_lifeguard_client::{
    Header, Kind, Lane, LinkNumber, PeerAddr, Role,
    close::{CloseCode, CloseFrame},
    control::Control,
    frame::HEADER_BYTES,
};

use super::{Endpoint, RelayTarget, Session, client::is, relay_cases};
use crate::{case::Result, cases::payload, ensure};

relay_cases! { "routing":
    a_frame_reaches_its_addressee_alone [ "1.2" ];
    everyone_else_means_everyone_else [ "1.2" ];
    payloads_of_any_size_are_unaltered [ "1.2" ];
    reliable_frames_keep_their_order [ "1.2" ];
    lanes_and_links_are_kept [ "1.2" ];
    comings_and_goings_are_told [ "1.3" ];
    a_departed_peer_is_answered_for [ "1.4" ];
    a_reused_slot_is_another_peer [ "1.2" ];
    close_frames_end_links_not_sockets [ "1.4" ];
    sessions_never_mix [ "1.2" ];
    the_newest_socket_of_a_peer_wins [ "1.1" ];
}

const LINK: LinkNumber = LinkNumber(7);

async fn trio(target: &RelayTarget) -> Result<(Session, Endpoint, Endpoint, Endpoint)> {
    let session = Session::register(target).await?;
    let host = session.join(Role::Host).await?;
    let (one, two) = (session.join(Role::Viewer).await?, session.join(Role::Viewer).await?);
    Ok((session, host, one, two))
}

async fn a_frame_reaches_its_addressee_alone(target: &RelayTarget) -> Result<()> {
    let (_session, mut host, mut one, mut two) = trio(target).await?;
    host.send(Lane::Reliable, one.addr(), LINK, b"for one").await?;
    one.expect(Lane::Reliable, host.addr(), LINK, b"for one").await?;
    two.stays_quiet().await?;
    host.stays_quiet().await?;
    two.send(Lane::Reliable, host.addr(), LINK, b"for the host").await?;
    host.expect(Lane::Reliable, two.addr(), LINK, b"for the host").await?;
    one.stays_quiet().await
}

async fn everyone_else_means_everyone_else(target: &RelayTarget) -> Result<()> {
    let (_session, mut host, mut one, mut two) = trio(target).await?;
    host.send(Lane::Reliable, PeerAddr::EVERYONE, LINK, b"for all").await?;
    one.expect(Lane::Reliable, host.addr(), LINK, b"for all").await?;
    two.expect(Lane::Reliable, host.addr(), LINK, b"for all").await?;
    host.stays_quiet().await
}

async fn payloads_of_any_size_are_unaltered(target: &RelayTarget) -> Result<()> {
    let (_session, mut host, mut one, _two) = trio(target).await?;
    let largest = host.hello.limits.frame_bytes as usize - HEADER_BYTES;
    for len in [1, 2, 113, 114, 125, 126, 4096, 16_384, 65_000, largest - 1, largest] {
        let message = payload(len as u64, len.min(largest));
        host.send(Lane::Reliable, one.addr(), LINK, &message).await?;
        one.expect(Lane::Reliable, host.addr(), LINK, &message).await?;
    }
    Ok(())
}

async fn reliable_frames_keep_their_order(target: &RelayTarget) -> Result<()> {
    let (_session, mut host, mut one, _two) = trio(target).await?;
    let (from, to) = (host.addr(), one.addr());
    let sender = async {
        for index in 0..1000 {
            host.send(Lane::Reliable, to, LINK, &payload(index, 100)).await?;
        }
        Ok(())
    };
    let receiver = async {
        for index in 0..1000 {
            one.expect(Lane::Reliable, from, LINK, &payload(index, 100)).await?;
        }
        Ok::<_, crate::Failure>(())
    };
    tokio::try_join!(sender, receiver)?;
    Ok(())
}

async fn lanes_and_links_are_kept(target: &RelayTarget) -> Result<()> {
    let (_session, mut host, mut one, _two) = trio(target).await?;
    for (lane, link) in
        [(Lane::Datagram, 0), (Lane::Reliable, 1), (Lane::Datagram, u32::MAX), (Lane::Reliable, 77)]
    {
        host.send(lane, one.addr(), LinkNumber(link), b"x").await?;
        one.expect(lane, host.addr(), LinkNumber(link), b"x").await?;
    }
    Ok(())
}

async fn comings_and_goings_are_told(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?;
    let mut host = session.join(Role::Host).await?;
    let viewer = session.join(Role::Viewer).await?;
    let came = host.control(|control| matches!(control, Control::PeerJoined(_))).await?;
    let Control::PeerJoined(presence) = came else { return Ok(()) };
    ensure!(presence.peer == viewer.addr() && presence.role == Role::Viewer, "{presence:?} was told");
    let address = viewer.addr();
    drop(viewer);
    host.control(|control| matches!(control, Control::PeerLeft { peer } if *peer == address)).await?;
    Ok(())
}

async fn a_departed_peer_is_answered_for(target: &RelayTarget) -> Result<()> {
    let (_session, mut host, one, _two) = trio(target).await?;
    let gone = one.addr();
    drop(one);
    host.control(|control| matches!(control, Control::PeerLeft { peer } if *peer == gone)).await?;
    for nobody in [gone, PeerAddr::new(9, 9_999)] {
        host.send(Lane::Reliable, nobody, LINK, b"anyone?").await?;
        let (header, words) = host.recv().await?;
        ensure!(header == Header::close(nobody, LINK), "{header:?} came where a close of {nobody:?} is due");
        let code = CloseFrame::decode(&words)?.code;
        ensure!(code == CloseCode::GOING_AWAY, "a departed peer is closed with {code:?}");
    }
    Ok(())
}

async fn a_reused_slot_is_another_peer(target: &RelayTarget) -> Result<()> {
    let (session, mut host, one, _two) = trio(target).await?;
    let gone = one.addr();
    drop(one);
    host.control(|control| matches!(control, Control::PeerLeft { peer } if *peer == gone)).await?;
    let mut heirs = Vec::new();
    for _ in 0..4 {
        heirs.push(session.join(Role::Viewer).await?);
    }
    ensure!(heirs.iter().all(|heir| heir.addr() != gone), "an address was given away twice");
    host.send(Lane::Reliable, gone, LINK, b"for the dead").await?;
    for heir in &mut heirs {
        heir.stays_quiet().await?;
    }
    Ok(())
}

async fn close_frames_end_links_not_sockets(target: &RelayTarget) -> Result<()> {
    let (_session, mut host, mut one, _two) = trio(target).await?;
    let words = CloseFrame::new(CloseCode::NORMAL, "enough").encode();
    host.send_raw(Header::close(one.addr(), LINK).frame(&words)).await?;
    let (header, got) = one.recv().await?;
    ensure!(
        header == Header::close(host.addr(), LINK) && got == words,
        "{header:?} came where a close is due"
    );
    host.send(Lane::Reliable, one.addr(), LinkNumber(8), b"another link").await?;
    one.expect(Lane::Reliable, host.addr(), LinkNumber(8), b"another link").await
}

async fn sessions_never_mix(target: &RelayTarget) -> Result<()> {
    let (_first, mut host, mut one, _two) = trio(target).await?;
    let (_second, _host, mut stranger, mut other) = trio(target).await?;
    // Addresses are small and easy to guess.
    for address in [stranger.addr(), other.addr(), one.addr(), PeerAddr::EVERYONE] {
        host.send(Lane::Reliable, address, LINK, b"hello?").await?;
    }
    stranger.stays_quiet().await?;
    other.stays_quiet().await?;
    let (header, _) = one.recv().await?;
    ensure!(header.kind == Kind::Data && header.peer == host.addr(), "{header:?} came");
    Ok(())
}

async fn the_newest_socket_of_a_peer_wins(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?;
    let mut host = session.join(Role::Host).await?;
    let member = session.member(Role::Viewer)?;
    let mut old = Endpoint::enter(target, &session.hello(&member).await?).await?;
    let mut new = Endpoint::enter(target, &session.hello(&member).await?).await?;
    is(&old.closed().await?, 4003, "")?;
    ensure!(old.addr() != new.addr(), "the newer socket has the address of the older");
    host.send(Lane::Reliable, new.addr(), LINK, b"for the new one").await?;
    new.expect(Lane::Reliable, host.addr(), LINK, b"for the new one").await
}
