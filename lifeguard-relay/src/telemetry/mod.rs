//! What an operator sees: metrics, log lines and traces, and nothing that names a person or a session.

pub mod metrics;
pub mod tracing;
