//! Certifies the seal: `Secure<…>` is a transport like the one below it.

#[path = "subjects/memory.rs"]
mod memory;
#[path = "subjects/secured.rs"]
mod secured;

use std::{process::ExitCode, sync::Arc};

use memory::Memory;
use secured::Secured;

fn main() -> ExitCode {
    conformance::certify([Secured(Arc::new(Memory::ROOMY)), Secured(Arc::new(Memory::TIGHT))])
}
