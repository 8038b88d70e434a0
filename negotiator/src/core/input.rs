//! What the viewer of a session may do, and what it sent although it may not.

use serde::Serialize;
use transport_core::secure::Access;

use crate::config::Questions;

/// What a peer sent that may only look, questions that the application reads apart. None of it reached the application.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RefusedInput {
    /// Messages of the reliable lane.
    pub messages: u64,
    /// Datagrams.
    pub datagrams: u64,
    /// Payload bytes of both.
    pub bytes: u64,
}

impl RefusedInput {
    /// Whether nothing was refused.
    pub fn is_empty(self) -> bool {
        self.messages == 0 && self.datagrams == 0
    }
}

/// Stands between what arrives and the application.
#[derive(Debug)]
pub(super) struct Input {
    /// Whether what arrives comes from a viewer: a host's words always pass.
    from_viewer: bool,
    /// What the host allows at most.
    allowed: Access,
    /// What the viewer asked for in its last handshake; at the viewer, what it was granted.
    asked: Option<Access>,
    /// What passes whatever the viewer may do.
    questions: Option<Questions>,
    refused: RefusedInput,
}

/// What becomes of something that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Passes,
    /// It is dropped. `first`: nothing was before.
    Refused {
        first: bool,
    },
}

impl Input {
    pub(super) fn new(from_viewer: bool, questions: Option<Questions>) -> Self {
        let refused = RefusedInput::default();
        Self { from_viewer, allowed: Access::Full, asked: None, questions, refused }
    }

    pub(super) fn allow(&mut self, access: Access) {
        self.allowed = access;
    }

    pub(super) fn ask(&mut self, access: Access) {
        self.asked = Some(access);
    }

    /// What the viewer may do; `None` before its first handshake.
    pub(super) fn access(&self) -> Option<Access> {
        self.asked.map(|asked| asked.min(self.allowed))
    }

    pub(super) fn refused(&self) -> RefusedInput {
        self.refused
    }

    pub(super) fn message(&mut self, message: &[u8]) -> Verdict {
        if self.access().is_some() && self.questions.is_some_and(|asks| asks(message)) {
            return Verdict::Passes;
        }
        self.judge(message.len(), |refused| &mut refused.messages)
    }

    pub(super) fn datagram(&mut self, bytes: usize) -> Verdict {
        self.judge(bytes, |refused| &mut refused.datagrams)
    }

    fn judge(&mut self, bytes: usize, counter: fn(&mut RefusedInput) -> &mut u64) -> Verdict {
        if !self.from_viewer || self.access() == Some(Access::Full) {
            return Verdict::Passes;
        }
        let first = self.refused.is_empty();
        *counter(&mut self.refused) += 1;
        self.refused.bytes += bytes as u64;
        Verdict::Refused { first }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_viewer_with_full_access_reaches_the_application() {
        use Access::{Full, ReadOnly};
        for (asked, allowed, passes) in [
            (None, Full, false),
            (Some(Full), Full, true),
            (Some(Full), ReadOnly, false),
            (Some(ReadOnly), Full, false),
            (Some(ReadOnly), ReadOnly, false),
        ] {
            for from_viewer in [true, false] {
                let mut input = Input::new(from_viewer, None);
                input.allow(allowed);
                asked.into_iter().for_each(|asked| input.ask(asked));
                let passed = input.message(b"abc") == Verdict::Passes;
                assert_eq!(passed, passes || !from_viewer, "{asked:?} {allowed:?} {from_viewer}");
                assert_eq!(input.datagram(4) == Verdict::Passes, passed);
                let counted = RefusedInput { messages: 1, datagrams: 1, bytes: 7 };
                assert_eq!(input.refused(), if passed { RefusedInput::default() } else { counted });
            }
        }
    }

    #[test]
    fn the_first_refusal_is_told_apart_and_a_raise_lets_the_next_message_pass() {
        let mut input = Input::new(true, None);
        input.ask(Access::Full);
        input.allow(Access::ReadOnly);
        assert_eq!(input.message(b"a"), Verdict::Refused { first: true });
        assert_eq!(input.datagram(1), Verdict::Refused { first: false });
        input.allow(Access::Full);
        assert_eq!(input.message(b"a"), Verdict::Passes);
    }

    #[test]
    fn a_question_of_who_may_only_look_passes_once_it_is_known_who_asks() {
        let mut input = Input::new(true, Some(|message| message.starts_with(b"?")));
        assert_eq!(input.message(b"?"), Verdict::Refused { first: true });
        input.ask(Access::ReadOnly);
        assert_eq!(input.message(b"?"), Verdict::Passes);
        assert_eq!(input.message(b"!"), Verdict::Refused { first: false });
        assert_eq!(input.datagram(1), Verdict::Refused { first: false });
    }
}
