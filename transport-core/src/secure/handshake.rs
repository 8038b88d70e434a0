//! The handshake: `Noise_NKpsk0_25519_ChaChaPoly_SHA256`, one message each way, sans-IO.
//!
//! The joiner initiates: it knows the host's static key and the session secret from its link. Its
//! first message is
//!
//! | offset | length | what |
//! |---|---|---|
//! | 0 | 1 | form, 1 |
//! | 1 | 1 | number of session versions offered, n ≥ 1 |
//! | 2 | 2n | the versions, big-endian, the joiner's best first |
//! | 2 + 2n | | Noise message; its payload is the access asked for (u8) and the application's bytes |
//!
//! and the answer is one Noise message whose payload is `1`, version u16, access u8, application's
//! bytes; or `2`, close code u16, reason. Both sides mix the same prologue: everything they believe
//! about this link, and the offer as it travelled. If a belief differs or a byte was changed, no
//! tag verifies.
//!
//! Noise §9 lets a first message be replayed, so the responder treats the initiator as present only
//! once its first sealed message, a confirmation, has verified: [`Secure::accept`] waits for it.
//!
//! [`Secure::accept`]: super::Secure::accept

use bytes::{BufMut, Bytes, BytesMut};
use snow::{Builder, HandshakeState};
use zeroize::Zeroizing;

pub use super::terms::{Access, Agreed, Answer, Binding, MAX_APP_BYTES, Request, versions};
use super::{
    cipher::Suite,
    keys::{DirectionKeys, SessionKeys, ShortAuth},
    secret::{HostKey, HostPublicKey, SessionSecret},
    terms::{FORM, MAX_VERSIONS, access_from_byte, access_to_byte},
};
use crate::close::{CloseCode, Text};

/// The joiner's side, waiting for the answer.
pub struct Requester {
    noise: HandshakeState,
    asked: Access,
    versions: Vec<u16>,
}

impl Requester {
    /// Starts a handshake. Returns the first message with the state that waits for the answer.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::TooLong`] if the request does not fit.
    pub fn start(
        binding: &Binding,
        secret: &SessionSecret,
        host: HostPublicKey,
        request: &Request,
    ) -> Result<(Self, Bytes), HandshakeError> {
        let fits = (1..=MAX_VERSIONS).contains(&request.versions.len()) && request.app.len() <= MAX_APP_BYTES;
        if !fits {
            return Err(HandshakeError::TooLong);
        }
        let offer = request.offer();
        let (psk, prologue) = (secret.noise_psk(), binding.prologue(&offer));
        let mut noise = builder(&psk, &prologue)?.remote_public_key(&host.0)?.build_initiator()?;
        let mut payload = vec![access_to_byte(request.access)];
        payload.put_slice(&request.app);
        let mut message = BytesMut::from(&offer[..]);
        message.put_slice(&write(&mut noise, &payload)?);
        let state = Self { noise, asked: request.access, versions: request.versions.clone() };
        Ok((state, message.freeze()))
    }

    /// Reads the answer.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Refused`] when the host said no, others when nothing it said verifies.
    pub fn finish(mut self, answer: &[u8]) -> Result<(Agreed, SessionKeys), HandshakeError> {
        let payload = read(&mut self.noise, answer)?;
        let malformed = HandshakeError::Malformed;
        match payload.split_first_chunk::<3>().ok_or(malformed)? {
            ([ACCEPT, version @ ..], rest) => {
                let version = u16::from_be_bytes(*version);
                let (access, app) = rest.split_first().ok_or(HandshakeError::Malformed)?;
                let access = access_from_byte(*access).ok_or(HandshakeError::Malformed)?;
                let suite = Suite::of(version).ok_or(HandshakeError::Malformed)?;
                if !self.versions.contains(&version) || access > self.asked {
                    return Err(HandshakeError::Malformed);
                }
                let (keys, short_auth) = split(self.noise, suite, true);
                let app = Bytes::copy_from_slice(app);
                Ok((Agreed { version, access, app, short_auth }, keys))
            }
            ([REFUSE, code @ ..], reason) => {
                let code = CloseCode::from_wire(u16::from_be_bytes(*code)).unwrap_or(CloseCode::POLICY);
                let reason = Text::from_bytes(reason);
                Err(HandshakeError::Refused { code, reason })
            }
            _ => Err(HandshakeError::Malformed),
        }
    }
}

/// The host's side, holding a request that verified.
pub struct Responder {
    noise: HandshakeState,
    request: Request,
}

impl Responder {
    /// Reads a joiner's first message.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::NotAuthentic`] if it was not made with this secret, for this key and this
    /// binding; [`HandshakeError::Malformed`] if it is no first message at all.
    pub fn read(
        binding: &Binding,
        secret: &SessionSecret,
        key: &HostKey,
        message: &[u8],
    ) -> Result<Self, HandshakeError> {
        let (offer, rest) = split_offer(message).ok_or(HandshakeError::Malformed)?;
        let (psk, prologue) = (secret.noise_psk(), binding.prologue(offer));
        let mut noise = builder(&psk, &prologue)?.local_private_key(key.expose())?.build_responder()?;
        let payload = read(&mut noise, rest)?;
        let (access, app) = payload.split_first().ok_or(HandshakeError::Malformed)?;
        let access = access_from_byte(*access).ok_or(HandshakeError::Malformed)?;
        let versions = offer[2..].chunks_exact(2).map(|v| u16::from_be_bytes([v[0], v[1]])).collect();
        Ok(Self { noise, request: Request { versions, access, app: Bytes::copy_from_slice(app) } })
    }

