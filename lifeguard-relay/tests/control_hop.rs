//! Several relays with one public address: whoever comes to another node than the session's owner is passed on to it.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod control_support;
mod relay_support;

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use beach_lifeguard_client::{
    CloseCode, Lane, PeerAddr, SUBPROTOCOL, api::TokenResponse, control::Control, stream::STREAM_PATH,
};
use control_support::{
    plane::{Person, Plane},
    redis::Redis,
    until,
};
use lifeguard_relay::{
    control::{ControlConfig, TokenKeys},
    kill_switch::Verb,
    listen::{self, Caps, Connections},
    relay::{InternalConfig, PoolKey, Rate, RelayConfig},
    store::{
        RedisStore,
        relays::{BEAT, NODE_LIFE},
    },
};
use relay_support::{Client, Heard, hello};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use tokio_tungstenite::tungstenite::{Bytes, Message};

/// What all nodes of a test call themselves; clients are told by the test where to go.
const ADDRESS: &str = "ws://pool.test/v2/ws";

struct Node {
    plane: Plane,
    internal: SocketAddr,
}

struct Pool {
    nodes: Vec<Node>,
    /// Where each is reached by the others.
    ways: Vec<String>,
    keys: TokenKeys,
    redis: Redis,
}

fn key(n: u8) -> PoolKey {
    PoolKey::new(n.to_string().repeat(32)).unwrap()
}

fn token_keys() -> TokenKeys {
    TokenKeys::generate(ControlConfig::development().issuer).unwrap()
}

async fn node(redis: &Redis, keys: &TokenKeys, pool_key: PoolKey, change: impl Fn(&mut RelayConfig)) -> Node {
    node_at(&redis.url(), keys, pool_key, change).await
}

async fn node_at(url: &str, keys: &TokenKeys, pool_key: PoolKey, change: impl Fn(&mut RelayConfig)) -> Node {
    let store = Arc::new(RedisStore::open(url).unwrap());
    let listener = listen::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let internal = listener.local_addr().unwrap();
    let plane = Plane::node(ControlConfig::development(), store, keys.clone(), |_, relay| {
        relay.public_url = Some(ADDRESS.to_owned());
        relay.internal = Some(InternalConfig::new(internal.to_string(), pool_key));
        relay.drain.spread = Duration::from_millis(100);
        change(relay);
    })
    .await;
    let relay = plane.relay.clone();
    tokio::spawn(async move { relay.serve_internal(listener, Connections::new(Caps::default())).await });
    Node { plane, internal }
}

impl Pool {
    async fn start(keys: &[PoolKey], change: impl Fn(&mut RelayConfig)) -> Self {
        let redis = Redis::start();
        let token_keys = token_keys();
        let mut nodes = Vec::new();
        for key in keys {
            nodes.push(node(&redis, &token_keys, key.clone(), &change).await);
        }
        for node in &nodes {
            until("every relay is known", async || {
                node.plane.store.relays().await.is_ok_and(|known| known.len() == keys.len())
            })
            .await;
        }
        let ways = nodes.iter().map(|node| node.internal.to_string()).collect();
        Self { nodes, ways, keys: token_keys, redis }
    }

    async fn of(nodes: usize) -> Self {
        Self::start(&vec![key(1); nodes], |_| {}).await
    }

    /// A session whose host is inside, on its owner; which of the nodes that is, and one of the others.
    async fn session(&self) -> (Person, Client, &Node, &Node) {
        let host = self.nodes[0].plane.session().await;
        let token = host.token(&self.nodes[0].plane).await;
        let owner = self.owner(&host).await;
        let mut inside = knock(&self.nodes[owner], &host, token).await;
        inside.welcome().await;
        let other = &self.nodes[(owner + 1) % self.nodes.len()];
        (host, inside, &self.nodes[owner], other)
    }

    /// Which node owns a session.
    async fn owner(&self, person: &Person) -> usize {
        let lease = self.redis.cli(&["GET", &format!("lifeguard:owner:{{{}}}", person.session)]);
        let relays = self.nodes[0].plane.store.relays().await.unwrap();
        let owner = relays.iter().find(|relay| relay.id.to_string() == lease[0]).unwrap();
        let internal = owner.internal.as_deref().unwrap();
        self.ways.iter().position(|way| way == internal).unwrap()
    }
}

