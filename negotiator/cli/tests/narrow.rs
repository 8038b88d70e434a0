//! A shared terminal whose host has a narrow line: a program floods, and each typed key is answered soon all the same.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use beach_link::{
    host::{
        hub::Hub,
        pty::{Program, Pty},
        serve::{Shared, serve},
    },
    screen::Screen,
    viewer::enter::{ACK_DELAY, ask},
    wire::{Message, Service, Size},
};
use lifeguard_relay::{Dev, DevConfig};
use negotiator::{FallbackMode, Host, HostConfig, Negotiator, NetworkConfig, Received, Session};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

const SIZE: Size = Size { columns: 80, rows: 24 };

/// Fills all rows but the first with something else a hundred times a second, and draws there what was typed last.
const FLOOD: &str = r"stty -echo; printf '\033[2;24r\033[24;1H'
while :; do head -c 1200 /dev/urandom | base64 -w 70; sleep 0.01; done &
while read -r word; do printf '\0337\033[1;1Hgot %s.\0338' $word; done; kill $!";

/// Typed keys: as many as a median and a worst need.
const KEYS: usize = 7;

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_answered_while_a_program_floods_a_narrow_line() {
    // One after another: each takes what the machine has.
    answered(32_000.0, 1, [400, 1_500]).await;
    answered(8_000.0, 1, [800, 2_000]).await;
    answered(125_000.0, 4, [400, 1_500]).await;
}

/// Floods `viewers` through a line of so many bytes a second, what waits for it in socket buffers that hold many
/// seconds of it; the first viewer's keys must be answered within the median and worst, in milliseconds.
async fn answered(line: f64, viewers: usize, most: [u64; 2]) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dev = Dev::start(DevConfig::default()).await.unwrap();
    let url = dev.public_url();
    let relay = url.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
    let narrow = narrow(relay, line).await;
    let mut sharing = HostConfig::new(&url);
    sharing.network.mode = FallbackMode::RelayOnly;
    sharing.network.relay_url = Some(format!("ws://{narrow}/v2/ws").parse().unwrap());
    let host = Host::share(sharing).await.unwrap();
    let program = Program::find(&["sh".into(), "-c".into(), FLOOD.into()]).unwrap();
    let (pty, output) = Pty::start(program, SIZE).unwrap();
    let shared = Arc::new(Shared { hub: Hub::new(SIZE), pty });
    let printing = shared.clone();
    tokio::spawn(async move { printing.print_all(output).await });

    let mut typist = None;
    for _ in 0..viewers {
        let viewer = join(&host, &shared).await;
        if typist.is_none() {
            typist = Some(viewer);
        } else {
            tokio::spawn(async move { while viewer.recv().await.is_ok() {} });
        }
    }
    let (viewer, mut screen) = (typist.unwrap(), Screen::new(SIZE));
    while screen.text().lines().count() < 20 {
        let _ = timeout(Duration::from_millis(100), sees(&viewer, &mut screen, "never")).await;
    }
    let mut waits = Vec::new();
    for key in 0..KEYS {
        // The flood is seen meanwhile.
        let _ = timeout(Duration::from_millis(700), sees(&viewer, &mut screen, "never")).await;
        let typed = Instant::now();
        viewer.send(Message::Input(format!("{key}\r").into()).encode()).await.unwrap();
        sees(&viewer, &mut screen, &format!("got {key}.")).await;
        waits.push(typed.elapsed());
    }
    waits.sort();
    println!("{line} bytes/s, {viewers} viewers: {waits:?}");
    assert!(waits[KEYS / 2] < Duration::from_millis(most[0]), "{waits:?}");
    assert!(waits[KEYS - 1] < Duration::from_millis(most[1]), "{waits:?}");
    shared.pty.stop().await;
    host.close().await;
    dev.shutdown().await;
}

/// Connects a viewer, and serves it.
async fn join(host: &Host, shared: &Arc<Shared>) -> Session {
    let mut network = NetworkConfig::default();
    network.mode = FallbackMode::RelayOnly;
    network.ack_delay = ACK_DELAY;
    let joining = Negotiator::new(host.link().clone(), network);
    let (viewer, hosted) = tokio::join!(joining.connect(), host.accept());
    let (viewer, hosted, shared) = (viewer.unwrap(), hosted.unwrap(), shared.clone());
    tokio::spawn(async move { serve(&hosted, &shared).await });
    ask(&viewer, Service::Terminal).await.unwrap();
    viewer
}

/// Reads, also what came while nobody did, until the screen holds `text`.
async fn sees(viewer: &Session, screen: &mut Screen, text: &str) {
    while !screen.text().contains(text) {
        let received = timeout(Duration::from_secs(30), viewer.recv()).await.expect("a message in time");
        let Received::Message(bytes) = received.unwrap() else { continue };
        match Message::decode(bytes).unwrap() {
            Message::Snapshot { size, bytes } => *screen = Screen::restore(size, &bytes),
            Message::Change(bytes) => screen.feed(&bytes),
            _ => {}
        }
    }
}

/// Leads to `relay`, narrow on the way there.
async fn narrow(relay: String, line: f64) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(&relay).await.unwrap();
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::spawn(carry(near_in, far_out, line));
            tokio::spawn(carry(far_in, near_out, f64::INFINITY));
        }
    });
    address
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, speed: f64) {
    let mut packet = [0; 1_400];
    while let Ok(count @ 1..) = from.read(&mut packet).await {
        sleep(Duration::from_secs_f64(count as f64 / speed)).await;
        if to.write_all(&packet[..count]).await.is_err() {
            return;
        }
    }
}
