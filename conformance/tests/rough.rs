//! A session that changes its path in the middle of a stream while every path is rough: 200 ms round trip, 5 % loss.
//!
//! `ROUGH_SEED` repeats a run; `ROUGH_RETURN=1` also waits for the way back, a minute and more.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use conformance::{
    history::{Author, Judge, Stream, Verdict},
    netlab::{Fault, LADDER, Proxy},
};
use lifeguard_relay::{Dev, DevConfig};
use negotiator::{Host, HostConfig, Negotiator, NetworkConfig, Received, Session, TransportId};
use tokio::time::{sleep, timeout};
use transport_webrtc::{WebRtcConfig, impair::ImpairedUdp};

const RELAY: TransportId = TransportId::from_static("ws-fallback");
const WEBRTC: TransportId = TransportId::from_static("webrtc");

/// Writes 20 messages of 1 KB a second until `done`, and judges what arrives; also tells the longest silence.
async fn stream(
    from: &Session,
    to: &Session,
    key: u64,
    done: impl Future<Output = ()>,
) -> (Verdict, Duration) {
    let stream = Stream { key, session: 0, stream: 0 };
    let writing = async {
        let mut author = Author::new(stream);
        tokio::pin!(done);
        loop {
            from.send(author.write(1_000)).await.expect("the session lives");
            tokio::select! {
                () = &mut done => break,
                () = sleep(Duration::from_millis(50)) => {}
            }
        }
        from.send(END.into()).await.expect("the session lives");
        author.written()
    };
    let reading = async {
        let (mut judge, mut last, mut silence) = (Judge::new(stream), Instant::now(), Duration::ZERO);
        loop {
            let received =
                timeout(PATIENCE, to.recv()).await.expect("more, or the end").expect("the session lives");
            let Received::Message(bytes) = received else { panic!("nobody sent {received:?}") };
            silence = silence.max(last.elapsed());
            last = Instant::now();
            if bytes[..] == *END {
                return (judge, silence);
            }
            judge.delivered(&bytes);
        }
    };
    let (written, (judge, silence)) = tokio::join!(writing, reading);
    (judge.verdict(written), silence)
}

async fn on(session: &Session, path: &TransportId) -> Duration {
    let start = Instant::now();
    while session.status().path.as_ref() != Some(path) {
        assert!(start.elapsed() < PATIENCE, "not on {path}: {}", session.explain());
        sleep(Duration::from_millis(20)).await;
    }
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_dies_in_the_middle_of_a_stream_on_a_rough_network() {
    let seed =
        std::env::var("ROUGH_SEED").map_or_else(|_| rand::random(), |text| text.parse().expect("a number"));
    println!("ROUGH_SEED={seed}");
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let rough: Fault = LADDER.iter().find(|rung| rung.rtt_ms == 200).expect("that rung").fault(seed);
    let dev = Dev::start(DevConfig::default()).await.expect("a service");
    let address: SocketAddr = dev.public_url().trim_start_matches("http://").parse().expect("an address");
    let proxy = Proxy::tcp(address).await.expect("a proxy");
    proxy.set(rough);
    let udp = ImpairedUdp::seeded(seed);
    udp.set_delay(Duration::from_millis(100));
    udp.set_loss(0.05);

    let network = |udp: Option<&ImpairedUdp>| {
        let mut network = NetworkConfig::default();
        network.webrtc = WebRtcConfig::default();
        network.webrtc.loopback = true;
        network.webrtc.udp = udp.map(|udp| Arc::new(udp.clone()) as _);
        network.relay_url = Some(format!("ws://{}/v2/ws", proxy.addr()).parse().expect("a URL"));
        network.connect_timeout = PATIENCE;
        network
    };
    let mut shared = HostConfig::new(format!("http://{}", proxy.addr()));
    shared.network = network(None);
    let host = Host::share(shared).await.expect("shared");
    let joining = Negotiator::new(host.link().clone(), network(Some(&udp))).connect();
    let (viewer, hosted) = tokio::join!(joining, timeout(PATIENCE, host.accept()));
    let (viewer, hosted) = (viewer.expect("joined"), hosted.expect("in time").expect("open"));
    // Loss may have brought it up over the relay first; it moves over by itself.
    on(&viewer, &WEBRTC).await;

    let returns = std::env::var_os("ROUGH_RETURN").is_some();
    let story = async {
        sleep(Duration::from_secs(3)).await;
        udp.cut();
        println!("on the relay {:?} after the cut", on(&viewer, &RELAY).await);
        sleep(Duration::from_secs(2)).await;
        if returns {
            udp.restore();
            println!("on WebRTC again {:?} after it healed", on(&viewer, &WEBRTC).await);
            sleep(Duration::from_secs(3)).await;
        }
    };
    let (verdict, silence) = stream(&hosted, &viewer, seed, story).await;
    println!("longest silence {silence:?}; {verdict:?}");
    assert!(verdict.is_whole() && verdict.delivered > 40, "{verdict:?}");
    viewer.close().await;
    host.close().await;
    dev.shutdown().await;
}

const PATIENCE: Duration = Duration::from_secs(120);

const END: &[u8] = b"end";
