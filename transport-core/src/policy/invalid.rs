//! The error of a setting that cannot work.

/// A setting that cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the policy needs that {field} {rule}")]
#[non_exhaustive]
pub struct ConfigError {
    /// The field, as a path: `dial.silence`.
    pub field: &'static str,
    /// What must hold for it.
    pub rule: &'static str,
}

pub(super) fn ensure(holds: bool, field: &'static str, rule: &'static str) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError { field, rule }) }
}
