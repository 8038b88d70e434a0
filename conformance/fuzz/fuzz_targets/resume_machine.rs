//! The resume machine under a peer that says anything at any time: it never panics and stays bounded.
//!
//! Input: steps of one byte (lane, generation, waiting), one byte length, and a frame.
#![no_main]

use std::time::{Duration, Instant};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use transport_core::{
    Generation, Lane, memory,
    resume::{Event, Resume, ResumeConfig},
};

fuzz_target!(|bytes: &[u8]| {
    let mut now = Instant::now();
    let mut resume = Resume::new(ResumeConfig::default(), 1, 2);
    let profile = memory::profile(5_000, 1_200);
    let (mut newest, mut rest) = (0, bytes);
    while let [what, length, tail @ ..] = rest {
        let (frame, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        now += Duration::from_millis(u64::from(what >> 4) * 100);
        if what & 1 == 1 && resume.attach(now, Generation(newest + 1), &profile).is_ok() {
            newest += 1;
        }
        let lane = if what & 2 == 2 { Lane::Datagram } else { Lane::Reliable };
        let _ = resume.try_send(Bytes::from_static(&[7; 2_000]));
        let generation = Generation(newest.saturating_sub(u32::from(what >> 2 & 1)));
        let _ = resume.handle_frame(now, generation, lane, Bytes::copy_from_slice(frame));
        resume.handle_timeout(now);
        let mut sent = 0;
        while resume.poll_transmit(now).is_some() {
            sent += 1;
            assert!(sent < 1_000, "more than the outbox holds");
        }
        while let Some(event) = resume.poll_event() {
            if let Event::Message(message) = event {
                resume.consumed(message.len());
            }
        }
    }
});
