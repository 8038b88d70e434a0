//! The handshake: `Noise_IKpsk0_25519_ChaChaPoly_SHA256`, one message each way, sans-IO.
//!
//! The joiner initiates: it knows the host's key and the link's secret from its link. Both static keys are the Montgomery
//! forms of the two [`Identity`] keys, and the pre-shared key is the link's. The first message is
//!
//! | offset | length | what |
//! |---|---|---|
//! | 0 | 1 | form, 2 |
//! | 1 | 8 | link id |
//! | 9 | 1 | number of session versions offered, 1 ≤ n ≤ 16 |
//! | 10 | 2n | the versions, big-endian, the joiner's best first |
//! | 10 + 2n | | Noise message; its payload is the access asked for (u8), the joiner's Ed25519 key (32) and the application's bytes |
//!
//! and the answer is one Noise message whose payload is `1`, version u16, access u8, application's
//! bytes; or `2`, close code u16, reason. Both sides mix the same prologue: everything they believe
//! about this link, and what the first message says in clear. If a belief differs or a byte was changed, no
//! tag verifies.
//!
//! The key in the payload ties the joiner's name to its static key: the host checks that the one is the other's form, and
//! that it names the peer the binding says. Noise authenticates the static key, and the pre-shared key the link.
//!
//! Noise §9 lets a first message be replayed, so the responder treats the initiator as present only
//! once its first sealed message, a confirmation, has verified: [`Secure::accept`] waits for it.
//!
//! [`Secure::accept`]: super::Secure::accept

use beach_identity::{Identity, LinkId, PublicKey};
use bytes::{BufMut, Bytes, BytesMut};
use snow::{Builder, HandshakeState};
use zeroize::Zeroizing;

pub use super::terms::{Access, Agreed, Answer, Binding, Joiner, MAX_APP_BYTES, Request, Visitor, versions};
use super::{
    cipher::Suite,
    keys::{DirectionKeys, SessionKeys, ShortAuth},
    links::LinkSecrets,
    terms::{FORM, MAX_VERSIONS, access_from_byte, access_to_byte},
};
use crate::close::{CloseCode, Text};

/// The joiner's side, waiting for the answer.
pub struct Requester {
    noise: HandshakeState,
    host: PublicKey,
    link: LinkId,
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
        joiner: &Joiner<'_>,
        request: &Request,
    ) -> Result<(Self, Bytes), HandshakeError> {
        Self::start_with(binding, joiner, request, None)
    }

    /// Only vectors bring an ephemeral key.
    fn start_with(
        binding: &Binding,
        joiner: &Joiner<'_>,
        request: &Request,
        ephemeral: Option<&[u8; 32]>,
    ) -> Result<(Self, Bytes), HandshakeError> {
        let fits = (1..=MAX_VERSIONS).contains(&request.versions.len()) && request.app.len() <= MAX_APP_BYTES;
        if !fits {
            return Err(HandshakeError::TooLong);
        }
        let (host, link) = (joiner.host, joiner.link.id());
        let offer = request.offer(link);
        let (psk, prologue) = (joiner.link.noise_psk(), binding.prologue(&offer));
        let (own, theirs) = (joiner.identity.x25519(), host.x25519());
        let builder = builder(&psk, &prologue, &own, ephemeral)?;
        let mut noise = builder.remote_public_key(&theirs)?.build_initiator()?;
        let mut payload = vec![access_to_byte(request.access)];
        payload.put_slice(joiner.identity.public().as_bytes());
        payload.put_slice(&request.app);
        let mut message = BytesMut::from(&offer[..]);
        message.put_slice(&write(&mut noise, &payload)?);
        let (asked, versions) = (request.access, request.versions.clone());
        Ok((Self { noise, host, link, asked, versions }, message.freeze()))
    }

    /// Reads the answer.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Refused`] when the host said no, others when nothing it said verifies.
    pub fn finish(mut self, answer: &[u8]) -> Result<(Agreed, SessionKeys), HandshakeError> {
        let payload = read(&mut self.noise, answer, ANSWER_OVERHEAD)?;
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
                let (peer, link, app) = (self.host, self.link, Bytes::copy_from_slice(app));
                Ok((Agreed { version, access, peer, link, app, short_auth }, keys))
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
    visitor: Visitor,
}

impl Responder {
    /// Reads a joiner's first message.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::UnknownLink`] if it names none of `links`; [`HandshakeError::NotAuthentic`] if it was not
    /// made with that link's secret, for this key and this binding; [`HandshakeError::ForeignKey`] if its maker is not the
    /// binding's joiner; [`HandshakeError::Malformed`] if it is no first message at all.
    pub fn read(
        binding: &Binding,
        identity: &Identity,
        links: &dyn LinkSecrets,
        message: &[u8],
    ) -> Result<Self, HandshakeError> {
        Self::read_with(binding, identity, links, message, None)
    }