fn peers(node: &Node) -> usize {
    node.plane.relay.snapshot().active_connections
}

fn splices(node: &Node, outcome: &str) -> u64 {
    node.plane.metrics.read("beach_lifeguard_splices", &[outcome])
}

fn spliced(node: &Node, end: &str) -> u64 {
    node.plane.metrics.read("beach_lifeguard_spliced_sockets", &[end])
}

/// A socket to this node that has shown a token.
async fn knock(node: &Node, person: &Person, token: TokenResponse) -> Client {
    let mut client =
        Client::connect(node.plane.address, "/v2/ws", &[("sec-websocket-protocol", SUBPROTOCOL)])
            .await
            .unwrap();
    let hello = hello(person.session, person.peer, person.role, token.token);
    client.say(Message::text(hello.encode())).await;
    client
}

async fn enter(node: &Node, person: &Person) -> Client {
    let token = person.token(&node.plane).await;
    assert_eq!(token.relay_url.as_deref(), Some(ADDRESS));
    let mut client = knock(node, person, token).await;
    client.welcome().await;
    client
}

#[tokio::test]
async fn members_meet_whichever_nodes_they_come_to_and_every_byte_is_carried() {
    let pool = Pool::of(3).await;
    let host = pool.nodes[0].plane.session().await;
    let mut members = Vec::new();
    for (n, person) in [host.clone(), host.viewer(), host.viewer()].iter().enumerate() {
        members.push(enter(&pool.nodes[n], person).await);
    }
    let owners: HashSet<_> =
        pool.nodes.iter().filter(|node| peers(node) > 0).map(|node| node.internal).collect();
    assert_eq!(owners.len(), 1, "all peers are on one node");
    let owner = pool.nodes.iter().find(|node| peers(node) == 3).unwrap();
    assert_eq!((splices(owner, "taken"), spliced(owner, "owner")), (2, 2));
    assert_eq!(owner.plane.relay.snapshot().passed_here, 2);
    let entries: Vec<_> = pool.nodes.iter().filter(|node| peers(node) == 0).collect();
    assert!(entries.iter().all(|node| splices(node, "spliced") == 1 && spliced(node, "entry") == 1));
    assert!(entries.iter().all(|node| node.plane.relay.snapshot().passed_on == 1));

    // The host to its viewers and each of them to the host, small and as large as may be, in order.
    let host = members[0].address();
    for (from, to, others) in [(0, PeerAddr::EVERYONE, &[1, 2][..]), (1, host, &[0]), (2, host, &[0])] {
        for len in [0, 1, 125, 126, 60_000, 65_000] {
            members[from].send(to, Lane::Reliable, &vec![len as u8; len]).await;
        }
        let sender = members[from].address();
        for to in others.iter().copied() {
            for len in [0, 1, 125, 126, 60_000, 65_000] {
                let (who, payload) = members[to].data().await;
                assert_eq!((who, payload.len()), (sender, len));
                assert!(payload.iter().all(|byte| *byte == len as u8));
            }
        }
    }
    // Pings are answered by the owner, and a goodbye is given back.
    for member in &mut members {
        member.say(Message::Ping(Bytes::from_static(b"there?"))).await;
        member.say(Message::Close(None)).await;
        assert_eq!(member.closed().await.0, 1005);
    }
    for node in &pool.nodes {
        until("nothing is left", async || peers(node) + node.plane.relay.live_sockets() == 0).await;
        assert_eq!((spliced(node, "entry"), spliced(node, "owner"), splices(node, "lost")), (0, 0, 0));
    }
}

#[tokio::test]
async fn a_token_is_spent_once_whichever_nodes_it_is_shown_to() {
    let pool = Pool::of(2).await;
    let (host, _inside, owner, other) = pool.session().await;
    let viewer = host.viewer();
    let token = viewer.token(&other.plane).await;
    let mut inside = knock(other, &viewer, token.clone()).await;
    inside.welcome().await;
    for node in [owner, other] {
        assert_eq!(knock(node, &viewer, token.clone()).await.closed().await.0, 4500);
    }
}

