//! A million sessions in one Redis: what the store's own code asks for them, and what Redis makes of it.
//!
//! ```sh
//! cargo run --release --locked -p beach-pool --example million [SESSIONS]
//! ```
//!
//! Redis and the store are real; nodes and clients are only their questions. CPU and memory are what Redis says of itself
//! (`INFO`). Rates are those CPU times by how often a session asks, which `tests/costs.rs` counts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use beach_lifeguard_client::{
    Access, Role,
    membership::{Identity, LinkSecret},
    session::{DocumentLink, SessionDocument},
};
use futures::{StreamExt, stream};
use lifeguard_relay::{
    store::{
        Bucket, Counted, MOST_SESSIONS, RedisStore, Store, StoreError,
        pool::{Entry, Heard, NodeId, Places, Seat, Word},
        relays::{LEASE, OtherOwner, RENEWAL},
    },
    tokio_util::{sync::CancellationToken, task::TaskTracker},
};
use pool::service::redis::Redis;
use tokio::time::sleep;
use uuid::Uuid;

#[tokio::main]
async fn main() {
    let sessions = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("a number"));
    let redis = Redis::start();
    let store = Arc::new(RedisStore::open(&redis.url()).expect("a URL"));
    let bench = Bench { redis, ids: (0..sessions).map(|_| Uuid::new_v4()).collect(), store };
    println!(
        "| {sessions} sessions | took | a second | Redis' CPU for each | memory for each |\n|---|---|---|---|---|"
    );
    bench.leases("leases are taken").await;
    let renewal = bench.leases("all leases are renewed once").await;
    let life = bench.life().await;
    bench.hour().await;
    let documents = bench.documents().await;
    let (seats, rooms) = bench.seats().await;
    bench.plan(renewal, documents + 2.0 * seats, life + rooms);
}

struct Bench {
    redis: Redis,
    store: Arc<RedisStore>,
    ids: Vec<Uuid>,
}

impl Bench {
    /// Twenty nodes hold the leases of as many sessions each, as `relay/ownership.rs` does every 30 s. Returns microseconds
    /// of Redis' CPU for one.
    async fn leases(&self, what: &str) -> f64 {
        let share = self.ids.len().div_ceil(NODES);
        self.row(what, self.ids.len(), async {
            let holding = self.ids.chunks(share).enumerate().map(|(node, some)| async move {
                let node = NodeId(node as u64);
                let owners = self.store.hold_sessions(node, some, LEASE).await.expect("Redis answers");
                assert!(owners.iter().all(|owner| *owner == Some(node)), "nobody else has them");
            });
            // Nodes renew at different moments: no two at once are needed to keep Redis busy, four are.
            stream::iter(holding).buffer_unordered(4).collect::<Vec<_>>().await;
        })
        .await
    }

    /// What one session asks at its beginning, but for rooms. Returns microseconds.
    async fn life(&self) -> f64 {
        let candidates: Vec<_> = (0..NODES as u64).map(NodeId).collect();
        let some = &self.ids[..self.ids.len().min(SAMPLE)];
        let hour = Bucket("2026-11-29-14".to_owned());
        let mut sum = 0.0;
        // How often each of them is asked for in a session of two: `tests/costs.rs`.
        sum += 2.0
            * self
                .ask("its document is kept or renewed", some, |id| async move {
                    self.store.publish(&document(id), DAY).await.map(drop)
                })
                .await;
        sum += 5.0
            * self
                .ask("its document is read", some, |id| async move { self.store.session(id).await.map(drop) })
                .await;
        sum += 4.0
            * self
                .ask("a proof's nonce is spent", some, |id| async move {
                    self.store.spend_nonce(id.into_bytes(), MINUTE).await.map(drop)
                })
                .await;
        sum += 2.0
            * self
                .ask("a token is spent", some, |id| async move {
                    self.store.spend_jti(id, MINUTE).await.map(drop)
                })
                .await;
        let candidates = &candidates;
        sum += 2.0
            * self
                .ask("minting asks for the owner", some, |id| async move {
                    self.store.own_session(id, candidates, LEASE, OtherOwner::Stays).await.map(drop)
                })
                .await;
        sum += 2.0
            * self
                .ask("admission asks for the owner", some, |id| async move {
                    self.store.hold_sessions(NodeId(0), &[id], LEASE).await.map(drop)
                })
                .await;
        let hour = &hour;
        sum += 3.0
            * self
                .ask("the guardrail counts", some, |id| async move {
                    self.store.count("public", hour, Counted::Activation(id)).await.map(drop)
                })
                .await;
        sum
    }

    /// The guardrail's memory of an hour in which each session was given a token.
    async fn hour(&self) {
        let hour = Bucket("2026-11-29-15".to_owned());
        let hour = &hour;
        self.ask("all are counted in one hour", &self.ids, |id| async move {
            self.store.count("public", hour, Counted::Activation(id)).await.map(drop)
        })
        .await;
    }

    /// As many as the store keeps; the next one is refused. Returns microseconds for the renewal of one.
    async fn documents(&self) -> f64 {
        let fit = &self.ids[..self.ids.len().min(MOST_SESSIONS)];
        self.ask("documents are kept", fit, |id| async move {
            self.store.publish(&document(id), DAY).await.map(drop)
        })
        .await;
        if self.ids.len() > MOST_SESSIONS {
            let next = self.store.publish(&document(self.ids[MOST_SESSIONS]), DAY).await;
            assert_eq!(next, Err(StoreError::Full));
            println!("| the store says that it is full after {MOST_SESSIONS} documents | | | | |");
        }
        self.ask("documents are renewed", fit, |id| async move {
            self.store.publish(&document(id), DAY).await.map(drop)
        })
        .await
    }

