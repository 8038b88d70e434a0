//! A session of two, over the relay.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use conformance::history::{Stream, Verdict};
use negotiator::{FallbackMode, Host, HostConfig, Negotiator, NetworkConfig, Received, Session};
use tokio::time::{sleep, timeout};

use super::direction::Direction;

/// How sessions talk.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    /// Between two messages of one direction.
    pub pause: Duration,
    /// Of a message, in bytes.
    pub size: usize,
}

/// A host and a viewer of its session, both in this process, and a direction each way.
#[derive(Debug)]
pub struct Pair {
    ends: Ends,
    directions: [Direction; 2],
    stop: Arc<AtomicBool>,
    /// Links that had carried the session when the watch began.
    links: AtomicU64,
}

/// A host, a viewer, and the session as each of them has it. Whoever lets go of the last handle of one closes it.
#[derive(Debug)]
pub struct Ends {
    host: Host,
    viewer: Session,
    hosted: Session,
}

/// A network on which sessions take the relay at once.
pub fn relayed() -> NetworkConfig {
    let mut network = NetworkConfig::default();
    network.mode = FallbackMode::RelayOnly;
    network
}

/// How far both directions were written.
#[derive(Debug, Clone, Copy)]
pub struct Mark([u64; 2]);

impl Pair {
    /// Both meet, and begin to talk.
    pub async fn meet(url: String, key: u64, session: u64, rhythm: Rhythm) -> Self {
        let ends = Ends::meet(&url, relayed()).await;
        let stop = Arc::<AtomicBool>::default();
        let direction = |from: &Session, to: &Session, stream| {
            let stream = Stream { key, session, stream };
            Direction::start(from.clone(), to.clone(), stream, rhythm, stop.clone())
        };
        let directions = [direction(&ends.viewer, &ends.hosted, 0), direction(&ends.hosted, &ends.viewer, 1)];
        Self { ends, directions, stop, links: 0.into() }
    }

    /// Marks what was written up to now.
    pub fn mark(&self) -> Mark {
        Mark([0, 1].map(|way: usize| self.directions[way].written()))
    }

    /// Whether something that was written after `mark` arrived, in both directions.
    pub fn is_past(&self, mark: &Mark) -> bool {
        self.directions.iter().zip(mark.0).all(|(direction, mark)| direction.is_past(mark))
    }

    pub(super) fn watch(&self) {
        self.links.store(self.links(), Ordering::Release);
        self.directions.iter().for_each(Direction::watch);
    }

    /// Whether another link carries the session than when the watch began.
    pub(super) fn has_moved(&self) -> bool {
        self.links() != self.links.load(Ordering::Acquire)
    }

    fn links(&self) -> u64 {
        self.ends.viewer.stats().links + self.ends.hosted.stats().links
    }

    /// A guest comes by the same link, as often as it takes. Returns after how long one had a word with the host.
    ///
    /// # Panics
    ///
    /// When none had within [`PATIENCE`](super::PATIENCE).
    pub async fn a_guest(&self) -> Duration {
        let began = Instant::now();
        loop {
            match self.ends.visit(Duration::from_secs(20)).await {
                Ok(()) => return began.elapsed(),
                Err(why) => assert!(began.elapsed() < super::PATIENCE, "{why}: {}", self.explain()),
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    pub(super) fn silences(&self) -> [Duration; 2] {
        [0, 1].map(|way: usize| self.directions[way].silence())
    }

    /// What both ends know of their way.
    pub fn explain(&self) -> String {
        format!("{} | {}", self.ends.viewer.explain(), self.ends.hosted.explain())
    }

    /// Nobody writes any more; what was written arrives, and is judged.
    pub async fn end(self) -> Verdict {
        self.stop.store(true, Ordering::Release);
        let mut verdict = Verdict::default();
        for direction in self.directions {
            verdict = verdict.and(direction.verdict().await);
        }
        self.ends.end().await;
        verdict
    }
}

impl Ends {
    /// Both meet, on this network.
    ///
    /// # Panics
    ///
    /// When they do not within 45 s.
    pub async fn meet(url: &str, network: NetworkConfig) -> Self {
        let met = Self::try_meet(url, network, Duration::from_secs(45)).await;
        met.unwrap_or_else(|why| panic!("they do not meet: {why}"))
    }

    /// Both meet, on this network and within `patience`.
    ///
    /// # Errors
    ///
    /// Why not, in words.
    pub async fn try_meet(url: &str, network: NetworkConfig, patience: Duration) -> Result<Self, String> {
        let mut config = HostConfig::new(url);
        config.network = network.clone();
        let meeting = async {
            let host = Host::share(config).await.map_err(|error| error.to_string())?;
            let viewer = Negotiator::new(host.link().clone(), network).connect().await;
            let viewer = viewer.map_err(|error| error.to_string())?;
            let hosted = host.accept().await.ok_or("the host was closed")?;
            Ok(Self { host, viewer, hosted })
        };
        timeout(patience, meeting).await.map_err(|_| "not in time".to_owned())?
    }

    /// A guest comes by the same link, has a word each way with the host, and leaves.
    ///
    /// # Errors
    ///
    /// Why it did not come to that within `patience`, in words.
    pub async fn visit(&self, patience: Duration) -> Result<(), String> {
        let visit = async {
            let guest = Negotiator::new(self.host.link().clone(), relayed()).connect().await;
            let guest = guest.map_err(|error| error.to_string())?;
            guest.send("a word".into()).await.map_err(|error| error.to_string())?;
            loop {
                let hosted = self.host.accept().await.ok_or("the host was closed")?;
                // One that came before, and gave up, says nothing.
                if let Ok(Ok(_)) = timeout(Duration::from_secs(3), hosted.recv()).await {
                    hosted.send("a word".into()).await.map_err(|error| error.to_string())?;
                    guest.recv().await.map_err(|error| error.to_string())?;
                    guest.close().await;
                    return Ok(());
                }
            }
        };
        timeout(patience, visit).await.map_err(|_| "not in time".to_owned())?
    }

    /// A word in each direction.
    pub async fn talk(&self, word: &'static str) {
        for (from, to) in [(&self.hosted, &self.viewer), (&self.viewer, &self.hosted)] {
            from.send(word.into()).await.expect("the session lives");
            let heard = timeout(super::PATIENCE, to.recv()).await;
            let heard = heard.unwrap_or_else(|_| panic!("silent: {} | {}", from.explain(), to.explain()));
            assert_eq!(heard.expect("the session lives"), Received::Message(word.into()));
        }
    }

    /// Both leave.
    pub async fn end(self) {
        self.viewer.close().await;
        self.host.close().await;
    }
}