#[tokio::test]
async fn the_owner_ends_whom_another_node_passed_on_as_its_own() {
    let pool = Pool::of(2).await;
    let (host, mut inside, owner, other) = pool.session().await;
    // Put out by the host.
    let viewer = host.viewer();
    let mut gone = enter(other, &viewer).await;
    let evict = Control::Evict { peer_id: viewer.peer };
    inside.say(Message::binary(evict.frame())).await;
    assert_eq!(gone.closed().await.0, CloseCode::REMOVED.get());
    // Superseded by the same peer, which came to the owner.
    let viewer = host.viewer();
    let mut older = enter(other, &viewer).await;
    let _newer = enter(owner, &viewer).await;
    assert_eq!(older.closed().await, (CloseCode::SUPERSEDED.get(), "superseded".to_owned()));
    // Stopped by the kill switch, which knows its cohort.
    let mut stopped = enter(other, &host.viewer()).await;
    other.plane.kill_switch.set(Some("public"), Some(Verb::Stop), "test", "").await.unwrap();
    assert_eq!(stopped.closed().await.0, CloseCode::PAUSED.get());
    until("nobody is passed on", async || spliced(other, "entry") + spliced(owner, "owner") == 0).await;
}

#[tokio::test]
async fn the_limit_of_an_address_counts_where_the_session_is() {
    let mut pool = Pool::start(&[key(1)], |relay| {
        relay.limits.address_connections = Rate { per_second: 1, burst: 3 };
    })
    .await;
    let (host, _inside, ..) = pool.session().await;
    let owner = &pool.nodes[0];
    let mut viewers = Vec::new();
    for viewer in (0..12).map(|_| host.viewer()) {
        let token = viewer.token(&owner.plane).await;
        viewers.push((viewer, token));
    }
    // Another node, which would let everybody in.
    let entry = node(&pool.redis, &pool.keys, key(1), |_| {}).await;
    let coming = viewers.into_iter().map(|(viewer, token)| {
        let entry = &entry;
        async move {
            let mut client = knock(entry, &viewer, token).await;
            match client.hear().await {
                Heard::Text(_) => Ok(client),
                other => Err(other),
            }
        }
    });
    let (inside, refused): (Vec<_>, Vec<_>) =
        futures::future::join_all(coming).await.into_iter().partition(Result::is_ok);
    assert!(!refused.is_empty(), "twelve connections at once from one address");
    let limited = Heard::Closed(4029, "rate_limited".to_owned());
    assert!(refused.into_iter().all(|refused| refused.is_err_and(|heard| heard == limited)));
    assert_eq!(peers(&pool.nodes[0]), 1 + inside.len());
    pool.nodes.push(entry);
}

#[tokio::test]
async fn a_slow_viewer_behind_another_node_is_cut_and_nothing_of_it_stays() {
    let pool =
        Pool::start(&[key(1), key(1)], |relay| relay.patience.write_deadline = Duration::from_secs(1)).await;
    let (host, mut inside, owner, other) = pool.session().await;
    let viewer = host.viewer();
    let token = viewer.token(&other.plane).await;
    let mut slow = Client::connect_narrow(other.plane.address).await;
    slow.say(Message::text(hello(viewer.session, viewer.peer, viewer.role, token.token).encode())).await;
    slow.welcome().await;
    // More than the kernels on the way and the budget of a peer hold.
    let payload = vec![0; 60_000];
    let sending = async {
        while peers(owner) == 2 {
            inside.send(PeerAddr::EVERYONE, Lane::Reliable, &payload).await;
        }
    };
    timeout(Duration::from_secs(30), sending).await.expect("a slow viewer is cut");
    until("nothing of it stays", async || {
        spliced(other, "entry") + spliced(owner, "owner") == 0 && other.plane.relay.live_sockets() == 0
    })
    .await;
}

