//! What a proxy does to the traffic: plain data.

use std::time::Duration;

/// What happens to both directions of a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// From the client to the target.
    pub up: Way,
    /// From the target to the client.
    pub down: Way,
    /// Where the dice of every flow start. The same seed and traffic meet the same fate.
    pub seed: u64,
}

impl Fault {
    /// A path without any fault.
    pub const NONE: Fault = Fault::both(Way::CLEAR);

    /// The same in both directions.
    pub const fn both(way: Way) -> Self {
        Self { up: way, down: way, seed: 1 }
    }

    /// Only from the client to the target.
    pub const fn up(way: Way) -> Self {
        Self { up: way, down: Way::CLEAR, seed: 1 }
    }

    /// Only from the target to the client.
    pub const fn down(way: Way) -> Self {
        Self { up: Way::CLEAR, down: way, seed: 1 }
    }

    /// Starts the dice elsewhere.
    #[must_use]
    pub const fn seeded(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// What happens in one direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Way {
    /// Constant delay.
    pub delay: Duration,
    /// Additional delay, drawn evenly from 0 to this for each packet; order is kept.
    pub jitter: Duration,
    /// Which packets vanish. On TCP a lost packet arrives late instead, and holds up the rest, as a
    /// retransmission does.
    pub loss: Loss,
    /// Share (0 to 1) of packets that others overtake: each is held back by one jitter plus 2 ms.
    /// UDP only.
    pub reorder: f64,
    /// Share (0 to 1) of packets that arrive twice. UDP only.
    pub duplicate: f64,
    /// Whether anything moves at all.
    pub flow: Flow,
}

impl Way {
    /// Everything arrives at once.
    pub const CLEAR: Way = Way {
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: Loss::None,
        reorder: 0.0,
        duplicate: 0.0,
        flow: Flow::Pass,
    };

    /// Loses each packet with this probability (0 to 1).
    pub const fn lossy(share: f64) -> Self {
        Self { loss: Loss::Random { share }, ..Self::CLEAR }
    }

    /// Delays everything.
    pub const fn delayed(delay: Duration) -> Self {
        Self { delay, ..Self::CLEAR }
    }

    /// Holds everything back until healed.
    pub const STALLED: Way = Way { flow: Flow::Stall, ..Self::CLEAR };

    /// Swallows everything.
    pub const BLACKHOLE: Way = Way { flow: Flow::Drop, ..Self::CLEAR };
}

/// Whether anything moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Nothing arrives, nothing is said. TCP cannot forget bytes, so there it is a [`Flow::Stall`].
    Drop,
    /// It moves.
    Pass,
    /// What comes in waits, up to the proxy's bounds.
    Stall,
}

/// Which packets vanish.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// In runs: the two-state channel of Gilbert (1960) and Elliott (1963). In the bad state every
    /// packet is lost; `share` is lost in the long run, in bursts of `burst` packets on average.
    Bursty {
        /// Long-run probability of loss, 0 to 1 exclusive.
        share: f64,
        /// Mean length of a burst, in packets.
        burst: f64,
    },
    /// None.
    None,
    /// Each by itself.
    Random {
        /// Probability of loss, 0 to 1.
        share: f64,
    },
}

/// How a path is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Everything vanishes without a word; after healing, what is still open goes on.
    Blackhole,
    /// TCP connections are reset and new ones refused until healed. UDP has no word for it and vanishes.
    Reset,
}

/// One step of the loss ladder: a path that is worse than the one before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rung {
    /// Round trip, half of it each way, in milliseconds.
    pub rtt_ms: u64,
    /// Share of lost packets each way, 0 to 1.
    pub loss: f64,
    /// Mean burst length in packets; 1 is loss without memory.
    pub burst: f64,
}

impl Rung {
    /// Returns the rung as a fault of both directions.
    pub fn fault(&self, seed: u64) -> Fault {
        let loss = if self.burst > 1.0 {
            Loss::Bursty { share: self.loss, burst: self.burst }
        } else {
            Loss::Random { share: self.loss }
        };
        let delay = Duration::from_millis(self.rtt_ms) / 2;
        Fault::both(Way { delay, jitter: delay / 8, loss, ..Way::CLEAR }).seeded(seed)
    }
}

/// From a good home line to a train in a tunnel.
pub const LADDER: [Rung; 8] = [
    Rung { rtt_ms: 16, loss: 0.001, burst: 1.0 },
    Rung { rtt_ms: 30, loss: 0.005, burst: 1.0 },
    Rung { rtt_ms: 60, loss: 0.01, burst: 1.0 },
    Rung { rtt_ms: 100, loss: 0.02, burst: 1.0 },
    Rung { rtt_ms: 200, loss: 0.05, burst: 2.0 },
    Rung { rtt_ms: 300, loss: 0.1, burst: 3.0 },
    Rung { rtt_ms: 500, loss: 0.15, burst: 4.0 },
    Rung { rtt_ms: 800, loss: 0.25, burst: 5.0 },
];
