//! Many sessions at once, all judged.

mod direction;
mod pair;

use std::time::{Duration, Instant};

use conformance::history::Verdict;
use futures::{StreamExt, stream};
use tokio::time::sleep;

pub use direction::Direction;
pub use pair::{Ends, Mark, Pair, Rhythm, relayed};

/// Sessions that count, both ways.
#[derive(Debug)]
pub struct Crowd {
    pairs: Vec<Pair>,
}

/// What one fault did to the sessions.
#[derive(Debug, Default)]
pub struct Effect {
    /// For each direction of the sessions that lost their way, the longest time in which nothing arrived.
    pub silences: Vec<Duration>,
    /// The longest such time in any direction.
    pub longest: Duration,
}

impl Crowd {
    /// Connects this many sessions over the relay, and lets them talk.
    pub async fn gather(url: &str, sessions: u64, rhythm: Rhythm) -> Self {
        let key = rand::random();
        let coming = (0..sessions).map(|number| Pair::meet(url.to_owned(), key, number, rhythm));
        let pairs: Vec<_> = stream::iter(coming).buffer_unordered(AT_ONCE).collect().await;
        let crowd = Self { pairs };
        // Each has a word each way behind it: nothing of its beginning is taken for what befalls it later.
        crowd.watch();
        crowd.effect().await;
        crowd
    }

    /// One of the sessions, by its number modulo how many there are.
    pub fn one(&self, number: usize) -> &Pair {
        &self.pairs[number % self.pairs.len()]
    }

    /// How many sessions have another link than when the watch began.
    pub fn moved(&self) -> usize {
        self.pairs.iter().filter(|pair| pair.has_moved()).count()
    }

    /// From here on silence counts for the next [`effect`](Self::effect).
    pub fn watch(&self) {
        self.pairs.iter().for_each(Pair::watch);
    }

    /// Waits until something that was written after this call has arrived in each direction of all sessions, and says how
    /// silent they were since [`watch`](Self::watch).
    pub async fn effect(&self) -> Effect {
        let (healed, marks) = (Instant::now(), self.pairs.iter().map(Pair::mark).collect::<Vec<_>>());
        let mut away: Vec<_> = self.pairs.iter().zip(&marks).collect();
        let mut is_told = false;
        while let Some((pair, _)) = away.first() {
            assert!(healed.elapsed() < PATIENCE, "{} do not come back: {}", away.len(), pair.explain());
            sleep(Duration::from_millis(20)).await;
            if !is_told && healed.elapsed() > SLOW {
                is_told = true;
                away.iter()
                    .take(3)
                    .for_each(|(pair, _)| println!("not back after {SLOW:?}: {}", pair.explain()));
            }
            away.retain(|(pair, mark)| !pair.is_past(mark));
        }
        let moved = self.pairs.iter().filter(|pair| pair.has_moved());
        let all = self.pairs.iter().flat_map(Pair::silences);
        Effect { silences: moved.flat_map(Pair::silences).collect(), longest: all.max().unwrap_or_default() }
    }

    /// Nobody writes any more; what was written arrives, and all is judged.
    pub async fn end(self) -> Verdict {
        let ending = self.pairs.into_iter().map(Pair::end);
        stream::iter(ending)
            .buffer_unordered(AT_ONCE)
            .fold(Verdict::default(), async |sum, one| sum.and(one))
            .await
    }
}

/// After this time without a cause whoever is not back says why.
const SLOW: Duration = Duration::from_secs(5);
/// Sessions that meet at one time.
const AT_ONCE: usize = 8;
/// Within this time after the cause is gone everybody must be back.
pub const PATIENCE: Duration = Duration::from_secs(90);
