//! Which proxy a connection goes through.

use std::{fmt, str::FromStr};

use crate::config::ConfigError;

/// A proxy's address: `http://[user:password@]host[:port]`, or `https://…`. `Debug` and `Display` show
/// no password.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    pub(crate) authority: String,
}

impl FromStr for ProxyUrl {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self { authority: text.to_owned() })
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({self})")
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)
    }
}

/// A proxy as errors name it: `10.0.0.1:3128 (from HTTPS_PROXY)`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyName {
    /// Host and port.
    pub address: String,
    /// The variable that names it, or `the settings`.
    pub source: &'static str,
}

impl fmt::Display for ProxyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (from {})", self.address, self.source)
    }
}
