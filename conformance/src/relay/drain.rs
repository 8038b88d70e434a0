//! A relay that goes away says when to come back (wire §1.3, §1.6). The last case: it ends the relay.

use std::time::Duration;

use beach_lifeguard_client::{Lane, LinkNumber, Role, control::Control};

use super::{
    RelayTarget, Session,
    client::{closed_in, is},
    relay_cases,
};
use crate::{
    case::{Failure, Result, within},
    ensure,
};

relay_cases! { "drain":
    peers_are_told_when_to_come_back_and_closed [ "1.3" ] needs Drain;
}

async fn peers_are_told_when_to_come_back_and_closed(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?;
    let (mut host, mut viewer) = (session.join(Role::Host).await?, session.join(Role::Viewer).await?);
    let drain = target.drain.as_ref().ok_or_else(|| Failure("no way to drain".to_owned()))?;
    drain().await?;
    let mut patience = Duration::ZERO;
    for peer in [&mut host, &mut viewer] {
        let told = peer.control(|control| matches!(control, Control::Drain { .. })).await?;
        let Control::Drain { after, spread } = told else {
            return Err(Failure(format!("{told:?} was told")));
        };
        ensure!(after + spread <= LONGEST, "a drain of {after:?} and {spread:?}");
        patience = after + spread;
    }
    // Until the deadline the relay still works.
    host.send(Lane::Reliable, viewer.addr(), LinkNumber(1), b"last words").await?;
    viewer.expect(Lane::Reliable, host.addr(), LinkNumber(1), b"last words").await?;
    // Both stay, as nobody should, and are closed once everybody's moment is over.
    let close = within(patience + GRACE, "the close of who stays", async {
        is(&closed_in(&mut viewer.socket).await?, 4001, "")?;
        is(&closed_in(&mut host.socket).await?, 4001, "")
    });
    close.await?
}

/// A drain that a certification waits for.
const LONGEST: Duration = Duration::from_secs(20);
/// For the goodbye of a client that drew the last moment, and for the way.
const GRACE: Duration = Duration::from_secs(3);
