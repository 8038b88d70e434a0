//! How a link ends (contract §6).

use std::time::{Duration, Instant};

use transport_core::{CloseCode, Closed, Initiator, Lane, Refusal};

use super::{AT_ONCE, FRAMING, STEP_LIMIT, end_of, fill, fill_up, index_of, payload, put, ready, recv};
use crate::{
    case::{Ctx, Failure, Result, within},
    ensure,
    subject::Fault,
};

cases! { "close":
    both_ends_agree [ "6.1" ];
    every_code_arrives [ "6.1" ];
    details_arrive [ "6.1" ];
    first_close_wins [ "6.2" ];
    close_from_both_ends [ "6.2" ];
    drained_before_reported [ "6.3" ];
    own_close_hands_out_what_arrived [ "6.3" ];
    accepted_is_flushed [ "6.4" ];
    a_full_lane_is_flushed [ "6.4" ];
    same_answer_from_everything [ "6.5, 2.4" ];
    dropping_is_going_away [ "6.6" ];
    dropping_flushes_nothing [ "6.6" ] needs Stall;
    waiters_wake [ "6.7" ];
    waiters_for_room_wake [ "6.7" ] needs Stall;
    close_ends_a_stalled_link [ "6.8" ] needs Stall;
    after_closed_a_drop_cuts_nothing_off [ "6.9" ];
}

async fn both_ends_agree(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    link.near.close(CloseCode::NORMAL, "work is done");
    let (_, near) = end_of(&*link.near, STEP_LIMIT).await?;
    let (_, far) = end_of(&*link.far, STEP_LIMIT).await?;
    is(&near, Initiator::Local, CloseCode::NORMAL, "work is done")?;
    is(&far, Initiator::Peer, CloseCode::NORMAL, "work is done")
}

async fn every_code_arrives(ctx: &Ctx) -> Result<()> {
    for code in
        [1000, 1001, 1002, 1003, 1008, 1009, 1011, 3000, 4001, 4002, 4008, 4010, 4012, 4029, 4500, 4503, 4999]
    {
        let code = CloseCode::from_wire(code).ok_or_else(|| Failure(format!("{code} is no close code")))?;
        let link = ctx.link().await?;
        link.near.close(code, "why");
        let (_, far) = end_of(&*link.far, STEP_LIMIT).await?;
        is(&far, Initiator::Peer, code, "why")?;
    }
    Ok(())
}

async fn details_arrive(ctx: &Ctx) -> Result<()> {
    let exactly_123 = "é".repeat(61) + "x";
    for detail in ["", "zwölf Boxkämpfer ☃", &exactly_123] {
        let link = ctx.link().await?;
        link.near.close(CloseCode::NORMAL, detail);
        let (_, far) = end_of(&*link.far, STEP_LIMIT).await?;
        is(&far, Initiator::Peer, CloseCode::NORMAL, detail)?;
    }
    let long = "ä".repeat(500);
    let link = ctx.link().await?;
    link.near.close(CloseCode::NORMAL, &long);
    let (_, far) = end_of(&*link.far, STEP_LIMIT).await?;
    ensure!(
        long.starts_with(&*far.detail) && far.detail.len() >= 122,
        "of a detail of {} bytes this came: {:?}",
        long.len(),
        far.detail
    );
    Ok(())
}

async fn first_close_wins(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    link.near.close(CloseCode::GOING_AWAY, "first");
    link.near.close(CloseCode::NORMAL, "second");
    let (_, far) = end_of(&*link.far, STEP_LIMIT).await?;
    is(&far, Initiator::Peer, CloseCode::GOING_AWAY, "first")?;
    link.far.close(CloseCode::POLICY, "third");
    tokio::time::sleep(ctx.settle()).await;
    is(&link.near.closed().await, Initiator::Local, CloseCode::GOING_AWAY, "first")?;
    is(&link.far.closed().await, Initiator::Peer, CloseCode::GOING_AWAY, "first")
}

async fn close_from_both_ends(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    link.near.close(CloseCode::NORMAL, "near");
    link.far.close(CloseCode::POLICY, "far");
    let (_, near) = end_of(&*link.near, STEP_LIMIT).await?;
    is(&near, Initiator::Local, CloseCode::NORMAL, "near")?;
    let (_, far) = end_of(&*link.far, STEP_LIMIT).await?;
    // The news may or may not have crossed before the second call; both are the truth, a mixture is not.
    let own = is(&far, Initiator::Local, CloseCode::POLICY, "far");
    let told = is(&far, Initiator::Peer, CloseCode::NORMAL, "near");
    ensure!(own.is_ok() || told.is_ok(), "closed from both ends, the far one says: {far}");
    tokio::time::sleep(ctx.settle()).await;
    ensure!(link.far.closed().await == far, "the end changed afterwards");
    Ok(())
}

