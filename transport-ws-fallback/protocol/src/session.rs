//! What a control plane knows of a session: a document that its host wrote and signed.
//!
//! The document names the session by the host's key, so nobody else can write it, and lists the links by which
//! viewers may come. A link that is not listed does not exist; one that is past its expiry serves only those
//! in its `kept`. Whoever is in `removed` stays out, whatever link they hold. The newest revision stands.

use std::{collections::BTreeSet, fmt};

use beach_identity::{Identity, LinkId, LinkSecret, PublicKey, Signature};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{encoding::base64url_bytes, membership::Verifier, reason::Reason, token::Access};

/// Links of one session.
pub const MAX_LINKS: usize = 64;

/// Peers kept out of one session.
pub const MAX_REMOVED: usize = 1_024;

/// Peers kept by the expired links of one session, all together.
pub const MAX_KEPT: usize = 1_024;

/// Largest document in bytes, before base64url.
pub const MAX_DOCUMENT_BYTES: usize = 96 * 1024;

/// A session as its host describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionDocument {
    /// The session, derived from `host_key`.
    pub session_id: Uuid,
    /// The host's public key; signs the document.
    pub host_key: PublicKey,
    /// Grows with each change. Unix milliseconds are a good first one: a host that restarts with its key and
    /// without its memory goes on.
    pub revision: u64,
    /// The cohort the session is counted for; [`DEFAULT_COHORT`](crate::api::DEFAULT_COHORT) without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cohort_id: Option<String>,
    /// By what viewers come; at most [`MAX_LINKS`].
    #[serde(default)]
    pub links: Vec<DocumentLink>,
    /// Who stays out; at most [`MAX_REMOVED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Uuid>,
}

/// One link of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentLink {
    /// Its name.
    pub id: LinkId,
    /// What proofs of holding it are checked with.
    pub verifier: Verifier,
    /// The most it grants.
    pub access: Access,
    /// From when on it serves only those in `kept`, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// Who came by it in time; at most [`MAX_KEPT`] in all links together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Uuid>,
}

impl SessionDocument {
    /// Describes the session of `host`, without links.
    pub fn new(host: PublicKey, revision: u64) -> Self {
        Self {
            session_id: Uuid::from_bytes(host.session_id()),
            host_key: host,
            revision,
            cohort_id: None,
            links: Vec::new(),
            removed: Vec::new(),
        }
    }

    /// Signs it. `identity` is the host's.
    pub fn sign(&self, identity: &Identity) -> SignedDocument {
        // Ids, numbers and strings: serde_json has nothing to refuse.
        let document = serde_json::to_vec(self).expect("documents are plain data");
        let signature = identity.sign(&signed(&document));
        SignedDocument { document: document.into(), signature }
    }

    /// Returns the link of this name.
    pub fn link(&self, id: LinkId) -> Option<&DocumentLink> {
        self.links.iter().find(|link| link.id == id)
    }

    /// Whether the host keeps this peer out.
    pub fn has_removed(&self, peer: Uuid) -> bool {
        self.removed.contains(&peer)
    }

    /// Says whether a viewer who came by a link may have this access at `now`, Unix seconds.
    ///
    /// # Errors
    ///
    /// The reason why not.
    pub fn admits(&self, link: LinkId, peer: Uuid, access: Access, now: u64) -> Result<(), Reason> {
        let link = self.link(link).ok_or(Reason::LinkUnknown)?;
        if !link.serves(peer, now) {
            return Err(Reason::LinkExpired);
        }
        if self.has_removed(peer) {
            return Err(Reason::PeerRemoved);
        }
        if access > link.access {
            return Err(Reason::AccessDenied);
        }
        Ok(())
    }

    fn is_within_bounds(&self) -> bool {
        let names: BTreeSet<_> = self.links.iter().map(|link| link.id).collect();
        self.links.len() <= MAX_LINKS
            && names.len() == self.links.len()
            && self.removed.len() <= MAX_REMOVED
            && self.links.iter().map(|link| link.kept.len()).sum::<usize>() <= MAX_KEPT
    }
}

