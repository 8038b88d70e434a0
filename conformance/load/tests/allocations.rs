//! A guard that is no wall clock: allocations of a fixed script on the path of every message.
//!
//! Counts are compared with `allocations.txt`; more than a tenth above fails. After a change that is worth
//! it: `UPDATE_ALLOCATIONS=1 cargo test -p beach-load --test allocations`, and say why in the commit.
#![allow(clippy::unwrap_used, reason = "tests and benchmarks end loudly")]

use std::{fmt::Write, time::Instant};

use beach_lifeguard_client::{Header, Lane as WireLane, LinkNumber, PeerAddr};
use bytes::Bytes;
use futures::FutureExt;
use transport_core::{
    Generation, Lane, LaneQueue, PeerId, SessionId, Transport,
    memory::{self, MemoryTransport},
    resume::{Event, Resume, ResumeConfig},
    secure::{Access, Answer, Binding, Identity, Joiner, LinkSecret, Request, Secure, SecureConfig, Visitor},
};

/// Messages of one script.
const MESSAGES: usize = 100;

#[test]
fn a_message_costs_no_more_allocations_than_it_did() {
    let measured = [
        ("frame_encode", frame_encode()),
        ("frame_split", frame_split()),
        ("lane_queue", lane_queue()),
        ("resume_send_receive", resume()),
        ("seal_and_open", seal_and_open()),
    ];
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/allocations.txt");
    if std::env::var_os("UPDATE_ALLOCATIONS").is_some() {
        let mut text = String::from(HEAD);
        for (name, count) in measured {
            writeln!(text, "{name} {count}").unwrap();
        }
        std::fs::write(file, text).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(file).unwrap();
    let mut worse = String::new();
    for (name, count) in measured {
        let line = committed.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        let committed = line.unwrap_or_else(|| panic!("{name} is not in allocations.txt"));
        if count > committed + committed / 10 {
            writeln!(worse, "{name}: {count} allocations for {MESSAGES} messages, {committed} committed")
                .unwrap();
        }
    }
    assert!(
        worse.is_empty(),
        "{worse}If it is worth it: UPDATE_ALLOCATIONS=1 cargo test -p beach-load --test allocations"
    );
}

const HEAD: &str =
    "# Allocations for 100 messages of 1 KiB; tests/allocations.rs compares and says how to update.\n";

/// Counts the second of two equal runs: buffers have found their size then.
fn second(mut script: impl FnMut(Vec<Bytes>)) -> u64 {
    script(payloads());
    let payloads = payloads();
    allocation_counter::measure(|| script(payloads)).count_total
}

fn payloads() -> Vec<Bytes> {
    (0..MESSAGES).map(|_| Bytes::from(vec![7; 1_024])).collect()
}

fn header() -> Header {
    Header::data(WireLane::Reliable, PeerAddr::EVERYONE, LinkNumber(1))
}

fn frame_encode() -> u64 {
    second(|payloads| {
        for payload in payloads {
            assert_eq!(header().frame(&payload).len(), 1_036);
        }
    })
}

fn frame_split() -> u64 {
    let frame = header().frame(&[7; 1_024]);
    second(|payloads| {
        for _ in payloads {
            assert_eq!(Header::split(frame.clone()).unwrap().1.len(), 1_024);
        }
    })
}

fn lane_queue() -> u64 {
    let queue = LaneQueue::new(&memory::profile(196_608, 65_000));
    second(|payloads| {
        for payload in payloads {
            queue.try_push(Lane::Reliable, payload).unwrap();
        }
        while queue.try_pop_any().is_some() {}
    })
}

fn resume() -> u64 {
    let now = Instant::now();
    let mut both = machines(now);
    second(|payloads| {
        let mut messages = 0;
        for payload in payloads {
            both[0].try_send(payload).unwrap();
            messages += settle(&mut both, now);
        }
        assert_eq!(messages, MESSAGES);
    })
}

fn seal_and_open() -> u64 {
    let (joiner, host) = sealed();
    second(|payloads| {
        for payload in payloads {
            joiner.try_send(Lane::Reliable, payload).unwrap();
            let inbound = host.recv().now_or_never().expect("in memory it is there at once");
            assert_eq!(inbound.unwrap().payload.len(), 1_024);
        }
    })
}

/// Two machines that know each other, on one generation.
fn machines(now: Instant) -> [Resume; 2] {
    let mut both = [1, 2].map(|instance| Resume::new(ResumeConfig::default(), instance, instance));
    for machine in &mut both {
        machine.attach(now, Generation(1), &memory::profile(196_608, 65_000)).unwrap();
    }
    settle(&mut both, now);
    both
}

/// Carries frames both ways and lets the applications read, until nothing moves; returns the messages.
fn settle(both: &mut [Resume; 2], now: Instant) -> usize {
    let (mut moving, mut messages) = (true, 0);
    while moving {
        moving = false;
        for from in [0, 1] {
            while let Some(frame) = both[from].poll_transmit(now) {
                both[1 - from].handle_frame(now, frame.generation, frame.lane, frame.payload).unwrap();
                moving = true;
            }
            while let Some(event) = both[1 - from].poll_event() {
                if let Event::Message(payload) = event {
                    both[1 - from].consumed(payload.len());
                    messages += 1;
                }
            }
        }
    }
    messages
}

type Sealed = Secure<MemoryTransport>;

/// Both ends of a sealed link in memory.
fn sealed() -> (Sealed, Sealed) {
    let [viewer, key] = [[4; 32], [6; 32]].map(|seed| Identity::from_seed(&seed));
    let [joiner, host] = [&viewer, &key].map(|identity| PeerId::of(&identity.public()));
    let session = SessionId::of_host(&key.public());
    let binding = Binding::new(session, joiner, host, memory::ID, Generation(1));
    let config = || SecureConfig::new(binding.clone(), Instant::now);
    let (here, there, _link) = memory::pair(memory::profile(196_608, 65_000));
    let link = LinkSecret::from_bytes([5; 16]);
    let named = Joiner { identity: &viewer, link: &link, host: key.public() };
    let welcome = |visitor: &Visitor| Answer::Accept { access: visitor.request.access, app: Bytes::new() };
    let (joiner, host) = futures::executor::block_on(async {
        futures::join!(
            Secure::initiate(here, config(), &named, Request::new(Access::Full)),
            Secure::accept(there, config(), &key, &link, welcome),
        )
    });
    (joiner.unwrap(), host.unwrap())
}