async fn drained_before_reported(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let sent = put(&*link.near, 50, 100)? as usize;
    link.near.close(CloseCode::NORMAL, "bye");
    // Reading starts when the end is long there.
    within(STEP_LIMIT, "the end", link.far.closed()).await?;
    tokio::time::sleep(ctx.settle()).await;
    let (rest, far) = end_of(&*link.far, STEP_LIMIT).await?;
    prefix(&rest, sent..=sent)?;
    is(&far, Initiator::Peer, CloseCode::NORMAL, "bye")
}

async fn own_close_hands_out_what_arrived(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let sent = put(&*link.far, 30, 100)? as usize;
    // The first shows that the path works; the others have time to arrive.
    let first = recv(&*link.near).await?;
    tokio::time::sleep(ctx.settle()).await;
    link.near.close(CloseCode::NORMAL, "enough");
    let (mut rest, near) = end_of(&*link.near, STEP_LIMIT).await?;
    rest.insert(0, first);
    prefix(&rest, sent..=sent)?;
    is(&near, Initiator::Local, CloseCode::NORMAL, "enough")
}

async fn accepted_is_flushed(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let profile = link.near.profile().reliable.clone();
    let len = (profile.queue_bytes.get() / 20).clamp(8, profile.max_message.get());
    let sent = put(&*link.near, 20, len)? as usize;
    link.near.close(CloseCode::NORMAL, "flush");
    let (rest, far) = end_of(&*link.far, STEP_LIMIT).await?;
    prefix(&rest, sent..=sent)?;
    is(&far, Initiator::Peer, CloseCode::NORMAL, "flush")
}

async fn a_full_lane_is_flushed(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let len = (link.near.profile().reliable.queue_bytes.get() / 20).clamp(8, 16_000);
    let len = len.min(link.near.profile().reliable.max_message.get());
    let sent = fill(&*link.near, 0, len, 400)?.unwrap_or(400) as usize;
    link.near.close(CloseCode::NORMAL, "flush");
    let (rest, far) = end_of(&*link.far, STEP_LIMIT).await?;
    prefix(&rest, sent..=sent)?;
    // Where no room was left to say who, at least the code arrives.
    ensure!(
        far.initiator != Initiator::Local && far.code == CloseCode::NORMAL,
        "the end is told as \"{far}\""
    );
    Ok(())
}

async fn same_answer_from_everything(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    link.far.close(CloseCode::DRAIN, "back in 3 s");
    for end in [&link.near, &link.far] {
        let closed = within(STEP_LIMIT, "the end", end.closed()).await?;
        let (_, reported) = end_of(&**end, STEP_LIMIT).await?;
        ensure!(reported == closed, "recv says {reported}, closed says {closed}");
        for _ in 0..20 {
            at_once(ready(end.closed()), &closed)?;
            at_once(ready(end.recv()).map(|answer| answer.err().unwrap_or_else(unexpected)), &closed)?;
            for lane in Lane::ALL {
                at_once(
                    ready(end.writable(lane)).map(|answer| answer.err().unwrap_or_else(unexpected)),
                    &closed,
                )?;
                let message = payload(5, 64);
                let Err(refused) = end.try_send(lane, message.clone()) else {
                    return Err(Failure(format!("{lane:?} took a message after the end")));
                };
                ensure!(refused.payload == message, "{lane:?} lost the payload it refused after the end");
                ensure!(
                    refused.why == Refusal::Closed(closed.clone()),
                    "{lane:?} refused with {}",
                    refused.why
                );
            }
        }
    }
    Ok(())
}

async fn dropping_is_going_away(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let sent = put(&*link.near, 10, 100)? as usize;
    let (near, far, path) = link.into_parts();
    drop(near);
    let (rest, closed) = end_of(&*far, STEP_LIMIT).await?;
    prefix(&rest, 0..=sent)?;
    ensure!(
        closed.initiator == Initiator::Peer && closed.code == CloseCode::GOING_AWAY,
        "the other end was dropped, and this one says: {closed}"
    );
    drop(path);
    Ok(())
}

async fn dropping_flushes_nothing(ctx: &Ctx) -> Result<()> {
    const LEN: usize = 1000;
    // What the tasks of both ends have in hand when the path stops.
    const IN_HAND: u64 = 2;
    let link = ctx.link().await?;
    link.inject(Fault::Stall);
    let sent = fill_up(&*link.near, 0, LEN).await?;
    let (near, far, path) = link.into_parts();
    let waiting = (near.stats().reliable.queued_bytes / (LEN + FRAMING)) as u64;
    drop(near);
    // Time for the transport's own tasks to notice, on a path that takes nothing.
    tokio::time::sleep(ctx.settle()).await;
    path.inject(Fault::Heal);
    let (rest, closed) = end_of(&*far, STEP_LIMIT).await?;
    prefix(&rest, 0..=(sent - waiting + IN_HAND) as usize).map_err(|failure| {
        Failure(format!("{waiting} of {sent} waited when the last handle was dropped: {failure}"))
    })?;
    ensure!(closed.initiator != Initiator::Local, "the other end was dropped, and this one says: {closed}");
    Ok(())
}

