//! What a join link carries behind its `#`: everything a viewer needs to be sure of the host.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::secret::{HostPublicKey, SessionSecret};
use crate::ids::SessionId;

/// The fragment of a join link. Browsers never send a fragment to a server, so what is in it
/// reaches the viewer alone.
///
/// Encoded as unpadded base64url of:
///
/// | offset | length | what |
/// |---|---|---|
/// | 0 | 1 | version, 1 |
/// | 1 | 1 | flags: bit 0 set when an expiry follows; the others 0 |
/// | 2 | 16 | session id |
/// | 18 | 32 | session secret |
/// | 50 | 32 | host's static public key, X25519 |
/// | 82 | 0 or 8 | expiry, Unix seconds, big-endian |
/// | 82 or 90 | 4 | checksum: first bytes of SHA-256 over `beach/1/link` and all of the above |
///
/// The checksum finds accidents (a character lost in a chat window); it authenticates nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinFragment {
    /// The session to join.
    pub session: SessionId,
    /// Its secret.
    pub secret: SessionSecret,
    /// The key the host must prove to hold.
    pub host_key: HostPublicKey,
    /// When the host stops letting new viewers in, in Unix seconds; `None` for never.
    pub expires_at: Option<u64>,
}

impl JoinFragment {
    /// Describes a link that does not expire.
    pub fn new(session: SessionId, secret: SessionSecret, host_key: HostPublicKey) -> Self {
        Self { session, secret, host_key, expires_at: None }
    }

    /// Returns the fragment, without the `#`: 115 characters, 126 with an expiry. It is secret.
    pub fn to_fragment(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN));
        bytes.extend_from_slice(&[VERSION, u8::from(self.expires_at.is_some())]);
        bytes.extend_from_slice(self.session.as_bytes());
        bytes.extend_from_slice(self.secret.expose());
        bytes.extend_from_slice(&self.host_key.0);
        if let Some(expires_at) = self.expires_at {
            bytes.extend_from_slice(&expires_at.to_be_bytes());
        }
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        Zeroizing::new(URL_SAFE_NO_PAD.encode(&*bytes))
    }

    /// Reads a fragment, with or without its `#`.
    ///
    /// # Errors
    ///
    /// [`BadJoinFragment`], which tells a link of a newer program from one that was damaged.
    pub fn parse(fragment: &str) -> Result<Self, BadJoinFragment> {
        let text = fragment.trim().trim_start_matches('#');
        if text.len() > MAX_TEXT {
            return Err(BadJoinFragment::Length);
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_| BadJoinFragment::Encoding)?);
        let mut fields = Fields(&bytes);
        let [version] = fields.take()?;
        if version != VERSION {
            return Err(BadJoinFragment::Version(version));
        }
        let [flags] = fields.take()?;
        let session = SessionId::from_bytes(fields.take()?);
        let secret = Zeroizing::new(fields.take()?);
        let host_key = HostPublicKey(fields.take()?);
        let expires_at = if flags & 1 == 1 { Some(u64::from_be_bytes(fields.take()?)) } else { None };
        let sum: [u8; 4] = fields.take()?;
        if !fields.0.is_empty() {
            return Err(BadJoinFragment::Length);
        }
        if sum != checksum(&bytes[..bytes.len() - sum.len()]) || flags > 1 {
            return Err(BadJoinFragment::Altered);
        }
        Ok(Self { session, secret: SessionSecret::from_bytes(*secret), host_key, expires_at })
    }

    /// Checks the expiry against the wall clock, in Unix seconds.
    ///
    /// # Errors
    ///
    /// [`BadJoinFragment::Expired`] from the named second on.
    pub fn check_expiry(&self, unix_now: u64) -> Result<(), BadJoinFragment> {
        match self.expires_at {
            Some(expires_at) if unix_now >= expires_at => Err(BadJoinFragment::Expired),
            _ => Ok(()),
        }
    }
}

