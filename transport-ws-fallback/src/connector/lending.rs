//! Which token a dial takes: one that is at hand, one of the control plane, or a spare one.

use transport_core::{ConnectError, ConnectErrorKind as Kind};
use url::Url;

use super::WsFallbackConnector;
use crate::{
    config::check_relay_url,
    error::{because, failed, stage},
    prefetch::{Fetched, Lent},
    runtime::{Duration, now, timeout, wall_clock},
    token::{Grant, TokenFailure, TokenFor},
};

impl WsFallbackConnector {
    /// Takes a token that was fetched ahead, or a fresh one, or a spare one where nobody can be asked.
    pub(super) async fn lend(&self, whom: TokenFor) -> Result<(Option<Lent<'_>>, Url), ConnectError> {
        let lent = match self.prefetched.take(whom, now()) {
            Some(fetched) => self.prefetched.lend(whom, fetched),
            None => match self.fetch(whom).await {
                Ok(fetched) => self.prefetched.lend(whom, fetched),
                Err(unfetched) => match self.spare(whom).filter(|_| unfetched.is_unanswered) {
                    Some(grant) => {
                        tracing::info!("nobody can be asked for a token: a spare one is used");
                        self.prefetched.lend_spare(whom, grant)
                    }
                    None => return Err(unfetched.error),
                },
            },
        };
        let url = self.relay_url(lent.relay_url())?;
        Ok((Some(lent), url))
    }

    /// Returns the spare token to use, if there is one.
    fn spare(&self, whom: TokenFor) -> Option<Grant> {
        let ticket = self.spares.ticket(whom, wall_clock(), now());
        ticket.or_else(|| self.tokens.rescue(whom)).filter(|grant| self.spares.is_unused(&grant.token))
    }

    pub(super) async fn fetch(&self, whom: TokenFor) -> Result<Fetched, Unfetched> {
        let has_spare = self.spare(whom).is_some();
        let unanswered = |error| {
            self.spares.nobody_answers(now());
            Unfetched { error, is_unanswered: true }
        };
        if has_spare && self.spares.nobody_answered_lately(now()) {
            return Err(unanswered(failed(stage::TOKEN, Kind::Unreachable)));
        }
        // With a spare token at hand a silent control plane is not waited out.
        let deadline = self.config.deadlines.token;
        let deadline = if has_spare { deadline.min(SPARE_AFTER) } else { deadline };
        match timeout(deadline, self.tokens.token(whom)).await {
            Err(_) => Err(unanswered(failed(stage::TOKEN, Kind::TimedOut))),
            Ok(Err(failure)) => {
                let is_unanswered = failure.is_unanswered();
                let error = failed(stage::TOKEN, failure.kind());
                let error = match &failure {
                    TokenFailure::Refused(refused) => error.refused_as(refused.reason.label()),
                    _ => error,
                };
                let error = error.because(failure.into_source());
                if is_unanswered { Err(unanswered(error)) } else { Err(Unfetched { error, is_unanswered }) }
            }
            Ok(Ok(grant)) => Ok(Fetched::fresh(grant, now())),
        }
    }

    fn relay_url(&self, granted: Option<&Url>) -> Result<Url, ConnectError> {
        if let Some(url) = &self.config.relay_url {
            return Ok(url.clone());
        }
        let Some(url) = granted else { return Ok(self.config.relay_beside_control_plane()) };
        check_relay_url("relay_url of the token's answer", url)
            .map_err(|error| because(stage::TOKEN, Kind::Misuse, error))?;
        Ok(url.clone())
    }
}

/// No token, and whether nobody answered who could have said no.
#[derive(Debug)]
pub(super) struct Unfetched {
    pub(super) error: ConnectError,
    is_unanswered: bool,
}

/// How long a control plane that says nothing is waited for when a spare token is at hand.
const SPARE_AFTER: Duration = Duration::from_secs(3);
