//! Whether a silent socket is asked, and how long its answer may take. Sans-IO.

use crate::{
    heartbeat::SILENCE,
    runtime::{Duration, Instant},
};

/// The doubt about one socket: what was said and not answered, and the ping that asks.
#[derive(Debug, Default)]
pub(crate) struct Question {
    /// When the first message left that nothing has followed from the other side.
    said: Option<Instant>,
    /// When a ping left that nothing has followed.
    asked: Option<Instant>,
    /// The longest silence that ended after all: a path that is slow is not dead.
    longest: Duration,
}

/// How a doubt stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// There is none.
    NoQuestion,
    /// Look again then.
    Due(Instant),
    /// A ping must be sent.
    Wanted,
    /// Nothing answers.
    Missing,
}

impl Question {
    /// Notes that something left which should be answered; says whether that is a new question, which moves the next
    /// look.
    pub(crate) fn said(&mut self, now: Instant) -> bool {
        let fresh = self.said.is_none();
        self.said.get_or_insert(now);
        fresh
    }

    /// Notes that something arrived; says whether that answers a ping.
    pub(crate) fn heard(&mut self, now: Instant) -> bool {
        let asked = self.asked.take();
        if let Some(since) = self.said.take().or(asked) {
            self.longest = self.longest.max(now.saturating_duration_since(since));
        }
        asked.is_some()
    }

    /// Asks, unless a ping is under way already; says whether one must be sent.
    pub(crate) fn ask(&mut self, now: Instant) -> bool {
        let fresh = self.asked.is_none();
        self.asked.get_or_insert(now);
        fresh
    }

    /// Asks anew, whatever was not answered before.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.said = None;
        self.asked = Some(now);
    }

    /// Whether a ping waits for its answer.
    pub(crate) fn is_open(&self) -> bool {
        self.asked.is_some()
    }

    /// When what is not answered began.
    pub(crate) fn opened_at(&self) -> Option<Instant> {
        [self.said, self.asked].into_iter().flatten().min()
    }

    /// Decides. [`Answer::Wanted`] is said once for each doubt.
    pub(crate) fn poll(&mut self, now: Instant) -> Answer {
        if let Some(asked) = self.asked {
            let due = asked + self.patience();
            return if now >= due { Answer::Missing } else { Answer::Due(due) };
        }
        let Some(said) = self.said else { return Answer::NoQuestion };
        if now < said + SILENCE {
            return Answer::Due(said + SILENCE);
        }
        self.asked = Some(now);
        Answer::Wanted
    }

    /// How long the answer to a ping may take.
    fn patience(&self) -> Duration {
        (self.longest * 2).saturating_sub(SILENCE).clamp(PATIENCE, MOST_PATIENCE)
    }
}

/// How long the answer may take on a path that was never slow (`docs/defaults.md`).
pub(crate) const PATIENCE: Duration = Duration::from_millis(1_500);

/// However slow it was.
const MOST_PATIENCE: Duration = Duration::from_secs(8);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::now;

    #[test]
    fn what_is_not_answered_is_asked_and_then_missing() {
        let (start, mut question) = (now(), Question::default());
        assert_eq!(question.poll(start), Answer::NoQuestion);
        assert!(question.said(start));
        assert_eq!(question.poll(start), Answer::Due(start + SILENCE));
        assert!(!question.said(start + SILENCE));
        assert_eq!(question.poll(start + SILENCE), Answer::Wanted);
        let due = start + SILENCE + PATIENCE;
        assert_eq!(question.poll(start + SILENCE), Answer::Due(due));
        assert!(!question.ask(due), "one ping is under way");
        assert_eq!(question.poll(due), Answer::Missing);
    }

    #[test]
    fn anything_that_arrives_is_an_answer() {
        let (start, mut question) = (now(), Question::default());
        question.said(start);
        assert!(!question.heard(start + SILENCE / 2));
        assert_eq!(question.poll(start + SILENCE), Answer::NoQuestion);
        assert!(question.ask(start + SILENCE));
        assert!(question.is_open() && question.heard(start + SILENCE) && !question.is_open());
    }

    #[test]
    fn a_path_that_was_slow_is_given_more_time() {
        let (start, mut question) = (now(), Question::default());
        question.said(start);
        question.heard(start + 2 * SILENCE);
        let later = start + 10 * SILENCE;
        question.ask(later);
        assert_eq!(question.poll(later), Answer::Due(later + 3 * SILENCE));
    }
}