    /// Host and viewer in a room each, and what control planes tell each other about them. Returns microseconds for the renewal
    /// of a seat, and for all of the rest of one session.
    async fn seats(&self) -> (f64, f64) {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (node, mut hear) = self.store.join_pool(&stop, &tasks).expect("Redis makes a pool");
        let heard = Arc::new(AtomicUsize::new(0));
        let counted = heard.clone();
        let listening = tokio::spawn(async move {
            while let Some(heard) = hear.recv().await {
                counted.fetch_add(usize::from(matches!(heard, Heard::Word(_))), Relaxed);
            }
        });
        let seat = |id, role| Seat { entry: Entry { node: node.node(), id }, number: 0, role, link: None };
        let some = &self.ids[..self.ids.len().min(SAMPLE)];
        let (node, places) = (&node, Places { viewers: 8, by_link: 8 });
        let peer = |session: Uuid, role| Uuid::from_u128(session.as_u128() ^ (1 + role as u128));
        let mut sum = 0.0;
        for (what, role) in [("a host takes its seat", Role::Host), ("a viewer takes its seat", Role::Viewer)]
        {
            let sat = self.ask(what, some, |id| async move {
                node.sit(id, peer(id, role), seat(1 + role as u64, role), places).await.map(drop)
            });
            // It is given up as well, which costs about as much.
            sum += 2.0 * sat.await;
        }
        let keeping = self.ask("a seat is renewed", some, |id| async move {
            node.keep(id, peer(id, Role::Host), seat(1, Role::Host)).await.map(drop)
        });
        let keeping = keeping.await;
        sum += 8.0
            * self
                .row("a control plane tells another", some.len(), async {
                    for session in some {
                        while !node.say(node.node(), Word::Changed { session: *session }) {
                            sleep(Duration::from_millis(1)).await;
                        }
                    }
                    while heard.load(Relaxed) < some.len() {
                        sleep(Duration::from_millis(1)).await;
                    }
                })
                .await;
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        listening.abort();
        (keeping, sum)
    }

    /// One question for each of these.
    async fn ask<F: Future<Output = Result<(), StoreError>>>(
        &self,
        what: &str,
        ids: &[Uuid],
        question: impl Fn(Uuid) -> F,
    ) -> f64 {
        self.row(what, ids.len(), async {
            let asking = ids.iter().map(|id| question(*id));
            let mut asking = stream::iter(asking).buffer_unordered(64);
            while let Some(asked) = asking.next().await {
                asked.expect("Redis answers");
            }
        })
        .await
    }

    /// Prints what it took, and returns microseconds of Redis' CPU for one.
    async fn row(&self, what: &str, many: usize, doing: impl Future<Output = ()>) -> f64 {
        let (cpu, memory, began) = (self.cpu(), self.memory(), Instant::now());
        doing.await;
        let (took, many) = (began.elapsed().as_secs_f64(), many as f64);
        let micros = (self.cpu() - cpu) * 1e6 / many;
        let bytes = (self.memory() - memory) / many;
        println!("| {what} | {took:.1} s | {:.0} | {micros:.1} µs | {bytes:.0} B |", many / took);
        micros
    }

    /// Rates and shares of one core, for sessions that all use the relay: the worst case, for the budget is 0.5 % of them.
    fn plan(&self, lease: f64, room: f64, life: f64) {
        let sessions = self.ids.len() as f64;
        println!(
            "\n| {sessions} sessions at one time, all on the relay | a second | Redis' CPU, of one core |\n|---|---|---|"
        );
        let renewals = sessions / RENEWAL.as_secs_f64();
        println!("| renewals of leases | {renewals:.0} | {:.0} % |", renewals * lease / 1e4);
        let rooms = sessions / 60.0;
        println!(
            "| renewals of rooms: a document and two seats each minute | {:.0} | {:.0} % |",
            3.0 * rooms,
            rooms * room / 1e4
        );
        for minutes in [10.0, 30.0, 120.0] {
            let begin = sessions / (60.0 * minutes);
            println!("| beginnings, {minutes} minutes of life | {begin:.0} | {:.0} % |", begin * life / 1e4);
        }
        println!("\nRedis has {:.0} MiB in use at the end.", self.memory() / f64::from(1 << 20));
    }

    /// Seconds.
    fn cpu(&self) -> f64 {
        self.info("used_cpu_user:") + self.info("used_cpu_sys:")
    }

    fn memory(&self) -> f64 {
        self.info("used_memory:")
    }

    fn info(&self, name: &str) -> f64 {
        let lines = self.redis.cli(&["INFO"]);
        let value = lines.iter().find_map(|line| line.strip_prefix(name)).expect("Redis says it");
        value.trim().parse().expect("a number")
    }
}

/// A document of one link, as `share` makes it; whose key it is makes no difference to the store.
fn document(session: Uuid) -> Arc<SessionDocument> {
    static KEY: std::sync::LazyLock<(Identity, LinkSecret)> =
        std::sync::LazyLock::new(|| (Identity::random().expect("dice"), LinkSecret::from_bytes([9; 16])));
    let mut document = SessionDocument::new(KEY.0.public(), 1_764_000_000_000);
    document.session_id = session;
    document.links.push(DocumentLink::new(&KEY.1, Access::Full));
    Arc::new(document)
}

/// A relay carries some ten thousands of sessions.
const NODES: usize = 20;
/// Questions of each kind, where not all are asked.
const SAMPLE: usize = 50_000;
const DAY: Duration = Duration::from_secs(24 * 3_600);
const MINUTE: Duration = Duration::from_secs(60);
