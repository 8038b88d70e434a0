//! What the two sides of a handshake believe, ask and answer.

use beach_identity::{Identity, LinkId, LinkSecret, PublicKey};
pub use beach_terms::Access;
use bytes::{BufMut, Bytes};

use super::{cipher::has_aes_instructions, keys::ShortAuth};
use crate::{
    close::{CloseCode, Text},
    ids::{Generation, PeerId, SessionId, TransportId},
};

/// What both sides must believe about a link for its handshake to succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Binding {
    /// The session.
    pub session: SessionId,
    /// The side that came by a link, which initiates.
    pub joiner: PeerId,
    /// The side whose links they are.
    pub host: PeerId,
    /// The kind of transport below.
    pub transport: TransportId,
    /// The attempt: keys of one never fit another.
    pub generation: Generation,
    /// Whatever else ties the handshake to the path, the same bytes on both sides: the transport's
    /// [`channel_binding`](crate::Profile::channel_binding).
    pub extra: Bytes,
}

impl Binding {
    /// Describes a link without anything extra.
    pub fn new(
        session: SessionId,
        joiner: PeerId,
        host: PeerId,
        transport: TransportId,
        generation: Generation,
    ) -> Self {
        Self { session, joiner, host, transport, generation, extra: Bytes::new() }
    }

    /// Length-prefixed throughout, so that no two bindings give the same bytes. `offer` is what the first message says
    /// in clear.
    pub(super) fn prologue(&self, offer: &[u8]) -> Vec<u8> {
        let fields: [&[u8]; 10] = [
            b"beach/2/handshake",
            offer,
            self.session.as_bytes(),
            b"joiner",
            self.joiner.as_bytes(),
            b"host",
            self.host.as_bytes(),
            self.transport.as_str().as_bytes(),
            &self.generation.0.to_be_bytes(),
            &self.extra,
        ];
        let mut prologue = Vec::new();
        for field in fields {
            prologue.put_u32(field.len() as u32);
            prologue.put_slice(field);
        }
        prologue
    }
}

/// Writes an access as the handshake does.
pub(super) const fn access_to_byte(access: Access) -> u8 {
    match access {
        Access::ReadOnly => 1,
        Access::Full => 2,
    }
}

/// Reads an access as the handshake writes it.
pub(super) const fn access_from_byte(byte: u8) -> Option<Access> {
    match byte {
        1 => Some(Access::ReadOnly),
        2 => Some(Access::Full),
        _ => None,
    }
}

/// Who joins, and by what.
#[derive(Debug, Clone, Copy)]
pub struct Joiner<'a> {
    /// The joiner's own key.
    pub identity: &'a Identity,
    /// The secret of its link.
    pub link: &'a LinkSecret,
    /// The key the host must hold, from the same link.
    pub host: PublicKey,
}

/// Who stands at the host's door: what a first message proved and what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Visitor {
    /// The joiner's key. It holds it, and it is the peer of the [`Binding`].
    pub key: PublicKey,
    /// The link whose secret it holds. What that allows is for the host to know.
    pub link: LinkId,
    /// What it asks for.
    pub request: Request,
}

/// What the joiner asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Session versions it speaks, best first. At least one, at most 16.
    pub versions: Vec<u16>,
    /// The access it would like.
    pub access: Access,
    /// The application's bytes, at most [`MAX_APP_BYTES`].
    pub app: Bytes,
}

impl Request {
    /// Asks for `access`, in the versions this machine speaks.
    pub fn new(access: Access) -> Self {
        Self { versions: versions().to_vec(), access, app: Bytes::new() }
    }

    /// Returns the version both sides speak, the joiner's best first.
    pub fn common_version(&self) -> Option<u16> {
        self.versions.iter().copied().find(|version| versions().contains(version))
    }

    /// The part of the first message that travels in clear.
    pub(super) fn offer(&self, link: LinkId) -> Vec<u8> {
        let mut offer = vec![FORM];
        offer.put_slice(&link.0);
        offer.put_u8(self.versions.len() as u8);
        self.versions.iter().for_each(|version| offer.put_u16(*version));
        offer
    }
}

/// The host's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Come in.
    Accept {
        /// What the joiner may do; never more than it asked for.
        access: Access,
        /// The application's bytes, at most [`MAX_APP_BYTES`].
        app: Bytes,
    },
    /// Stay out.
    Refuse {
        /// Why, for programs.
        code: CloseCode,
        /// Why, for a person.
        reason: Text,
    },
}

/// What a finished handshake agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Agreed {
    /// The session version.
    pub version: u16,
    /// What the joiner may do.
    pub access: Access,
    /// The key the other side holds.
    pub peer: PublicKey,
    /// The link the joiner came by.
    pub link: LinkId,
    /// The application's bytes from the other side.
    pub app: Bytes,
    /// Six digits that both sides see alike, unless somebody sits between them.
    pub short_auth: ShortAuth,
}

/// The session versions this machine speaks, best first: 2 seals with AES-256-GCM and is here where the processor has
/// instructions for it and the build its library (feature `aws-lc`); 1 seals with ChaCha20-Poly1305. In all else they are the same.
pub fn versions() -> &'static [u16] {
    if has_aes_instructions() { &[2, 1] } else { &[1] }
}

/// Application's bytes in one handshake message: with everything else it fits the 1,200 bytes that
/// every reliable lane takes.
pub const MAX_APP_BYTES: usize = 1_024;

/// Versions one offer may hold.
pub(super) const MAX_VERSIONS: usize = 16;

/// The form of the first message.
pub(super) const FORM: u8 = 2;
