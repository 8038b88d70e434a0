//! Ends that cost as little as ends can: one thread, one `epoll`, one read for whatever has come, nothing copied.
//!
//! A library's WebSocket costs 34 µs a message where a raw connection costs 24, so with it the generator is the limit before
//! the relay is. Here messages are counted where they lie, by their heads.

use std::{
    io::{ErrorKind, Read, Write},
    mem,
    net::TcpStream,
    time::{Duration, Instant},
};

use beach_lifeguard_client::websocket::{Head, MAX_SERVER_HEAD, Opcode, Sender};
use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};

use crate::{Failure, scenario::histogram};

/// How messages lie in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Length (`u32` big-endian) and payload.
    Raw,
    /// WebSocket frames as a server sends them. A message is a binary one with a payload of so many bytes: what a relay
    /// has to say itself, such as a rejoin ticket, is another's length.
    WebSocket(usize),
}

/// A sender and who hears it.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) form: Form,
    pub(crate) sender: TcpStream,
    pub(crate) viewers: Vec<TcpStream>,
    /// One message, as the sender writes it.
    pub(crate) message: Vec<u8>,
}

/// What came of a closed loop.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Messages that reached every viewer.
    pub(crate) messages: u64,
    /// Messages that arrived, at each viewer.
    pub(crate) deliveries: u64,
    /// Reads that gave them.
    pub(crate) reads: u64,
    /// From sending until the last viewer had it, in microseconds.
    pub(crate) latency: Histogram<u64>,
    /// Connections that ended.
    pub(crate) broken: u64,
}

/// Keeps `in_flight` messages of each group on the way: one that has reached all viewers lets the next one go.
pub(crate) fn closed_loop(
    groups: Vec<Group>,
    in_flight: usize,
    lasting: Duration,
) -> Result<Outcome, Failure> {
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1_024));
    // Whose event it is: a group, and one of its viewers or its sender.
    let (mut places, mut running) = (Vec::new(), Vec::new());
    for (at, group) in groups.into_iter().enumerate() {
        let mut join = |stream, viewer| {
            let mut stream = nonblocking(stream)?;
            let interest =
                if viewer == SENDER { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            poll.registry().register(&mut stream, Token(places.len()), interest)?;
            places.push((at, viewer));
            Ok::<_, Failure>(stream)
        };
        let sender = join(group.sender, SENDER)?;
        let mut viewers = Vec::with_capacity(group.viewers.len());
        for (number, stream) in group.viewers.into_iter().enumerate() {
            viewers.push((join(stream, number)?, Cutter::new(group.form), 0));
        }
        let window = group.message.repeat(in_flight);
        let on_the_way = vec![(Instant::now(), 0); in_flight];
        running.push(Running { sender, viewers, window, written: 0, allowed: 0, on_the_way, done: 0 });
    }
    let mut outcome = Outcome { messages: 0, deliveries: 0, reads: 0, latency: histogram(), broken: 0 };
    let (mut buffer, until) = (vec![0; READ_BYTES], Instant::now() + lasting);
    for group in &mut running {
        group.send(in_flight)?;
    }
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        poll.poll(&mut events, Some(left.min(STANDSTILL)))?;
        if events.is_empty() && left > STANDSTILL {
            return Err(Failure(format!(
                "nothing came for {STANDSTILL:?}: a message is lost, or counted wrongly"
            )));
        }
        for event in &events {
            let Some(&(at, viewer)) = places.get(event.token().0) else { continue };
            let Some(group) = running.get_mut(at) else { continue };
            if event.is_readable() {
                group.read(viewer, &mut buffer, &mut outcome)?;
            }
        }
        for group in &mut running {
            group.send(in_flight)?;
        }
    }
    outcome.messages = running.iter().map(|group| group.done).sum();
    Ok(outcome)
}

struct Running {
    sender: mio::net::TcpStream,
    /// With the number of messages each has.
    viewers: Vec<(mio::net::TcpStream, Cutter, usize)>,
    /// As many messages as may be on the way, one behind the other.
    window: Vec<u8>,
    /// Bytes written so far.
    written: u64,
    /// Messages that were allowed to go.
    allowed: u64,
    /// When each was sent, and how many viewers have it; the place is the number modulo the window.
    on_the_way: Vec<(Instant, usize)>,
    /// Messages that all viewers have.
    done: u64,
}

