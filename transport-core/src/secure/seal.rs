//! The seal on every message once the handshake is done.
//!
//! A sealed message is, in this order so that it can be made in place behind the payload:
//!
//! | length | what |
//! |---|---|
//! | n + 1 | payload and kind byte, encrypted with the cipher of the session version (`cipher.rs`) |
//! | 16 | tag |
//! | 2 | epoch, big-endian |
//! | 6 | counter within the epoch, big-endian |
//!
//! The nonce is four zero bytes and the last eight bytes of the message. Each lane, direction and
//! epoch has its own key, and a counter is used once, whether or not the transport then takes the
//! message; so no nonce ever repeats. On the reliable lane the associated data is the message's
//! number, which is not sent: a message that is missing, doubled or out of order does not verify.
//! Keys only go forward: the key of an epoch cannot be had from that of a later one.

use beach_identity::Key;
use bytes::{BufMut, Bytes, BytesMut};
use hkdf::Hkdf;
use sha2::Sha256;

use super::{
    cipher::{Cipher, Forged, Suite, TAG},
    keys::expand,
    window::ReplayWindow,
};
use crate::time::{Duration, Instant};

/// What a seal adds to a payload, in bytes.
pub const SEAL_OVERHEAD: usize = KIND + TAG + HEADER;

/// When a key is replaced.
///
/// # Defaults
///
/// 1 GiB or 10 minutes, whichever comes first: far inside what either cipher allows, and short enough
/// that a key found later opens little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rekey {
    /// Sealed bytes per lane and direction.
    pub bytes: u64,
    /// Age of the key, looked at when something is sent.
    pub age: Duration,
}

impl Default for Rekey {
    fn default() -> Self {
        Self { bytes: 1 << 30, age: Duration::from_secs(600) }
    }
}

/// What a sealed message is for. Encrypted with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The last message of a direction: close code u16, detail in UTF-8.
    Close,
    /// The initiator's first message: it proves that it holds the keys.
    Confirm,
    /// The application's.
    Data,
}

impl Kind {
    const fn to_byte(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Close => 1,
            Self::Confirm => 2,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Data),
            1 => Some(Self::Close),
            2 => Some(Self::Confirm),
            _ => None,
        }
    }
}

/// Seals one direction of one lane.
pub(super) struct Sealer {
    keys: EpochKey,
    chain: Chain,
    numbered: Option<u64>,
    counter: u64,
    bytes: u64,
    /// The transport took a message of this epoch. Until then the key stays: the peer follows one
    /// epoch at a time, and refused messages tell it nothing.
    used: bool,
    began: Instant,
    rekey: Rekey,
}

/// A sealed message, and what is needed to hand the payload back.
pub(super) struct Sealed {
    pub(super) message: Bytes,
    /// The payload, when its memory was shared and the seal had to copy it.
    original: Option<Bytes>,
}

impl Sealer {
    /// Starts with the first key of `chain`. Messages are `ordered` on the reliable lane.
    pub(super) fn new(chain: Chain, ordered: bool, rekey: Rekey, now: Instant) -> Self {
        let (keys, chain) = chain.step(0);
        let numbered = ordered.then_some(0);
        Self { keys, chain, numbered, counter: 0, bytes: 0, used: false, began: now, rekey }
    }

    /// Moves on to the next key when this one is old. Call it before each [`seal`](Self::seal).
    pub(super) fn rekey_if_due(&mut self, now: Instant) -> Result<(), Exhausted> {
        let due =
            self.bytes >= self.rekey.bytes || now.saturating_duration_since(self.began) >= self.rekey.age;
        if !(due && self.used) {
            // 2^48 attempts outlast any machine, but then they would repeat a nonce.
            return if self.counter <= MAX_COUNTER { Ok(()) } else { Err(Exhausted) };
        }
        let epoch = self.keys.epoch.checked_add(1).ok_or(Exhausted)?;
        (self.keys, self.chain) = self.chain.step(epoch);
        (self.counter, self.bytes, self.used, self.began) = (0, 0, false, now);
        Ok(())
    }