#[tokio::test]
async fn a_client_whose_owner_is_lost_is_told_to_come_back() {
    let (redis, token_keys) = (Redis::start(), token_keys());
    let mut ways = Vec::new();
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let way = Way::open().await;
        let address = way.address.to_string();
        let node = node(&redis, &token_keys, key(1), |relay| {
            relay.internal = Some(InternalConfig::new(address.clone(), key(1)));
        })
        .await;
        *way.to.lock().unwrap() = Some(node.internal);
        nodes.push(node);
        ways.push(way);
    }
    let named = ways.iter().map(|way: &Way| way.address.to_string()).collect();
    let pool = Pool { nodes, ways: named, keys: token_keys, redis };
    until("both are known", async || {
        pool.nodes[0].plane.store.relays().await.is_ok_and(|all| all.len() == 2)
    })
    .await;
    let (host, _inside, owner, other) = pool.session().await;
    let viewer = host.viewer();
    let mut lost = enter(other, &viewer).await;
    assert_eq!(peers(owner), 2);
    // As when the owner is killed: connections end, and nobody says goodbye.
    let at = pool.nodes.iter().position(|node| node.internal == owner.internal).unwrap();
    drop(ways.remove(at));
    assert_eq!(lost.closed().await, (4012, "owner_lost".to_owned()));
    until("the owner let it go too", async || peers(owner) == 1 && spliced(other, "entry") == 0).await;
    assert_eq!(splices(other, "lost"), 1);
    let token = viewer.token(&other.plane).await;
    assert_eq!(knock(other, &viewer, token).await.closed().await, (4012, "owner_unreachable".to_owned()));
    assert_eq!(splices(other, "unreachable"), 1);
}

#[tokio::test]
async fn while_the_store_is_away_members_meet_where_others_were_passed_on_to() {
    let pool = Pool::of(2).await;
    let (host, _inside, owner, other) = pool.session().await;
    let _first = enter(other, &host.viewer()).await;
    let viewer = host.viewer();
    let token = viewer.token(&other.plane).await;
    pool.redis.signal("-STOP");
    let mut second = knock(other, &viewer, token).await;
    assert_eq!(second.welcome().await.peers.len(), 1, "it meets the host");
    assert_eq!(peers(owner), 3);
    pool.redis.signal("-CONT");
}

#[tokio::test]
async fn the_first_node_of_a_pool_knows_the_second_when_it_alone_loses_the_store() {
    let (redis, keys) = (Redis::start(), token_keys());
    redis.cli(&["ACL", "SETUSER", "first", "on", ">secret", "~*", "&*", "+@all"]);
    let own_entry = redis.url().replace("redis://", "redis://first:secret@");
    let first = node_at(&own_entry, &keys, key(1), |_| {}).await;
    let known = async |nodes| first.plane.store.relays().await.is_ok_and(|known| known.len() == nodes);
    until("it is there", async || known(1).await).await;
    // It has looked around, and was alone.
    sleep(BEAT / 2).await;
    let _second = node(&redis, &keys, key(1), |_| {}).await;
    until("both are there", async || known(2).await).await;
    // One beat of the first, and another one of a busy machine.
    sleep(2 * BEAT).await;
    redis.cli(&["ACL", "SETUSER", "first", "off"]);
    redis.cli(&["CLIENT", "KILL", "USER", "first"]);
    sleep(NODE_LIFE).await;
    until("it asked and lets go", async || first.plane.relay.readiness() == Err("cut_off")).await;
}

#[tokio::test]
async fn nodes_with_other_keys_do_not_trust_each_other() {
    let pool = Pool::start(&[key(1), key(2)], |_| {}).await;
    let (host, _inside, owner, other) = pool.session().await;
    let viewer = host.viewer();
    let token = viewer.token(&other.plane).await;
    assert_eq!(knock(other, &viewer, token).await.closed().await, (4012, "owner_unreachable".to_owned()));
    assert_eq!(other.plane.metrics.read("beach_lifeguard_handshakes_failure", &["owner_unreachable"]), 1);
    assert_eq!((splices(other, "untrusted"), peers(owner)), (1, 1));
    until("the owner counts it", async || splices(owner, "refused") == 1).await;
}

#[tokio::test]
async fn a_clients_token_opens_nothing_on_the_internal_listener() {
    let pool = Pool::of(2).await;
    let (host, _inside, owner, other) = pool.session().await;
    let viewer = host.viewer();
    let token = viewer.token(&owner.plane).await;
    let hello = hello(viewer.session, viewer.peer, viewer.role, token.token.clone()).encode();
    let bearer = format!("authorization: Bearer {}\r\n", token.token.expose());
    for said in [
        format!(
            "GET /v2/ws HTTP/1.1\r\nhost: pool\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-protocol: {SUBPROTOCOL}\r\n{bearer}\r\n"
        ),
        format!(
            "POST {STREAM_PATH} HTTP/1.1\r\nhost: pool\r\ncontent-length: {}\r\n\r\n{hello}",
            hello.len()
        ),
        hello.clone(),
        format!("LG-HOP/1{}{hello}", "0".repeat(40)),
    ] {
        let mut stream = TcpStream::connect(owner.internal).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ =
            timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.expect("it is closed");
        assert!(answer.is_empty(), "{:?}", String::from_utf8_lossy(&answer));
    }
    until("all are counted", async || splices(owner, "refused") == 4).await;
    // Nothing of it was spent.
    knock(other, &viewer, token).await.welcome().await;
}

