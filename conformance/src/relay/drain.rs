//! A relay that goes away says when to come back (wire §1.3, §1.6). The last case: it ends the relay.

use beach_lifeguard_client::{Lane, LinkId, Role, control::Control};

use super::{RelayTarget, Session, client::is, relay_cases};
use crate::{
    case::{Failure, Result},
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
    for peer in [&mut host, &mut viewer] {
        let told = peer.control(|control| matches!(control, Control::Drain { .. })).await?;
        ensure!(matches!(told, Control::Drain { .. }), "{told:?} was told");
    }
    // Until the deadline the relay still works.
    host.send(Lane::Reliable, viewer.addr(), LinkId(1), b"last words").await?;
    viewer.expect(Lane::Reliable, host.addr(), LinkId(1), b"last words").await?;
    is(&viewer.closed().await?, 4001, "")?;
    is(&host.closed().await?, 4001, "")
}
