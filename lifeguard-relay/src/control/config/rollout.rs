//! What is allowed for convenience, and to whom the fallback is rolled out.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What is allowed for convenience.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Deployed v1 clients get a token for a session that is known, without an entitlement;
    /// `BEACH_DEV_ENABLE_FALLBACK_WS=1` is honoured; keys of an identity provider may come over plain HTTP.
    Development,
    /// None of that.
    #[default]
    Production,
}

/// To whom the fallback is rolled out, one stage after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RolloutConfig {
    /// How far it is. Default general. `FALLBACK_ROLLOUT_STAGE`.
    pub stage: Stage,
    /// Cohorts that are in at every stage. Default `dogfood`. `FALLBACK_ROLLOUT_DOGFOOD`. Like every cohort with a
    /// name, one is for accounts that are entitled to it, as `cohort:NAME`; whoever is not is of `public`.
    pub dogfood: Vec<String>,
    /// Percentages of named cohorts, from the limited stage on. Default none.
    /// `FALLBACK_ROLLOUT_COHORTS=beta=25,staff=100`.
    pub cohorts: BTreeMap<String, u8>,
    /// Percentage of all other sessions at the general stage. Default 100. `FALLBACK_ROLLOUT_PERCENT`.
    pub percent: u8,
}

/// How far the roll-out is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Only the cohorts of those who build it.
    Dogfood,
    /// Named cohorts too, each with its percentage.
    Limited,
    /// Everybody else too.
    #[default]
    General,
}

impl Default for RolloutConfig {
    fn default() -> Self {
        let dogfood = vec!["dogfood".to_owned()];
        Self { stage: Stage::General, dogfood, cohorts: BTreeMap::new(), percent: 100 }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Development => "development",
            Self::Production => "production",
        })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dogfood => "dogfood",
            Self::Limited => "limited",
            Self::General => "general",
        })
    }
}

impl FromStr for Mode {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        match text.to_ascii_lowercase().as_str() {
            "development" => Ok(Self::Development),
            "production" => Ok(Self::Production),
            _ => Err(UnknownName),
        }
    }
}

impl FromStr for Stage {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        match text.to_ascii_lowercase().as_str() {
            "dogfood" => Ok(Self::Dogfood),
            "limited" => Ok(Self::Limited),
            "general" => Ok(Self::General),
            _ => Err(UnknownName),
        }
    }
}

/// A name that is none of those there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such name")]
pub struct UnknownName;
