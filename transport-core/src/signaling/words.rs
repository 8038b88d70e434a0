//! The words inside messages: parsed once, here, into closed sets.

use std::fmt;

use crate::policy::{Override, Reason};

/// Why a peer says goodbye, or does not let somebody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ByeReason {
    /// It closed the session. `closed`
    Closed,
    /// It no longer has the state of this session. `expired`
    Forgotten,
    /// It takes no more viewers. `full`
    Full,
    /// Its link lets nobody new in any more. `link_expired`
    LinkExpired,
    /// The link was taken back, and whoever came by it goes. `link_revoked`
    LinkRevoked,
    /// As many as its link is for have come. `link_used_up`
    LinkUsedUp,
    /// Its person said no. `refused`
    Refused,
    /// Its person removed this viewer. `removed`
    Removed,
    /// Its person did not say in time whether to let this viewer in. `unanswered`
    Unanswered,
    /// A reason of a newer program.
    Unknown,
}

impl ByeReason {
    /// Every reason that has a word.
    pub const ALL: [Self; 9] = [
        Self::Closed,
        Self::Forgotten,
        Self::Full,
        Self::LinkExpired,
        Self::LinkRevoked,
        Self::LinkUsedUp,
        Self::Refused,
        Self::Removed,
        Self::Unanswered,
    ];

    /// Returns the word on the wire.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Forgotten => "expired",
            Self::Full => "full",
            Self::LinkExpired => "link_expired",
            Self::LinkRevoked => "link_revoked",
            Self::LinkUsedUp => "link_used_up",
            Self::Refused => "refused",
            Self::Removed => "removed",
            Self::Unanswered => "unanswered",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for ByeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "it ended the session",
            Self::Forgotten => "it no longer keeps the session",
            Self::Full => "the session is full",
            Self::LinkExpired => "the link has expired",
            Self::LinkRevoked => "the link was revoked",
            Self::LinkUsedUp => "the link was used up by others",
            Self::Refused => "the host did not let you in",
            Self::Removed => "the host removed you",
            Self::Unanswered => "the host did not say in time whether to let you in",
            Self::Unknown => "for a reason this program does not know",
        })
    }
}

/// A module for `#[serde(with = …)]` that reads and writes one kind of word.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident: $type:ty, $code:expr, $known:expr, $unknown:expr) => {
        $(#[$doc])*
        pub(super) mod $name {
            use serde::{Deserialize, Deserializer, Serializer};

            use super::*;

            pub(in crate::signaling) fn serialize<S: Serializer>(
                word: &$type,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                let code: fn(&$type) -> &'static str = $code;
                serializer.serialize_str(code(word))
            }

            pub(in crate::signaling) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<$type, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                let known: fn(&str) -> Option<$type> = $known;
                let unknown: fn() -> Option<$type> = $unknown;
                known(&text).or_else(unknown).ok_or_else(|| serde::de::Error::custom("an unknown word"))
            }
        }
    };
}

fn reason(code: &str) -> Option<Reason> {
    Reason::ALL.iter().find(|reason| reason.code() == code).copied()
}

word!(bye: ByeReason, |word| word.code(),
    |text| ByeReason::ALL.into_iter().find(|known| known.code() == text), || Some(ByeReason::Unknown));
word!(decline: Reason, |word| word.code(), reason, || Some(Reason::Override));
word!(dial: Reason, |word| word.code(), reason, || Some(Reason::Retry));
word!(lost: Reason, |word| word.code(), reason, || Some(Reason::LinkClosed));
word!(
    /// A mode that is not known is an error: to read it as another would allow what the peer forbids.
    mode: Override, |word| code_of(*word), |text| MODES.iter().find(|(_, known)| *known == text).map(|(mode, _)| *mode),
    || None);

fn code_of(mode: Override) -> &'static str {
    MODES.iter().find(|(of, _)| *of == mode).map_or("auto", |(_, word)| word)
}

const MODES: [(Override, &str); 4] = [
    (Override::Auto, "auto"),
    (Override::DirectOnly, "direct-only"),
    (Override::NoRelay, "no-relay"),
    (Override::RelayOnly, "relay-only"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::Generation, policy::Testimony, signaling::Message};

    fn read(json: &str) -> Result<Message, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn every_word_survives_the_wire() {
        let generation = Generation(3);
        let mut messages: Vec<Message> = ByeReason::ALL.map(|reason| Message::Bye { reason }).into();
        messages.extend(MODES.map(|(mode, _)| Message::Mode { mode }));
        for &reason in Reason::ALL {
            messages.push(Message::Lost { generation, reason });
            messages.push(Message::Decline { generation, reason });
        }
        let heard = Testimony { silent_ms: 1_400, needs_ms: 80, received: 12, sent: 17 };
        messages.push(Message::Ask { generation, number: 2, heard });
        messages.push(Message::Answer { generation, number: 2, heard });
        for message in messages {
            let text = serde_json::to_string(&message).unwrap();
            assert_eq!(read(&text).unwrap(), message, "{text}");
        }
    }

    #[test]
    fn words_of_a_newer_program_read_as_the_most_general_one() {
        let lost = |reason| Message::Lost { generation: Generation(1), reason };
        assert_eq!(
            read(r#"{"type":"bye","reason":"x"}"#).unwrap(),
            Message::Bye { reason: ByeReason::Unknown }
        );
        assert_eq!(read(r#"{"type":"lost","generation":1,"reason":"x"}"#).unwrap(), lost(Reason::LinkClosed));
        assert!(read(r#"{"type":"mode","mode":"x"}"#).is_err());
    }

    #[test]
    fn a_question_has_its_words_and_one_without_a_testimony_is_none() {
        let heard = Testimony { silent_ms: 1_400, needs_ms: 80, received: 12, sent: 17 };
        let text = r#"{"type":"ask","generation":3,"number":2,"heard":{"silent_ms":1400,"needs_ms":80,"received":12,"sent":17}}"#;
        let ask = Message::Ask { generation: Generation(3), number: 2, heard };
        assert_eq!(serde_json::to_string(&ask).unwrap(), text);
        assert!(read(r#"{"type":"ask","generation":3,"number":2}"#).is_err());
        assert!(read(r#"{"type":"answer","generation":3,"number":2,"heard":{"silent_ms":-1}}"#).is_err());
    }

    #[test]
    fn the_words_of_before_are_still_the_words() {
        let text = serde_json::to_string(&Message::Bye { reason: ByeReason::Forgotten }).unwrap();
        assert_eq!(text, r#"{"type":"bye","reason":"expired"}"#);
    }
}