    /// Only vectors bring an ephemeral key.
    fn read_with(
        binding: &Binding,
        identity: &Identity,
        links: &dyn LinkSecrets,
        message: &[u8],
        ephemeral: Option<&[u8; 32]>,
    ) -> Result<Self, HandshakeError> {
        let (offer, rest) = split_offer(message).ok_or(HandshakeError::Malformed)?;
        let (link, versions) = read_offer(offer).ok_or(HandshakeError::Malformed)?;
        let secret = links.secret(link).ok_or(HandshakeError::UnknownLink)?;
        let (psk, prologue, own) = (secret.noise_psk(), binding.prologue(offer), identity.x25519());
        let mut noise = builder(&psk, &prologue, &own, ephemeral)?.build_responder()?;
        let payload = read(&mut noise, rest, FIRST_OVERHEAD)?;
        let (access, rest) = payload.split_first().ok_or(HandshakeError::Malformed)?;
        let access = access_from_byte(*access).ok_or(HandshakeError::Malformed)?;
        let (key, app) = rest.split_first_chunk().ok_or(HandshakeError::Malformed)?;
        let key = PublicKey::from_bytes(*key).map_err(|_| HandshakeError::ForeignKey)?;
        let holds_it = noise.get_remote_static() == Some(&key.x25519());
        if !holds_it || key.peer_id() != *binding.joiner.as_bytes() {
            return Err(HandshakeError::ForeignKey);
        }
        let request = Request { versions, access, app: Bytes::copy_from_slice(app) };
        Ok(Self { noise, visitor: Visitor { key, link, request } })
    }

    /// Returns who joins and what it asks for.
    pub fn visitor(&self) -> &Visitor {
        &self.visitor
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
        let Visitor { key: peer, link, request } = self.visitor;
        let version = request.common_version().ok_or(HandshakeError::NoCommonVersion)?;
        let suite = Suite::of(version).ok_or(HandshakeError::NoCommonVersion)?;
        if app.len() > MAX_APP_BYTES {
            return Err(HandshakeError::TooLong);
        }
        let access = access.min(request.access);
        let mut payload = vec![ACCEPT];
        payload.put_u16(version);
        payload.put_u8(access_to_byte(access));
        payload.put_slice(app);
        let message = write(&mut self.noise, &payload)?;
        let (keys, short_auth) = split(self.noise, suite, false);
        let app = request.app;
        Ok((message.into(), Agreed { version, access, peer, link, app, short_auth }, keys))
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
        f.debug_struct("Responder").field("visitor", &self.visitor).finish_non_exhaustive()
    }
}

/// Why a handshake failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The joiner proved a key, but not the one that names the peer it was taken for.
    #[error("the other side is somebody else than it says")]
    ForeignKey,
    /// The operating system or the library refused: no random numbers, most likely.
    #[error("the handshake could not be computed: {0}")]
    Internal(String),
    /// Not a handshake message.
    #[error("not a handshake message")]
    Malformed,
    /// No session version in common.
    #[error("no session version in common")]
    NoCommonVersion,
    /// The tag does not verify: another secret, another key, another binding, or somebody between.
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
    /// The joiner names a link that is not one of the session's: it never was, or it was revoked.
    #[error("the link is not one of this session's")]
    UnknownLink,
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

const PATTERN: &str = "Noise_IKpsk0_25519_ChaChaPoly_SHA256";
const ACCEPT: u8 = 1;
const REFUSE: u8 = 2;
const TAG: usize = 16;
/// Ephemeral key, sealed static key and tag, then the payload's access and key.
const FIRST_OVERHEAD: usize = 32 + (32 + TAG) + TAG + 1 + 32;
/// Ephemeral key and tag, then the payload's verdict, version and access.
const ANSWER_OVERHEAD: usize = 32 + TAG + 1 + 2 + 1;

fn builder<'a>(
    psk: &'a [u8; 32],
    prologue: &'a [u8],
    own: &'a [u8; 32],
    ephemeral: Option<&'a [u8; 32]>,
) -> Result<Builder<'a>, HandshakeError> {
    let builder = Builder::new(PATTERN.parse()?).psk(0, psk)?.prologue(prologue)?.local_private_key(own)?;
    Ok(match ephemeral {
        None => builder,
        Some(key) => builder.fixed_ephemeral_key_for_testing_only(key),
    })
}

fn write(noise: &mut HandshakeState, payload: &[u8]) -> Result<Vec<u8>, HandshakeError> {
    let mut message = vec![0; payload.len() + FIRST_OVERHEAD];
    let len = noise.write_message(payload, &mut message)?;
    message.truncate(len);
    Ok(message)
}

fn read(
    noise: &mut HandshakeState,
    message: &[u8],
    overhead: usize,
) -> Result<Zeroizing<Vec<u8>>, HandshakeError> {
    if message.len() > overhead + MAX_APP_BYTES {
        return Err(HandshakeError::Malformed);
    }
    let mut payload = Zeroizing::new(vec![0; message.len()]);
    let len = noise.read_message(message, &mut payload)?;
    payload.truncate(len);
    Ok(payload)
}

/// Splits a first message into what it says in clear and the Noise message.
fn split_offer(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let count = usize::from(*message.get(9)?);
    let valid = message[0] == FORM && (1..=MAX_VERSIONS).contains(&count);
    if valid { message.split_at_checked(10 + 2 * count) } else { None }
}

fn read_offer(offer: &[u8]) -> Option<(LinkId, Vec<u16>)> {
    let (link, counted) = offer.get(1..)?.split_first_chunk()?;
    let versions = counted.get(1..)?.chunks_exact(2).map(|v| u16::from_be_bytes([v[0], v[1]])).collect();
    Some((LinkId(*link), versions))
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
#[cfg(test)]
#[path = "vector_tests.rs"]
mod vectors;
