//! Which spare tokens are used up, and whether there is somebody to ask for another.

use beach_lifeguard_client::{CloseCode, FallbackToken};
use parking_lot::Mutex;
use url::Url;

use crate::{
    dial::Failed,
    error::CloseAtHandshake,
    runtime::{Duration, Instant, SystemTime},
    token::{Grant, TokenFor},
};

/// What a connector remembers of spare tokens. Their keepers have them.
#[derive(Debug, Default)]
pub(crate) struct Spares(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The last ones that were used, oldest first.
    used: Vec<FallbackToken>,
    unanswered: Option<Instant>,
    ticket: Option<(TokenFor, Ticket, Url)>,
}

/// A token by which to come back to a relay.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    pub(crate) token: FallbackToken,
    pub(crate) until: Instant,
}

impl Spares {
    /// A relay has taken this one, or will never.
    pub(crate) fn used(&self, token: FallbackToken) {
        let mut state = self.0.lock();
        if state.used.len() >= REMEMBERED {
            state.used.remove(0);
        }
        state.used.push(token);
    }

    pub(crate) fn is_unused(&self, token: &FallbackToken) -> bool {
        !self.0.lock().used.contains(token)
    }

    /// Keeps what the relay at `url` gave for coming back.
    pub(crate) fn keep(&self, whom: TokenFor, ticket: Ticket, url: Url) {
        self.0.lock().ticket = Some((whom, ticket, url));
    }

    /// The ticket of `whom`, if it still lives and was not used.
    pub(crate) fn ticket(&self, whom: TokenFor, wall: SystemTime, now: Instant) -> Option<Grant> {
        let (of, ticket, url) = self.0.lock().ticket.clone()?;
        let is_good = of == whom && now < ticket.until && self.is_unused(&ticket.token);
        is_good.then(|| Grant {
            token: ticket.token,
            expires_at: wall + ticket.until.saturating_duration_since(now),
            relay_url: Some(url),
        })
    }

    /// A question to the control plane was not answered.
    pub(crate) fn nobody_answers(&self, now: Instant) {
        let mut state = self.0.lock();
        if !state.unanswered.is_some_and(|at| is_lately(at, now)) {
            state.unanswered = Some(now);
        }
    }

    /// Whether it is known without asking that nobody answers.
    pub(crate) fn nobody_answered_lately(&self, now: Instant) -> bool {
        self.0.lock().unanswered.is_some_and(|at| is_lately(at, now))
    }
}

/// Whether the relay has said that the token will never admit. A pause or a store that is away passes.
pub(crate) fn is_worthless(failed: &Failed) -> bool {
    matches!(refused_with(failed), Some(CloseCode::BAD_TOKEN | CloseCode::REMOVED | CloseCode::ROLE))
}

/// Whether the relay does not take the token; it may take another of the same holder.
pub(crate) fn is_bad_token(failed: &Failed) -> bool {
    refused_with(failed) == Some(CloseCode::BAD_TOKEN)
}

fn refused_with(failed: &Failed) -> Option<CloseCode> {
    let refused = failed.error.source.as_ref()?.downcast_ref::<CloseAtHandshake>()?;
    Some(refused.0.code)
}

fn is_lately(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < LATELY
}

/// For so long a control plane that did not answer is not asked again before a spare token is used: the prefetch has
/// asked while the path was in doubt.
const LATELY: Duration = Duration::from_secs(10);
/// More than are ever at hand.
const REMEMBERED: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::now;

    #[test]
    fn what_was_used_is_remembered_and_so_is_for_a_while_that_nobody_answered() {
        let (spares, now) = (Spares::default(), now());
        let token = |n: usize| FallbackToken::new(format!("t{n}"));
        for n in 0..=REMEMBERED {
            assert!(spares.is_unused(&token(n)));
            spares.used(token(n));
        }
        assert!(spares.is_unused(&token(0)) && !spares.is_unused(&token(1)));
        assert!(!spares.nobody_answered_lately(now));
        spares.nobody_answers(now);
        spares.nobody_answers(now + LATELY / 2);
        assert!(spares.nobody_answered_lately(now + LATELY - Duration::from_millis(1)));
        assert!(!spares.nobody_answered_lately(now + LATELY), "it is asked again");
    }
}
