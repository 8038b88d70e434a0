//! The least a relay with many viewers can do: whatever has come of a sender is written to each viewer, once.
//!
//! One thread, one `epoll`, no runtime. The first connection of a group is its sender; a greeting says which group, and how
//! many viewers are to come.

use std::{
    collections::HashMap,
    io::{self, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use mio::{Events, Interest, Poll, Registry, Token, Waker};

use crate::{lean::nonblocking, target::FORWARDING};

/// Accepts until the process ends.
pub(crate) fn spread() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{FORWARDING} {}", listener.local_addr()?);
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKER)?;
    let (complete, groups) = mpsc::sync_channel(WAITING);
    thread::spawn(move || serve(poll, &groups));
    let mut gathering: HashMap<[u8; 16], Vec<TcpStream>> = HashMap::new();
    loop {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(START))?;
        let (mut number, mut viewers) = ([0; 16], [0; 4]);
        if stream.read_exact(&mut number).and_then(|()| stream.read_exact(&mut viewers)).is_err() {
            continue;
        }
        let group = gathering.entry(number).or_default();
        group.push(stream);
        if group.len() > u32::from_be_bytes(viewers) as usize
            && let Some(mut group) = gathering.remove(&number)
        {
            for stream in &mut group {
                stream.write_all(&[1])?;
            }
            let _ = complete.send(group);
            waker.wake()?;
        }
    }
}

/// What a viewer's socket has not taken.
struct Viewer {
    stream: mio::net::TcpStream,
    backlog: Vec<u8>,
}

fn serve(mut poll: Poll, complete: &mpsc::Receiver<Vec<TcpStream>>) -> io::Result<()> {
    let (mut events, mut buffer) = (Events::with_capacity(1_024), vec![0; BUFFER]);
    let mut groups: Vec<(mio::net::TcpStream, Vec<Viewer>)> = Vec::new();
    // Whose event it is: a group, and one of its viewers or its sender.
    let mut places = Vec::new();
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == WAKER {
                while let Ok(group) = complete.try_recv() {
                    groups.push(enter(poll.registry(), group, groups.len(), &mut places)?);
                }
                continue;
            }
            let Some(&(at, viewer)) = places.get(event.token().0) else { continue };
            let Some((sender, viewers)) = groups.get_mut(at) else { continue };
            match viewer {
                Some(viewer) if event.is_writable() => viewers[viewer].go_on(),
                None if event.is_readable() => forward(sender, viewers, &mut buffer),
                _ => {}
            }
        }
    }
}

fn enter(
    registry: &Registry,
    group: Vec<TcpStream>,
    at: usize,
    places: &mut Vec<(usize, Option<usize>)>,
) -> io::Result<(mio::net::TcpStream, Vec<Viewer>)> {
    let mut sender = None;
    let mut viewers = Vec::with_capacity(group.len());
    for (number, stream) in group.into_iter().enumerate() {
        let mut stream = nonblocking(stream)?;
        registry.register(&mut stream, Token(places.len()), Interest::READABLE | Interest::WRITABLE)?;
        places.push((at, number.checked_sub(1)));
        match number {
            0 => sender = Some(stream),
            _ => viewers.push(Viewer { stream, backlog: Vec::new() }),
        }
    }
    Ok((sender.ok_or(ErrorKind::NotConnected)?, viewers))
}

/// Writes what has come to everybody, until nothing has.
fn forward(sender: &mut mio::net::TcpStream, viewers: &mut [Viewer], buffer: &mut [u8]) {
    while let Ok(read @ 1..) = sender.read(buffer) {
        viewers.iter_mut().for_each(|viewer| viewer.write(&buffer[..read]));
        if read < buffer.len() {
            return;
        }
    }
}

impl Viewer {
    fn write(&mut self, bytes: &[u8]) {
        let sent = if self.backlog.is_empty() { self.stream.write(bytes).unwrap_or(0) } else { 0 };
        self.backlog.extend_from_slice(&bytes[sent..]);
    }

    fn go_on(&mut self) {
        if !self.backlog.is_empty() {
            let sent = self.stream.write(&self.backlog).unwrap_or(0);
            self.backlog.drain(..sent);
        }
    }
}

const WAKER: Token = Token(usize::MAX);
/// Groups that are complete and not yet served.
const WAITING: usize = 16;
/// As much as the relay reads at once.
const BUFFER: usize = 128 * 1024;
/// How long a connection may take to say which group it belongs to.
const START: Duration = Duration::from_secs(10);