    /// Returns what the joiner asks for.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Lets the joiner in, in the first version both speak. Returns the answer to send.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::NoCommonVersion`]: [`refuse`](Self::refuse) it instead.
    /// [`HandshakeError::TooLong`] if `app` does not fit.
    pub fn accept(
        mut self,
        access: Access,
        app: &[u8],
    ) -> Result<(Bytes, Agreed, SessionKeys), HandshakeError> {
        let version = self.request.common_version().ok_or(HandshakeError::NoCommonVersion)?;
        let suite = Suite::of(version).ok_or(HandshakeError::NoCommonVersion)?;
        if app.len() > MAX_APP_BYTES {
            return Err(HandshakeError::TooLong);
        }
        let access = access.min(self.request.access);
        let mut payload = vec![ACCEPT];
        payload.put_u16(version);
        payload.put_u8(access_to_byte(access));
        payload.put_slice(app);
        let message = write(&mut self.noise, &payload)?;
        let (keys, short_auth) = split(self.noise, suite, false);
        Ok((message.into(), Agreed { version, access, app: self.request.app, short_auth }, keys))
    }

    /// Keeps the joiner out. Returns the answer to send.
    ///
    /// # Errors
    ///
    /// Only if the operating system has no random numbers.
    pub fn refuse(mut self, code: CloseCode, reason: impl Into<Text>) -> Result<Bytes, HandshakeError> {
        let mut payload = vec![REFUSE];
        payload.put_u16(code.get());
        payload.put_slice(reason.into().as_bytes());
        Ok(write(&mut self.noise, &payload)?.into())
    }
}

impl std::fmt::Debug for Requester {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requester").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Responder").field("request", &self.request).finish_non_exhaustive()
    }
}

/// Why a handshake failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The operating system or the library refused: no random numbers, most likely.
    #[error("the handshake could not be computed: {0}")]
    Internal(String),
    /// Not a handshake message.
    #[error("not a handshake message")]
    Malformed,
    /// No session version in common.
    #[error("no session version in common")]
    NoCommonVersion,
    /// The tag does not verify: another secret, another key, another link, or somebody between.
    #[error("the other side does not hold this session's keys")]
    NotAuthentic,
    /// The host said no.
    #[error("the host refused: {code}{}{reason}", if reason.is_empty() { "" } else { ", " })]
    Refused {
        /// Why, for programs.
        code: CloseCode,
        /// Why, for a person.
        reason: Text,
    },
    /// The application's bytes or the versions do not fit.
    #[error("the handshake carries at most {MAX_APP_BYTES} bytes and {MAX_VERSIONS} versions")]
    TooLong,
}

impl From<snow::Error> for HandshakeError {
    fn from(error: snow::Error) -> Self {
        match error {
            snow::Error::Decrypt => Self::NotAuthentic,
            snow::Error::Input => Self::Malformed,
            other => Self::Internal(other.to_string()),
        }
    }
}

const PATTERN: &str = "Noise_NKpsk0_25519_ChaChaPoly_SHA256";
const ACCEPT: u8 = 1;
const REFUSE: u8 = 2;
/// An ephemeral key and a tag.
const NOISE_OVERHEAD: usize = 32 + 16;

fn builder<'a>(psk: &'a [u8; 32], prologue: &'a [u8]) -> Result<Builder<'a>, HandshakeError> {
    Ok(Builder::new(PATTERN.parse()?).psk(0, psk)?.prologue(prologue)?)
}

fn write(noise: &mut HandshakeState, payload: &[u8]) -> Result<Vec<u8>, HandshakeError> {
    let mut message = vec![0; payload.len() + NOISE_OVERHEAD];
    let len = noise.write_message(payload, &mut message)?;
    message.truncate(len);
    Ok(message)
}

fn read(noise: &mut HandshakeState, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, HandshakeError> {
    if message.len() > NOISE_OVERHEAD + MAX_APP_BYTES + 16 {
        return Err(HandshakeError::Malformed);
    }
    let mut payload = Zeroizing::new(vec![0; message.len()]);
    let len = noise.read_message(message, &mut payload)?;
    payload.truncate(len);
    Ok(payload)
}

fn split_offer(message: &[u8]) -> Option<(&[u8], &[u8])> {
    match message {
        [FORM, count, ..] if (1..=MAX_VERSIONS).contains(&usize::from(*count)) => {
            message.split_at_checked(2 + 2 * usize::from(*count))
        }
        _ => None,
    }
}

/// Takes the two keys of the split, and nothing else, out of a finished handshake.
fn split(mut noise: HandshakeState, suite: Suite, initiator: bool) -> (SessionKeys, ShortAuth) {
    let hash = Zeroizing::new(noise.get_handshake_hash().to_vec());
    let (to_host, to_joiner) = noise.dangerously_get_raw_split();
    let (to_host, to_joiner) = (Zeroizing::new(to_host), Zeroizing::new(to_joiner));
    let (send, receive) = if initiator { (&to_host, &to_joiner) } else { (&to_joiner, &to_host) };
    let keys = SessionKeys {
        send: DirectionKeys::new(suite, send, &hash),
        receive: DirectionKeys::new(suite, receive, &hash),
    };
    (keys, ShortAuth::new(&hash))
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
