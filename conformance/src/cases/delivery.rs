//! Messages arrive whole, in order and once (contract §2 and §3).

use std::num::NonZeroUsize;

use bytes::Bytes;
use rand::Rng;
use transport_core::{Lane, Refusal, Transport};

use super::{index_of, payload, recv, recv_exactly, send, sizes, stays_quiet, stream};
use crate::{
    case::{Ctx, Failure, Result},
    ensure,
};

cases! { "delivery":
    sizes_around_every_boundary [ "2.2, 2.1" ];
    largest_message_on_both_lanes [ "2.2, 2.3" ];
    one_byte_on_both_lanes [ "2.2" ];
    too_large_is_refused_and_handed_back [ "2.3, 2.4" ];
    empty_is_refused [ "2.3" ];
    any_bytes_arrive_unaltered [ "2.1" ];
    slices_of_a_larger_buffer [ "2.1, 2.4" ];
    order_of_many_small_messages [ "3.1, 3.2" ];
    order_of_mixed_sizes [ "3.1, 3.2" ];
    both_ways_at_once [ "3.2" ];
    ping_pong [ "3.2" ];
    bursts_and_pauses [ "3.2" ];
    lanes_interleaved [ "2.5, 3.6" ];
    nothing_arrives_unasked [ "3.2" ];
}

async fn sizes_around_every_boundary(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let max = link.near.profile().reliable.max_message.get();
    let sizes = sizes(max, 32, &mut ctx.random());
    stream(&*link.near, &*link.far, 0, &sizes).await
}

async fn largest_message_on_both_lanes(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    for lane in Lane::ALL {
        let largest = payload(7, link.near.profile().lane(lane).max_message.get());
        send(&*link.near, lane, largest.clone()).await?;
        recv_exactly(&*link.far, lane, &largest).await?;
    }
    Ok(())
}

async fn one_byte_on_both_lanes(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    for lane in Lane::ALL {
        let byte = Bytes::from_static(&[0]);
        send(&*link.near, lane, byte.clone()).await?;
        recv_exactly(&*link.far, lane, &byte).await?;
    }
    Ok(())
}

async fn too_large_is_refused_and_handed_back(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    for lane in Lane::ALL {
        let limit = link.near.profile().lane(lane).max_message;
        for len in [limit.get() + 1, 2 * limit.get()] {
            refused(&*link.near, lane, payload(1, len), &Refusal::TooLarge { limit })?;
        }
    }
    still_works_and_delivers_nothing_else(ctx, &*link.near, &*link.far).await
}

async fn empty_is_refused(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    for lane in Lane::ALL {
        refused(&*link.near, lane, Bytes::new(), &Refusal::Empty)?;
    }
    still_works_and_delivers_nothing_else(ctx, &*link.near, &*link.far).await
}

async fn any_bytes_arrive_unaltered(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let every_byte: Vec<u8> = (0..=255).collect();
    let odd: [&[u8]; 6] = [
        &[0; 300],
        &[0xFF; 300],
        b"\r\n\r\n",
        b"{\"type\":\"close\"}",
        &[0x88, 0x02, 0x03, 0xE8],
        "\u{0}é☃".as_bytes(),
    ];
    for bytes in odd.into_iter().chain([&every_byte[..]]) {
        let message = Bytes::copy_from_slice(bytes);
        send(&*link.near, Lane::Reliable, message.clone()).await?;
        recv_exactly(&*link.far, Lane::Reliable, &message).await?;
    }
    Ok(())
}

async fn slices_of_a_larger_buffer(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let whole = payload(3, 4096);
    let limit = link.near.profile().reliable.max_message;
    for (from, to) in [(0, 10), (100, 101), (4000, 4096), (1, 1200)] {
        send(&*link.near, Lane::Reliable, whole.slice(from..to)).await?;
        recv_exactly(&*link.far, Lane::Reliable, &whole.slice(from..to)).await?;
    }
    let large = payload(4, limit.get() + 100);
    refused(&*link.near, Lane::Reliable, large.slice(50..limit.get() + 60), &Refusal::TooLarge { limit })
}

