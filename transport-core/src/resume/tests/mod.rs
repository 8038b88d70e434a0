//! Two machines over seeded pipes in memory.
#![expect(clippy::disallowed_methods, reason = "an anchor for a hand-driven clock")]

mod boundaries;
mod flow;
mod hostile;
mod pipes;
mod repeats;
mod switches;
mod timing;

use bytes::Bytes;

use self::pipes::{Pair, Side};
use super::{
    ACK_EVERY, Ahead, Event, MAX_MESSAGE, REPEATED, Resume, ResumeConfig, SEGMENT, SEGMENT_OVERHEAD,
    Transmit, UNIT,
    frame::{self, Ack, Attach, Data, End, Frame, TAKES_REPEATS, VERSION},
};
use crate::{
    ids::Generation,
    lane::Lane,
    memory,
    time::{Duration, Instant},
};

fn resume() -> Resume {
    Resume::new(ResumeConfig::default(), 1, 1)
}

/// A machine with generation 1 attached, and introduced to a peer that expects 0.
fn attached(now: Instant) -> Resume {
    let mut resume = resume();
    introduce(&mut resume, now, 1, 0);
    resume
}

/// Attaches a generation of an ordinary transport and plays the peer's side of the introduction.
fn introduce(resume: &mut Resume, now: Instant, generation: u32, next: u64) {
    let generation = Generation(generation);
    resume.attach(now, generation, &memory::profile(196_608, 65_000)).unwrap();
    resume.handle_frame(now, generation, Lane::Reliable, attach(generation, next).encode()).unwrap();
}

fn attach(generation: Generation, next: u64) -> Frame {
    let ack = Ack { received: next, credit: 1 << 21 };
    Frame::Attach(Attach { version: VERSION, generation, instance: 99, ack })
}

fn data(seq: u64, payload: &'static str) -> Frame {
    let payload = Bytes::from_static(payload.as_bytes());
    Frame::Data(Data { seq, end: End::Message, ack: None, payload })
}

fn receive(
    resume: &mut Resume,
    now: Instant,
    generation: u32,
    frame: &Frame,
) -> Result<(), super::ProtocolError> {
    let lossy = matches!(frame, Frame::Datagram(_) | Frame::Heard(_) | Frame::Repeat { .. });
    let lane = if lossy { Lane::Datagram } else { Lane::Reliable };
    resume.handle_frame(now, Generation(generation), lane, frame.encode())
}

fn transmits(resume: &mut Resume, now: Instant) -> Vec<Transmit> {
    std::iter::from_fn(|| resume.poll_transmit(now)).collect()
}

/// Takes everything to send, as `(generation, frame)`.
fn frames(resume: &mut Resume, now: Instant) -> Vec<(u32, Frame)> {
    let decode = |t: Transmit| (t.generation.0, Frame::decode(t.payload).unwrap());
    transmits(resume, now).into_iter().map(decode).collect()
}

fn data_numbers(resume: &mut Resume, now: Instant) -> Vec<u64> {
    let number = |(_, frame)| if let Frame::Data(data) = frame { Some(data.seq) } else { None };
    frames(resume, now).into_iter().filter_map(number).collect()
}

fn events(resume: &mut Resume) -> Vec<Event> {
    std::iter::from_fn(|| resume.poll_event()).collect()
}

fn bytes(len: usize) -> Bytes {
    Bytes::from(vec![7; len])
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
