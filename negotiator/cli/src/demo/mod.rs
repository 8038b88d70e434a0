//! `beach-link demo`: see it work.

use crate::{args::DemoArgs, exit::Failure};

/// Runs the demo.
///
/// # Errors
///
/// [`Failure`].
pub async fn demo(_args: DemoArgs) -> Result<u8, Failure> {
    Err(Failure::Demo(String::new()))
}