/// Why a join link cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadJoinFragment {
    /// The checksum does not match.
    #[error("the join link was altered: copy it again, whole")]
    Altered,
    /// Not base64url.
    #[error("the join link holds characters that do not belong there: copy it again")]
    Encoding,
    /// Its time is over.
    #[error("the join link has expired: ask the host for a new one")]
    Expired,
    /// Too short or too long.
    #[error("the join link is not complete: copy it again, whole")]
    Length,
    /// Made by a program that speaks another form.
    #[error("the join link has form {0}, this program knows form 1: update it")]
    Version(u8),
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], BadJoinFragment> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(BadJoinFragment::Length)?;
        self.0 = rest;
        Ok(*field)
    }
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    let digest = Sha256::new_with_prefix(b"beach/1/link").chain_update(bytes).finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

const VERSION: u8 = 1;
const MAX_LEN: usize = 94;
/// A pasted page is refused before it is decoded.
const MAX_TEXT: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn link(expires_at: Option<u64>) -> JoinFragment {
        let secret = SessionSecret::from_bytes([2; 32]);
        JoinFragment {
            expires_at,
            ..JoinFragment::new(SessionId::from_bytes([1; 16]), secret, HostPublicKey([3; 32]))
        }
    }

    #[test]
    fn a_link_survives_the_round_trip_and_its_form_is_pinned() {
        for (expires_at, len) in [(None, 115), (Some(1_800_000_000), 126)] {
            let fragment = link(expires_at).to_fragment();
            assert_eq!(fragment.len(), len);
            assert_eq!(JoinFragment::parse(&format!("#{}\n", *fragment)), Ok(link(expires_at)));
        }
        assert_eq!(
            *link(None).to_fragment(),
            "AQABAQEBAQEBAQEBAQEBAQEBAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA6WgQxo"
        );
    }

    #[test]
    fn every_single_altered_character_is_noticed() {
        let good = link(Some(1_800_000_000)).to_fragment();
        for at in 0..good.len() {
            let mut bad = good.as_bytes().to_vec();
            bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
            let bad = String::from_utf8(bad).unwrap();
            assert!(JoinFragment::parse(&bad).is_err(), "character {at}");
        }
        for cut in 0..good.len() {
            assert!(JoinFragment::parse(&good[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn each_way_to_be_bad_has_its_name() {
        let good = link(None).to_fragment();
        assert_eq!(JoinFragment::parse(""), Err(BadJoinFragment::Length));
        assert_eq!(JoinFragment::parse("not a link!"), Err(BadJoinFragment::Encoding));
        assert_eq!(JoinFragment::parse(&good[..100]), Err(BadJoinFragment::Length));
        assert_eq!(JoinFragment::parse(&"A".repeat(100_000)), Err(BadJoinFragment::Length));
        assert_eq!(JoinFragment::parse(&good.replacen("AQ", "Ag", 1)), Err(BadJoinFragment::Version(2)));
        assert_eq!(JoinFragment::parse(&good.replacen("ICAg", "ICBg", 1)), Err(BadJoinFragment::Altered));
    }

    #[test]
    fn a_pasted_page_is_refused_by_its_length_and_flags_of_a_later_form_by_their_value() {
        assert_eq!(JoinFragment::parse(&"A".repeat(256)), Err(BadJoinFragment::Version(0)));
        assert_eq!(JoinFragment::parse(&"A".repeat(257)), Err(BadJoinFragment::Length));
        for (flags, read) in [(0, Ok(link(None))), (2, Err(BadJoinFragment::Altered))] {
            let mut bytes = URL_SAFE_NO_PAD.decode(&*link(None).to_fragment()).unwrap();
            bytes[1] = flags;
            let sum = checksum(&bytes[..82]);
            bytes[82..].copy_from_slice(&sum);
            assert_eq!(JoinFragment::parse(&URL_SAFE_NO_PAD.encode(bytes)), read);
        }
    }

    #[test]
    fn a_link_expires_at_its_second_and_not_before() {
        let link = link(Some(1000));
        assert_eq!(link.check_expiry(999), Ok(()));
        assert_eq!(link.check_expiry(1000), Err(BadJoinFragment::Expired));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
            let _ = JoinFragment::parse(&text);
        }
    }
}