async fn order_of_many_small_messages(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let mut random = ctx.random();
    let sizes: Vec<usize> = (0..3000).map(|_| random.random_range(8..64)).collect();
    stream(&*link.near, &*link.far, 0, &sizes).await?;
    stays_quiet(&*link.far, ctx.settle()).await
}

async fn order_of_mixed_sizes(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let max = link.near.profile().reliable.max_message.get();
    let mut random = ctx.random();
    let mut left: usize = 2 << 20;
    let mut sizes = Vec::new();
    while left > 0 {
        // Small ones between large ones: a path that lets the small overtake is caught here.
        let len =
            if random.random_bool(0.5) { random.random_range(8..100) } else { random.random_range(8..=max) };
        left = left.saturating_sub(len + 1000);
        sizes.push(len);
    }
    stream(&*link.near, &*link.far, 0, &sizes).await?;
    stays_quiet(&*link.far, ctx.settle()).await
}

async fn both_ways_at_once(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let sizes = [500; 1000];
    let (near, far) = (&*link.near, &*link.far);
    tokio::try_join!(stream(near, far, 0, &sizes), stream(far, near, 1 << 32, &sizes))?;
    Ok(())
}

async fn ping_pong(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    for index in 0..200 {
        stream(&*link.near, &*link.far, index, &[32]).await?;
        stream(&*link.far, &*link.near, index, &[32]).await?;
    }
    Ok(())
}

async fn bursts_and_pauses(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    for burst in 0..4 {
        stream(&*link.near, &*link.far, burst * 1000, &[256; 200]).await?;
        stays_quiet(&*link.far, ctx.settle()).await?;
    }
    Ok(())
}

async fn lanes_interleaved(ctx: &Ctx) -> Result<()> {
    const COUNT: u64 = 400;
    let link = ctx.link().await?;
    // The number's parity is its lane.
    let sender = async {
        for index in 0..COUNT {
            let lane = if index % 2 == 0 { Lane::Reliable } else { Lane::Datagram };
            send(&*link.near, lane, payload(index, 200)).await?;
            tokio::task::yield_now().await;
        }
        send(&*link.near, Lane::Reliable, payload(COUNT, 200)).await
    };
    let receiver = async {
        let mut next = 0;
        let mut datagrams = std::collections::HashSet::new();
        while next <= COUNT {
            let inbound = recv(&*link.far).await?;
            let index = index_of(&inbound.payload)?;
            let lane = if index % 2 == 0 { Lane::Reliable } else { Lane::Datagram };
            ensure!(
                inbound.lane == lane,
                "message {index} was sent on {lane:?} and came on {:?}",
                inbound.lane
            );
            match lane {
                Lane::Reliable => {
                    ensure!(index == next, "reliable message {next} was due and {index} came");
                    next += 2;
                }
                Lane::Datagram => ensure!(datagrams.insert(index), "datagram {index} came twice"),
            }
        }
        Ok::<_, Failure>(())
    };
    tokio::try_join!(sender, receiver)?;
    Ok(())
}

async fn nothing_arrives_unasked(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    stays_quiet(&*link.near, ctx.settle()).await?;
    stays_quiet(&*link.far, ctx.settle()).await
}

/// Demands a refusal for the given reason, with the payload untouched.
fn refused(at: &dyn Transport, lane: Lane, payload: Bytes, why: &Refusal) -> Result<()> {
    let (sent, len) = (payload.clone(), NonZeroUsize::new(payload.len()));
    let Err(refused) = at.try_send(lane, payload) else {
        return Err(Failure(format!("{lane:?} accepted {} bytes", len.map_or(0, NonZeroUsize::get))));
    };
    ensure!(refused.why == *why, "{lane:?} refused with {:?} where {why:?} is due", refused.why);
    ensure!(refused.payload == sent, "{lane:?} did not hand the payload of {} bytes back whole", sent.len());
    Ok(())
}

async fn still_works_and_delivers_nothing_else(
    ctx: &Ctx,
    near: &dyn Transport,
    far: &dyn Transport,
) -> Result<()> {
    stream(near, far, 9, &[64]).await?;
    stays_quiet(far, ctx.settle()).await
}