    /// Seals a message, in the payload's own memory when nobody else holds it.
    ///
    /// Call [`accepted`](Self::accepted) when the transport took it, or
    /// [`give_back`](Self::give_back) when it did not.
    pub(super) fn seal(&mut self, kind: Kind, payload: Bytes) -> Sealed {
        let header = header(self.keys.epoch, self.counter);
        // Spent from here on, whatever becomes of the message.
        self.counter += 1;
        let (mut buffer, original) = match payload.try_into_mut() {
            Ok(buffer) => (buffer, None),
            Err(shared) => {
                let mut copy = BytesMut::with_capacity(shared.len() + SEAL_OVERHEAD);
                copy.extend_from_slice(&shared);
                (copy, Some(shared))
            }
        };
        buffer.reserve(SEAL_OVERHEAD);
        buffer.put_u8(kind.to_byte());
        let tag = self.keys.cipher.seal(nonce(header), associated(self.numbered), &mut buffer);
        buffer.put_slice(&tag);
        buffer.put_slice(&header);
        self.bytes += buffer.len() as u64;
        Sealed { message: buffer.freeze(), original }
    }

    /// Notes that the transport took the message.
    pub(super) fn accepted(&mut self) {
        self.used = true;
        if let Some(number) = &mut self.numbered {
            *number += 1;
        }
    }

    /// Recovers the payload of a message that the transport refused. `None` if the transport did
    /// not return what it was given.
    pub(super) fn give_back(&self, original: Option<Bytes>, refused: Bytes) -> Option<Bytes> {
        if original.is_some() {
            return original;
        }
        let (epoch, counter) = read_header(&refused)?;
        let opened = self.keys.open(refused, counter, self.numbered).ok()?;
        (epoch == self.keys.epoch).then_some(opened.1)
    }
}

impl Sealed {
    /// Splits into what goes out and what may have to come back.
    pub(super) fn into_parts(self) -> (Bytes, Option<Bytes>) {
        (self.message, self.original)
    }
}

/// Opens one direction of the reliable lane: every message once, in order, none missing.
pub(super) struct OrderedOpener {
    keys: EpochKey,
    chain: Chain,
    /// Counters below it are spent. They may jump: the sender skips those of refused messages.
    next_counter: u64,
    number: u64,
}

impl OrderedOpener {
    pub(super) fn new(chain: Chain) -> Self {
        let (keys, chain) = chain.step(0);
        Self { keys, chain, next_counter: 0, number: 0 }
    }

    /// Opens the next message, in place when nobody else holds its memory. State moves only
    /// after the tag verified.
    pub(super) fn open(&mut self, message: Bytes) -> Result<(Kind, Bytes), Forged> {
        let (epoch, counter) = read_header(&message).ok_or(Forged)?;
        let number = Some(self.number);
        let opened = if epoch == self.keys.epoch {
            if counter < self.next_counter {
                return Err(Forged);
            }
            self.keys.open(message, counter, number)?
        } else if Some(epoch) == self.keys.epoch.checked_add(1) {
            let (keys, chain) = self.chain.step(epoch);
            let opened = keys.open(message, counter, number)?;
            (self.keys, self.chain) = (keys, chain);
            opened
        } else {
            return Err(Forged);
        };
        self.next_counter = counter + 1;
        self.number += 1;
        Ok(opened)
    }
}

/// Opens one direction of the datagram lane: each message at most once, in any order.
pub(super) struct WindowedOpener {
    keys: EpochKey,
    chain: Chain,
    window: ReplayWindow,
    /// The epoch before, for what was overtaken by the first message of this one.
    previous: Option<(EpochKey, ReplayWindow, Instant)>,
}

impl WindowedOpener {
    pub(super) fn new(chain: Chain) -> Self {
        let (keys, chain) = chain.step(0);
        Self { keys, chain, window: ReplayWindow::new(), previous: None }
    }

    /// Opens a message, in place when nobody else holds its memory. State moves only after the
    /// tag verified.
    pub(super) fn open(&mut self, now: Instant, message: Bytes) -> Result<(Kind, Bytes), Forged> {
        if self.previous.as_ref().is_some_and(|(.., until)| now >= *until) {
            self.previous = None;
        }
        let (epoch, counter) = read_header(&message).ok_or(Forged)?;
        if epoch > self.keys.epoch {
            return self.open_ahead(now, epoch, counter, message);
        }
        let (keys, window) = match &mut self.previous {
            _ if epoch == self.keys.epoch => (&self.keys, &mut self.window),
            Some((keys, window, _)) if epoch == keys.epoch => (&*keys, window),
            _ => return Err(Forged),
        };
        if !window.is_fresh(counter) {
            return Err(Forged);
        }
        let opened = keys.open(message, counter, None)?;
        window.mark(counter);
        Ok(opened)
    }

