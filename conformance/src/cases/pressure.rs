//! Back-pressure that neither lies nor loses (contract §3.3 to 3.6).

use std::time::Duration;

use transport_core::{CloseCode, Lane, Refusal, Transport};

use super::{
    FILL_LIMIT, FRAMING, STEP_LIMIT, fill, fill_up, index_of, payload, put, ready, recv_exactly, send,
};
use crate::{
    case::{Ctx, Failure, Result, within},
    ensure,
    subject::Fault,
};

cases! { "pressure":
    writable_when_empty [ "3.4" ];
    full_tells_the_truth_under_flow [ "3.3" ];
    full_exactly_at_the_budget [ "3.3, 7.4" ] needs Stall;
    below_the_budget_takes_the_largest [ "3.3" ] needs Stall;
    full_hands_the_payload_back [ "2.4" ] needs Stall;
    writable_waits_and_wakes [ "3.4" ] needs Stall;
    all_who_wait_are_woken [ "5.3" ] needs Stall;
    sending_four_budgets_completes [ "3.2, 3.4" ];
    slow_reader_loses_nothing [ "3.5" ];
    in_flight_is_held_for_who_does_not_read [ "1.3" ];
    a_full_lane_takes_datagrams [ "3.6" ] needs Stall;
    datagrams_take_nothing_from_the_reliable_lane [ "3.6" ] needs Stall;
}

async fn writable_when_empty(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    for lane in Lane::ALL {
        for _ in 0..100 {
            within(Duration::from_secs(1), "writable on an empty lane", link.near.writable(lane)).await??;
        }
    }
    Ok(())
}

/// Checks each answer of `try_send` against the gauge before and after it. The path may take bytes
/// away in between, but never put some back, which leaves no room for an excuse.
fn one_honest_answer(at: &dyn Transport, index: u64, len: usize) -> Result<bool> {
    let budget = at.profile().reliable.queue_bytes.get();
    let before = at.stats().reliable.queued_bytes;
    match at.try_send(Lane::Reliable, payload(index, len)) {
        Ok(()) => {
            let after = at.stats().reliable.queued_bytes;
            ensure!(
                before < budget || after < budget + len + FRAMING,
                "accepted {len} bytes while {before} of {budget} were queued"
            );
            Ok(true)
        }
        Err(refused) if refused.why == Refusal::Full => {
            ensure!(before >= budget, "Full with {before} of {budget} bytes queued");
            Ok(false)
        }
        Err(refused) => Err(refused.into()),
    }
}

async fn full_tells_the_truth_under_flow(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let max = link.near.profile().reliable.max_message.get();
    let len = (link.near.profile().reliable.queue_bytes.get() / 7 + 1).min(max);
    let sender = async {
        let mut index = 0;
        while index < 60 {
            if one_honest_answer(&*link.near, index, len)? {
                index += 1;
            } else {
                within(STEP_LIMIT, "room on a flowing path", link.near.writable(Lane::Reliable)).await??;
            }
        }
        Ok::<_, Failure>(())
    };
    let receiver = async {
        for index in 0..60 {
            recv_exactly(&*link.far, Lane::Reliable, &payload(index, len)).await?;
        }
        Ok(())
    };
    tokio::try_join!(sender, receiver)?;
    Ok(())
}

async fn full_exactly_at_the_budget(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    link.inject(Fault::Stall);
    let profile = link.near.profile().reliable.clone();
    let len = (profile.queue_bytes.get() / 10 + 1).clamp(8, profile.max_message.get());
    let sent = fill_up(&*link.near, 0, len).await?;
    let queued = link.near.stats().reliable.queued_bytes;
    ensure!(
        queued >= profile.queue_bytes.get(),
        "Full with {queued} of {} bytes queued",
        profile.queue_bytes
    );
    let most = profile.queue_bytes.get() - 1 + len + FRAMING;
    ensure!(queued <= most, "{queued} bytes queued where the budget and one message are {most}");
    ensure!(!one_honest_answer(&*link.near, sent, 1)?, "a full lane took one byte more");
    link.inject(Fault::Heal);
    for index in 0..sent {
        recv_exactly(&*link.far, Lane::Reliable, &payload(index, len)).await?;
    }
    Ok(())
}

