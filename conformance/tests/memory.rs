//! Certifies the reference implementation.

use std::{process::ExitCode, time::Duration};

use conformance::{Card, Fault, Faults, Pair, SetupError, Subject};
use transport_core::memory::{self, Side};

fn main() -> ExitCode {
    conformance::certify([
        Memory { name: "memory", queue_bytes: 64 * 1024, max_message: 16 * 1024 },
        // Limits in an unusual order: a message may be larger than the budget.
        Memory { name: "memory-tight", queue_bytes: 2_000, max_message: 3_001 },
    ])
}

#[derive(Debug)]
struct Memory {
    name: &'static str,
    queue_bytes: usize,
    max_message: usize,
}

#[async_trait::async_trait]
impl Subject for Memory {
    fn card(&self) -> Card {
        Card::new(self.name)
            .faults(Faults::all())
            .detect(Duration::from_secs(1))
            .settle(Duration::from_millis(20))
    }

    async fn pair(&self) -> Result<Pair, SetupError> {
        let (a, b, link) = memory::pair(memory::profile(self.queue_bytes, self.max_message));
        Ok(Pair::new(a, b).with_faults(move |fault| match fault {
            Fault::Cut => link.cut(),
            Fault::Heal => [Side::A, Side::B].map(|side| link.heal(side)).into_iter().collect(),
            Fault::Lose { share, seed } => {
                [Side::A, Side::B].map(|side| link.lose_datagrams(side, share, seed)).into_iter().collect()
            }
            Fault::Stall => [Side::A, Side::B].map(|side| link.stall(side)).into_iter().collect(),
        }))
    }
}
