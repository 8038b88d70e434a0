//! What happens to a connection that a browser opens.

use std::time::Duration;

/// What happened to a connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The browser did not connect. It tells a page no more.
    #[error(
        "the browser did not connect: nothing answers there, its certificate is not trusted, or the service does not \
         let pages of this origin in"
    )]
    Blocked,
    /// What answers sends the browser elsewhere: a captive portal, most of the time.
    #[error("something answers with a redirect; there may be a page to log in to")]
    Redirected,
    /// The stage took too long.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The answer's body is longer than the request allows.
    #[error("the answer is longer than {limit} bytes")]
    TooLarge {
        /// The most bytes that were allowed.
        limit: usize,
    },
    /// The URL cannot be dialled.
    #[error("{0}")]
    Url(&'static str),
}

impl Cause {
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut(_))
    }

    /// A browser does not say.
    pub(crate) fn is_refused(&self) -> bool {
        false
    }

    pub(crate) fn is_login_page(&self) -> bool {
        matches!(self, Self::Redirected)
    }

    /// A browser does not say.
    pub(crate) fn is_untrusted(&self) -> bool {
        false
    }

    /// A browser pins nothing.
    pub(crate) fn is_not_pinned(&self) -> bool {
        false
    }
}
