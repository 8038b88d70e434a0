//! Certifies any transport and any relay, and proves that nothing is lost.
//!
//! A transport's author implements [`Subject`] (how to open a connected pair) and adds one test
//! target with `harness = false`:
//!
//! ```no_run
//! # use std::process::ExitCode;
//! # use conformance::{Card, Pair, SetupError, Subject};
//! # use transport_core::memory;
//! #[derive(Debug)]
//! struct Mine;
//!
//! #[async_trait::async_trait]
//! impl Subject for Mine {
//!     fn card(&self) -> Card {
//!         Card::new("mine")
//!     }
//!     async fn pair(&self) -> Result<Pair, SetupError> {
//!         let (a, b, _link) = memory::pair(memory::profile(65_536, 16_384)); // dial yours here
//!         Ok(Pair::new(a, b))
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     conformance::certify([Mine])
//! }
//! ```
//!
//! Each case cites its clause of `docs/contract.md`, runs in both directions on the raw transport,
//! and is either passed, failed, or exempt with a reason that is shown. The walk-through is
//! `docs/adding-a-transport.md`.
//!
//! Beside the suite: [`netlab`] (proxies that lose, delay, stall and cut), [`history`] (the checker
//! behind "nothing lost, doubled, reordered, forged, crossed or silently missing"), [`party`] (the smallest
//! session over changing transports), [`attacker`] (a member with a valid link that keeps no rule).
//!
//! What it is not: a benchmark (see `lifeguard-load`) or a fuzzer.
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(feature = "relay")]
pub mod attacker;
pub mod case;
pub mod cases;
pub mod history;
pub mod netlab;
pub mod party;
#[cfg(feature = "relay")]
pub mod relay;
pub mod report;
pub mod session_sim;
pub mod simulator;
pub mod subject;
pub mod suite;

pub use case::{Case, Ctx, Direction, Failure, Link, Need, Result};
pub use subject::{Card, Connectors, Dialled, Exemption, Fault, Faults, Pair, SetupError, Subject, Support};
pub use suite::{certify, run_case};
