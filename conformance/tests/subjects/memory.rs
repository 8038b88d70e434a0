//! The reference implementation as a subject.

use std::time::Duration;

use conformance::{Card, Dialled, Fault, Faults, Pair, SetupError, Subject};
use transport_core::memory::{self, Side};

#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) name: &'static str,
    pub(crate) queue_bytes: usize,
    pub(crate) max_message: usize,
}

impl Memory {
    pub(crate) const ROOMY: Memory =
        Memory { name: "memory", queue_bytes: 64 * 1024, max_message: 16 * 1024 };
    /// Limits in an unusual order: a message may be larger than the budget.
    pub(crate) const TIGHT: Memory = Memory { name: "memory-tight", queue_bytes: 2_000, max_message: 3_001 };
}

#[async_trait::async_trait]
impl Subject for Memory {
    fn card(&self) -> Card {
        let mut card = Card::new(self.name);
        card.dialled = Dialled::No("both ends come from one call: nobody dials");
        card.faults(Faults::all()).detect(Duration::from_secs(1)).settle(Duration::from_millis(20))
    }

    async fn pair(&self) -> Result<Pair, SetupError> {
        let (a, b, link) = memory::pair(memory::profile(self.queue_bytes, self.max_message));
        Ok(Pair::new(a, b).with_faults(move |fault| {
            for side in [Side::A, Side::B] {
                match fault {
                    Fault::Cut => link.cut(),
                    Fault::Heal => link.heal(side),
                    Fault::Lose { share, seed } => link.lose_datagrams(side, share, seed),
                    Fault::Stall => link.stall(side),
                }
            }
        }))
    }
}
