//! What the relay does with each frame and each peer, without sockets: `cargo bench -p beach-lifeguard`.
//!
//! The parts are private to the relay, and are compiled in here as they are.
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    reason = "each part is used in part; benchmarks end loudly"
)]

#[path = "../src/relay/fanout.rs"]
mod fanout;
#[path = "../src/relay/idle.rs"]
mod idle;
#[path = "../src/relay/registry/mod.rs"]
mod registry;
#[path = "../src/relay/ws/mod.rs"]
mod ws;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use beach_lifeguard_client::{Header, Lane, LinkNumber, PeerAddr, Role};
use divan::{
    AllocProfiler, Bencher, black_box,
    counter::{BytesCount, ItemsCount},
};
use idle::{Due, Observed, Patience};
use registry::{Card, Joined, Registry, Wire};
use uuid::Uuid;
use ws::Reader;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// A peer is the tick at which it was last heard.
type Peers = Registry<Arc<AtomicU64>, ()>;

fn join(registry: &Peers, session: u128, peer: u128, role: Role) -> Joined<Arc<AtomicU64>, ()> {
    let card = Card { peer_id: Uuid::from_u128(peer), role, wire: Wire::V2 };
    registry
        .join(Uuid::from_u128(session), card, || (), |_, _| Arc::new(AtomicU64::new(1)), |_, _, _| {})
        .unwrap()
}

/// What so many idle connections cost each second: a look at each.
#[divan::bench(args = [1_000, 10_000])]
fn sweep_idle(bencher: Bencher<'_, '_>, connections: u128) {
    let registry = Peers::new(8);
    for session in 0..connections / 2 {
        join(&registry, session, 1, Role::Host);
        join(&registry, session, 2, Role::Viewer);
    }
    let seconds = Duration::from_secs;
    let patience =
        Patience { heartbeat: seconds(15), missed: 3, idle: seconds(120), write_deadline: seconds(5) };
    bencher.counter(ItemsCount::new(connections as usize)).bench_local(|| {
        let mut left = 0;
        registry.for_each(|session| {
            session.with_roster(|roster| {
                for (_, _, last) in roster.iter() {
                    let last = last.load(Relaxed);
                    let seen = Observed { read: last, written: last, pinged: 0, waiting_since: None };
                    left += usize::from(patience.judge(black_box(5_000), seen) == Due::Leave);
                }
            });
        });
        assert_eq!(left, connections as usize);
    });
}

/// A first join and a last leave, beside so many other sessions.
#[divan::bench(args = [0, 10_000, 100_000])]
fn registry_join_and_leave(bencher: Bencher<'_, '_>, others: u128) {
    let registry = Peers::new(8);
    let _others: Vec<_> = (1..=others).map(|session| join(&registry, session, 1, Role::Host)).collect();
    bencher.bench_local(|| {
        let joined = join(&registry, 0, 1, Role::Host);
        registry.leave(&joined.session, joined.address, |_, _, _| {})
    });
}

/// Whom a host's frame to everyone goes to.
#[divan::bench(args = [1, 100, 1_000])]
fn fan_out(bencher: Bencher<'_, '_>, viewers: u128) {
    let registry = Peers::new(2_000);
    let host = join(&registry, 0, 0, Role::Host);
    let _viewers: Vec<_> = (1..=viewers).map(|peer| join(&registry, 0, peer, Role::Viewer)).collect();
    bencher.counter(ItemsCount::new(viewers as usize)).bench_local(|| {
        let mut reached = 0;
        host.session.with_roster(|roster| {
            fanout::route(roster, host.address, PeerAddr::EVERYONE, |peer| {
                reached += black_box(peer).load(Relaxed)
            })
        });
        reached
    });
}

/// What one read of 64 KiB costs, by the payload of its frames: found, unmasked and packed for their recipients.
#[divan::bench(args = [64, 1_024, 4_096, 16_384])]
fn read_frames(bencher: Bencher<'_, '_>, size: usize) {
    let frame =
        masked(&Header::data(Lane::Reliable, PeerAddr::EVERYONE, LinkNumber(1)).frame(&vec![0x5A; size]));
    let read = frame.repeat(65_536 / frame.len());
    let mut items = Vec::new();
    bencher.counter(BytesCount::new(read.len())).with_inputs(|| read.clone()).bench_local_refs(|bytes| {
        items.clear();
        Reader::new(1 << 20).read(bytes, false, &mut items).unwrap();
        items.len()
    });
}

/// A client's frame (RFC 6455 §5.2).
fn masked(payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0x22, 0x33, 0x44];
    let mut frame = vec![0x82];
    match payload.len() {
        short @ ..126 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend((long as u16).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