impl DocumentLink {
    /// Describes a link that does not expire.
    pub fn new(secret: &LinkSecret, access: Access) -> Self {
        Self { id: secret.id(), verifier: Verifier::of(secret), access, expires_at: None, kept: Vec::new() }
    }

    /// Whether `peer` may come by it at `now`, Unix seconds.
    pub fn serves(&self, peer: Uuid, now: u64) -> bool {
        self.expires_at.is_none_or(|end| now < end) || self.kept.contains(&peer)
    }
}

/// A document and its host's signature: the body of `POST /v1/sessions`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedDocument {
    /// JSON of a [`SessionDocument`], base64url: what was signed, byte for byte.
    #[serde(with = "base64url_bytes")]
    pub document: Bytes,
    /// Signature of `beach/2/session`, a zero byte and `document`.
    pub signature: Signature,
}

impl SignedDocument {
    /// Reads and checks it.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn open(&self) -> Result<SessionDocument, DocumentError> {
        if self.document.len() > MAX_DOCUMENT_BYTES {
            return Err(DocumentError::Malformed);
        }
        let document: SessionDocument =
            serde_json::from_slice(&self.document).map_err(|_| DocumentError::Malformed)?;
        if document.session_id.into_bytes() != document.host_key.session_id() {
            return Err(DocumentError::Session);
        }
        if !document.host_key.verify(&signed(&self.document), &self.signature) {
            return Err(DocumentError::Signature);
        }
        if document.is_within_bounds() { Ok(document) } else { Err(DocumentError::Malformed) }
    }
}

/// Holds verifiers.
impl fmt::Debug for SignedDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedDocument").field("bytes", &self.document.len()).finish_non_exhaustive()
    }
}

/// Why a document is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// Not the JSON it should be, or more of something than a session may have.
    #[error("the session document cannot be read")]
    Malformed,
    /// The session is not the one its key names.
    #[error("the session does not belong to the key")]
    Session,
    /// Not signed by the host, or altered.
    #[error("the session document's signature is wrong")]
    Signature,
}

impl DocumentError {
    /// Returns what the control plane answers.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Malformed => Reason::InvalidRequest,
            Self::Session => Reason::SessionMismatch,
            Self::Signature => Reason::SignatureInvalid,
        }
    }
}

fn signed(document: &[u8]) -> Vec<u8> {
    [&b"beach/2/session\0"[..], document].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Identity {
        Identity::from_seed(&[1; 32])
    }

    #[test]
    fn a_link_is_found_by_its_name_and_who_was_removed_by_theirs() {
        let mut document = SessionDocument::new(host().public(), 1);
        let secrets = [2, 3].map(|byte| LinkSecret::from_bytes([byte; 16]));
        document.links = vec![
            DocumentLink::new(&secrets[0], Access::Full),
            DocumentLink::new(&secrets[1], Access::ReadOnly),
        ];
        document.removed = vec![Uuid::from_u128(1)];
        let found = |secret: &LinkSecret| document.link(secret.id()).map(|link| link.access);
        assert_eq!(secrets.each_ref().map(found), [Some(Access::Full), Some(Access::ReadOnly)]);
        assert_eq!(found(&LinkSecret::from_bytes([4; 16])), None);
        assert!(document.has_removed(Uuid::from_u128(1)) && !document.has_removed(Uuid::from_u128(2)));
    }

    #[test]
    fn a_document_may_be_as_large_as_the_bound_and_no_larger() {
        let identity = host();
        let json = serde_json::to_vec(&SessionDocument::new(identity.public(), 1)).unwrap();
        let padded = |bytes: usize| {
            // White space behind a value is JSON too.
            let document = [&json[..], &vec![b' '; bytes - json.len()]].concat();
            let signature = identity.sign(&signed(&document));
            SignedDocument { document: document.into(), signature }.open()
        };
        assert!(padded(MAX_DOCUMENT_BYTES).is_ok());
        assert_eq!(padded(MAX_DOCUMENT_BYTES + 1), Err(DocumentError::Malformed));
    }
}
