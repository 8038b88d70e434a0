//! The lane that never waits (contract §4 and 1.4).

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use transport_core::Lane;

use super::{
    AT_ONCE, FILL_LIMIT, FRAMING, drain, fill, index_of, payload, ready, recv, recv_exactly, sizes,
    stays_quiet,
};
use crate::{
    case::{Ctx, Failure, Result, claims_native_datagrams},
    ensure,
    subject::Fault,
};

cases! { "datagram":
    a_single_one_arrives [ "4.4, 2.5" ];
    each_size_arrives [ "2.2, 4.4" ];
    at_most_once_and_whole [ "4.1" ];
    never_waits [ "4.2, 5.1" ];
    newest_survives_and_evictions_are_counted [ "4.3" ] needs Stall;
    native_lane_is_not_held_up [ "1.4" ] needs Lose, Quiet;
    native_lanes_have_a_writer_each [ "1.4, 3.6" ];
}

async fn a_single_one_arrives(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    for index in 0..3 {
        let datagram = payload(index, 100);
        link.near.try_send(Lane::Datagram, datagram.clone())?;
        recv_exactly(&*link.far, Lane::Datagram, &datagram).await?;
    }
    stays_quiet(&*link.far, ctx.settle()).await
}

async fn each_size_arrives(ctx: &Ctx) -> Result<()> {
    // One alone may be lost by a busy machine; each time, it is the size.
    const TRIES: u64 = 3;
    let link = ctx.link().await?;
    let max = link.near.profile().datagram.max_message.get();
    let patience = ctx.settle().max(Duration::from_millis(500));
    for (number, len) in sizes(max, 16, &mut ctx.random()).into_iter().enumerate() {
        let mut arrived = None;
        for attempt in 0..TRIES {
            link.near.try_send(Lane::Datagram, payload(TRIES * number as u64 + attempt, len))?;
            if let Ok(inbound) = tokio::time::timeout(patience, link.far.recv()).await {
                arrived = Some(inbound?);
                break;
            }
        }
        let inbound = arrived.ok_or_else(|| {
            Failure(format!("{TRIES} of {TRIES} datagrams of {len} bytes were lost on an idle, healthy path"))
        })?;
        let came = &inbound.payload;
        ensure!(
            inbound.lane == Lane::Datagram && came.len() == len,
            "a datagram of {len} bytes was sent; {} bytes came on {:?}",
            came.len(),
            inbound.lane
        );
        // Too short for a number: the first bytes of one.
        ensure!(len < 8 || index_of(came).is_ok(), "a datagram of {len} bytes arrived altered");
    }
    Ok(())
}

async fn at_most_once_and_whole(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    // Bursts that need no eviction, seal and all.
    let burst = (link.near.profile().datagram.queue_bytes.get() / 2 / (64 + FRAMING)).clamp(1, 50) as u64;
    let mut sent = 0;
    let mut seen = HashSet::new();
    for round in 0..20 {
        for _ in 0..burst {
            link.near.try_send(Lane::Datagram, payload(sent, 64))?;
            sent += 1;
        }
        let patience = if round == 19 { ctx.settle() } else { ctx.settle() / 4 };
        for inbound in drain(&*link.far, patience).await {
            let index = index_of(&inbound.payload)?;
            ensure!(index < sent, "datagram {index} came before it was sent");
            ensure!(seen.insert(index), "datagram {index} came twice");
        }
    }
    ensure!(
        seen.len() as u64 >= sent / 2,
        "only {} of {sent} datagrams arrived on a healthy path",
        seen.len()
    );
    Ok(())
}

async fn never_waits(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    flood(&*link.near).await
}

