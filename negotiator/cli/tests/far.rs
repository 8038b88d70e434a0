//! The built program, 300 ms away from its host: when a typed key stands in the person's own terminal.
//!
//! With figures: `cargo test -p beach-link --test far -- --nocapture`.
#![allow(missing_docs, clippy::unwrap_used)]

mod program;

use std::{
    net::SocketAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use lifeguard_relay::{Dev, DevConfig};
use program::{
    Program, read_when_there,
    terminal::{Terminal, USUAL},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::mpsc,
    time::sleep_until,
};

const ONE_WAY: Duration = Duration::from_millis(150);
const ROUND_TRIP: Duration = Duration::from_millis(300);
const BETWEEN_KEYS: Duration = Duration::from_millis(80);
/// What counts as at once.
const AT_ONCE: Duration = Duration::from_millis(20);

const LINES: [&str; 3] = [
    "true the quick brown fox jumps over the lazy dog",
    "echo and whoever types this does so far away",
    "test where each key is answered a third of a second later",
];

#[test]
fn a_key_stands_in_the_terminal_long_before_the_host_has_answered() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = Runtime::new().unwrap();
    let mut config = DevConfig::default();
    // Whoever comes to the control plane by the long way comes to the relay by it too.
    config.advertised = Some("127.0.0.1:1".to_owned());
    let dev = runtime.block_on(Dev::start(config)).unwrap();
    let near = format!("http://{}", dev.listen_addr());
    let far = format!("http://{}", runtime.block_on(long_way(dev.listen_addr())));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("link").to_str().unwrap().to_owned();
    let shell = ["sh", "-c", "PS1='$ ' exec bash --norc --noprofile -i"];
    let share = ["share", "--relay-only", "--control-plane", &near, "--link-file", &file, "--"];
    let _sharing = Program::new(&[&share[..], &shell].concat()).start();
    let link = read_when_there(Path::new(&file)).replace(&near, &far);
    let mut terminal = Terminal::join(&link, USUAL, &["--relay-only"]);
    terminal.sees("ws-fallback ·");
    // Guesses begin once the round trip is known and an echo was seen.
    thread::sleep(ROUND_TRIP * 4);

    let mut times = Vec::new();
    for line in LINES {
        times.extend(types(&mut terminal, line));
        thread::sleep(ROUND_TRIP * 2);
        terminal.type_text("\r");
        thread::sleep(ROUND_TRIP * 3);
    }
    terminal.type_text("\x1eq");
    terminal.ends_with(0);

    let mut sorted = times.clone();
    sorted.sort_unstable();
    let soon = times.iter().filter(|time| **time <= AT_ONCE).count();
    let (median, worst) = (sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
    println!("{} keys, {soon} within {AT_ONCE:?}; median {median:?}, worst {worst:?}", times.len());
    println!("each: {:?}", times.iter().map(Duration::as_millis).collect::<Vec<_>>());
    // The first of a line waits for an echo, and those that are typed until it comes. Of the others none waits.
    let before = times.iter().filter(|time| **time < ROUND_TRIP).count();
    assert!(before * 4 >= times.len() * 3, "{before} of {}: {times:?}", times.len());
}

/// Types a line key after key. Returns when each was seen, since it was typed.
fn types(terminal: &mut Terminal, line: &str) -> Vec<Duration> {
    let (mut typed, mut waiting, mut times) = (Vec::new(), 0, vec![Duration::ZERO; line.len()]);
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut next = Instant::now();
    while waiting < line.len() {
        let now = Instant::now();
        assert!(now < deadline, "{:?} is not in {}", &line[..typed.len()], terminal.text());
        if typed.len() < line.len() && now >= next {
            terminal.type_text(&line[typed.len()..=typed.len()]);
            typed.push(now);
            next = now + BETWEEN_KEYS;
        }
        let text = terminal.text();
        let seen = Instant::now();
        let shown = text.rsplit("$ ").next().unwrap();
        // A space at the end is not told from none.
        while waiting < typed.len() && shown.starts_with(line[..=waiting].trim_end()) {
            times[waiting] = seen.duration_since(typed[waiting]);
            waiting += 1;
        }
        thread::sleep(Duration::from_millis(1));
    }
    times.into_iter().zip(line.chars()).filter(|(_, key)| *key != ' ').map(|(time, _)| time).collect()
}

/// A way to `server` that takes its time in both directions, and loses nothing.
async fn long_way(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let server = TcpStream::connect(server).await.unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let (client_reads, client_writes) = client.into_split();
                let (server_reads, server_writes) = server.into_split();
                tokio::join!(delayed(client_reads, server_writes), delayed(server_reads, client_writes));
            });
        }
    });
    address
}

async fn delayed(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let (sender, mut under_way) = mpsc::channel(1_024);
    let reading = async move {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let _ = sender.send((tokio::time::Instant::now() + ONE_WAY, buffer[..count].to_vec())).await;
        }
    };
    let writing = async move {
        while let Some((due, bytes)) = under_way.recv().await {
            sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(reading, writing);
}
