//! Ways between nodes, and from nodes to Redis, that are cut: no history has a hole, and no session stays with a node that the others
//! have given up.
//!
//! `POOL_PARTITIONS` says how many cuts there are (5; `scripts/measure partitions` has 500), `POOL_SEED` repeats a run's dice.

use std::time::{Duration, Instant};

use conformance::netlab::Cut;
use pool::{
    crowd::{Crowd, Rhythm},
    report::number,
    service::{Plan, Service, Way},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use tokio::time::{sleep, timeout};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_alone_lost_redis_lets_its_sessions_go_and_a_guest_finds_the_host() {
    let service = Service::start(quick()).await;
    let crowd = Crowd::gather(&service.url(), 4, RHYTHM).await;
    let owner = service.busiest().await;
    crowd.watch();
    service.relays[owner].lines.cut(&[Way::Store], Cut::Blackhole);
    let cut = Instant::now();
    let left = async {
        while service.relays[owner].stats().await.is_none_or(|stats| stats.peers > 0) {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(60), left).await.expect("its peers are sent elsewhere while it is cut off");
    let fenced = cut.elapsed();
    let mut slowest = Duration::ZERO;
    for number in 0..4 {
        slowest = slowest.max(crowd.one(number).a_guest().await);
    }
    println!(
        "let go after {fenced:.1?}; a guest of each session met its host, the slowest after {slowest:.1?}"
    );
    service.relays[owner].lines.heal();
    let effect = crowd.effect().await;
    println!("the longest silence was {:.1?}", effect.longest);
    let verdict = crowd.end().await;
    assert!(verdict.is_whole() && verdict.delivered > 0, "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_away_for_everybody_moves_nobody() {
    let service = Service::start(quick()).await;
    let crowd = Crowd::gather(&service.url(), 4, RHYTHM).await;
    crowd.watch();
    let nodes = || service.relays.iter().chain(&service.planes);
    nodes().for_each(|node| node.lines.cut(&[Way::Store], Cut::Blackhole));
    // Longer than a node alone would need to know.
    sleep(Duration::from_secs(15)).await;
    assert_eq!(crowd.moved(), 0, "nobody else could own them");
    nodes().for_each(|node| node.lines.heal());
    crowd.effect().await;
    assert_eq!(crowd.moved(), 0, "the nodes keep what they had");
    let verdict = crowd.end().await;
    assert!(verdict.is_whole() && verdict.delivered > 0, "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_cut_every_history_is_whole_and_guests_come_in() {
    let cuts = number("POOL_PARTITIONS").unwrap_or(5);
    let seed = number("POOL_SEED").unwrap_or_else(rand::random);
    println!("POOL_SEED={seed} POOL_PARTITIONS={cuts}");
    let mut dice = StdRng::seed_from_u64(seed);
    let service = Service::start(quick()).await;
    let crowd = Crowd::gather(&service.url(), SESSIONS, RHYTHM).await;
    let (mut back, mut guests, mut moved) = (Vec::new(), Vec::new(), 0);
    for number in 1..=cuts {
        crowd.watch();
        let cut = Partition::draw(&mut dice);
        let visited = crowd.one(dice.random_range(0..SESSIONS as usize));
        let struck = async {
            cut.strike(&service).await;
            let healed = Instant::now();
            let effect = crowd.effect().await;
            back.push(healed.elapsed());
            effect
        };
        let (_, waited) = tokio::join!(struck, visited.a_guest());
        guests.push(waited);
        moved += crowd.moved();
        let took = back.last().expect("this cut's");
        println!("{number}: back {took:.1?} after {cut:?}, a guest met its host after {waited:.1?}");
    }
    let verdict = crowd.end().await;
    println!("{cuts} cuts, {moved} times a session moved; {verdict}");
    println!("| | p50 | p99 | worst |\n|---|---|---|---|");
    for (what, times) in [("all are back after a cut has healed", back), ("a guest met its host", guests)] {
        assert_eq!(times.len() as u64, cuts, "a run that cut less must not pass");
        println!("| {what} | {} |", percentiles(times));
    }
    assert!(verdict.is_whole() && verdict.delivered > 0, "{verdict:?}");
}

/// What is cut, how, and for how long.
#[derive(Debug)]
struct Partition {
    /// Places in the list of relays, with the control planes behind them.
    nodes: Vec<usize>,
    ways: Vec<Way>,
    how: Cut,
    lasting: Duration,
}

impl Partition {
    /// One node or two, one way or several: short as a cable that is put elsewhere, or longer than everybody's patience.
    fn draw(dice: &mut impl Rng) -> Self {
        let some = [0, 1, 2, 3, 4];
        let count = if dice.random_ratio(1, 4) { 2 } else { 1 };
        let nodes = some.choose_multiple(dice, count).copied().collect();
        let count = *[1, 1, 1, 2, 3].choose(dice).expect("some");
        let ways = Way::ALL.choose_multiple(dice, count).copied().collect();
        let how = *[Cut::Blackhole, Cut::Blackhole, Cut::Reset].choose(dice).expect("some");
        Self { nodes, ways, how, lasting: Duration::from_millis(dice.random_range(200..9_000)) }
    }

    async fn strike(&self, service: &Service) {
        let all: Vec<_> = service.relays.iter().chain(&service.planes).collect();
        self.nodes.iter().for_each(|node| all[*node].lines.cut(&self.ways, self.how));
        sleep(self.lasting).await;
        self.nodes.iter().for_each(|node| all[*node].lines.heal());
    }
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share).div_ceil(100).max(1) - 1].as_secs_f64();
    format!("{:.1} s | {:.1} s | {:.1} s", at(50), at(99), at(100))
}

/// The program's own waits are for thousands of clients.
fn quick() -> Plan {
    let mut plan = Plan::default();
    plan.drain = Some([Duration::from_millis(500), Duration::from_secs(1)]);
    plan
}

const SESSIONS: u64 = 8;
const RHYTHM: Rhythm = Rhythm { pause: Duration::from_millis(100), size: 200 };