async fn newest_survives_and_evictions_are_counted(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let lane = link.near.profile().datagram.clone();
    let len = (lane.queue_bytes.get() / 16).clamp(8, lane.max_message.get());
    let in_budget = (lane.queue_bytes.get() / len) as u64;
    link.inject(Fault::Stall);
    // Enough to fill every buffer further down and the queue itself several times over.
    let total = 4 * in_budget + (2 << 20) / len as u64;
    for index in 0..total {
        link.near.try_send(Lane::Datagram, payload(index, len))?;
        if index % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let stats = link.near.stats().datagram;
    let (budget, waiting) = (lane.queue_bytes.get(), stats.queued_bytes);
    ensure!(waiting <= budget, "{waiting} bytes wait where the budget is {budget}");
    ensure!(stats.accepted_messages == total, "{} of {total} counted as accepted", stats.accepted_messages);
    ensure!(
        stats.dropped_messages > 0,
        "a stalled lane took {total} messages of {len} bytes and counted no eviction"
    );
    let known = stats.sent_messages + stats.dropped_messages;
    let (least, most) = (known + (waiting / (len + FRAMING)) as u64, known + (waiting / len) as u64);
    ensure!(
        (least..=most).contains(&total),
        "{total} accepted, but sent + dropped + waiting = {least} to {most}"
    );
    link.inject(Fault::Heal);
    // A path that re-sends on a timer may take a while to find out that it is healed.
    let mut newest = Some(index_of(&recv(&*link.far).await?.payload)?);
    for inbound in drain(&*link.far, ctx.settle().max(Duration::from_secs(1))).await {
        newest = newest.max(Some(index_of(&inbound.payload)?));
    }
    let oldest_kept = total - in_budget;
    ensure!(
        newest.is_some_and(|newest| newest >= oldest_kept),
        "of {total} datagrams the last to survive was {newest:?}; the queue should have kept {oldest_kept} and later"
    );
    Ok(())
}

async fn native_lane_is_not_held_up(ctx: &Ctx) -> Result<()> {
    const COUNT: u64 = 200;
    let link = ctx.link().await?;
    if !claims_native_datagrams(link.near.profile()) {
        // An emulated lane promises nothing here; it keeps its word by saying so.
        return Ok(());
    }
    let far_away = Instant::now();
    let stamp = |at: Instant| at.duration_since(far_away).as_micros() as u64;
    link.inject(Fault::Lose { share: 0.1, seed: ctx.seed() });
    let sender = async {
        for index in 0..COUNT {
            // The number is the time of sending.
            link.near.try_send(Lane::Datagram, payload(stamp(Instant::now()), 64))?;
            if index % 8 == 0 {
                // A reliable message now and then invites the path to wait for it.
                link.near.try_send(Lane::Reliable, payload(0, 64))?;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok::<_, Failure>(())
    };
    let receiver = async {
        let mut worst = 0;
        let mut arrived = 0;
        while let Ok(Ok(inbound)) = tokio::time::timeout(Duration::from_secs(1), link.far.recv()).await {
            if inbound.lane == Lane::Datagram {
                worst = worst.max(stamp(Instant::now()) - index_of(&inbound.payload)?);
                arrived += 1;
            }
        }
        Ok((arrived, Duration::from_micros(worst)))
    };
    let ((), (arrived, worst)) = tokio::try_join!(sender, receiver)?;
    // At 10 % loss, 200 of 200 come once in 1.4 billion runs.
    ensure!(arrived < COUNT, "{arrived} of {COUNT} datagrams arrived at 10 % loss: the lane re-sends");
    ensure!(arrived > COUNT / 2, "only {arrived} of {COUNT} datagrams arrived at 10 % loss");
    ensure!(
        worst < Duration::from_millis(500),
        "a datagram was held up for {worst:?} while others were lost"
    );
    Ok(())
}

/// Nobody reads, so the reliable lane comes to wait for the far end's application, with all that is beneath it. Whoever
/// writes for both lanes waits with it.
async fn native_lanes_have_a_writer_each(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    if !claims_native_datagrams(link.near.profile()) {
        return Ok(());
    }
    let len = link.near.profile().reliable.max_message.get().min(8192);
    let (mut sent, mut pauses) = (0, 0);
    while pauses < 10 {
        let Ok(full) = fill(&*link.near, sent, len, 64) else {
            // Ended for reading slowly: `pressure::slow_reader_loses_nothing` judges how.
            return Ok(());
        };
        let more = full.unwrap_or(64);
        sent += more;
        pauses = if more == 0 { pauses + 1 } else { 0 };
        ensure!(sent * (len as u64) < FILL_LIMIT, "{sent} messages of {len} bytes went in and nobody reads");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let handed_over = link.near.stats().datagram.sent_messages + 1;
    link.near.try_send(Lane::Datagram, payload(u64::MAX, 100))?;
    let leaving = async {
        while link.near.stats().datagram.sent_messages < handed_over {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(1), leaving).await.is_ok() {
        return Ok(());
    }
    // A path that holds nothing beneath its queues takes when the far end does, from either lane in turn.
    for _ in 0..3 {
        if recv(&*link.far).await?.lane == Lane::Datagram {
            return Ok(());
        }
    }
    Err(Failure(
        "a datagram waits behind the reliable lane, which waits for a reader: one writer for both".into(),
    ))
}

/// Sends several times the lane's budget without anybody reading; each call must be taken at once.
pub(super) async fn flood(near: &dyn transport_core::Transport) -> Result<()> {
    let lane = near.profile().datagram.clone();
    let len = lane.max_message.get().min(1200);
    for index in 0..(4 * lane.queue_bytes.get() / len) as u64 + 100 {
        let writable = ready(near.writable(Lane::Datagram));
        ensure!(
            matches!(writable, Some(Ok(()))),
            "writable(Datagram) answered {writable:?} at message {index}"
        );
        let before = Instant::now();
        near.try_send(Lane::Datagram, payload(index, len))?;
        let took = before.elapsed();
        ensure!(took < AT_ONCE, "try_send took {took:?}");
        if index % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}
