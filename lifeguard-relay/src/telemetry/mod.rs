//! What an operator sees: metrics, and nothing that names a person or a session.

pub mod metrics;
