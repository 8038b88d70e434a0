//! Which side of a session an endpoint is, and what it may do there.

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

/// Which side of a session an endpoint is.
///
/// Complete on purpose: every check of a role must answer for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum Role {
    /// Shares the terminal.
    Host,
    /// Watches it, and types if its access allows.
    Viewer,
}

/// What a viewer may do in a session. Ordered: the least comes first, so `min` grants no more than was asked for.
///
/// Complete on purpose: what is neither must not fall into either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum Access {
    /// Look. What it sends goes nowhere.
    ReadOnly,
    /// Look and type.
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_access_is_smaller() {
        assert_eq!(Access::Full.min(Access::ReadOnly), Access::ReadOnly);
    }

    #[cfg(feature = "serde")]
    #[test]
    fn the_words_of_the_wire_are_pinned() {
        let json = |value: &dyn Fn() -> serde_json::Result<String>| value().unwrap();
        assert_eq!(json(&|| serde_json::to_string(&[Role::Host, Role::Viewer])), r#"["host","viewer"]"#);
        assert_eq!(
            json(&|| serde_json::to_string(&[Access::Full, Access::ReadOnly])),
            r#"["full","read_only"]"#
        );
    }
}
