//! Certifies the reference implementation.

#[path = "subjects/memory.rs"]
mod subject;

use std::process::ExitCode;

use subject::Memory;

fn main() -> ExitCode {
    conformance::certify([Memory::ROOMY, Memory::TIGHT])
}
