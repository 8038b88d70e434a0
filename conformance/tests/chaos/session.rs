//! One session with a stream of judged messages each way.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use conformance::history::{Author, Judge, Stream, Verdict};
use negotiator::{
    EventStream, FallbackMode, Host, HostConfig, Negotiator, NetworkConfig, Received, Session, TransitionKind,
};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Both ends in this process, the relay between them in another.
pub(crate) struct Pair {
    host: Host,
    viewer: Session,
    streams: [Flow; 2],
    stop: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
    counting: JoinHandle<()>,
}

/// How far both directions were written.
pub(crate) struct Mark([u64; 2]);

struct Flow {
    written: Arc<AtomicU64>,
    delivered: Arc<AtomicU64>,
    task: JoinHandle<Verdict>,
}

impl Pair {
    /// Connects both ends through `relay`, and begins to talk.
    pub(crate) async fn start(relay: SocketAddr, key: u64, number: u64) -> Self {
        let mut network = NetworkConfig::default();
        network.mode = FallbackMode::RelayOnly;
        network.relay_url = Some(format!("ws://{relay}/v2/ws").parse().expect("a URL"));
        let mut config = HostConfig::new(format!("http://{relay}"));
        config.network = network.clone();
        let host = Host::share(config).await.expect("shared");
        let viewer = Negotiator::new(host.link().clone(), network).connect().await.expect("joined");
        let hosted = timeout(Duration::from_secs(20), host.accept()).await.expect("in time").expect("open");
        let (stop, lost) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let counting = tokio::spawn(count(viewer.events(), lost.clone()));
        let stream = |stream| Stream { key, session: number, stream };
        let streams = [
            Flow::start(viewer.clone(), hosted.clone(), stream(0), stop.clone()),
            Flow::start(hosted, viewer.clone(), stream(1), stop.clone()),
        ];
        Self { host, viewer, streams, stop, lost, counting }
    }

    /// Marks what was written up to now.
    pub(crate) fn mark(&self) -> Mark {
        Mark([0, 1].map(|way| self.streams[way].written.load(Ordering::Acquire)))
    }

    /// Says whether something that was written after `mark` arrived, in both directions.
    pub(crate) fn is_past(&self, mark: &Mark) -> bool {
        self.streams.iter().zip(mark.0).all(|(flow, mark)| flow.delivered.load(Ordering::Acquire) > mark)
    }

    /// How often this session had no path.
    pub(crate) fn disconnects(&self) -> u64 {
        self.lost.load(Ordering::Acquire)
    }

    pub(crate) fn explain(&self) -> String {
        self.viewer.explain().to_string()
    }

    /// Stops talking, waits for the rest, and judges.
    pub(crate) async fn end(self) -> Verdict {
        self.stop.store(true, Ordering::Release);
        let mut verdict = Verdict::default();
        for flow in self.streams {
            verdict = verdict.and(flow.task.await.expect("a verdict"));
        }
        self.viewer.close().await;
        self.host.close().await;
        self.counting.abort();
        verdict
    }
}

impl Flow {
    fn start(from: Session, to: Session, stream: Stream, stop: Arc<AtomicBool>) -> Self {
        let (written, delivered) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let task = tokio::spawn(talk(from, to, stream, stop, written.clone(), delivered.clone()));
        Self { written, delivered, task }
    }
}

async fn talk(
    from: Session,
    to: Session,
    stream: Stream,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    delivered: Arc<AtomicU64>,
) -> Verdict {
    let writing = async {
        let mut author = Author::new(stream);
        while !stop.load(Ordering::Acquire) {
            // Sizes of keystrokes, lines and screens.
            let size = 30 + (author.written() * 977 % 6_000) as usize;
            from.send(author.write(size)).await.expect("the session lives");
            written.store(author.written(), Ordering::Release);
            sleep(PAUSE).await;
        }
        // The last word; nothing comes behind it.
        from.send(END.into()).await.expect("the session lives");
        author.written()
    };
    let reading = async {
        let mut judge = Judge::new(stream);
        loop {
            match to.recv().await.expect("the session lives") {
                Received::Message(bytes) if bytes[..] == *END => return judge,
                Received::Message(bytes) => judge.delivered(&bytes),
                other => panic!("nobody sent {other:?}"),
            }
            delivered.store(judge.next(), Ordering::Release);
        }
    };
    let (written, judge) = tokio::join!(writing, reading);
    judge.verdict(written)
}

async fn count(mut events: EventStream, lost: Arc<AtomicU64>) {
    while let Some(event) = events.next().await {
        if event.name == TransitionKind::Lost {
            lost.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// Between two messages: fifty a second.
const PAUSE: Duration = Duration::from_millis(20);

const END: &[u8] = b"end";
