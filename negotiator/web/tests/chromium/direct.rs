//! The browser's own WebRTC: a direct path to a host on this machine, none where there is no UDP, and back when it heals.

use std::{
    net::{IpAddr, Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lifeguard_relay::DevConfig;
use negotiator::{FallbackMode, NetworkConfig, Session};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep, timeout};
use transport_webrtc::impair::ImpairedUdp;

use crate::{
    LONG, Service,
    browser::{Browser, Tab},
    coturn::{self, Coturn},
    end, hear, heard, join, leave, page, say,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_path_carries_a_page_and_the_relay_sleeps() {
    let site = page::serve().await;
    let service = Service::start(site.origin()).await;
    let (browser, host) = tokio::join!(Browser::start(), service.share(NetworkConfig::default()));
    let tab = browser.open(&site.origin()).await;
    let begun = Instant::now();
    let hosted = join(&tab, &host, "webrtc").await;
    println!("direct after {:?}", begun.elapsed());

    // More than the browser buffers, in messages larger than a frame.
    let big = vec![b'x'; 200_000];
    let sending = async {
        say(&hosted, 0..200).await;
        for _ in 0..5 {
            hosted.send(big.clone().into()).await.unwrap();
        }
    };
    let lengths = "heard(205).then(messages => messages.slice(200).map(message => message.length).join())";
    let (lengths, ()) = tokio::join!(tab.evaluate(lengths), sending);
    assert_eq!(lengths, "200000,200000,200000,200000,200000");
    tab.evaluate("say('y'.repeat(300000))").await;
    assert_eq!(hear(&hosted).await, "y".repeat(300_000));
    tab.until("session.explanation().rtt_us > 0", "true").await;

    let sockets = relay_sockets(&tab);
    assert_eq!(
        (sockets, service.dev.total_relay_connections()),
        (0, 0),
        "the browser's log, the service's count"
    );
    leave(&tab, &hosted).await;
    end(host, browser, service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_udp_or_without_webrtc_goes_over_the_relay() {
    let site = page::serve().await;
    let service = Service::start(site.origin()).await;
    let network = NetworkConfig::default();
    let (browser, host) = tokio::join!(Browser::start_with(&NO_UDP), service.share(network));
    for script in ["", "delete globalThis.RTCPeerConnection"] {
        let tab = browser.open_after(&site.origin(), script).await;
        let begun = Instant::now();
        let hosted = join(&tab, &host, "ws-fallback").await;
        println!("over the relay after {:?}", begun.elapsed());
        say(&hosted, 0..100).await;
        heard(&tab, 100).await;
        assert_eq!(relay_sockets(&tab), 1);
        leave(&tab, &hosted).await;
    }
    end(host, browser, service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_udp_goes_through_the_turn_server_of_the_control_plane() {
    let site = page::serve().await;
    let coturn = Coturn::start_at(own_address());
    let mut config = DevConfig::default();
    config.control.turn = coturn::offer([coturn.udp(), coturn.tcp()]);
    let service = Service::start_with(site.origin(), config).await;
    let network = NetworkConfig::default();
    let (browser, host) = tokio::join!(Browser::start_with(&NO_UDP), service.share(network));
    let tab = browser.open(&site.origin()).await;
    let begun = Instant::now();
    let hosted = join(&tab, &host, "webrtc-turn").await;
    println!("through TURN after {:?}", begun.elapsed());
    say(&hosted, 0..100).await;
    heard(&tab, 100).await;
    tab.until("session.explanation().carried", "TURN").await;
    assert_eq!((relay_sockets(&tab), service.dev.total_relay_connections()), (0, 0));
    end(host, browser, service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_cut_is_left_and_returned_to_and_nothing_is_lost_or_doubled() {
    let site = page::serve().await;
    let service = Service::start(site.origin()).await;
    let udp = ImpairedUdp::seeded(1);
    let mut network = NetworkConfig::default();
    network.webrtc.udp = Some(Arc::new(udp.clone()));
    let (browser, host) = tokio::join!(Browser::start(), service.share(network));
    let tab = browser.open(&site.origin()).await;
    let hosted = join(&tab, &host, "webrtc").await;
    tab.evaluate("void watchPaths()").await;
    tab.evaluate("void chat()").await;
    let stop = Arc::<AtomicBool>::default();
    let saying = tokio::spawn(count(hosted.clone(), stop.clone()));
    let hearing = tokio::spawn(listen(hosted.clone()));
    heard_at_least(&tab, 20).await;

    udp.cut();
    let begun = Instant::now();
    tab.until("session.path", "ws-fallback").await;
    let left = begun.elapsed();
    udp.restore();
    let begun = Instant::now();
    // What a browser tells a page whose network is back.
    tab.evaluate("dispatchEvent(new Event('online'))").await;
    tab.until("session.path", "webrtc").await;
    println!("on the relay after {left:?}, direct again after {:?}", begun.elapsed());

    stop.store(true, Ordering::Relaxed);
    let said = timeout(LONG, saying).await.unwrap().unwrap();
    let wrote = tab.evaluate("hush()").await.as_u64().unwrap();
    tab.evaluate("session.send('hushed')").await;
    let wanted = timeout(LONG, hearing).await.unwrap().unwrap();
    assert_eq!(wanted, (0..wrote).map(|number| format!("key {number}")).collect::<Vec<_>>());
    let records: Vec<_> = (0..said).map(|number| format!("record {number}")).collect();
    let digest: String =
        Sha256::digest(records.join("\n")).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(tab.evaluate(&format!("digest({said})")).await, digest, "of {said} messages");
    assert_eq!(tab.evaluate("paths.join(' ')").await, "webrtc ws-fallback webrtc");
    let silence = tab.evaluate("Math.round(silence)").await;
    println!("{said} to the page and {wrote} from it, each once and in order; longest silence {silence} ms");

    end(host, browser, service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn megabytes_reach_a_page_and_leave_it_on_either_path() {
    let megabytes: usize = std::env::var("BEACH_WEB_MEGABYTES").map_or(2, |text| text.parse().unwrap());
    let (site, big) = (page::serve().await, vec![b'x'; 50_000]);
    let origin = site.origin();
    let (service, browser) = tokio::join!(Service::start(origin.clone()), Browser::start());
    for path in ["webrtc", "ws-fallback"] {
        let mut network = NetworkConfig::default();
        if path == "ws-fallback" {
            network.mode = FallbackMode::RelayOnly;
        }
        let (host, tab) = tokio::join!(service.share(network), browser.open(&origin));
        let hosted = join(&tab, &host, path).await;
        let begun = Instant::now();
        for _ in 0..20 * megabytes {
            hosted.send(big.clone().into()).await.unwrap();
        }
        heard_at_least(&tab, u32::try_from(20 * megabytes).unwrap()).await;
        let (down, begun) = (begun.elapsed(), Instant::now());
        tab.evaluate(&format!("void pour({megabytes})")).await;
        for _ in 0..20 * megabytes {
            assert_eq!(hear(&hosted).await.len(), big.len());
        }
        let rate = |took: Duration| format!("{:.1} MB/s", megabytes as f64 / took.as_secs_f64());
        println!("{path}: {} to the page, {} from it", rate(down), rate(begun.elapsed()));
        leave(&tab, &hosted).await;
        host.close().await;
    }
    browser.close().await;
    service.dev.shutdown().await;
}

/// The address that this machine sends from: peers try none on loopback.
fn own_address() -> Ipv4Addr {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    // Nothing is sent.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).expect("a network beside loopback");
    match socket.local_addr().unwrap().ip() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(ip) => panic!("{ip}"),
    }
}

/// Sockets to the relay that the browser's network log knows of this tab.
fn relay_sockets(tab: &Tab) -> usize {
    tab.asked().iter().filter(|url| url.ends_with("/v2/ws")).count()
}

async fn heard_at_least(tab: &Tab, count: u32) {
    tab.evaluate(&format!("heard({count}).then(() => 'heard')")).await;
}

/// Says numbered records, fifty a second, until it is told to stop; returns how many.
async fn count(session: Session, stop: Arc<AtomicBool>) -> u32 {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        say(&session, number..number + 1).await;
        number += 1;
        sleep(Duration::from_millis(20)).await;
    }
    number
}

/// Everything that is said until the last word.
async fn listen(session: Session) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let text = hear(&session).await;
        if text == "hushed" {
            return all;
        }
        all.push(text);
    }
}

/// Lets WebRTC use UDP through a proxy alone, and there is none.
const NO_UDP: [&str; 1] = ["--webrtc-ip-handling-policy=disable_non_proxied_udp"];
