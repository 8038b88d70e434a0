//! A shell that is shared is not shared again from inside, nor is a session joined there: it would show itself, each
//! screen within the next, and each size would follow the other.

use std::env;

use crate::exit::Failure;

/// The environment variable by which a program knows that its terminal is shared.
pub const VARIABLE: &str = "BEACH_SESSION";

/// Refuses to go on in a terminal that is shared.
///
/// # Errors
///
/// [`Failure::Nested`].
pub fn check() -> Result<(), Failure> {
    match env::var_os(VARIABLE) {
        Some(value) if !value.is_empty() => Err(Failure::Nested),
        _ => Ok(()),
    }
}
