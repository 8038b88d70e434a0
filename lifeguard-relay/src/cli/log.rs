//! Starts logging as the environment says.

use super::failure::Failure;
use crate::telemetry::tracing::{Exporting, Logging};

/// See [`Logging`]. Lines go to stderr: stdout belongs to what a command answers.
pub(super) fn start() -> Result<Exporting, Failure> {
    let logging = Logging::from_env(&|name| std::env::var(name).ok());
    logging.and_then(|logging| logging.start()).map_err(|error| Failure::Input(error.to_string()))
}