    fn open_ahead(
        &mut self,
        now: Instant,
        epoch: u16,
        counter: u64,
        message: Bytes,
    ) -> Result<(Kind, Bytes), Forged> {
        if epoch - self.keys.epoch > MAX_EPOCHS_LOST {
            return Err(Forged);
        }
        let (mut keys, mut chain) = self.chain.step(self.keys.epoch + 1);
        while keys.epoch < epoch {
            (keys, chain) = chain.step(keys.epoch + 1);
        }
        let opened = keys.open(message, counter, None)?;
        let mut window = ReplayWindow::new();
        window.mark(counter);
        let adjacent = epoch - self.keys.epoch == 1;
        let (keys, window) =
            (std::mem::replace(&mut self.keys, keys), std::mem::replace(&mut self.window, window));
        self.chain = chain;
        self.previous = adjacent.then(|| (keys, window, now + STRAGGLERS));
        Ok(opened)
    }
}

/// The keys of one lane and direction from some epoch on. Stepping forward is easy, backward
/// impossible.
pub(super) struct Chain {
    suite: Suite,
    key: Key,
}

impl Chain {
    /// Derives the chain of one lane from a direction's key of the handshake's split.
    pub(super) fn new(suite: Suite, split: &[u8; 32], handshake_hash: &[u8], lane: &[u8]) -> Self {
        Self { suite, key: expand(&Hkdf::<Sha256>::new(Some(handshake_hash), split), lane) }
    }

    fn step(&self, epoch: u16) -> (EpochKey, Self) {
        // A derived key is as long as the hash, which is what HKDF asks of a pseudo-random key.
        let hkdf = Hkdf::<Sha256>::from_prk(&*self.key).expect("32 bytes");
        let key = expand(&hkdf, b"beach/1/epoch-key");
        let cipher = Cipher::new(self.suite, &key);
        let next = Self { suite: self.suite, key: expand(&hkdf, b"beach/1/next-epoch") };
        (EpochKey { epoch, cipher }, next)
    }
}

struct EpochKey {
    epoch: u16,
    cipher: Cipher,
}

impl EpochKey {
    fn open(&self, message: Bytes, counter: u64, number: Option<u64>) -> Result<(Kind, Bytes), Forged> {
        let text = message.len().checked_sub(TAG + HEADER).filter(|text| *text >= KIND).ok_or(Forged)?;
        let tag = *message[text..].first_chunk::<TAG>().ok_or(Forged)?;
        let (nonce, associated) = (nonce(header(self.epoch, counter)), associated(number));
        let mut buffer = match message.try_into_mut() {
            Ok(mut own) => {
                own.truncate(text);
                self.cipher.open(nonce, associated, &mut own, &tag)?;
                own
            }
            Err(shared) => self.cipher.open_shared(nonce, associated, &shared[..text], &tag)?,
        };
        let kind = buffer.last().copied().and_then(Kind::from_byte).ok_or(Forged)?;
        buffer.truncate(text - KIND);
        Ok((kind, buffer.freeze()))
    }
}

/// All epochs are used up, after 455 days at the default age: a new transport brings new keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted;

const KIND: usize = 1;
const HEADER: usize = 8;
const MAX_COUNTER: u64 = (1 << 48) - 1;

/// Epochs of which every datagram may be lost before the lane is deaf: more than ten hours. Each
/// costs two hashes for a message that claims to come from there, forged or not.
const MAX_EPOCHS_LOST: u16 = 64;

/// How long an epoch's key is kept for datagrams that were overtaken.
const STRAGGLERS: Duration = Duration::from_secs(30);

fn header(epoch: u16, counter: u64) -> [u8; HEADER] {
    (u64::from(epoch) << 48 | counter).to_be_bytes()
}

fn read_header(message: &[u8]) -> Option<(u16, u64)> {
    let (_, header) = message.split_last_chunk::<HEADER>()?;
    let both = u64::from_be_bytes(*header);
    Some(((both >> 48) as u16, both & MAX_COUNTER))
}

fn nonce(header: [u8; HEADER]) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&header);
    nonce
}

/// The associated data: the message's number on the reliable lane, zeros elsewhere (whose key is
/// another one).
fn associated(number: Option<u64>) -> [u8; 8] {
    number.unwrap_or(0).to_be_bytes()
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
