//! How a command fails: its exit code, and what to do about it.

use std::process::ExitCode;

use crate::{config::ConfigError, listen::TlsError};

/// Why a command failed; each has its exit code and says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}\n  see `beach-lifeguard config print-default` for every key")]
    Config(#[from] ConfigError),
    #[error(
        "cannot listen on {address}: {source}\n  is another one running? choose an address with --{flag}"
    )]
    Bind { address: std::net::SocketAddr, flag: &'static str, source: std::io::Error },
    #[error("{0}: {source}\n  check --listen-tls-certificate and --listen-tls-key", source = cause(.0))]
    Tls(#[from] TlsError),
    #[error("no answer from the admin address {url}: {why}\n  is the process running? name it with --admin")]
    Unreachable { url: String, why: String },
    #[error("the process refused: {0}")]
    Refused(String),
    #[error("{0}")]
    Input(String),
    #[error("the state directory {folder}: {why}")]
    State { folder: String, why: String },
    #[error("{0}")]
    Public(String),
    #[error("{0} connections had to be closed at the deadline of the drain")]
    Forced(usize),
    #[error("standard output takes nothing: {0}")]
    Output(std::io::Error),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl Failure {
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Io(_) | Self::Output(_) => 1,
            Self::Config(_) | Self::Tls(_) => 3,
            Self::Bind { .. } => 4,
            Self::Unreachable { .. } => 5,
            Self::Refused(_) => 6,
            Self::Input(_) => 7,
            Self::Forced(_) => 9,
            Self::State { .. } => 10,
            Self::Public(_) => 11,
        })
    }
}

fn cause(error: &TlsError) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}
