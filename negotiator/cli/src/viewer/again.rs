//! A viewer whose session was lost comes in anew by the same link, however long that takes.

use std::time::{Duration, Instant};

use negotiator::{Access, Session, SessionEnd};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use transport_core::{
    backoff::{Backoff, BackoffConfig},
    resume::Expiry,
};

use super::enter::Entrance;
use crate::{exit::Failure, wire::Service};

/// The way back into a terminal.
#[derive(Debug)]
pub struct Again<'a> {
    entrance: &'a Entrance,
    /// When anything was last heard of the host.
    heard: Instant,
    patience: Option<Duration>,
    told: watch::Sender<String>,
    hurry: Notify,
}

impl<'a> Again<'a> {
    /// Comes back from a session that was lost. `patience`: how long a silent host is waited for.
    pub fn from(lost: &Session, entrance: &'a Entrance, patience: Option<Duration>) -> Self {
        let silence = lost.status().last_heard.unwrap_or_default();
        let heard = Instant::now().checked_sub(silence).unwrap_or_else(Instant::now);
        Self { entrance, heard, patience, told: watch::Sender::default(), hurry: Notify::new() }
    }

    /// Tries until the host lets this viewer in.
    ///
    /// # Errors
    ///
    /// [`Failure`] when no attempt can change anything, or [`Failure::GivenUp`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves nothing behind.
    pub async fn enter(&self) -> Result<(Session, Access), Failure> {
        let Some(patience) = self.patience else { return self.attempts().await };
        let left = patience.saturating_sub(self.heard.elapsed());
        timeout(left, self.attempts()).await.unwrap_or(Err(Failure::GivenUp(patience)))
    }

    /// Tries at once: somebody is looking.
    pub fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Tells why the last attempt failed; empty before.
    pub fn told(&self) -> watch::Receiver<String> {
        self.told.subscribe()
    }

    async fn attempts(&self) -> Result<(Session, Access), Failure> {
        let mut backoff = Backoff::default();
        loop {
            match self.entrance.again(Service::Terminal).await {
                Ok(inside) => return Ok(inside),
                Err(setback) if !setback.passes => return Err(setback.failure),
                Err(setback) => {
                    tracing::info!(failure = %setback.failure, "not in yet");
                    self.told.send_replace(setback.failure.to_string());
                }
            }
            let schedule = BackoffConfig::default().after(self.heard.elapsed());
            let wait = backoff.draw(&schedule, &mut rand::rng());
            tokio::select! {
                () = sleep(wait) => {}
                () = self.hurry.notified() => {}
            }
        }
    }
}

/// Why the session before was lost, in a few words.
pub fn why(end: &SessionEnd) -> &'static str {
    match end {
        SessionEnd::Expired { why: Expiry::Window, .. } => "no path came in time",
        SessionEnd::Expired { .. } => "the host had let it go",
        _ => "messages were lost",
    }
}

/// What the person is told who is in again, in the 80 columns of a status line. What was under way may have been typed, or
/// may be this program's own: so keys may be lost.
pub fn sentence(end: &SessionEnd) -> String {
    let lost = match end {
        SessionEnd::Expired { unacknowledged: 1.., .. } => "; keys may be lost",
        _ => "",
    };
    format!("entered anew by the same link ({}){lost}", why(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_again_is_told_why_and_what_is_lost() {
        let said = |why, unacknowledged| sentence(&SessionEnd::Expired { why, unacknowledged });
        assert_eq!(
            said(Expiry::Window, 3),
            "entered anew by the same link (no path came in time); keys may be lost"
        );
        assert!([Expiry::Window, Expiry::PeerRestarted].iter().all(|why| said(*why, 3).len() < 80));
        assert!(said(Expiry::PeerRestarted, 0).ends_with("(the host had let it go)"));
    }
}
