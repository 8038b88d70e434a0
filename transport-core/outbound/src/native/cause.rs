//! What happens to a connection that this machine opens.

use std::{io, time::Duration};

use crate::native::{proxy::ProxyName, trust::Fingerprint};

/// What happened to a connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The operating system, or the other side, said so.
    #[error("{0}")]
    Io(io::Error),
    /// What answers speaks another protocol than HTTP, or broke off.
    #[error("{0}")]
    Http(hyper::Error),
    /// A login page answers in place of the server: a captive portal.
    #[error("a login page answers at {host}; log in there first")]
    LoginPage {
        /// Where the page is.
        host: String,
    },
    /// The name has no address.
    #[error("the name has no address")]
    NoAddress,
    /// Certificates are needed, and the system's store has none.
    #[error("the system's certificate store is empty; trust the server's certificate as a root")]
    NoRoots,
    /// The server showed another certificate than the one with the pinned fingerprint.
    #[error("the certificate is not the pinned one; its fingerprint is {shown}")]
    NotPinned {
        /// The fingerprint of the certificate that was shown.
        shown: Fingerprint,
    },
    /// What answers does not speak TLS.
    #[error("what answers does not speak TLS")]
    NotTls,
    /// The proxy stands in the way.
    #[error("the proxy {proxy} {fault}")]
    Proxy {
        /// Which proxy, and who chose it.
        proxy: ProxyName,
        /// What it did.
        fault: ProxyFault,
    },
    /// The stage took too long.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// TLS failed for another reason than trust.
    #[error("{0}")]
    Tls(rustls::Error),
    /// The answer's body is longer than the request allows.
    #[error("the answer is longer than {limit} bytes")]
    TooLarge {
        /// The most bytes that were allowed.
        limit: usize,
    },
    /// The certificate comes from an authority that is not trusted here.
    #[error("the certificate's issuer, {issuer}, is not trusted; trust it as a root if it is yours")]
    Untrusted {
        /// The issuer's name, cleaned and cut.
        issuer: String,
    },
    /// The URL cannot be dialled.
    #[error("{0}")]
    Url(&'static str),
}

/// What a proxy did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyFault {
    /// It wants a name and a password.
    #[error("asks for a password")]
    AsksForPassword,
    /// It broke off, or what it says is no HTTP.
    #[error("does not speak HTTP: {0}")]
    Garbled(String),
    /// Its name has no address, or nothing answers there.
    #[error("does not answer")]
    NoAnswer,
    /// It said no, with this status.
    #[error("refused: {0}")]
    Refused(u16),
    /// It answered the TCP handshake and said nothing for so long.
    #[error("has not opened the way within {0:?}")]
    Silent(Duration),
    /// It could not reach the target, with this status.
    #[error("cannot reach the target: {0}")]
    Unreachable(u16),
    /// The TLS handshake with the proxy itself failed.
    #[error("fails at TLS: {0}")]
    Tls(Box<Cause>),
    /// The setting cannot be used.
    #[error("cannot be used: {0}")]
    Unusable(&'static str),
    /// It does not accept the password that was given.
    #[error("does not accept the password")]
    WrongPassword,
}

impl Cause {
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    }

    pub(crate) fn is_timeout(&self) -> bool {
        match self {
            Self::Proxy { fault, .. } => fault.is_silence(),
            cause => matches!(cause, Self::TimedOut(_)),
        }
    }

    pub(crate) fn is_login_page(&self) -> bool {
        matches!(self, Self::LoginPage { .. })
    }

    pub(crate) fn is_untrusted(&self) -> bool {
        matches!(self, Self::Untrusted { .. })
    }

    pub(crate) fn is_not_pinned(&self) -> bool {
        matches!(self, Self::NotPinned { .. })
    }
}

impl ProxyFault {
    fn is_silence(&self) -> bool {
        match self {
            Self::Silent(_) => true,
            Self::Tls(cause) => matches!(**cause, Cause::TimedOut(_)),
            _ => false,
        }
    }
}
