//! Connections through one queue for each direction.

use std::{io, net::SocketAddr, sync::Arc};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinSet,
    time::Instant,
};

use super::{
    Counting, LOOPBACK, State, Toward,
    line::{Line, Medium},
};

/// Opens a listener whose connections hold little, so that a stall is felt soon.
pub(super) fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    // The client's kernel buffers by the segment, and one of loopback has 64 KiB: 2.5 MB of them wait before it waits.
    #[cfg(unix)]
    socket2::SockRef::from(&socket).set_tcp_mss(SEGMENT)?;
    socket.bind(LOOPBACK)?;
    socket.listen(1024)
}

/// Serves until aborted.
pub(super) async fn serve(
    listener: TcpListener,
    target: SocketAddr,
    state: watch::Receiver<State>,
    counters: Arc<Counting>,
) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Out of descriptors: the client will see it; the next one may fare better.
                let Ok((client, _)) = accepted else { continue };
                if state.borrow().refuses {
                    reset(&client);
                    continue;
                }
                let number = counters.flows.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                tasks.spawn(connection(client, target, number, state.clone(), counters.clone()));
            }
            Some(_ended) = tasks.join_next() => {}
        }
    }
}

async fn connection(
    mut client: TcpStream,
    target: SocketAddr,
    number: u64,
    mut state: watch::Receiver<State>,
    counters: Arc<Counting>,
) {
    let born = state.borrow().resets;
    let Ok(mut upstream) = connected(target).await else {
        reset(&client);
        return;
    };
    let _not_fatal = client.set_nodelay(true);
    {
        let (from_client, to_client) = client.split();
        let (from_target, to_target) = upstream.split();
        let up = pump(from_client, to_target, Toward::Target, number, state.clone(), &counters);
        let down = pump(from_target, to_client, Toward::Client, number, state.clone(), &counters);
        tokio::select! {
            // One direction may end long before the other: both must.
            both = async { tokio::try_join!(up, down) } => {
                if both.is_ok() {
                    return;
                }
            }
            _ = state.wait_for(|state| state.resets != born) => {}
        }
    }
    reset(&client);
    reset(&upstream);
}

async fn connected(target: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    let stream = socket.connect(target).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Moves one direction until its end has been passed on.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    toward: Toward,
    number: u64,
    mut state: watch::Receiver<State>,
    counters: &Counting,
) -> io::Result<()> {
    let (way, seed) = toward.weather(&state.borrow_and_update().fault, number);
    let mut line = Line::new(Medium::Stream, way, seed);
    let mut open = true;
    let mut buffer = BytesMut::with_capacity(PIECE);
    loop {
        let due = line.next_due();
        tokio::select! {
            changed = state.changed() => {
                if changed.is_err() {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                let (way, seed) = toward.weather(&state.borrow_and_update().fault, number);
                line.set(way, seed);
            }
            () = tokio::time::sleep_until(due.map_or_else(Instant::now, Instant::from_std)), if due.is_some() => {}
            read = from.read_buf(&mut buffer), if open && line.has_room() => {
                open = read? > 0;
                // An empty piece is the end of the stream; it waits its turn like the others.
                line.push(Instant::now().into_std(), buffer.split().freeze());
                toward.counters(counters).lost(line.take_dropped());
                buffer.reserve(PIECE);
            }
        }
        while let Some(piece) = line.pop(Instant::now().into_std()) {
            if piece.is_empty() {
                return to.shutdown().await;
            }
            deliver(&mut to, piece, toward, counters).await?;
        }
    }
}

async fn deliver(
    to: &mut WriteHalf<'_>,
    piece: Bytes,
    toward: Toward,
    counters: &Counting,
) -> io::Result<()> {
    to.write_all(&piece).await?;
    toward.counters(counters).delivered(piece.len());
    Ok(())
}

/// Makes the coming drop send a reset instead of an orderly end.
fn reset(stream: &TcpStream) {
    let _orderly_end_instead = stream.set_zero_linger();
}

/// Bytes read at a time.
const PIECE: usize = 16 * 1024;

/// Bytes the kernel buffers in each direction of each side (it doubles the figure).
const SOCKET_BUFFER: u32 = 64 * 1024;

/// Bytes of a segment, as on Ethernet.
#[cfg(unix)]
const SEGMENT: u32 = 1_460;
