//! What makes links (contract §9). Both connectors meet in memory, through the channel of their dial.

use std::{sync::Arc, time::Duration};

use futures::future::try_join_all;
use transport_core::{ConnectError, ConnectErrorKind, Lane, Target, Transport, signaling::LinkChannel};

use super::{STEP_LIMIT, payload, ready, recv_exactly, send};
use crate::{
    case::{Ctx, Failure, Result, within},
    ensure,
    subject::Connectors,
};

cases! { "connect":
    names_what_it_makes [ "9.1" ] needs Connectors;
    nothing_before_the_first_poll [ "9.2" ] needs Connectors;
    a_dropped_dial_lets_go [ "9.2, 9.5" ] needs Connectors;
    a_silent_peer_is_given_up [ "9.3, 9.4" ] needs Connectors;
    nonsense_is_an_error_in_time [ "9.3, 9.4" ] needs Connectors;
    without_a_channel_it_is_misuse [ "9.4" ] needs Connectors;
    many_dials_at_once [ "9.5" ] needs Connectors;
}

async fn names_what_it_makes(ctx: &Ctx) -> Result<()> {
    let connectors = ctx.connectors()?;
    let name = connectors.a.id();
    let (near, far) = both(&connectors, ctx.targets()).await?;
    for (whose, made) in [("its end", &near), ("the other end", &far)] {
        let made = &made.profile().transport;
        ensure!(*made == name, "the connector is {name}, and {whose} of what it made says {made}");
    }
    ensure!(connectors.a.id() == name, "the connector was {name} and is {} after a dial", connectors.a.id());
    Ok(())
}

async fn nothing_before_the_first_poll(ctx: &Ctx) -> Result<()> {
    let connectors = ctx.connectors()?;
    let (near, far) = ctx.targets();
    let channel = channel(&far)?;
    {
        let unpolled = connectors.a.connect(&near);
        let heard = tokio::time::timeout(ctx.settle(), channel.recv()).await;
        ensure!(heard.is_err(), "a dial that nobody polled said {heard:?}");
        drop(unpolled);
    }
    ensure!(ready(near.progress.answered()).is_none(), "a dial that nobody polled says it was answered");
    // And nothing of it is left: the same dial goes through.
    both(&connectors, (near, far)).await?;
    Ok(())
}

async fn a_dropped_dial_lets_go(ctx: &Ctx) -> Result<()> {
    let connectors = ctx.connectors()?;
    // At once, and under way.
    for after in [Duration::ZERO, Duration::from_millis(20), ctx.settle()] {
        let (near, far) = ctx.targets();
        let channel = channel(&far)?;
        let _dropped = tokio::time::timeout(after, connectors.a.connect(&near)).await;
        drop(near);
        // It has ended when nothing of this side holds it.
        let ended = async { while channel.recv().await.is_ok() {} };
        within(LET_GO, "letting go of the channel of a dropped dial", ended).await?;
    }
    both(&connectors, ctx.targets()).await?;
    Ok(())
}

async fn a_silent_peer_is_given_up(ctx: &Ctx) -> Result<()> {
    let connectors = ctx.connectors()?;
    let (near, _far) = ctx.targets();
    let error = failed(&connectors, &near).await?;
    ensure!(
        matches!(error.kind, ConnectErrorKind::TimedOut | ConnectErrorKind::Unreachable),
        "nobody came, and the dial ended as {error}"
    );
    ensure!(error.transport == connectors.a.id(), "the error names {} as what failed", error.transport);
    Ok(())
}

async fn nonsense_is_an_error_in_time(ctx: &Ctx) -> Result<()> {
    let connectors = ctx.connectors()?;
    let (near, far) = ctx.targets();
    let channel = channel(&far)?;
    for nonsense in ["", "{\"v\":", "\u{0}\u{202e}", "127.0.0.1:1 0", &"9".repeat(2000)] {
        channel.send(nonsense.to_owned()).await?;
    }
    let error = failed(&connectors, &near).await?;
    ensure!(
        error.kind != ConnectErrorKind::Misuse,
        "the peer spoke nonsense, and this side is told that it is misconfigured: {error}"
    );
    Ok(())
}

async fn without_a_channel_it_is_misuse(ctx: &Ctx) -> Result<()> {
    let connectors = ctx.connectors()?;
    let (mut near, mut far) = ctx.targets();
    (near.signaling, far.signaling) = (None, None);
    match both(&connectors, (near, far)).await {
        // One that needs no words beforehand.
        Ok(_) => Ok(()),
        Err(Unmade::Failed(error)) => {
            ensure!(error.kind == ConnectErrorKind::Misuse, "without a channel the dial ended as {error}");
            Ok(())
        }
        Err(Unmade::Late(failure)) => Err(failure),
    }
}

async fn many_dials_at_once(ctx: &Ctx) -> Result<()> {
    let connectors = ctx.connectors()?;
    let links = try_join_all((0..DIALS).map(|_| both(&connectors, ctx.targets()))).await?;
    for (index, (near, _)) in (0..).zip(&links) {
        send(&**near, Lane::Reliable, payload(index, 64)).await?;
    }
    for (index, (_, far)) in (0..).zip(&links) {
        recv_exactly(&**far, Lane::Reliable, &payload(index, 64))
            .await
            .map_err(|failure| Failure(format!("dial {index} of {DIALS} at a time: {failure}")))?;
    }
    Ok(())
}

type Ends = (Box<dyn Transport>, Box<dyn Transport>);

/// How a dial on both sides did not succeed.
#[derive(Debug)]
enum Unmade {
    Failed(ConnectError),
    Late(Failure),
}

impl From<Unmade> for Failure {
    fn from(unmade: Unmade) -> Self {
        match unmade {
            Unmade::Failed(error) => Failure(format!("the dial failed: {}", error.chain())),
            Unmade::Late(failure) => failure,
        }
    }
}

async fn both(connectors: &Connectors, (near, far): (Target, Target)) -> Result<Ends, Unmade> {
    let dialling = async { tokio::try_join!(connectors.a.connect(&near), connectors.b.connect(&far)) };
    within(connectors.limit, "dialling", dialling).await.map_err(Unmade::Late)?.map_err(Unmade::Failed)
}

/// Dials where nobody else does, and demands an error in time.
async fn failed(connectors: &Connectors, target: &Target) -> Result<ConnectError> {
    match within(connectors.limit, "giving up a dial", connectors.a.connect(target)).await? {
        Ok(made) => Err(Failure(format!("a dial that nobody answered made {:?}", made.profile()))),
        Err(error) => Ok(error),
    }
}

fn channel(target: &Target) -> Result<Arc<LinkChannel>> {
    target.signaling.clone().ok_or_else(|| Failure("the target has no channel".to_owned()))
}

/// Dials at a time.
const DIALS: usize = 4;
/// What a dropped dial leaves running ends within this.
const LET_GO: Duration = STEP_LIMIT;
