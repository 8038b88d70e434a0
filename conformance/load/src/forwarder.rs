//! The raw TCP forwarder: what a relay would cost that does nothing at all.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional_with_sizes},
    net::{TcpListener, TcpStream},
    sync::Mutex,
    time::timeout,
};

use crate::target::FORWARDING;

/// Accepts until the process ends.
pub(crate) async fn forward() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{FORWARDING} {}", listener.local_addr()?);
    let waiting: Arc<Mutex<HashMap<[u8; 16], TcpStream>>> = Arc::default();
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let waiting = waiting.clone();
        tokio::spawn(async move {
            let mut pair = [0; 16];
            if timeout(START, stream.read_exact(&mut pair)).await.is_err() {
                return;
            }
            // One lock for looking and for waiting, or both ends of a pair wait for each other.
            let mut waiting = waiting.lock().await;
            if let Some(mut other) = waiting.remove(&pair) {
                drop(waiting);
                let _ = stream.write_all(&[1]).await;
                let _ = other.write_all(&[1]).await;
                let _ = copy_bidirectional_with_sizes(&mut stream, &mut other, BUFFER, BUFFER).await;
            } else {
                waiting.insert(pair, stream);
            }
        });
    }
}

/// Holds the largest message: the library's 8 KiB would need eight reads and eight writes for it.
const BUFFER: usize = 64 * 1024;
/// How long a connection may take to say which pair it belongs to.
const START: Duration = Duration::from_secs(10);
