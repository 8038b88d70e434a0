//! The least a WebSocket relay can do: two connections with the same first message are one pair, and what
//! one says the other hears. No tokens, no frames, no budgets. What a relay costs beside it is its own.

use std::{collections::HashMap, sync::Arc, time::Duration};

use conformance::relay::small_buffers;
use futures::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Mutex,
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config, tungstenite::Message};

use crate::target::FORWARDING;

type Socket = WebSocketStream<TcpStream>;

/// Accepts until the process ends.
pub(crate) async fn mirror() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{FORWARDING} {}", listener.local_addr()?);
    let waiting: Arc<Mutex<HashMap<Vec<u8>, Socket>>> = Arc::default();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let waiting = waiting.clone();
        tokio::spawn(async move {
            let greeting = timeout(START, async {
                let mut socket = accept_async_with_config(stream, Some(small_buffers())).await.ok()?;
                let pair = socket.next().await?.ok()?.into_data().to_vec();
                Some((socket, pair))
            });
            let Ok(Some((socket, pair))) = greeting.await else { return };
            // One lock for looking and for waiting, or both ends of a pair wait for each other.
            let mut waiting = waiting.lock().await;
            if let Some(other) = waiting.remove(&pair) {
                drop(waiting);
                join(socket, other).await;
            } else {
                waiting.insert(pair, socket);
            }
        });
    }
}

async fn join(mut one: Socket, mut other: Socket) {
    for socket in [&mut one, &mut other] {
        if socket.send(Message::Binary(vec![1].into())).await.is_err() {
            return;
        }
    }
    let ((one_writes, one_reads), (other_writes, other_reads)) = (one.split(), other.split());
    // Whoever ends first ends both.
    tokio::select! {
        _ = one_reads.forward(other_writes) => (),
        _ = other_reads.forward(one_writes) => (),
    }
}

const START: Duration = Duration::from_secs(10);
