//! Links over HTTP, and when they are: what stands in the way of a WebSocket, and what is remembered of it.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod support;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use beach_lifeguard_client::Role;
use bytes::Bytes;
use lifeguard_relay::relay::RelayConfig;
use support::{Endpoint, Rig, end, hear, link, quick_goodbyes, say, soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, sleep},
};
use transport_core::{
    CloseCode, ConnectErrorKind as Kind, Connector, Initiator, Lane, SessionId, Transport, TransportExt,
};
use transport_ws_fallback::{
    CarrierChoice, Grant, NeitherCarrier, StreamFailed, TokenFailure, TokenFor, TokenProvider,
    WsFallbackConnector,
};

/// What stands between an endpoint and its relay: what it does to an upgrade, and to everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    /// Answers itself.
    Answer(&'static str),
    /// Says that nobody is there until somebody [is](Middlebox::find).
    Away,
    /// Lets the first one through, loses the answer and says that nobody is there. Others pass.
    Break,
    /// Lets it through, and cuts it after so many milliseconds.
    Cut(u64),
    /// Answers in place of the relay, which hears no word of it.
    Hold,
    Pass,
    /// Passes it on as HTTP without an upgrade.
    Strip,
    /// Lets the upgrade through and nothing behind it.
    Swallow,
}

struct Middlebox {
    address: SocketAddr,
    upgrades: Arc<AtomicUsize>,
    /// What was to happen once has happened.
    once: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Middlebox {
    async fn before(relay: SocketAddr, upgrade: Does, http: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, upgrades) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let once = Arc::new(AtomicBool::new(false));
        let (counted, broken) = (upgrades.clone(), once.clone());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (counted, broken) = (counted.clone(), broken.clone());
                tokio::spawn(async move {
                    let _ = between(client, relay, upgrade, http, (&counted, &broken)).await;
                });
            }
        });
        Self { address, upgrades, once, task }
    }

    fn find(&self) {
        self.once.store(true, Relaxed);
    }

    fn upgrades(&self) -> usize {
        self.upgrades.load(Relaxed)
    }
}

impl Drop for Middlebox {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn between(
    mut client: TcpStream,
    relay: SocketAddr,
    upgrade: Does,
    http: Does,
    (counted, broken): (&AtomicUsize, &AtomicBool),
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if client.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let is_upgrade = text.starts_with("GET /v2/ws");
    counted.fetch_add(usize::from(is_upgrade), Relaxed);
    let mut relay = TcpStream::connect(relay).await?;
    match if is_upgrade { upgrade } else { http } {
        Does::Answer(answer) => {
            client.write_all(answer.as_bytes()).await?;
            client.shutdown().await
        }
        Does::Break if !broken.swap(true, Relaxed) => {
            relay.write_all(&head).await?;
            let (mut from_client, mut to_client) = client.split();
            let (mut from_relay, mut to_relay) = relay.split();
            tokio::select! {
                _ = tokio::io::copy(&mut from_client, &mut to_relay) => {}
                _ = from_relay.read_u8() => {}
            }
            to_client.write_all(BAD_GATEWAY.as_bytes()).await?;
            to_client.shutdown().await
        }
        Does::Cut(millis) => {
            relay.write_all(&head).await?;
            let through = copy_bidirectional(&mut client, &mut relay);
            let _ = tokio::time::timeout(Duration::from_millis(millis), through).await;
            Ok(())
        }
        Does::Hold => {
            relay.write_all(&head).await?;
            // As a proxy that buffers: everything once the answer has ended.
            let mut whole = Vec::new();
            let (mut from_client, _) = client.split();
            let (mut from_relay, mut to_relay) = relay.split();
            tokio::select! {
                _ = tokio::io::copy(&mut from_client, &mut to_relay) => Ok(()),
                _ = from_relay.read_to_end(&mut whole) => client.write_all(&whole).await,
            }
        }
        Does::Away if !broken.load(Relaxed) => {
            client.write_all(BAD_GATEWAY.as_bytes()).await?;
            client.shutdown().await
        }
        Does::Pass | Does::Break | Does::Away => {
            relay.write_all(&head).await?;
            copy_bidirectional(&mut client, &mut relay).await.map(|_| ())
        }
        Does::Strip => {
            let kept = text.lines().filter(|line| {
                let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
                name != "upgrade" && name != "connection"
            });
            let stripped: String = kept.flat_map(|line| [line, "\r\n"]).collect();
            relay.write_all(stripped.as_bytes()).await?;
            copy_bidirectional(&mut client, &mut relay).await.map(|_| ())
        }
        Does::Swallow => {
            relay.write_all(&head).await?;
            let mut answer = Vec::new();
            while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
                relay.read_buf(&mut answer).await?;
            }
            client.write_all(&answer).await?;
            sleep(Duration::from_secs(60)).await;
            Ok(())
        }
    }
}

