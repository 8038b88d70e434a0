//! The browser's own WebRTC: a direct path to a host on this machine, none where there is no UDP, and back when it heals.

use std::{
    net::{IpAddr, Ipv4Addr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use lifeguard_relay::DevConfig;
use negotiator::{FallbackMode, NetworkConfig};
use tokio::time::Instant;
use transport_webrtc::impair::ImpairedUdp;

use crate::{
    Service,
    browser::{Browser, Tab},
    coturn::{self, Coturn},
    end,
    figures::{figure, relay_sockets},
    hear, join, leave, page, say,
    talk::Talk,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_path_carries_a_page_and_the_relay_sleeps() {
    let site = page::serve().await;
    let service = Service::start(site.origin()).await;
    let (browser, host) = tokio::join!(Browser::start(), service.share(NetworkConfig::default()));
    let tab = browser.open(&site.origin()).await;
    let hosted = join(&tab, &host, "webrtc").await;
    let tally = Talk::start(&tab, &hosted).await.end(&tab, &hosted).await;
    tally.row("UDP works", &tab, &[]).await;

    // More than the browser buffers, in messages larger than a frame.
    let big = vec![b'x'; 200_000];
    let sending = async {
        say(&hosted, 0..200).await;
        for _ in 0..5 {
            hosted.send(big.clone().into()).await.unwrap();
        }
    };
    let so_far = tab.evaluate("messages.length").await.as_u64().unwrap() + 200;
    let lengths = format!(
        "heard({}).then(messages => messages.slice({so_far}).map(message => message.length).join())",
        so_far + 5
    );
    let (lengths, ()) = tokio::join!(tab.evaluate(&lengths), sending);
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
    let scenarios = [
        ("no UDP, and no TURN server", ""),
        ("no WebRTC in the browser", "delete globalThis.RTCPeerConnection"),
    ];
    for (scenario, script) in scenarios {
        let tab = browser.open_after(&site.origin(), script).await;
        let hosted = join(&tab, &host, "ws-fallback").await;
        let tally = Talk::start(&tab, &hosted).await.end(&tab, &hosted).await;
        tally.row(scenario, &tab, &[]).await;
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
    let hosted = join(&tab, &host, "webrtc-turn").await;
    let tally = Talk::start(&tab, &hosted).await.end(&tab, &hosted).await;
    tally.row("no UDP, a TURN server over TCP", &tab, &[]).await;
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
    let talk = Talk::start(&tab, &hosted).await;

    udp.cut();
    let begun = Instant::now();
    tab.until("session.path", "ws-fallback").await;
    let left = begun.elapsed();
    udp.restore();
    let begun = Instant::now();
    // What a browser tells a page whose network is back.
    tab.evaluate("dispatchEvent(new Event('online'))").await;
    tab.until("session.path", "webrtc").await;
    let back = begun.elapsed();

    let tally = talk.end(&tab, &hosted).await;
    let times = [("on its way again", left), ("direct again", back)];
    tally.row("the direct path is cut in mid-stream and heals", &tab, &times).await;
    tab.until("paths.join(' ')", "webrtc ws-fallback webrtc").await;
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
        let rate = |took: Duration| megabytes as f64 / took.as_secs_f64();
        figure(&format!("{path}, to the page"), "MB/s", rate(down));
        figure(&format!("{path}, from the page"), "MB/s", rate(begun.elapsed()));
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

async fn heard_at_least(tab: &Tab, count: u32) {
    tab.evaluate(&format!("heard({count}).then(() => 'heard')")).await;
}

/// Lets WebRTC use UDP through a proxy alone, and there is none.
const NO_UDP: [&str; 1] = ["--webrtc-ip-handling-policy=disable_non_proxied_udp"];