impl Running {
    /// Sends what the window allows and the socket takes, in one write.
    fn send(&mut self, in_flight: usize) -> Result<(), Failure> {
        let may = self.done + in_flight as u64;
        if self.allowed < may {
            let now = Instant::now();
            while self.allowed < may {
                self.on_the_way[self.allowed as usize % in_flight] = (now, 0);
                self.allowed += 1;
            }
        }
        let each = (self.window.len() / in_flight) as u64;
        while self.written < self.allowed * each {
            // At most a window is missing, and the window repeats itself.
            let from = (self.written % each) as usize;
            let missing = (self.allowed * each - self.written) as usize;
            match self.sender.write(&self.window[from..(from + missing).min(self.window.len())]) {
                Ok(sent) => self.written += sent as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what has come for a viewer; what the sender is told is of no interest.
    fn read(&mut self, viewer: usize, buffer: &mut [u8], outcome: &mut Outcome) -> Result<(), Failure> {
        let all = self.viewers.len();
        let (stream, mut counted) = match self.viewers.get_mut(viewer) {
            Some((stream, cutter, had)) => (stream, Some((cutter, had))),
            None => (&mut self.sender, None),
        };
        loop {
            let read = match stream.read(buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => 0,
            };
            if read == 0 {
                outcome.broken += 1;
                return Ok(());
            }
            if let Some((cutter, had)) = &mut counted {
                let ended = cutter.cut(&buffer[..read])?;
                outcome.reads += 1;
                outcome.deliveries += ended as u64;
                for number in **had..**had + ended {
                    let place = number % self.on_the_way.len();
                    let (sent, have) = &mut self.on_the_way[place];
                    *have += 1;
                    if *have == all {
                        self.done += 1;
                        let took = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
                        outcome.latency.saturating_record(took.max(1));
                    }
                }
                **had += ended;
            }
            if read < buffer.len() {
                return Ok(());
            }
        }
    }
}

/// Counts the messages of a stream.
#[derive(Debug)]
struct Cutter {
    form: Form,
    /// The beginning of a head.
    head: Vec<u8>,
    /// Bytes that are missing from the payload.
    missing: usize,
    /// Whether a message ends with the payload.
    counts: bool,
}

impl Cutter {
    fn new(form: Form) -> Self {
        Self { form, head: Vec::new(), missing: 0, counts: false }
    }

    /// How many messages end in `bytes`, which follow those before.
    fn cut(&mut self, mut bytes: &[u8]) -> Result<usize, Failure> {
        let mut ended = 0;
        loop {
            let skipped = self.missing.min(bytes.len());
            self.missing -= skipped;
            bytes = &bytes[skipped..];
            if self.missing > 0 {
                return Ok(ended);
            }
            ended += usize::from(mem::take(&mut self.counts));
            if bytes.is_empty() {
                return Ok(ended);
            }
            let begun = self.head.len();
            let head = if begun == 0 {
                self.form.head(bytes)?
            } else {
                let more = &bytes[..bytes.len().min(MAX_SERVER_HEAD)];
                self.form.head(&[&self.head, more].concat())?
            };
            let Some((head, payload, counts)) = head else {
                self.head.extend_from_slice(bytes);
                return Ok(ended);
            };
            bytes = &bytes[head - begun..];
            self.head.clear();
            (self.missing, self.counts) = (payload, counts);
        }
    }
}

impl Form {
    /// The bytes of a head and of its payload, and whether it is a message; `None` when more is needed.
    fn head(self, bytes: &[u8]) -> Result<Option<(usize, usize, bool)>, Failure> {
        match self {
            Self::Raw => {
                Ok(bytes.first_chunk::<4>().map(|length| (4, u32::from_be_bytes(*length) as usize, true)))
            }
            Self::WebSocket(message) => {
                let head = Head::read(bytes, Sender::Server).map_err(|error| Failure(error.to_string()))?;
                let is_message =
                    |head: &Head| head.fin && head.opcode == Opcode::Binary && head.payload == message;
                Ok(head.map(|head| (head.header, head.payload, is_message(&head))))
            }
        }
    }
}

/// For `mio`.
pub(crate) fn nonblocking(stream: TcpStream) -> std::io::Result<mio::net::TcpStream> {
    stream.set_nonblocking(true)?;
    Ok(mio::net::TcpStream::from_std(stream))
}

/// In the place of a viewer's number.
const SENDER: usize = usize::MAX;
/// A loop in which nothing comes for so long has come to an end.
const STANDSTILL: Duration = Duration::from_secs(2);
/// More than a window of 4 KiB messages.
const READ_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use beach_lifeguard_client::websocket::HeadBytes;

    use super::*;

    #[test]
    fn messages_are_counted_wherever_reads_end() {
        let mut sockets = Vec::new();
        for (opcode, payload) in [
            (Opcode::Binary, 300),
            (Opcode::Ping, 0),
            (Opcode::Binary, 300),
            (Opcode::Binary, 5),
            (Opcode::Binary, 300),
        ] {
            sockets.extend_from_slice(HeadBytes::server(opcode, payload).as_bytes());
            sockets.resize(sockets.len() + payload, 7);
        }
        let raw = [&[0, 0, 0, 2, 1, 1][..], &[0; 4], &[0, 0, 0, 1, 9]].concat();
        for (form, bytes) in [(Form::WebSocket(300), sockets), (Form::Raw, raw)] {
            for step in [1, 2, 3, 7, bytes.len()] {
                let mut cutter = Cutter::new(form);
                let ended: usize = bytes.chunks(step).map(|part| cutter.cut(part).unwrap()).sum();
                assert_eq!(ended, 3, "{form:?} in steps of {step}");
            }
        }
    }
}
