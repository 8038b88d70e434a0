//! What stands between a page and its relay.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

/// What becomes of a WebSocket's upgrade. Everything else passes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Upgrade {
    /// It is let through and cut soon.
    Cut(Duration),
    /// It is answered by the middlebox.
    Refuse,
    /// Nobody answers it.
    Swallow,
}

/// Stands there until it is dropped.
pub(crate) struct Middlebox {
    address: SocketAddr,
    relay: Arc<Mutex<Option<SocketAddr>>>,
    upgrades: Arc<AtomicUsize>,
    cuts: watch::Sender<u64>,
    _standing: JoinSet<()>,
}

impl Middlebox {
    pub(crate) async fn start(upgrade: Upgrade) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (relay, upgrades) = (Arc::<Mutex<Option<SocketAddr>>>::default(), Arc::<AtomicUsize>::default());
        let (cuts, watched) = watch::channel(0);
        let mut standing = JoinSet::new();
        let (to, counted) = (relay.clone(), upgrades.clone());
        standing.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let to = to.lock().unwrap().expect("somebody named the relay");
                let (counted, mut cut) = (counted.clone(), watched.clone());
                cut.borrow_and_update();
                connections.spawn(async move {
                    tokio::select! {
                        _ = between(client, to, upgrade, &counted) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { address, relay, upgrades, cuts, _standing: standing }
    }

    /// Where the relay seems to be.
    pub(crate) fn relay_url(&self) -> String {
        format!("ws://{}/v2/ws", self.address)
    }

    /// Names the relay behind it.
    pub(crate) fn lead_to(&self, relay: SocketAddr) {
        *self.relay.lock().unwrap() = Some(relay);
    }

    /// Cuts every connection that is open.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Upgrades that came so far.
    pub(crate) fn upgrades(&self) -> usize {
        self.upgrades.load(Relaxed)
    }
}

async fn between(
    mut client: TcpStream,
    relay: SocketAddr,
    upgrade: Upgrade,
    counted: &AtomicUsize,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if client.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let is_upgrade = head.starts_with(b"GET /v2/ws");
    counted.fetch_add(usize::from(is_upgrade), Relaxed);
    match upgrade {
        Upgrade::Refuse if is_upgrade => {
            client
                .write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .await?;
            client.shutdown().await
        }
        Upgrade::Swallow if is_upgrade => {
            sleep(Duration::from_secs(120)).await;
            Ok(())
        }
        _ => {
            let mut relay = TcpStream::connect(relay).await?;
            relay.write_all(&head).await?;
            let through = copy_bidirectional(&mut client, &mut relay);
            match upgrade {
                Upgrade::Cut(after) if is_upgrade => {
                    let _ = timeout(after, through).await;
                    Ok(())
                }
                _ => through.await.map(|_| ()),
            }
        }
    }
}
