//! Counters that can be believed (contract §7).

use std::time::Duration;

use bytes::Bytes;
use transport_core::{CloseCode, Lane, LaneStats, Stats, Transport};

use super::{FRAMING, STEP_LIMIT, end_of, fill_up, payload, recv, send, stream};
use crate::{
    case::{Ctx, Failure, Result, within},
    ensure,
    subject::Fault,
};

cases! { "stats":
    count_messages_and_bytes [ "7.2" ];
    never_go_back [ "7.1" ];
    refusals_count_nothing [ "7.2" ];
    received_is_what_was_handed_out [ "7.2" ];
    reliable_lane_drops_nothing [ "7.3" ];
    gauge_is_exact [ "7.4" ] needs Stall;
}

async fn count_messages_and_bytes(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let sizes = [1, 10, 100, 1000, 1200, 7];
    stream(&*link.near, &*link.far, 0, &sizes).await?;
    for index in 0..5 {
        link.near.try_send(Lane::Datagram, payload(index, 50))?;
        recv(&*link.far).await?;
    }
    settled(&*link.near).await?;
    let (near, far) = (link.near.stats(), link.far.stats());
    let bytes: u64 = sizes.iter().map(|&size| size as u64).sum();
    same("accepted reliable messages", near.reliable.accepted_messages, sizes.len() as u64)?;
    same("accepted reliable bytes", near.reliable.accepted_bytes, bytes)?;
    same("sent reliable messages", near.reliable.sent_messages, sizes.len() as u64)?;
    same("sent reliable bytes", near.reliable.sent_bytes, bytes)?;
    same("received reliable messages", far.reliable.received_messages, sizes.len() as u64)?;
    same("received reliable bytes", far.reliable.received_bytes, bytes)?;
    same("accepted datagrams", near.datagram.accepted_messages, 5)?;
    same("sent datagrams and dropped ones", near.datagram.sent_messages + near.datagram.dropped_messages, 5)?;
    same("received datagrams", far.datagram.received_messages, 5)?;
    same("received datagram bytes", far.datagram.received_bytes, 250)?;
    same("what the near end received", near.reliable.received_messages + near.datagram.received_messages, 0)?;
    same("what the far end sent", far.reliable.accepted_messages + far.datagram.accepted_messages, 0)
}

async fn never_go_back(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let mut last = (link.near.stats(), link.far.stats());
    let mut forward = |when: &str| {
        let now = (link.near.stats(), link.far.stats());
        for (before, after) in [(last.0, now.0), (last.1, now.1)] {
            ensure!(grew(&before, &after), "a counter went back {when}: {before:?} became {after:?}");
        }
        last = now;
        Ok(())
    };
    for round in 0..50 {
        for index in 0..10 {
            send(&*link.near, Lane::Reliable, payload(index, 64)).await?;
        }
        link.near.try_send(Lane::Datagram, payload(round, 64))?;
        let mut reliable = 0;
        while reliable < 10 {
            reliable += u64::from(recv(&*link.far).await?.lane == Lane::Reliable);
        }
        forward("under traffic")?;
    }
    link.near.close(CloseCode::NORMAL, "");
    end_of(&*link.far, STEP_LIMIT).await?;
    forward("with the end")
}

async fn refusals_count_nothing(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    for lane in Lane::ALL {
        let too_large = payload(1, link.near.profile().lane(lane).max_message.get() + 1);
        for message in [Bytes::new(), too_large] {
            ensure!(link.near.try_send(lane, message).is_err(), "{lane:?} took an illegal message");
        }
    }
    let stats = link.near.stats();
    let accepted = stats.reliable.accepted_messages + stats.datagram.accepted_messages;
    same("accepted messages", accepted, 0)?;
    let dropped = stats.reliable.dropped_messages + stats.datagram.dropped_messages;
    same("dropped messages", dropped, 0)?;
    same("queued bytes", (stats.reliable.queued_bytes + stats.datagram.queued_bytes) as u64, 0)
}

/// More datagrams than are held for a reader who does not read: what was evicted was not received.
async fn received_is_what_was_handed_out(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let [near, far] = [&link.near, &link.far].map(|end| end.profile().datagram.clone());
    let size = near.max_message.get().min(1_000);
    let count = (3 * far.queue_bytes.get() / size).clamp(1, MOST) as u64;
    for index in 0..count {
        link.near.try_send(Lane::Datagram, payload(index, size))?;
        if index % 16 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    tokio::time::sleep(ctx.settle()).await;
    let (mut messages, mut bytes) = (0, 0);
    while let Ok(inbound) = tokio::time::timeout(ctx.settle(), link.far.recv()).await {
        (messages, bytes) = (messages + 1, bytes + inbound?.payload.len() as u64);
    }
    let stats = link.far.stats().datagram;
    same("received datagrams", stats.received_messages, messages)?;
    same("received datagram bytes", stats.received_bytes, bytes)
}

async fn reliable_lane_drops_nothing(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    for index in 0..200 {
        link.near.try_send(Lane::Datagram, payload(index, 1000))?;
    }
    let sender = async {
        for index in 0..200 {
            send(&*link.near, Lane::Reliable, payload(index, 1000)).await?;
        }
        Ok::<_, Failure>(())
    };
    let receiver = async {
        let mut reliable = 0;
        while reliable < 200 {
            reliable += u64::from(recv(&*link.far).await?.lane == Lane::Reliable);
        }
        Ok(())
    };
    tokio::try_join!(sender, receiver)?;
    same("dropped reliable messages", link.near.stats().reliable.dropped_messages, 0)?;
    same("dropped reliable messages at the far end", link.far.stats().reliable.dropped_messages, 0)
}

async fn gauge_is_exact(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    link.inject(Fault::Stall);
    let sent = fill_up(&*link.near, 0, 777).await?;
    let stats = link.near.stats().reliable;
    same("accepted bytes", stats.accepted_bytes, sent * 777)?;
    let waiting = stats.accepted_bytes - stats.sent_bytes;
    let most = waiting + (stats.accepted_messages - stats.sent_messages) * FRAMING as u64;
    let gauge = stats.queued_bytes as u64;
    ensure!(
        (waiting..=most).contains(&gauge),
        "the gauge shows {gauge} bytes where {waiting} wait (with framing {most} at most)"
    );
    link.inject(Fault::Heal);
    for _ in 0..sent {
        recv(&*link.far).await?;
    }
    settled(&*link.near).await?;
    let stats = link.near.stats().reliable;
    same("sent bytes", stats.sent_bytes, sent * 777)
}

/// Datagrams that are sent into one queue at most.
const MOST: usize = 1_000;

/// Waits until nothing is queued on either lane.
async fn settled(at: &dyn Transport) -> Result<()> {
    let empty = async {
        while at.stats().reliable.queued_bytes + at.stats().datagram.queued_bytes > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(STEP_LIMIT, "emptying the queues", empty).await
}

fn same(what: &str, counted: u64, truth: u64) -> Result<()> {
    ensure!(counted == truth, "{what}: stats say {counted}, the truth is {truth}");
    Ok(())
}

fn grew(before: &Stats, after: &Stats) -> bool {
    let lane = |before: &LaneStats, after: &LaneStats| {
        before.accepted_messages <= after.accepted_messages
            && before.accepted_bytes <= after.accepted_bytes
            && before.sent_messages <= after.sent_messages
            && before.sent_bytes <= after.sent_bytes
            && before.received_messages <= after.received_messages
            && before.received_bytes <= after.received_bytes
            && before.dropped_messages <= after.dropped_messages
    };
    lane(&before.datagram, &after.datagram) && lane(&before.reliable, &after.reliable)
}