async fn below_the_budget_takes_the_largest(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    link.inject(Fault::Stall);
    let profile = link.near.profile().reliable.clone();
    let (budget, max) = (profile.queue_bytes.get(), profile.max_message.get());
    let queued = || link.near.stats().reliable.queued_bytes;
    let mut expected: Vec<(u64, usize)> = Vec::new();
    // What a layer adds to each message, learnt from the gauge.
    let mut added = 0;
    let mut settled = 0;
    // To one byte below the budget, again and again until the path has swallowed what its own buffers hold.
    while settled < 3 {
        let before = queued();
        let room = budget.saturating_sub(1 + before);
        if room <= added {
            settled += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        settled = 0;
        let (index, len) = (expected.len() as u64, (room - added).min((budget / 10).clamp(8, max)));
        ensure!(
            one_honest_answer(&*link.near, index, len)?,
            "refused with {room} bytes of room and one to spare"
        );
        expected.push((index, len));
        ensure!(expected.len() < 1_000_000, "a stalled path swallows everything");
        added = queued().saturating_sub(before + len).min(FRAMING);
    }
    let before = queued();
    if before < budget {
        let index = expected.len() as u64;
        let taken = one_honest_answer(&*link.near, index, max)?;
        ensure!(taken, "with {before} of {budget} bytes queued, a message of {max} bytes was refused");
        expected.push((index, max));
    }
    link.inject(Fault::Heal);
    for (index, len) in expected {
        recv_exactly(&*link.far, Lane::Reliable, &payload(index, len)).await?;
    }
    Ok(())
}

async fn full_hands_the_payload_back(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    link.inject(Fault::Stall);
    let sent = fill_up(&*link.near, 0, 1000).await?;
    for index in sent..sent + 20 {
        let message = payload(index, 1000);
        let Err(refused) = link.near.try_send(Lane::Reliable, message.clone()) else {
            return Err(Failure("a full lane took a message".to_owned()));
        };
        ensure!(refused.payload == message, "a full lane did not hand the payload back whole");
    }
    link.inject(Fault::Heal);
    for index in 0..sent {
        recv_exactly(&*link.far, Lane::Reliable, &payload(index, 1000)).await?;
    }
    super::stays_quiet(&*link.far, ctx.settle()).await
}

async fn writable_waits_and_wakes(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    link.inject(Fault::Stall);
    let sent = fill_up(&*link.near, 0, 1000).await?;
    ensure!(ready(link.near.writable(Lane::Reliable)).is_none(), "a full lane says it is writable");
    link.inject(Fault::Heal);
    let reader = async {
        for index in 0..sent {
            recv_exactly(&*link.far, Lane::Reliable, &payload(index, 1000)).await?;
        }
        Ok(())
    };
    let writer = async {
        within(STEP_LIMIT, "room after the path healed", link.near.writable(Lane::Reliable)).await??;
        let (queued, budget) =
            (link.near.stats().reliable.queued_bytes, link.near.profile().reliable.queue_bytes.get());
        ensure!(queued < budget, "writable with {queued} of {budget} bytes queued");
        Ok::<_, Failure>(())
    };
    tokio::try_join!(reader, writer)?;
    Ok(())
}

async fn all_who_wait_are_woken(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    link.inject(Fault::Stall);
    let sent = fill_up(&*link.near, 0, 1000).await?;
    let waiting = futures::future::try_join_all((0..8).map(|_| link.near.writable(Lane::Reliable)));
    let reader = async {
        link.inject(Fault::Heal);
        for index in 0..sent {
            recv_exactly(&*link.far, Lane::Reliable, &payload(index, 1000)).await?;
        }
        Ok(())
    };
    let waiters = async { Ok::<_, Failure>(within(STEP_LIMIT, "waking eight waiters", waiting).await??) };
    tokio::try_join!(waiters, reader)?;
    Ok(())
}

async fn sending_four_budgets_completes(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let profile = link.near.profile().reliable.clone();
    let len = (profile.queue_bytes.get() / 8 + 3).clamp(8, profile.max_message.get());
    let count = (4 * profile.queue_bytes.get() / len).min((4 << 20) / len) as u64 + 1;
    let sender = async {
        for index in 0..count {
            send(&*link.near, Lane::Reliable, payload(index, len)).await?;
        }
        Ok::<_, Failure>(())
    };
    let receiver = async {
        for index in 0..count {
            recv_exactly(&*link.far, Lane::Reliable, &payload(index, len)).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    };
    tokio::try_join!(sender, receiver)?;
    Ok(())
}

async fn slow_reader_loses_nothing(ctx: &Ctx) -> Result<()> {
    const MOST: u64 = 8 << 20;
    let link = ctx.link().await?;
    let len = link.near.profile().reliable.max_message.get().min(8192);
    let mut sent = 0;
    let mut pauses = 0;
    // Nobody reads: sooner or later the lane must refuse, or the link must be cut as slow.
    let ended = loop {
        match fill(&*link.near, sent, len, 64) {
            Ok(None) => sent += 64,
            Ok(Some(more)) if pauses < 10 => {
                sent += more;
                pauses = if more == 0 { pauses + 1 } else { 0 };
            }
            Ok(Some(more)) => break sent + more,
            Err(_closed) => break sent,
        }
        ensure!(sent * (len as u64) < 8 * MOST, "{sent} messages of {len} bytes went in and nobody reads");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    for due in 0..ended {
        match within(STEP_LIMIT, "reading again", link.far.recv()).await? {
            Ok(inbound) => {
                let index = index_of(&inbound.payload)?;
                ensure!(index == due, "message {due} was due after the pause and {index} came");
            }
            Err(closed) => {
                ensure!(closed.code == CloseCode::SLOW_CONSUMER, "ended as {closed} for reading slowly");
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn in_flight_is_held_for_who_does_not_read(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let profile = link.near.profile().clone();
    let in_flight = profile.in_flight.get();
    ensure!(
        in_flight as u64 <= FILL_LIMIT,
        "in_flight is {in_flight}: no path holds that for an application that does not read"
    );
    let len = (in_flight / 8).clamp(8, profile.reliable.max_message.get().min(16_000));
    // What a session adds to its messages is within `in_flight` too.
    let most = (in_flight / (len + FRAMING)) as u64;
    let mut sent = 0;
    let mut pauses = 0;
    // A lane that refuses for good holds the session back by itself.
    while sent < most && pauses < 10 {
        let more = fill(&*link.near, sent, len, most - sent)?.unwrap_or(most - sent);
        sent += more;
        pauses = if more == 0 { pauses + 1 } else { 0 };
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(ctx.settle()).await;
    for index in 0..sent {
        recv_exactly(&*link.far, Lane::Reliable, &payload(index, len)).await.map_err(|failure| {
            Failure(format!(
                "of {sent} messages, {in_flight} bytes that the path says it holds, at {index}: {failure}"
            ))
        })?;
    }
    Ok(())
}

async fn a_full_lane_takes_datagrams(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    link.inject(Fault::Stall);
    fill_up(&*link.near, 0, 1000).await?;
    super::datagram::flood(&*link.near).await
}

async fn datagrams_take_nothing_from_the_reliable_lane(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    link.inject(Fault::Stall);
    let sent = put(&*link.near, 20, 200)?;
    let room = link.near.stats().reliable.queued_bytes < link.near.profile().reliable.queue_bytes.get();
    super::datagram::flood(&*link.near).await?;
    ensure!(
        !room || ready(link.near.writable(Lane::Reliable)).is_some_and(|answer| answer.is_ok()),
        "datagrams used up the reliable lane's budget"
    );
    link.inject(Fault::Heal);
    // Not behind a close: its flush is bounded, and a path that dropped has a retransmission timer to wait for.
    let mut order = Vec::new();
    let arriving = async {
        while (order.len() as u64) < sent {
            let inbound = link.far.recv().await?;
            if inbound.lane == Lane::Reliable {
                order.push(index_of(&inbound.payload)?);
            }
        }
        Ok::<(), Failure>(())
    };
    let arrived = within(STEP_LIMIT, "receiving behind the datagrams", arriving).await;
    ensure!(arrived.is_ok(), "of {sent} reliable messages these came in time: {order:?}");
    ensure!(order == (0..sent).collect::<Vec<_>>(), "of {sent} reliable messages these came: {order:?}");
    Ok(())
}
