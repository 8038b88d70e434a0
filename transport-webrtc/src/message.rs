//! What two connectors say to each other over the link channel: JSON, one object per message.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The version of these messages. An offer of another version is declined.
pub(crate) const VERSION: u16 = 1;

/// Largest message in bytes, before it is parsed: an SDP with its candidates is 1 to 4 KiB.
const MAX_MESSAGE: usize = 16 * 1024;

/// Longest candidate line in bytes; RFC 8839 lines are under 200.
const MAX_CANDIDATE: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum LinkMessage {
    /// The offerer begins. `term` is absent when the offerer opens no channel for datagrams.
    Offer {
        version: u16,
        sdp: String,
        ctrl: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        term: Option<String>,
    },
    /// The answerer agrees. `term` is absent when it wants no channel for datagrams.
    Answer {
        sdp: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        term: Option<String>,
    },
    /// One more local candidate.
    Candidate { candidate: String },
    /// The sender will not go on with this attempt.
    Decline { reason: DeclineReason },
    /// Asks whether signaling works, and whether the peer moved, before ICE is restarted: a restart
    /// gives the old path up.
    RestartAsk,
    /// Signaling works; `moved` when the sender's addresses are others than when the link was made.
    RestartReady { moved: bool },
    /// New credentials and candidates for the same link.
    RestartOffer { sdp: String },
    /// The same from the other side.
    RestartAnswer { sdp: String },
}

/// Why an attempt is not gone on with: a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DeclineReason {
    /// The sender has no file descriptor left for a socket.
    #[error("the peer has no file descriptor left for a socket")]
    Exhausted,
    /// The sender gave the attempt up, or it failed there.
    #[error("the peer gave the attempt up")]
    GaveUp,
    /// The sender speaks another version, other labels or another kind of channel.
    #[error("the peer speaks another version or other channel labels")]
    Incompatible,
    /// The sender's network lets no UDP through.
    #[error("the peer's network lets no UDP through")]
    NoUdp,
    /// A reason this version does not know.
    #[serde(other)]
    #[error("the peer declined")]
    Other,
}

/// A message that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadMessage {
    #[error("the peer sent a message that is not one of ours")]
    Malformed,
    #[error("the peer sent a message of more than {MAX_MESSAGE} bytes")]
    TooLarge,
}

impl LinkMessage {
    pub(crate) fn encode(&self) -> String {
        // Strings and small integers cannot fail to serialize; an empty message is refused above.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a message; `None` for a type that a later version may have added.
    pub(crate) fn decode(text: &str) -> Result<Option<Self>, BadMessage> {
        if text.len() > MAX_MESSAGE {
            return Err(BadMessage::TooLarge);
        }
        let kind: Kind<'_> = serde_json::from_str(text).map_err(|_| BadMessage::Malformed)?;
        if !KINDS.contains(&&*kind.kind) {
            return Ok(None);
        }
        let message: Self = serde_json::from_str(text).map_err(|_| BadMessage::Malformed)?;
        match &message {
            Self::Candidate { candidate } if candidate.len() > MAX_CANDIDATE => Err(BadMessage::TooLarge),
            _ => Ok(Some(message)),
        }
    }
}

/// The tag alone, to tell a later version's message from nonsense.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

const KINDS: [&str; 8] = [
    "offer",
    "answer",
    "candidate",
    "decline",
    "restart-ask",
    "restart-ready",
    "restart-offer",
    "restart-answer",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_message_survives_the_round_trip_in_its_documented_form() {
        let term = Some("beach/term/1".to_owned());
        let sdp = "v=0\r\n".to_owned();
        for (message, text) in [
            (
                LinkMessage::Offer { version: 1, sdp: sdp.clone(), ctrl: "c".into(), term: term.clone() },
                r#"{"type":"offer","version":1,"sdp":"v=0\r\n","ctrl":"c","term":"beach/term/1"}"#,
            ),
            (LinkMessage::Answer { sdp: sdp.clone(), term: None }, r#"{"type":"answer","sdp":"v=0\r\n"}"#),
            (
                LinkMessage::Candidate { candidate: "candidate:1".into() },
                r#"{"type":"candidate","candidate":"candidate:1"}"#,
            ),
            (
                LinkMessage::Decline { reason: DeclineReason::Exhausted },
                r#"{"type":"decline","reason":"exhausted"}"#,
            ),
            (
                LinkMessage::Decline { reason: DeclineReason::NoUdp },
                r#"{"type":"decline","reason":"no-udp"}"#,
            ),
            (LinkMessage::RestartAsk, r#"{"type":"restart-ask"}"#),
            (LinkMessage::RestartReady { moved: true }, r#"{"type":"restart-ready","moved":true}"#),
            (LinkMessage::RestartOffer { sdp: sdp.clone() }, r#"{"type":"restart-offer","sdp":"v=0\r\n"}"#),
            (LinkMessage::RestartAnswer { sdp }, r#"{"type":"restart-answer","sdp":"v=0\r\n"}"#),
        ] {
            assert_eq!(message.encode(), text);
            assert_eq!(LinkMessage::decode(text), Ok(Some(message)));
        }
    }

    #[test]
    fn the_future_is_ignored_and_nonsense_is_refused() {
        assert_eq!(LinkMessage::decode(r#"{"type":"hologram","x":1}"#), Ok(None));
        let later = LinkMessage::decode(r#"{"type":"decline","reason":"mood"}"#);
        assert_eq!(later, Ok(Some(LinkMessage::Decline { reason: DeclineReason::Other })));
        for bad in ["", "[]", "{}", r#"{"type":"offer"}"#, r#"{"type":5}"#, "\u{0}"] {
            assert_eq!(LinkMessage::decode(bad), Err(BadMessage::Malformed), "{bad}");
        }
        let long = format!(r#"{{"type":"candidate","candidate":"{}"}}"#, "x".repeat(MAX_CANDIDATE + 1));
        assert_eq!(LinkMessage::decode(&long), Err(BadMessage::TooLarge));
        assert_eq!(LinkMessage::decode(&"x".repeat(MAX_MESSAGE + 1)), Err(BadMessage::TooLarge));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".{0,200}") {
            let _ = LinkMessage::decode(&text);
        }
    }
}
