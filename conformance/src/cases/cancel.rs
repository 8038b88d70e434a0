//! Dropping a wait changes nothing (contract §5).

use std::time::Duration;

use rand::Rng;
use transport_core::{CloseCode, Lane, TransportExt};

use super::{STEP_LIMIT, fill_up, index_of, payload, ready, recv, recv_exactly, send, stays_quiet, stream};
use crate::{
    case::{Ctx, Failure, Result, within},
    ensure,
    subject::Fault,
};

cases! { "cancel":
    recv_dropped_thousands_of_times [ "5.2" ];
    recv_raced_against_a_timer [ "5.2" ];
    writable_dropped [ "5.3" ];
    send_dropped_is_all_or_nothing [ "5.4" ] needs Stall;
    closed_dropped [ "6.7, 6.5" ];
}

async fn recv_dropped_thousands_of_times(ctx: &Ctx) -> Result<()> {
    const COUNT: u64 = 1000;
    let link = ctx.link().await?;
    let mut random = ctx.random();
    let sender = async {
        for index in 0..COUNT {
            send(&*link.near, Lane::Reliable, payload(index, 40)).await?;
            if index % 16 == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok::<_, Failure>(())
    };
    let receiver = async {
        let mut dropped = 0u64;
        for due in 0..COUNT {
            // Poll once and drop, several times, with the task given away in between.
            let mut early = None;
            for _ in 0..random.random_range(2..6) {
                early = ready(link.far.recv());
                if early.is_some() {
                    break;
                }
                dropped += 1;
                tokio::task::yield_now().await;
            }
            let inbound = match early {
                Some(inbound) => inbound?,
                None => recv(&*link.far).await?,
            };
            let index = index_of(&inbound.payload)?;
            ensure!(index == due, "after {dropped} dropped receives, message {due} was due and {index} came");
        }
        // Whatever the timing was, the drops happen: the path is quiet.
        for _ in 0..2000 {
            ensure!(ready(link.far.recv()).is_none(), "a message arrived that was never sent");
        }
        stream(&*link.near, &*link.far, COUNT, &[40; 20]).await
    };
    tokio::try_join!(sender, receiver)?;
    stays_quiet(&*link.far, ctx.settle()).await
}

async fn recv_raced_against_a_timer(ctx: &Ctx) -> Result<()> {
    const COUNT: u64 = 150;
    let link = ctx.link().await?;
    let sender = async {
        for index in 0..COUNT {
            send(&*link.near, Lane::Reliable, payload(index, 40)).await?;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        Ok::<_, Failure>(())
    };
    let receiver = async {
        let mut due = 0;
        let mut losses = 0;
        while due < COUNT {
            // A timer of about the same period: the race is lost now by one, now by the other.
            match tokio::time::timeout(Duration::from_millis(1 + due % 4), link.far.recv()).await {
                Ok(inbound) => {
                    let index = index_of(&inbound?.payload)?;
                    ensure!(index == due, "message {due} was due and {index} came");
                    due += 1;
                    losses = 0;
                }
                Err(_elapsed) => {
                    losses += 1;
                    ensure!(losses < 10_000, "message {due} never came to a receiver that keeps giving up");
                }
            }
        }
        Ok(())
    };
    tokio::try_join!(sender, receiver)?;
    Ok(())
}

async fn writable_dropped(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    for lane in Lane::ALL {
        for _ in 0..2000 {
            drop(link.near.writable(lane));
            let _answer = ready(link.near.writable(lane));
        }
        // A ready answer that is not used reserves nothing: all the room is still there.
        within(STEP_LIMIT, "writable after drops", link.near.writable(lane)).await??;
    }
    stream(&*link.near, &*link.far, 0, &[100; 50]).await
}

async fn send_dropped_is_all_or_nothing(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    link.inject(Fault::Stall);
    let mut accepted: Vec<u64> = (0..fill_up(&*link.near, 0, 1000).await?).collect();
    let first = accepted.len() as u64;
    let attempts = async {
        for index in first..first + 500 {
            match tokio::time::timeout(
                Duration::from_millis(1),
                link.near.send(Lane::Reliable, payload(index, 1000)),
            )
            .await
            {
                Ok(sent) => {
                    sent?;
                    accepted.push(index);
                }
                Err(_dropped) => {}
            }
            if index == first + 50 {
                link.inject(Fault::Heal);
            }
        }
        send(&*link.near, Lane::Reliable, payload(u64::MAX, 1000)).await
    };
    let receiver = async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        let mut arrived = Vec::new();
        loop {
            match index_of(&recv(&*link.far).await?.payload)? {
                u64::MAX => return Ok::<_, Failure>(arrived),
                index => arrived.push(index),
            }
        }
    };
    let ((), arrived) = tokio::try_join!(attempts, receiver)?;
    let first_difference = accepted.iter().zip(&arrived).position(|(sent, came)| sent != came);
    ensure!(
        accepted == arrived,
        "{} sends were accepted and {} arrived; they differ at {first_difference:?}",
        accepted.len(),
        arrived.len()
    );
    Ok(())
}

async fn closed_dropped(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    for _ in 0..1000 {
        ensure!(ready(link.near.closed()).is_none(), "a live link says it has ended");
        drop(link.far.closed());
    }
    recv_exactly_after_send(&link).await?;
    link.far.close(CloseCode::NORMAL, "done");
    within(STEP_LIMIT, "closed after drops", link.near.closed()).await?;
    Ok(())
}

async fn recv_exactly_after_send(link: &crate::Link) -> Result<()> {
    send(&*link.near, Lane::Reliable, payload(1, 50)).await?;
    recv_exactly(&*link.far, Lane::Reliable, &payload(1, 50)).await
}
