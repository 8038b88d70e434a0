//! The async shell over the handshake: one message each way, and a confirmation.

use beach_identity::Identity;
use bytes::Bytes;

use super::{
    Clock, LinkSecrets,
    handshake::{Answer, Binding, HandshakeError, Joiner, Request, Requester, Responder, Visitor},
    seal::{Rekey, SEAL_OVERHEAD},
    transport::Secure,
};
use crate::{
    close::{CloseCode, Closed},
    error::Refusal,
    lane::Lane,
    transport::{Transport, TransportExt},
};

/// What both sides of a link bring to its handshake.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SecureConfig {
    /// What both sides believe about this link.
    pub binding: Binding,
    /// The clock that decides when a key is old.
    pub clock: Clock,
    /// When keys are replaced.
    pub rekey: Rekey,
}

impl SecureConfig {
    /// Brings the two and the default rekeying.
    pub fn new(binding: Binding, clock: Clock) -> Self {
        Self { binding, clock, rekey: Rekey::default() }
    }
}

impl<T: Transport> Secure<T> {
    /// Runs the joiner's side of the handshake. Nothing may have been read from the transport
    /// before.
    ///
    /// There is no deadline inside: this crate has no timers. Put one around it (5 s).
    ///
    /// # Errors
    ///
    /// [`SecureError`]; the transport is closed then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the transport, which closes it.
    pub async fn initiate(
        transport: T,
        config: SecureConfig,
        joiner: &Joiner<'_>,
        request: Request,
    ) -> Result<Self, SecureError> {
        let outcome = async {
            check_limits(&transport)?;
            let (state, message) = Requester::start(&config.binding, joiner, &request)?;
            let extra = message.len();
            send(&transport, message).await?;
            let answer = next_reliable(&transport).await?;
            let (agreed, keys) = state.finish(&answer)?;
            Ok((agreed, keys, extra))
        };
        let (agreed, keys, extra) = match outcome.await {
            Ok(done) => done,
            Err(error) => return Err(fail(&transport, error)),
        };
        let secure = Self::new(transport, &config, agreed, keys, extra);
        secure.confirm().await?;
        Ok(secure)
    }

    /// Runs the host's side of the handshake. `decide` sees who joins, by which of `links` and what it asks for, after it
    /// proved both. Nothing may have been read from the transport before.
    ///
    /// Whoever fails it is a stranger on a bad link: that says nothing about the session or the peer it claims to be.
    ///
    /// Returns once the joiner has confirmed, so a replayed first message never gets this far.
    /// There is no deadline inside: this crate has no timers. Put one around it (5 s).
    ///
    /// # Errors
    ///
    /// [`SecureError`]; the transport is closed then. A refusal by `decide` is one of them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the transport, which closes it.
    pub async fn accept(
        transport: T,
        config: SecureConfig,
        identity: &Identity,
        links: &dyn LinkSecrets,
        decide: impl FnOnce(&Visitor) -> Answer + Send,
    ) -> Result<Self, SecureError> {
        let outcome = async {
            check_limits(&transport)?;
            let message = next_reliable(&transport).await?;
            let responder = Responder::read(&config.binding, identity, links, &message)?;
            let answer = if responder.visitor().request.common_version().is_some() {
                decide(responder.visitor())
            } else {
                let reason = "no session version in common".into();
                Answer::Refuse { code: CloseCode::UNSUPPORTED, reason }
            };
            match answer {
                Answer::Accept { access, app } => {
                    let (message, agreed, keys) = responder.accept(access, &app)?;
                    let extra = message.len();
                    send(&transport, message).await?;
                    Ok((agreed, keys, extra))
                }
                Answer::Refuse { code, reason } => {
                    send(&transport, responder.refuse(code, reason.clone())?).await?;
                    Err(HandshakeError::Refused { code, reason }.into())
                }
            }
        };
        let (agreed, keys, extra) = match outcome.await {
            Ok(done) => done,
            Err(error) => return Err(fail(&transport, error)),
        };
        let secure = Self::new(transport, &config, agreed, keys, extra);
        secure.confirmed().await?;
        Ok(secure)
    }
}

/// Why no sealed link came about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecureError {
    /// The transport ended first. The peer closing with
    /// [`PROTOCOL_ERROR`](CloseCode::PROTOCOL_ERROR) at this point means: it holds other keys.
    #[error("the transport ended during the handshake")]
    Closed(#[source] Closed),
    /// The handshake itself failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The transport's messages are too small to be sealed.
    #[error("the transport carries no message of {needed} bytes")]
    TooNarrow {
        /// The least each lane must carry.
        needed: usize,
    },
}

async fn send<T: Transport>(transport: &T, message: Bytes) -> Result<(), SecureError> {
    let limit = transport.profile().reliable.max_message;
    transport.send(Lane::Reliable, message).await.map_err(|refused| match refused.why {
        Refusal::Closed(closed) => SecureError::Closed(closed),
        _ => SecureError::TooNarrow { needed: refused.payload.len().max(limit.get()) },
    })
}

/// Waits for the next reliable message. A datagram that overtook the handshake cannot be opened and
/// is lost, as datagrams may be.
async fn next_reliable<T: Transport>(transport: &T) -> Result<Bytes, SecureError> {
    loop {
        let inbound = transport.recv().await.map_err(SecureError::Closed)?;
        if inbound.lane == Lane::Reliable {
            return Ok(inbound.payload);
        }
    }
}

fn check_limits<T: Transport>(transport: &T) -> Result<(), SecureError> {
    let needed = SEAL_OVERHEAD + 1;
    let fits = Lane::ALL.iter().all(|lane| transport.profile().lane(*lane).max_message.get() >= needed);
    if fits { Ok(()) } else { Err(SecureError::TooNarrow { needed }) }
}

/// Closes the transport with the code that tells the other side what it may know.
fn fail<T: Transport>(transport: &T, error: SecureError) -> SecureError {
    let code = match &error {
        SecureError::Handshake(HandshakeError::Refused { code, .. }) => *code,
        SecureError::Handshake(HandshakeError::Internal(_)) => CloseCode::INTERNAL,
        SecureError::TooNarrow { .. } => CloseCode::UNSUPPORTED,
        SecureError::Closed(_) | SecureError::Handshake(_) => CloseCode::PROTOCOL_ERROR,
    };
    transport.close(code, "handshake");
    error
}
