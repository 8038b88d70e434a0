//! Closed loops with lean ends: so many messages of each sender on the way to all of its viewers.

use std::time::{Duration, Instant};

use beach_lifeguard_client::{
    Header, Lane, LinkNumber, PeerAddr,
    websocket::{HeadBytes, Opcode, apply_mask},
};
use conformance::relay::Session;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::spawn_blocking,
};
use tokio_tungstenite::MaybeTlsStream;

use crate::{
    Failure,
    flow::Spent,
    lean::{Form, Group, closed_loop},
    pair::{End, bare, group},
    report::Report,
    scenario::STAMP,
    target::{Target, Way},
};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) sessions: usize,
    pub(crate) viewers: usize,
    /// Payload of a message in bytes.
    pub(crate) size: usize,
    /// Messages of a sender that not all of its viewers have.
    pub(crate) in_flight: usize,
    pub(crate) lasting: Duration,
}

/// Runs the loops and reports what a delivery cost.
pub(crate) async fn closed(target: &Target, settings: Settings) -> Result<Report, Failure> {
    let Settings { sessions, viewers, lasting, .. } = settings;
    let (size, in_flight) = (settings.size.max(STAMP), settings.in_flight.max(1));
    let mut groups = Vec::with_capacity(sessions);
    for number in 0..sessions {
        groups.push(gather(&target.way, number as u128, viewers, &vec![0x5A; size]).await?);
    }
    let (before, began) = (Spent::read(target), Instant::now());
    let looping = spawn_blocking(move || closed_loop(groups, in_flight, lasting));
    let outcome = looping.await.map_err(|error| Failure(error.to_string()))??;
    let (after, took) = (Spent::read(target), began.elapsed());
    let asked = format!(
        "closed loop: {sessions} senders to {viewers} viewers each, {in_flight} messages of {size} B in flight, \
         for {lasting:?}"
    );
    let mut report = Report::new(target.name, asked);
    let deliveries = outcome.deliveries as f64;
    report.add("deliveries a second", deliveries / took.as_secs_f64(), "");
    report.add("messages that all have", outcome.messages as f64, "");
    report.add("messages of a read", deliveries / outcome.reads.max(1) as f64, "");
    report.add("connections that broke", outcome.broken as f64, "");
    report.latency(&outcome.latency);
    after.since(before, took, outcome.deliveries, &mut report);
    Ok(report)
}

/// Connects a sender and its viewers, with nothing unread on any of them.
async fn gather(way: &Way, number: u128, viewers: usize, payload: &[u8]) -> Result<Group, Failure> {
    // Who is which, and how many are to come: the first of a group is its sender.
    let mut greeting = number.to_be_bytes().to_vec();
    greeting.extend_from_slice(&u32::try_from(viewers).unwrap_or(u32::MAX).to_be_bytes());
    match way {
        Way::Forwarder(address) => {
            let mut ends = Vec::with_capacity(viewers + 1);
            for _ in 0..=viewers {
                let mut end = TcpStream::connect(address).await?;
                end.set_nodelay(true)?;
                end.write_all(&greeting).await?;
                ends.push(end);
            }
            for end in &mut ends {
                end.read_u8().await?;
            }
            let mut ends = ends.into_iter().map(TcpStream::into_std).collect::<Result<Vec<_>, _>>()?;
            let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
            let message = [&length, payload].concat();
            Ok(Group { form: Form::Raw, sender: ends.remove(0), viewers: ends, message })
        }
        Way::WebSocket(address) => {
            let mut ends = Vec::with_capacity(viewers + 1);
            for _ in 0..=viewers {
                let mut end = bare(&format!("ws://{address}/")).await?;
                end.send(&greeting).await?;
                ends.push(end);
            }
            for end in &mut ends {
                end.recv().await?;
            }
            let mut ends = ends.into_iter().map(stream).collect::<Result<Vec<_>, _>>()?;
            let (form, message) = (Form::WebSocket(payload.len()), framed(payload));
            Ok(Group { form, sender: ends.remove(0), viewers: ends, message })
        }
        Way::Relay(relay) => {
            let session = Session::register(relay).await?;
            let (mut sender, mut receivers) = group(&session, viewers).await?;
            // Behind this message nothing comes that was not asked for.
            sender.send(Lane::Reliable, PeerAddr::EVERYONE, LinkNumber(1), payload).await?;
            for receiver in &mut receivers {
                receiver.recv().await?;
            }
            let frame = Header::data(Lane::Reliable, PeerAddr::EVERYONE, LinkNumber(1)).frame(payload);
            let sender = stream(End::Relay { endpoint: Box::new(sender), to: PeerAddr::EVERYONE })?;
            let viewers = receivers.into_iter().map(stream).collect::<Result<Vec<_>, _>>()?;
            let (form, message) = (Form::WebSocket(frame.len()), framed(&frame));
            Ok(Group { form, sender, viewers, message })
        }
        Way::V1(_) | Way::Session { .. } => {
            Err(Failure("closed loops are of the relay's own wire".to_owned()))
        }
    }
}

/// A client's frame.
fn framed(payload: &[u8]) -> Vec<u8> {
    let mut frame = HeadBytes::client(Opcode::Binary, payload.len(), MASK).as_bytes().to_vec();
    let head = frame.len();
    frame.extend_from_slice(payload);
    apply_mask(&mut frame[head..], MASK);
    frame
}

/// The connection below a WebSocket that has read all there was.
fn stream(end: End) -> Result<std::net::TcpStream, Failure> {
    let socket = match end {
        End::Raw(stream) => return Ok(stream.into_std()?),
        End::Bare(socket) => *socket,
        End::Relay { endpoint, .. } => endpoint.socket,
        End::Session(_) => return Err(Failure("a session is no connection".to_owned())),
    };
    match socket.into_inner() {
        MaybeTlsStream::Plain(stream) => Ok(stream.into_std()?),
        _ => Err(Failure("lean ends speak no TLS".to_owned())),
    }
}

/// Any will do that is not zero.
const MASK: [u8; 4] = [0x3C, 0xA5, 0x69, 0x0F];
