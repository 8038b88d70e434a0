//! Fragments of datagrams from a stranger: joined or refused, never beyond the bound.
#![no_main]

use std::time::{Duration, Instant};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use transport_core::fragment::{JoinLimits, Joiner};

fuzz_target!(|bytes: &[u8]| {
    let mut limits = JoinLimits::default();
    (limits.bytes, limits.messages, limits.age) = (4_096, 8, Duration::from_secs(3));
    let mut joiner = Joiner::new(limits);
    let (now, mut rest) = (Instant::now(), bytes);
    while let [length, tail @ ..] = rest {
        let (fragment, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        let _ = joiner.push(now, Bytes::copy_from_slice(fragment));
        assert!(joiner.held_bytes() <= 4_096);
    }
});