/// A host that dials freely and a viewer behind `middlebox`, whose patience is short.
fn behind(rig: &Rig, middlebox: &Middlebox) -> (Endpoint, Endpoint) {
    let session = SessionId::random();
    let viewer = rig.endpoint_via(session, Role::Viewer, middlebox.address);
    let viewer = with(viewer, |config| {
        config.deadlines.upgrade = Duration::from_millis(500);
        config.deadlines.hello = Duration::from_millis(500);
    });
    (rig.endpoint(session, Role::Host), viewer)
}

fn with(mut endpoint: Endpoint, change: impl FnOnce(&mut transport_ws_fallback::WsConfig)) -> Endpoint {
    change(&mut endpoint.config);
    endpoint.connector = WsFallbackConnector::new(endpoint.config.clone(), endpoint.tokens.clone()).unwrap();
    endpoint
}

fn over_http(endpoint: Endpoint) -> Endpoint {
    with(endpoint, |config| config.carriers = CarrierChoice::HttpOnly)
}

const PATH: &str = "HTTP streaming through the relay at 127.0.0.1";
const PAGE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi";
const BAD_GATEWAY: &str = "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n";
const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nno";
const REDIRECT: &str = "HTTP/1.1 302 Found\r\nlocation: http://login.test/\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn both_lanes_carry_both_ways_over_http() {
    let rig = Rig::start().await;
    let (host, viewer) = rig.pair();
    let (host, viewer) = (over_http(host), over_http(viewer));
    let (near, far) = soon(link(&host, &viewer, 1)).await;
    assert_eq!(near.profile().path, PATH);
    assert_eq!(near.profile().transport.as_str(), "ws-fallback");
    for (a, b) in [(&near, &far), (&far, &near)] {
        say(a, Lane::Reliable, "keys").await;
        assert_eq!(hear(b).await, (Lane::Reliable, "keys".into()));
        say(a, Lane::Datagram, "screen").await;
        assert_eq!(hear(b).await, (Lane::Datagram, "screen".into()));
    }
    near.close(CloseCode::NORMAL, "done");
    assert_eq!(end(&far).await, transport_core::Closed::peer(CloseCode::NORMAL, "done"));
    for endpoint in [&host, &viewer] {
        soon(endpoint.connector.dormant()).await;
    }
    let gone = async {
        while rig.relay.live_sockets() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    soon(gone).await;
}

#[tokio::test]
async fn much_arrives_whole_and_in_order_over_http() {
    let rig = Rig::start().await;
    let (host, viewer) = rig.pair();
    let (near, far) = soon(link(&over_http(host), &over_http(viewer), 1)).await;
    let sending = tokio::spawn(async move {
        for n in 0..2_000u32 {
            let payload = [&n.to_be_bytes()[..], &vec![7; (n as usize * 37) % 9_000]].concat();
            near.send(Lane::Reliable, payload.into()).await.unwrap();
        }
        near
    });
    for n in 0..2_000u32 {
        let payload: Bytes = soon(far.recv()).await.unwrap().payload;
        assert_eq!((&payload[..4], payload.len()), (&n.to_be_bytes()[..], 4 + (n as usize * 37) % 9_000));
    }
    soon(sending).await.unwrap();
}

