//! Sessions over a pool of three nodes behind one address: through any two of them, while each is drained and replaced, and
//! when one is killed.

mod node;
#[path = "../../../lifeguard-relay/tests/control_support/redis.rs"]
#[allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "another test's support")]
mod redis;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use conformance::history::{Author, Judge, Stream, Verdict};
use lifeguard_relay::control::{ControlConfig, TokenKeys};
use negotiator::{FallbackMode, Host, HostConfig, Negotiator, NetworkConfig, Received, Session};
use node::{Node, RoundRobin};
use redis::Redis;
use tokio::time::{sleep, timeout};

struct Pool {
    redis: Redis,
    keys: TokenKeys,
    nodes: Vec<Node>,
    address: RoundRobin,
}

impl Pool {
    async fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let redis = Redis::start();
        let keys = TokenKeys::generate(ControlConfig::development().issuer).expect("keys");
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(Node::start(&redis, &keys).await);
        }
        let address = RoundRobin::before(&nodes).await;
        // Until each has heard of the others.
        sleep(Duration::from_secs(3)).await;
        Self { redis, keys, nodes, address }
    }

    async fn session(&self, mode: FallbackMode) -> (Host, Session, Session) {
        let network = || {
            let mut network = NetworkConfig::default();
            network.mode = mode;
            network.webrtc.loopback = true;
            network
        };
        let mut config = HostConfig::new(&self.address.url);
        config.network = network();
        let host = Host::share(config).await.expect("a host");
        let viewer = Negotiator::new(host.link().clone(), network());
        let both = async { tokio::join!(viewer.connect(), host.accept()) };
        let (viewer, hosted) = timeout(PATIENCE, both).await.expect("they meet");
        (host, viewer.expect("a session"), hosted.expect("a session"))
    }

    /// Starts another node in the place of this one, which it returns.
    async fn replace(&mut self, at: usize) -> Node {
        let fresh = Node::start(&self.redis, &self.keys).await;
        self.address.replace(self.nodes[at].address, fresh.address);
        std::mem::replace(&mut self.nodes[at], fresh)
    }
}

/// Writes 20 messages a second until `done`, and judges what arrives; also tells the longest silence.
async fn talk(from: Session, to: Session, session: u64, done: Arc<AtomicBool>) -> (Verdict, Duration) {
    let stream = Stream { key: 7, session, stream: 0 };
    let writing = async {
        let mut author = Author::new(stream);
        while !done.load(Ordering::Relaxed) {
            from.send(author.write(200)).await.expect("the session lives");
            sleep(Duration::from_millis(50)).await;
        }
        from.send(END.into()).await.expect("the session lives");
        author.written()
    };
    let reading = async {
        let (mut judge, mut last, mut silence) = (Judge::new(stream), Instant::now(), Duration::ZERO);
        loop {
            let received = timeout(PATIENCE, to.recv()).await;
            let received =
                received.unwrap_or_else(|_| panic!("silent: {} | {}", from.explain(), to.explain()));
            let received = received.expect("the session lives");
            silence = silence.max(last.elapsed());
            last = Instant::now();
            match received {
                Received::Message(bytes) if bytes[..] == *END => return (judge, silence),
                Received::Message(bytes) => judge.delivered(&bytes),
                other => panic!("nobody sent {other:?}"),
            }
        }
    };
    let (written, (judge, silence)) = tokio::join!(writing, reading);
    (judge.verdict(written), silence)
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_meet_whichever_nodes_their_members_come_to() {
    let pool = Pool::start().await;
    for mode in [FallbackMode::DirectOnly, FallbackMode::RelayOnly] {
        for n in 0..6 {
            let (host, viewer, hosted) = pool.session(mode).await;
            hosted.send("hello".into()).await.expect("the session lives");
            let heard = timeout(PATIENCE, viewer.recv()).await.expect("in time").expect("the session lives");
            assert_eq!(heard, Received::Message("hello".into()), "{n}");
            viewer.close().await;
            host.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_is_replaced_and_one_is_killed_and_nothing_is_lost() {
    let mut pool = Pool::start().await;
    let mut kept = Vec::new();
    let (mut talks, done) = (Vec::new(), Arc::new(AtomicBool::new(false)));
    for session in 0..6 {
        let (host, viewer, hosted) = pool.session(FallbackMode::RelayOnly).await;
        talks.push(tokio::spawn(talk(hosted.clone(), viewer.clone(), session, done.clone())));
        kept.push((host, viewer, hosted));
    }
    for at in 0..3 {
        pool.replace(at).await.drain().await;
        sleep(Duration::from_secs(3)).await;
    }
    // Whatever it owned is somewhere else within seconds.
    drop(pool.replace(1).await);
    sleep(Duration::from_secs(12)).await;
    done.store(true, Ordering::Relaxed);
    let mut silences = Vec::new();
    for talk in talks {
        let (verdict, silence) = talk.await.expect("no panic");
        assert!(verdict.is_whole(), "{verdict:?}");
        silences.push(silence);
    }
    silences.sort();
    println!("longest silence of each session: {silences:?}");
    assert!(silences.last().is_some_and(|worst| *worst < Duration::from_secs(12)), "{silences:?}");
    for (host, viewer, _) in kept {
        viewer.close().await;
        host.close().await;
    }
}

const END: &[u8] = b"the end";
const PATIENCE: Duration = Duration::from_secs(45);
