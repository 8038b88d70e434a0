//! What a failing path may and may not do (contract §8).

use std::{collections::HashSet, time::Duration};

use transport_core::{CloseCode, Initiator, Lane};

use super::{STEP_LIMIT, fill_up, index_of, payload, put, ready, recv, recv_exactly, send, stream};
use crate::{
    case::{Ctx, Failure, Result, within},
    ensure,
    subject::Fault,
};

cases! { "faults":
    a_stall_that_heals_loses_nothing [ "8.1" ] needs Stall;
    many_short_stalls_lose_nothing [ "8.1" ] needs Stall;
    a_stalled_path_keeps_the_rules [ "8.4" ] needs Stall;
    a_cut_is_told_as_network [ "8.2" ] needs Cut;
    what_arrived_before_a_cut_is_a_prefix [ "8.2, 6.3" ] needs Cut;
    close_after_a_cut_changes_nothing [ "6.2" ] needs Cut;
    loss_leaves_the_reliable_lane_whole [ "8.3" ] needs Lose;
}

async fn a_stall_that_heals_loses_nothing(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let (near, far) = (&*link.near, &*link.far);
    stream(near, far, 0, &[500; 20]).await?;
    link.inject(Fault::Stall);
    let heal = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        link.inject(Fault::Heal);
        Ok(())
    };
    tokio::try_join!(stream(near, far, 100, &[500; 200]), stream(far, near, 1000, &[500; 200]), heal)?;
    Ok(())
}

async fn many_short_stalls_lose_nothing(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let flicker = async {
        for _ in 0..10 {
            link.inject(Fault::Stall);
            tokio::time::sleep(Duration::from_millis(20)).await;
            link.inject(Fault::Heal);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    };
    tokio::try_join!(stream(&*link.near, &*link.far, 0, &[300; 1000]), flicker)?;
    Ok(())
}

async fn a_stalled_path_keeps_the_rules(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    link.inject(Fault::Stall);
    let sent = fill_up(&*link.near, 0, 900).await?;
    super::datagram::flood(&*link.near).await?;
    ensure!(
        ready(link.near.writable(Lane::Reliable)).is_none(),
        "a full lane on a stalled path says it is writable"
    );
    link.inject(Fault::Heal);
    let mut due = 0;
    while due < sent {
        let inbound = recv(&*link.far).await?;
        if inbound.lane == Lane::Reliable {
            let index = index_of(&inbound.payload)?;
            ensure!(index == due, "message {due} was due after the stall and {index} came");
            due += 1;
        }
    }
    Ok(())
}

async fn a_cut_is_told_as_network(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    stream(&*link.near, &*link.far, 0, &[100; 5]).await?;
    link.inject(Fault::Cut);
    for end in [&link.near, &link.far] {
        let closed = within(ctx.detect(), "noticing a dead path", end.closed()).await?;
        ensure!(
            closed.initiator == Initiator::Network && closed.code == CloseCode::CONNECTION_LOST,
            "the path died without a word, and the end is told as \"{closed}\""
        );
    }
    Ok(())
}

async fn what_arrived_before_a_cut_is_a_prefix(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    put(&*link.near, 50, 100)?;
    recv_exactly(&*link.far, Lane::Reliable, &payload(0, 100)).await?;
    link.inject(Fault::Cut);
    let mut due = 1;
    loop {
        match within(ctx.detect(), "noticing a dead path", link.far.recv()).await? {
            Ok(inbound) => {
                let index = index_of(&inbound.payload)?;
                ensure!(index == due, "message {due} was due before the cut and {index} came");
                due += 1;
            }
            Err(closed) => {
                ensure!(closed.initiator == Initiator::Network, "a cut is told as \"{closed}\"");
                return Ok(());
            }
        }
    }
}

async fn close_after_a_cut_changes_nothing(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    link.inject(Fault::Cut);
    let before = within(ctx.detect(), "noticing a dead path", link.near.closed()).await?;
    link.near.close(CloseCode::NORMAL, "too late");
    let after = within(STEP_LIMIT, "the end", link.near.closed()).await?;
    ensure!(before == after, "a close after the cut turned \"{before}\" into \"{after}\"");
    Ok(())
}

async fn loss_leaves_the_reliable_lane_whole(ctx: &Ctx) -> Result<()> {
    const COUNT: u64 = 200;
    let link = ctx.link().await?;
    link.inject(Fault::Lose { share: 0.03, seed: ctx.seed() });
    let sender = async {
        for index in 0..COUNT {
            send(&*link.near, Lane::Reliable, payload(index, 400)).await?;
            link.near.try_send(Lane::Datagram, payload(COUNT + index, 100))?;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok::<_, Failure>(())
    };
    let receiver = async {
        let mut due = 0;
        let mut datagrams = HashSet::new();
        while due < COUNT {
            let inbound = recv(&*link.far).await?;
            let index = index_of(&inbound.payload)?;
            if inbound.lane == Lane::Datagram {
                ensure!(datagrams.insert(index), "datagram {index} came twice under loss");
            } else {
                ensure!(index == due, "under loss, message {due} was due and {index} came");
                due += 1;
            }
        }
        Ok(())
    };
    tokio::try_join!(sender, receiver)?;
    Ok(())
}
