//! As [`spread`](crate::spread), over WebSockets of the ordinary library: what a small server that broadcasts would be.

use std::{collections::HashMap, time::Duration};

use conformance::relay::small_buffers;
use futures::{FutureExt, SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config, tungstenite::Message};

use crate::target::FORWARDING;

type Socket = WebSocketStream<TcpStream>;

/// Accepts until the process ends.
pub(crate) async fn chorus() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{FORWARDING} {}", listener.local_addr()?);
    let mut gathering: HashMap<Vec<u8>, Vec<Socket>> = HashMap::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let greeting = timeout(START, async {
            let mut socket = accept_async_with_config(stream, Some(small_buffers())).await.ok()?;
            let greeting = socket.next().await?.ok()?.into_data();
            Some((socket, greeting))
        });
        // One after the other: who comes first is the sender.
        let Ok(Some((socket, greeting))) = greeting.await else { continue };
        let viewers = greeting.last_chunk::<4>().map_or(1, |count| u32::from_be_bytes(*count) as usize);
        let group = gathering.entry(greeting.to_vec()).or_default();
        group.push(socket);
        if group.len() > viewers
            && let Some(group) = gathering.remove(&greeting[..])
        {
            tokio::spawn(sing(group));
        }
    }
}

/// Each message to all, and one flush for as many as have come.
async fn sing(mut group: Vec<Socket>) -> Option<()> {
    for socket in &mut group {
        socket.send(Message::Binary(vec![1].into())).await.ok()?;
    }
    let mut sender = group.remove(0);
    loop {
        let mut next = Some(sender.next().await?.ok()?);
        while let Some(message) = next.take() {
            for viewer in &mut group {
                viewer.feed(message.clone()).await.ok()?;
            }
            next = sender.next().now_or_never().flatten().and_then(Result::ok);
        }
        for viewer in &mut group {
            viewer.flush().await.ok()?;
        }
    }
}

const START: Duration = Duration::from_secs(10);
