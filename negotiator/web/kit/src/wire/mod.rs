//! What test and page say to each other.
//!
//! A message, big-endian:
//!
//! | offset | length | what |
//! |---|---|---|
//! | 0 | 4 | length of the words |
//! | 4 | that | the words, JSON: an [`Asked`] from the test, a [`Told`] from the page |
//! | behind | any | the payload of the message that is sent or received; empty with all other words |

mod dial;
mod words;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use dial::{Dial, Failed, RelayMember};
pub use words::{End, LaneName, Limits, Numbers, ProfileOf, StatsOf, Why};

/// Something the test asks for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Asked {
    /// Tells the answers apart. None is used twice.
    pub number: u64,
    /// What is asked for.
    pub ask: Ask,
}

/// A call of the contract, or what belongs to one.
#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    /// `Connector::id` of the one that dials WebRTC.
    Id,
    /// `Connector::connect`. Waits.
    Connect(Box<Dial>),
    /// Drops the future of the call of this number. What was answered before stays answered.
    Abandon(u64),
    /// The other side's connector said this in the dial of this number.
    Hear(u64, String),
    /// The other side's end of that dial's channel is gone.
    HearNoMore(u64),
    /// `Transport::profile`.
    Profile(u64),
    /// `Transport::try_send` of the payload.
    TrySend(u64, LaneName),
    /// `Transport::writable`. Waits.
    Writable(u64, LaneName),
    /// `Transport::recv`. Waits.
    Recv(u64),
    /// `Transport::close`.
    Close(u64, u16, String),
    /// `Transport::closed`. Waits.
    Closed(u64),
    /// `Transport::stats`.
    Stats(u64),
    /// `Transport::set_ahead`.
    SetAhead(u64, usize),
    /// Drops the transport.
    Drop(u64),
}

/// Something the page tells.
#[derive(Debug, Serialize, Deserialize)]
pub enum Told {
    /// The answer to the call of this number. A call that waits has two where the first is [`Answer::Pending`].
    Answer(u64, Answer),
    /// The page's connector said this in the dial of this number.
    Says(u64, String),
    /// Nothing of the page's side holds that dial's channel any more.
    SaysNoMore(u64),
    /// The path of that dial answered.
    PathAnswered(u64),
}

/// What a call comes to.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// It was done.
    Done,
    /// It waits: polled once, its future was not ready.
    Pending,
    /// Whether the call that was to be dropped waited still.
    Abandoned(bool),
    /// The name of a connector.
    Named(String),
    /// A transport, under the number by which it is called.
    Connected(u64),
    /// None.
    NotConnected(Failed),
    /// A message, whose payload is behind the words.
    Inbound(LaneName),
    /// The end.
    Closed(End),
    /// The message was refused.
    Refused(Why),
    /// What the link says about itself.
    Profile(Box<ProfileOf>),
    /// What it counts.
    Stats(Box<StatsOf>),
}

/// Bytes that are no message of this wire.
#[derive(Debug, thiserror::Error)]
pub enum BadMessage {
    /// Shorter than it says.
    #[error("a message that is cut off")]
    CutOff,
    /// Its words are none of these.
    #[error("words that nobody knows")]
    Words(#[from] serde_json::Error),
}

/// Puts a message together.
///
/// # Errors
///
/// The words have no JSON, which no type here can bring about.
pub fn encode(words: &impl Serialize, payload: &[u8]) -> Result<Bytes, serde_json::Error> {
    let words = serde_json::to_vec(words)?;
    let mut message = BytesMut::with_capacity(4 + words.len() + payload.len());
    message.put_u32(u32::try_from(words.len()).unwrap_or(u32::MAX));
    message.put_slice(&words);
    message.put_slice(payload);
    Ok(message.freeze())
}

/// Takes a message apart, into words and payload.
///
/// # Errors
///
/// [`BadMessage`].
pub fn decode<T: DeserializeOwned>(message: &Bytes) -> Result<(T, Bytes), BadMessage> {
    let (length, rest) = message.split_first_chunk::<4>().ok_or(BadMessage::CutOff)?;
    let length = u32::from_be_bytes(*length) as usize;
    let words = rest.get(..length).ok_or(BadMessage::CutOff)?;
    Ok((serde_json::from_slice(words)?, message.slice(4 + length..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_payload_come_apart_as_they_were() {
        let asked = Asked { number: 7, ask: Ask::TrySend(3, LaneName::Datagram) };
        let message = encode(&asked, b"{\0}").unwrap();
        let (words, payload) = decode::<Asked>(&message).unwrap();
        assert_eq!(payload, &b"{\0}"[..]);
        assert!(matches!(words, Asked { number: 7, ask: Ask::TrySend(3, LaneName::Datagram) }));
        for length in 0..message.len() - 3 {
            assert!(matches!(decode::<Asked>(&message.slice(..length)), Err(BadMessage::CutOff)));
        }
    }
}