#[tokio::test]
async fn a_node_that_drains_tells_those_it_passes_on_and_the_owner_keeps_the_session() {
    let pool = Pool::of(3).await;
    let (host, mut inside, owner, other) = pool.session().await;
    let viewer = host.viewer();
    let mut moved = enter(other, &viewer).await;
    let drained = other.plane.relay.clone();
    let draining = tokio::spawn(async move { drained.drain(CloseCode::RESTART).await });
    loop {
        match moved.notice().await {
            Control::Drain { .. } => break,
            Control::PeerJoined(_) => {}
            other => panic!("instead of a drain: {other:?}"),
        }
    }
    // It comes back by a node that stays; one that did not go is closed.
    let third =
        pool.nodes.iter().find(|node| ![owner.internal, other.internal].contains(&node.internal)).unwrap();
    let mut back = enter(third, &viewer).await;
    assert_eq!(moved.closed().await.0, CloseCode::SUPERSEDED.get());
    draining.await.unwrap();
    inside.send(PeerAddr::EVERYONE, Lane::Reliable, b"still here").await;
    assert_eq!(back.data().await.1[..], *b"still here");
}

#[tokio::test]
async fn who_stays_on_a_node_that_drains_is_closed() {
    let pool = Pool::of(2).await;
    let (host, _inside, _, other) = pool.session().await;
    let mut stays = enter(other, &host.viewer()).await;
    let drained = other.plane.relay.clone();
    let draining = tokio::spawn(async move { drained.drain(CloseCode::RESTART).await });
    assert_eq!(stays.closed().await, (4012, "draining".to_owned()));
    draining.await.unwrap();
}

#[tokio::test]
async fn a_client_without_a_websocket_is_passed_on_too() {
    let pool = Pool::of(2).await;
    let (host, _inside, owner, other) = pool.session().await;
    let viewer = host.viewer();
    let token = viewer.token(&other.plane).await;
    let hello = hello(viewer.session, viewer.peer, viewer.role, token.token).encode();
    let mut stream = TcpStream::connect(other.plane.address).await.unwrap();
    let length = u16::try_from(hello.len()).unwrap();
    // A masked text frame; its mask is zero.
    let frame = [&[0x81, 0xFE][..], &length.to_be_bytes(), &[0; 4], hello.as_bytes()].concat();
    let head =
        format!("POST {STREAM_PATH} HTTP/1.1\r\nhost: pool\r\ncontent-length: {}\r\n\r\n", frame.len());
    stream.write_all(&[head.as_bytes(), &frame].concat()).await.unwrap();
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("server_nonce") {
        let read = timeout(Duration::from_secs(10), stream.read_buf(&mut answer)).await.expect("an answer");
        assert!(read.unwrap() > 0, "{:?}", String::from_utf8_lossy(&answer));
    }
    assert_eq!((peers(owner), spliced(other, "entry")), (2, 1));
    assert_eq!(owner.plane.metrics.read("beach_lifeguard_carriers_active", &["http"]), 1);
    drop(stream);
    until("it left", async || peers(owner) == 1 && spliced(other, "entry") == 0).await;
}

/// The way to a node, which can be taken away.
struct Way {
    address: SocketAddr,
    to: Arc<Mutex<Option<SocketAddr>>>,
    carrying: JoinHandle<()>,
}

impl Way {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let to = Arc::new(Mutex::new(None::<SocketAddr>));
        let target = to.clone();
        let carrying = tokio::spawn(async move {
            let mut carried = JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let target = target.lock().unwrap().unwrap();
                carried.spawn(async move {
                    let mut far = TcpStream::connect(target).await.unwrap();
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self { address, to, carrying }
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}
