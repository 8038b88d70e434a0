//! What every message costs on its way, with allocations: `cargo bench -p beach-load`.
//!
//! The relay's registry and fan-out are inside the relay; `lifeguard-load churn` and `fanout` measure them
//! whole.
#![allow(clippy::unwrap_used, reason = "tests and benchmarks end loudly")]

use std::time::Instant;

use beach_lifeguard_client::{Header, Lane as WireLane, LinkNumber, PeerAddr};
use bytes::Bytes;
use divan::{AllocProfiler, Bencher, counter::BytesCount};
use futures::FutureExt;
use transport_core::{
    Generation, Lane, LaneQueue, PeerId, SessionId, Transport, TransportId,
    memory::{self, MemoryTransport},
    policy::{Event as Told, FallbackPolicy, HealthSample, NetworkId, PolicyConfig, Rung},
    resume::{Event, Resume, ResumeConfig},
    secure::{Access, Answer, Binding, Identity, Joiner, LinkSecret, Request, Secure, SecureConfig, Visitor},
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const SIZES: [usize; 3] = [64, 1_024, 16_384];

fn main() {
    let [joiner, host] = [[4; 32], [6; 32]].map(|seed| Identity::from_seed(&seed));
    for pattern in PATTERNS {
        let [first, answer] = run_handshake(pattern, &joiner, &host);
        println!("{pattern}: {first} and {answer} bytes");
    }
    divan::main();
}

fn header() -> Header {
    Header::data(WireLane::Reliable, PeerAddr::EVERYONE, LinkNumber(1))
}

#[divan::bench(args = SIZES)]
fn frame_encode(bencher: Bencher<'_, '_>, size: usize) {
    let payload = vec![7; size];
    bencher.counter(BytesCount::new(size)).bench(|| header().frame(&payload));
}

#[divan::bench]
fn frame_split(bencher: Bencher<'_, '_>) {
    let frame = header().frame(&[7; 1_024]);
    bencher.bench(|| Header::split(frame.clone()));
}

#[divan::bench(args = SIZES)]
fn lane_queue_push_and_pop(bencher: Bencher<'_, '_>, size: usize) {
    let queue = LaneQueue::new(&memory::profile(196_608, 65_000));
    let payload = Bytes::from(vec![7; size]);
    bencher.bench(|| {
        queue.try_push(Lane::Reliable, payload.clone()).unwrap();
        queue.try_pop_any()
    });
}

/// Outbox, frames, inbox and acks of one message, from one machine to the other.
#[divan::bench(args = SIZES)]
fn resume_send_and_receive(bencher: Bencher<'_, '_>, size: usize) {
    let now = Instant::now();
    let mut both = machines(now);
    let payload = Bytes::from(vec![7; size]);
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        both[0].try_send(payload.clone()).unwrap();
        settle(&mut both, now)
    });
}

#[divan::bench(args = SIZES)]
fn seal_and_open(bencher: Bencher<'_, '_>, size: usize) {
    let (joiner, host) = sealed();
    bencher.counter(BytesCount::new(size)).with_inputs(|| Bytes::from(vec![7; size])).bench_local_values(
        |payload| {
            joiner.try_send(Lane::Reliable, payload).unwrap();
            host.recv().now_or_never()
        },
    );
}

/// Both messages of a handshake, both sides, with as much in them as ours carry. What ran before needed no key of the joiner.
#[divan::bench(args = PATTERNS)]
fn handshake(bencher: Bencher<'_, '_>, pattern: &str) {
    let [joiner, host] = [[4; 32], [6; 32]].map(|seed| Identity::from_seed(&seed));
    bencher.bench(|| run_handshake(pattern, &joiner, &host));
}

const PATTERNS: [&str; 2] = ["Noise_NKpsk0_25519_ChaChaPoly_SHA256", "Noise_IKpsk0_25519_ChaChaPoly_SHA256"];

/// Returns the bytes of both messages, without the link id and the versions in front of the first.
fn run_handshake(pattern: &str, joiner: &Identity, host: &Identity) -> [usize; 2] {
    let (own, key, remote) = (joiner.x25519(), host.x25519(), host.public().x25519());
    let builder = || snow::Builder::new(pattern.parse().unwrap()).psk(0, &[5; 32]).unwrap();
    let named = pattern.contains("IK");
    let mut here = builder().remote_public_key(&remote).unwrap();
    if named {
        here = here.local_private_key(&*own).unwrap();
    }
    let mut here = here.build_initiator().unwrap();
    let mut there = builder().local_private_key(&*key).unwrap().build_responder().unwrap();
    let (mut message, mut payload) = ([0; 256], [0; 256]);
    // The access asked for, and the key that names the joiner; the verdict, a version and the access granted.
    let first = here.write_message(&[0; 33][..if named { 33 } else { 1 }], &mut message).unwrap();
    there.read_message(&message[..first], &mut payload).unwrap();
    let answer = there.write_message(&[0; 4], &mut message).unwrap();
    here.read_message(&message[..answer], &mut payload).unwrap();
    assert_eq!(here.dangerously_get_raw_split(), there.dangerously_get_raw_split());
    [first, answer]
}

/// One sample of a link's health, the policy's most frequent event.
#[divan::bench]
fn policy_step(bencher: Bencher<'_, '_>) {
    let now = Instant::now();
    let rung = Rung::direct(TransportId::from_static("webrtc"));
    let mut policy = FallbackPolicy::new(PolicyConfig::new(vec![rung])).unwrap();
    policy.handle_event(now, Told::Start { network: NetworkId::default() });
    let sample = HealthSample::idle(Lane::Reliable);
    bencher.bench_local(|| {
        policy.handle_event(now, Told::Health { generation: Generation(1), sample });
        while policy.poll_action().is_some() {}
        policy.poll_timeout()
    });
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