#[tokio::test]
async fn a_pause_longer_than_a_connection_is_kept_costs_nothing() {
    let rig = Rig::start().await;
    let (host, viewer) = rig.pair();
    let (near, far) = soon(link(&over_http(host), &over_http(viewer), 1)).await;
    say(&near, Lane::Reliable, "before").await;
    assert_eq!(hear(&far).await.1, "before");
    sleep(Duration::from_secs(4)).await;
    say(&near, Lane::Reliable, "after").await;
    assert_eq!(hear(&far).await.1, "after");
}

#[tokio::test]
async fn http_takes_over_from_an_upgrade_that_is_refused_swallowed_or_answered_by_somebody_else() {
    let rig = Rig::start().await;
    for upgrade in [
        Does::Answer(PAGE),
        Does::Answer(REDIRECT),
        Does::Answer(FORBIDDEN),
        Does::Answer("what?"),
        Does::Cut(0),
        Does::Strip,
        Does::Hold,
        Does::Swallow,
    ] {
        let middlebox = Middlebox::before(rig.address, upgrade, Does::Pass).await;
        let (host, viewer) = behind(&rig, &middlebox);
        let since = Instant::now();
        let (near, far) = soon(link(&host, &viewer, 1)).await;
        assert!(since.elapsed() < Duration::from_secs(2), "{upgrade:?}: {:?}", since.elapsed());
        assert_eq!((far.profile().path.as_ref(), middlebox.upgrades()), (PATH, 1), "{upgrade:?}");
        say(&far, Lane::Reliable, "through").await;
        assert_eq!(hear(&near).await.1, "through", "{upgrade:?}");
        // It is remembered.
        drop((near, far));
        soon(viewer.connector.dormant()).await;
        let _again = soon(link(&host, &viewer, 2)).await;
        assert_eq!(middlebox.upgrades(), 1, "{upgrade:?}");
    }
}

#[tokio::test]
async fn a_gateway_whose_relays_are_gone_costs_one_token_however_often_it_is_dialled() {
    let rig = Rig::start().await;
    let gateway = Middlebox::before(rig.address, Does::Answer(BAD_GATEWAY), Does::Answer(BAD_GATEWAY)).await;
    let (host, viewer) = behind(&rig, &gateway);
    for generation in 1..=20 {
        let error = soon(viewer.dial(&host, generation)).await.unwrap_err();
        assert_eq!(error.kind, Kind::Unready, "{error}");
    }
    assert_eq!(rig.minted(), 1);
}

/// Tokens that are too old for a hello a moment after they came.
#[derive(Debug)]
struct Fleeting(Arc<dyn TokenProvider>);

#[async_trait]
impl TokenProvider for Fleeting {
    async fn token(&self, whom: TokenFor) -> Result<Grant, TokenFailure> {
        let expires_at = SystemTime::now() + Duration::from_millis(10_050);
        Ok(Grant { expires_at, ..self.0.token(whom).await? })
    }

    fn rescue(&self, _: TokenFor) -> Option<Grant> {
        None
    }
}

