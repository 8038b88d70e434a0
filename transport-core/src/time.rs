//! Time, for all crates that decide something: the one place they take `Instant` and its kin from.
//!
//! Natively these are the types of `std::time`, under other names. In a browser `std`'s clock panics, so there
//! they are `web-time`'s, with the same methods.
//!
//! This crate reads no clock: time is an argument. Who drives it reads the clock of its runtime.

pub use std::time::Duration;

pub use web_time::{Instant, SystemTime, UNIX_EPOCH};
