//! Slow consumers (wire §1.2): cut, told so, and nobody else's problem.

use std::time::{Duration, Instant};

use beach_lifeguard_client::{Lane, LinkNumber, Role};

use super::{RelayTarget, Session, relay_cases};
use crate::{
    case::{Result, within},
    cases::{index_of, payload},
    ensure,
};

relay_cases! { "pressure":
    who_does_not_read_is_cut_as_slow [ "1.2" ];
    a_slow_peer_does_not_delay_the_others [ "1.2" ];
    datagrams_never_cut_anybody [ "1.2" ];
}

const LINK: LinkNumber = LinkNumber(1);

/// More than a relay's budget and both sockets' kernel buffers together.
const FLOOD: usize = 64 << 20;
/// For so long at least a relay offers its close frame to a peer that does not read.
const GOODBYE: Duration = Duration::from_secs(1);

async fn who_does_not_read_is_cut_as_slow(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?;
    let (mut host, mut lazy) = (session.join(Role::Host).await?, session.join(Role::Viewer).await?);
    let to = lazy.addr();
    let flood = async {
        for index in 0..FLOOD / 32_768 {
            host.send(Lane::Reliable, to, LINK, &payload(index as u64, 32_768)).await?;
        }
        Ok::<_, crate::Failure>(())
    };
    // The relay may slow the sender down while it makes up its mind; either way it decides soon.
    let began = Instant::now();
    let _flooded = tokio::time::timeout(Duration::from_secs(20), flood).await;
    // A goodbye that nobody takes is not kept for ever.
    let late = began.elapsed() > GOODBYE;
    let mut due = 0;
    let close = within(Duration::from_secs(20), "being cut", async {
        loop {
            match lazy.recv().await {
                Ok((header, _)) if header.peer != host.addr() => {}
                Ok((_, message)) => {
                    let index = index_of(&message)?;
                    ensure!(index == due, "before the cut, frame {due} was due and {index} came");
                    due += 1;
                }
                Err(failure) => return Ok(failure),
            }
        }
    })
    .await??;
    ensure!(due < (FLOOD / 32_768) as u64, "the relay holds {FLOOD} bytes for one peer");
    ensure!(late || close.to_string().contains("4008"), "a peer that does not read ends otherwise: {close}");
    Ok(())
}

async fn a_slow_peer_does_not_delay_the_others(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?;
    let (mut host, frozen) = (session.join(Role::Host).await?, session.join(Role::Viewer).await?);
    let mut reader = session.join(Role::Viewer).await?;
    let mut worst = Duration::ZERO;
    for index in 0..600 {
        let message = payload(index, 16_384);
        host.send(Lane::Reliable, frozen.addr(), LINK, &message).await?;
        let before = Instant::now();
        host.send(Lane::Reliable, reader.addr(), LINK, &message).await?;
        reader.expect(Lane::Reliable, host.addr(), LINK, &message).await?;
        worst = worst.max(before.elapsed());
    }
    ensure!(worst < Duration::from_secs(2), "a frame took {worst:?} because somebody else does not read");
    drop(frozen);
    Ok(())
}

async fn datagrams_never_cut_anybody(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?;
    let (mut host, mut lazy) = (session.join(Role::Host).await?, session.join(Role::Viewer).await?);
    for index in 0..(FLOOD / 4 / 32_768) as u64 {
        host.send(Lane::Datagram, lazy.addr(), LINK, &payload(index, 32_768)).await?;
    }
    host.send(Lane::Reliable, lazy.addr(), LINK, &payload(u64::MAX, 64)).await?;
    let mut came = 0;
    let mut newest = None;
    loop {
        let (header, message) = lazy.recv().await?;
        let index = index_of(&message)?;
        if header.lane == Lane::Reliable {
            break;
        }
        ensure!(newest < Some(index), "datagram {index} came after {newest:?}");
        (came, newest) = (came + 1, Some(index));
    }
    ensure!(came > 0, "no datagram at all came through");
    // Still alive, after all that.
    lazy.send(Lane::Reliable, host.addr(), LINK, b"awake").await?;
    host.expect(Lane::Reliable, lazy.addr(), LINK, b"awake").await?;
    Ok(())
}
