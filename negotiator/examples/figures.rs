//! Measures the judgement on the real stack of this machine, and prints median, 95th percentile and JSON:
//!
//! ```sh
//! cargo run -p beach-negotiator --example figures -- blocked 30  # UDP blocked from the start
//! cargo run -p beach-negotiator --example figures -- cut 10      # a path dies with data pending, and heals
//! cargo run -p beach-negotiator --example figures -- turn 12     # minutes on TURN, with credentials of 30 s
//! cargo run -p beach-negotiator --example figures -- connect 50  # from a link to a usable session, on each path
//! cargo run -p beach-negotiator --example figures -- messages 9  # CPU of both ends for a message of 1 KiB, on each path (Linux)
//! ```
#![allow(clippy::disallowed_methods, reason = "an example is an owner, which brings the runtime")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot be taken is no figure")]

#[path = "../tests/real/mod.rs"]
mod real;

use std::time::{Duration, Instant};

use lifeguard_relay::DevConfig;
use negotiator::{FallbackMode, Received};
use real::{
    Pair, Stage,
    coturn::{Coturn, offer},
    fence::Fence,
    network, scenes, through,
};
use tokio::task::JoinSet;
use transport_webrtc::TURN_ID;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let runs: usize = arguments.next().as_deref().unwrap_or("30").parse()?;
    match what.as_str() {
        "blocked" => blocked(runs).await,
        "cut" => cut(runs).await,
        "turn" => turn(runs).await,
        "connect" => connect(runs).await,
        "messages" => messages(runs).await,
        _ => return Err("usage: figures blocked|cut|connect|messages [RUNS], figures turn [MINUTES]".into()),
    }
    Ok(())
}

/// One after the other: sessions that begin together would share two cores.
async fn blocked(runs: usize) {
    let stage = Stage::set(DevConfig::default(), network()).await;
    let mut usable = Vec::new();
    for run in 1..=runs {
        let took = scenes::udp_blocked(&stage).await;
        eprintln!("run {run} of {runs}: usable after {:.2} s", took.as_secs_f64());
        usable.push(took);
    }
    stage.end().await;
    Figures::of("usable_with_udp_blocked", usable).print();
}

/// All at once: each waits most of the time, and a minute each would take long.
async fn cut(runs: usize) {
    let stage = std::sync::Arc::new(Stage::set(DevConfig::default(), network()).await);
    let mut sessions = JoinSet::new();
    for _ in 0..runs {
        let stage = stage.clone();
        sessions.spawn(async move { scenes::path_dies(&stage, |config| config).await });
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let (mut detected, mut rescued, mut returned) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(death) = sessions.join_next().await {
        let death = death.unwrap();
        eprintln!("{} of {runs}: {death:?}", detected.len() + 1);
        detected.push(death.detected);
        rescued.push(death.rescued);
        returned.push(death.returned);
    }
    Figures::of("detected_after_the_cut", detected).print();
    Figures::of("on_the_relay_after_the_cut", rescued).print();
    Figures::of("back_after_healing", returned).print();
}

/// A session through coturn that lives longer than what it was let in with: credentials hold 30 s, permissions
/// five minutes and allocations ten, and the last two are renewed with the first.
async fn turn(minutes: usize) {
    let coturn = Coturn::start();
    let mut config = DevConfig::default();
    config.control.turn = offer([coturn.udp()]);
    config.control.turn.ttl = 30;
    let stage = Stage::set(config, network()).await;
    let (mut pair, _) = stage.join(through(Fence::around([coturn.address()]))).await;
    pair.on(&TURN_ID).await;
    let end = Instant::now() + Duration::from_secs(60) * u32::try_from(minutes).unwrap();
    let (mut messages, mut moves) = (0, 0);
    while Instant::now() < end {
        pair.talk().await;
        messages += 2;
        while let Some(event) = pair.events.try_next() {
            moves += 1;
            eprintln!("{event}");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let path = pair.viewer.status().path;
    println!("{messages} messages in {minutes} minutes, {moves} decisions, now on {path:?}");
    stage.end().await;
}

/// First connects with nothing in their way.
async fn connect(runs: usize) {
    in_turn("first_connect", runs, async |_, took| took).await;
}

/// What a message of 1 KiB costs both ends, as fast as the path takes them; over the relay that one's share is in it.
async fn messages(runs: usize) {
    in_turn("cpu_of_a_message", runs, async |pair, _| {
        let before = cpu();
        let sending = async {
            for _ in 0..MESSAGES {
                pair.hosted.send(vec![7; 1_024].into()).await.unwrap();
            }
        };
        let receiving = async {
            for _ in 0..MESSAGES {
                assert!(matches!(pair.viewer.recv().await, Ok(Received::Message(_))));
            }
        };
        tokio::join!(sending, receiving);
        (cpu() - before) / MESSAGES
    })
    .await;
}

/// Measures sessions on the two paths in turn, so that both see the same machine. `figure` is given a session and how long its
/// connect took.
async fn in_turn(name: &str, runs: usize, figure: impl AsyncFn(&Pair, Duration) -> Duration) {
    let stage = Stage::set(DevConfig::default(), network()).await;
    let mut relayed = network();
    relayed.mode = FallbackMode::RelayOnly;
    let (mut direct, mut relay) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        for (config, figures) in [(network(), &mut direct), (relayed.clone(), &mut relay)] {
            let (pair, took) = stage.join(config).await;
            figures.push(figure(&pair, took).await);
            pair.viewer.close().await;
        }
    }
    stage.end().await;
    Figures::of(format!("{name}_on_webrtc"), direct).print();
    Figures::of(format!("{name}_on_the_relay"), relay).print();
}

/// The CPU time of this process, user and system: ticks of 10 ms, fields 14 and 15 (proc(5)).
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    Duration::from_millis(10 * (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()))
}

/// Of a run: enough for many ticks.
const MESSAGES: u32 = 20_000;

/// Seconds, sorted.
struct Figures {
    name: String,
    seconds: Vec<f64>,
}

impl Figures {
    fn of(name: impl Into<String>, durations: Vec<Duration>) -> Self {
        let mut seconds: Vec<f64> = durations.iter().map(Duration::as_secs_f64).collect();
        seconds.sort_by(f64::total_cmp);
        Self { name: name.into(), seconds }
    }

    /// The smallest value that at least `percent` of all do not exceed.
    fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.seconds.len() * percent).div_ceil(100).max(1);
        self.seconds[rank - 1]
    }

    fn print(&self) {
        let (median, p95, worst) = (self.percentile(50), self.percentile(95), self.percentile(100));
        let (name, runs) = (&self.name, self.seconds.len());
        println!("{name}: median {median:.6} s, p95 {p95:.6} s, worst {worst:.6} s of {runs}");
        let seconds: Vec<String> = self.seconds.iter().map(|s| format!("{s:.6}")).collect();
        println!(
            r#"{{"figure":"{name}","runs":{runs},"median_s":{median:.6},"p95_s":{p95:.6},"worst_s":{worst:.6},"seconds":[{}]}}"#,
            seconds.join(",")
        );
    }
}
