//! Who somebody is in a session, and what a link is made of.
//!
//! Nobody is believed about who they are. Each endpoint has one key pair, an [`Identity`]; its [`PublicKey`] names
//! it (`peer_id`), proves what it says (Ed25519) and agrees on secrets with others (X25519, the same key). The host's
//! names the session too. A join link carries the host's public key and a [`LinkSecret`] of its own, so that
//! which link somebody holds can be proven as well (`docs/adr/0018-identities-and-links.md`).
//!
//! `transport-core` and `beach-lifeguard-client` derive the same names from the same keys and do not know each other;
//! this crate is below both. It opens nothing and speaks no protocol.
//!
//! ```
//! use beach_identity::Identity;
//!
//! let (host, viewer) = (Identity::random()?, Identity::random()?);
//! let signature = viewer.sign(b"hello");
//! assert!(viewer.public().verify(b"hello", &signature));
//! assert!(!host.public().verify(b"hello", &signature));
//! assert_eq!(host.agree(&viewer.public()), viewer.agree(&host.public()));
//! # Ok::<(), beach_identity::NoEntropy>(())
//! ```
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(feature = "serde")]
mod base64url;
mod identity;
mod link;
mod public_key;

pub use identity::Identity;
pub use link::{LinkId, LinkSecret};
pub use public_key::{BadPublicKey, PublicKey, Signature};

use zeroize::Zeroizing;

/// A derived 32-byte key. Wiped when dropped, never printed.
pub type Key = Zeroizing<[u8; 32]>;

/// The operating system has no random numbers.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no random numbers from the operating system")]
pub struct NoEntropy(#[source] getrandom::Error);

/// Draws key material from the operating system.
///
/// # Errors
///
/// [`NoEntropy`] when it has none to give.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(NoEntropy)?;
    Ok(bytes)
}