#[tokio::test]
async fn while_no_relay_is_there_old_tokens_lead_the_way_and_a_fresh_one_is_said() {
    let rig = Rig::start().await;
    let gateway = Middlebox::before(rig.address, Does::Away, Does::Away).await;
    let (host, mut viewer) = behind(&rig, &gateway);
    viewer.tokens = Arc::new(Fleeting(viewer.tokens));
    let viewer = with(viewer, |_| {});
    for generation in 1..=10 {
        let error = soon(viewer.dial(&host, generation)).await.unwrap_err();
        assert_eq!(error.kind, Kind::Unready, "{error}");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(rig.minted(), 1);
    gateway.find();
    let (near, far) = soon(link(&viewer, &host, 11)).await;
    say(&near, Lane::Reliable, "in").await;
    assert_eq!(hear(&far).await.1, "in");
    assert_eq!(rig.minted(), 3, "one for the host, and one more for the viewer");
}

#[tokio::test]
async fn a_token_that_a_gateway_had_passed_on_before_it_broke_is_replaced_at_once() {
    let rig = Rig::start().await;
    let gateway = Middlebox::before(rig.address, Does::Pass, Does::Break).await;
    let (host, viewer) = behind(&rig, &gateway);
    let viewer = over_http(viewer);
    let error = soon(viewer.dial(&host, 1)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unready, "{error}");
    // The relay has seen it: it was the gateway that did not hear the answer.
    let (near, far) = soon(link(&viewer, &host, 2)).await;
    say(&near, Lane::Reliable, "in").await;
    assert_eq!(hear(&far).await.1, "in");
    assert_eq!(rig.minted(), 3, "one for the host, and one more for the viewer");
}

#[tokio::test]
async fn after_three_early_cuts_http_takes_over() {
    let rig = Rig::start().await;
    let middlebox = Middlebox::before(rig.address, Does::Cut(1_000), Does::Pass).await;
    let (host, viewer) = behind(&rig, &middlebox);
    for generation in 1..=3 {
        let (_near, far) = soon(link(&host, &viewer, generation)).await;
        assert_eq!(far.profile().path, "websocket through the relay at 127.0.0.1");
        assert_eq!(end(&far).await.initiator, Initiator::Network);
    }
    let (near, far) = soon(link(&host, &viewer, 4)).await;
    assert_eq!(far.profile().path, PATH);
    sleep(Duration::from_millis(1_500)).await;
    say(&near, Lane::Reliable, "stays").await;
    assert_eq!((hear(&far).await.1.as_str(), middlebox.upgrades()), ("stays", 3));
}

#[tokio::test]
async fn what_each_carrier_saw_is_said_when_neither_gets_through() {
    let rig = Rig::start().await;
    for (http, seen, kind) in [
        (Does::Answer(FORBIDDEN), "the stream was answered with HTTP 403", Kind::Unreachable),
        (Does::Hold, "no answer to the stream", Kind::TimedOut),
    ] {
        let middlebox = Middlebox::before(rig.address, Does::Answer(REDIRECT), http).await;
        let (host, viewer) = behind(&rig, &middlebox);
        let error = soon(viewer.connector.connect(&viewer.target(&host, 1))).await.err().unwrap();
        assert_eq!((error.stage, error.kind), ("stream", kind), "{}", error.chain());
        let neither = error.source.as_ref().unwrap().downcast_ref::<NeitherCarrier>().unwrap();
        assert!(neither.websocket.contains("login.test"), "{neither}");
        assert!(neither.http.contains(seen), "{neither}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_relay_is_obeyed_and_not_got_around() {
    let mut config: RelayConfig = quick_goodbyes();
    config.limits.address_connections = lifeguard_relay::relay::Rate { per_second: 1, burst: 1 };
    let rig = Rig::at("127.0.0.1:0".parse().unwrap(), config).await;
    let (host, viewer) = rig.pair();
    let _first = rig.endpoint(SessionId::random(), Role::Host);
    let (one, other) = soon(async { tokio::join!(host.dial(&viewer, 1), viewer.dial(&host, 1)) }).await;
    let refused = [one, other].into_iter().filter_map(Result::err).find(|error| error.stage == "upgrade");
    assert!(refused.unwrap().chain().contains("rate_limited"));
}

#[tokio::test]
async fn a_relay_without_the_carrier_says_so() {
    let mut config = quick_goodbyes();
    config.http_carrier = false;
    let rig = Rig::at("127.0.0.1:0".parse().unwrap(), config).await;
    let (host, viewer) = rig.pair();
    let error = soon(over_http(viewer).dial(&host, 1)).await.err().unwrap();
    let failed = error.source.as_ref().unwrap().downcast_ref::<StreamFailed>();
    assert!(matches!(failed, Some(StreamFailed::Status { status: 410, .. })), "{}", error.chain());
}
