//! What a page decides about its outbound connections: how long they may take.

use std::time::Duration;

use crate::error::Stage;

/// How an [`Outbound`](crate::Outbound) reaches others. Proxy and trust are the browser's.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct OutboundConfig {
    /// How long each stage may take.
    pub deadlines: Deadlines,
}

/// How long each stage may take. A browser does not say how far it is within one.
///
/// # Defaults
///
/// | field | default | why |
/// |---|---|---|
/// | `connect` | 10 s | name, TCP, TLS and upgrade together; a slow resolver alone may take 6 s |
/// | `http` | 10 s | the same, and the answer |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlines {
    /// Until a WebSocket is open, or a streaming answer has begun.
    pub connect: Duration,
    /// From the request until the end of the answer's body.
    pub http: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let both = Duration::from_secs(10);
        Self { connect: both, http: both }
    }
}

impl Deadlines {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let limits = [(Stage::Connect, self.connect), (Stage::Http, self.http)];
        match limits.into_iter().find(|(_, limit)| limit.is_zero()) {
            Some((stage, _)) => Err(ConfigError::Deadline { stage }),
            None => Ok(()),
        }
    }
}

/// A configuration that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A stage without time.
    #[error("the deadline of stage {stage} is zero")]
    Deadline {
        /// The stage.
        stage: Stage,
    },
}
