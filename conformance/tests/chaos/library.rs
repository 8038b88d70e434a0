//! A session whose two ends are in this process, as an application has them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use negotiator::{
    EventStream, FallbackMode, Host, HostConfig, Negotiator, NetworkConfig, Received, Session, TransitionKind,
};
use tokio::{task::JoinHandle, time::timeout};

use crate::talk::{Ear, Mouth};

/// Both ends.
pub(crate) struct Library {
    host: Host,
    /// The viewer's and the host's. Whoever lets go of the last handle of one closes it.
    sessions: [Session; 2],
    lost: Arc<AtomicU64>,
    counting: JoinHandle<()>,
}

impl Library {
    /// Connects both ends over the relay alone; the second session is the host's.
    pub(crate) async fn start(url: String) -> (Self, [Session; 2]) {
        let mut network = NetworkConfig::default();
        network.mode = FallbackMode::RelayOnly;
        let mut config = HostConfig::new(url);
        config.network = network.clone();
        let host = Host::share(config).await.expect("shared");
        let viewer = Negotiator::new(host.link().clone(), network).connect().await.expect("joined");
        let hosted = timeout(Duration::from_secs(20), host.accept()).await.expect("in time").expect("open");
        let lost = Arc::<AtomicU64>::default();
        let counting = tokio::spawn(count(viewer.events(), lost.clone()));
        let sessions = [viewer, hosted];
        (Self { host, sessions: sessions.clone(), lost, counting }, sessions)
    }

    pub(crate) fn disconnects(&self) -> u64 {
        self.lost.load(Ordering::Acquire)
    }

    pub(crate) fn explain(&self) -> String {
        self.sessions[0].explain().to_string()
    }

    pub(crate) async fn end(self) {
        self.sessions[0].close().await;
        self.host.close().await;
        self.counting.abort();
    }
}

impl Mouth for Session {
    async fn say(&mut self, message: Bytes) {
        self.send(message).await.expect("the session lives");
    }

    async fn hush(self) {
        self.send(END.into()).await.expect("the session lives");
    }
}

impl Ear for Session {
    async fn hear(&mut self) -> Option<Bytes> {
        match self.recv().await.expect("the session lives") {
            Received::Message(bytes) => (bytes[..] != *END).then_some(bytes),
            other => panic!("nobody sent {other:?}"),
        }
    }
}

async fn count(mut events: EventStream, lost: Arc<AtomicU64>) {
    while let Some(event) = events.next().await {
        if event.name == TransitionKind::Lost {
            lost.fetch_add(1, Ordering::AcqRel);
        }
    }
}

const END: &[u8] = b"end";