async fn waiters_wake(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let wait = async {
        let (near, far) = tokio::join!(
            async { tokio::join!(link.near.recv(), link.near.closed(), link.near.closed()) },
            async { tokio::join!(link.far.recv(), link.far.closed(), link.far.closed()) }
        );
        ensure!(near.0 == Err(near.1.clone()) && near.1 == near.2, "the near end tells {near:?}");
        ensure!(far.0 == Err(far.1.clone()) && far.1 == far.2, "the far end tells {far:?}");
        Ok::<_, Failure>(())
    };
    let close = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        link.near.close(CloseCode::NORMAL, "wake up");
        Ok(())
    };
    tokio::try_join!(async { within(STEP_LIMIT, "waking everybody", wait).await? }, close)?;
    Ok(())
}

async fn waiters_for_room_wake(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    link.inject(Fault::Stall);
    fill_up(&*link.near, 0, 1000).await?;
    let close = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        link.near.close(CloseCode::NORMAL, "never mind");
    };
    let (room, ()) =
        tokio::join!(within(STEP_LIMIT, "waking a writer", link.near.writable(Lane::Reliable)), close);
    let closed = room?.err().ok_or_else(|| Failure("a closed lane says it is writable".to_owned()))?;
    is(&closed, Initiator::Local, CloseCode::NORMAL, "never mind")
}

async fn close_ends_a_stalled_link(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    link.inject(Fault::Stall);
    fill_up(&*link.near, 0, 1000).await?;
    let before = Instant::now();
    link.near.close(CloseCode::NORMAL, "leaving");
    let took = before.elapsed();
    ensure!(took < AT_ONCE, "close took {took:?}");
    let closed = within(STEP_LIMIT, "ending a link that takes nothing", link.near.closed()).await?;
    is(&closed, Initiator::Local, CloseCode::NORMAL, "leaving")
}

async fn after_closed_a_drop_cuts_nothing_off(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let len = (link.near.profile().reliable.queue_bytes.get() / 20).clamp(8, 16_000);
    let len = len.min(link.near.profile().reliable.max_message.get());
    let (near, far, path) = link.into_parts();
    // Reading begins at once: a path may hold less than what was accepted.
    let reader = async { end_of(&*far, STEP_LIMIT).await };
    let writer = async {
        let sent = fill(&*near, 0, len, 400)?.unwrap_or(400) as usize;
        near.close(CloseCode::NORMAL, "flushed");
        let closed = within(STEP_LIMIT, "the last bytes", near.closed()).await?;
        drop(near);
        is(&closed, Initiator::Local, CloseCode::NORMAL, "flushed")?;
        Ok::<_, Failure>(sent)
    };
    let (sent, read) = tokio::join!(writer, reader);
    let ((rest, closed), sent) = (read?, sent?);
    prefix(&rest, sent..=sent)?;
    ensure!(closed.code == CloseCode::NORMAL, "after the last byte the end is told as \"{closed}\"");
    drop(path);
    Ok(())
}

/// Demands a certain end.
pub(super) fn is(closed: &Closed, initiator: Initiator, code: CloseCode, detail: &str) -> Result<()> {
    ensure!(
        closed.initiator == initiator && closed.code == code && closed.detail == detail,
        "the end is told as \"{closed}\"; it was {initiator}: {code}, {detail}"
    );
    Ok(())
}

/// Demands messages 0, 1, 2, … and that their number lies in `range`.
fn prefix(messages: &[transport_core::Inbound], range: std::ops::RangeInclusive<usize>) -> Result<()> {
    for (due, inbound) in messages.iter().enumerate() {
        let index = index_of(&inbound.payload)?;
        ensure!(index == due as u64, "message {due} was due before the end and {index} came");
    }
    ensure!(
        range.contains(&messages.len()),
        "{} messages were handed out before the end; {} to {} were due",
        messages.len(),
        range.start(),
        range.end()
    );
    Ok(())
}

fn at_once(answer: Option<Closed>, expected: &Closed) -> Result<()> {
    match answer {
        Some(closed) if closed == *expected => Ok(()),
        Some(closed) => Err(Failure(format!("one answer says \"{closed}\", another \"{expected}\""))),
        None => Err(Failure("a call after the end waits instead of answering at once".to_owned())),
    }
}

/// Stands for an answer that was no end at all.
fn unexpected() -> Closed {
    Closed::network("(no end at all)")
}
