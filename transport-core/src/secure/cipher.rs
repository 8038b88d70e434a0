//! ChaCha20-Poly1305 (RFC 8439), by the library this build has.
//!
//! With the feature `aws-lc` it is AWS-LC's assembly, about twice as fast on 16 KiB (ADR 0008); without, portable Rust and no C
//! compiler. Both make the same bytes, so peers need not agree on it.

#[cfg(feature = "aws-lc")]
pub(super) use self::aws_lc::Cipher;
#[cfg(not(feature = "aws-lc"))]
pub(super) use self::portable::Cipher;

pub(super) const TAG: usize = 16;

/// A message that does not verify: altered, replayed, out of order, or not from the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forged;

#[cfg(feature = "aws-lc")]
mod aws_lc {
    use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

    use super::{Forged, TAG};

    /// Wipes its key when dropped.
    pub(in super::super) struct Cipher(LessSafeKey);

    impl Cipher {
        pub(in super::super) fn new(key: &[u8; 32]) -> Self {
            Self(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).expect("a key of 32 bytes")))
        }

        /// Encrypts in place. A nonce must be new for each call.
        pub(in super::super) fn seal(
            &self,
            nonce: [u8; 12],
            associated: [u8; 8],
            text: &mut [u8],
        ) -> [u8; TAG] {
            let nonce = Nonce::assume_unique_for_key(nonce);
            let sealed = self.0.seal_in_place_separate_tag(nonce, Aad::from(associated), text);
            let tag = sealed.expect("the cipher refuses only beyond 256 GiB (RFC 8439 §2.8)");
            tag.as_ref().try_into().expect("a tag of 16 bytes")
        }

        /// Decrypts in place; what it leaves of a forgery is of no use.
        pub(in super::super) fn open(
            &self,
            nonce: [u8; 12],
            associated: [u8; 8],
            text: &mut [u8],
            tag: &[u8; TAG],
        ) -> Result<(), Forged> {
            let nonce = Nonce::assume_unique_for_key(nonce);
            let opened = self.0.open_in_place_separate_tag(nonce, Aad::from(associated), tag, text);
            opened.map(drop).map_err(|_| Forged)
        }
    }
}

#[cfg(any(test, not(feature = "aws-lc")))]
mod portable {
    use chacha20poly1305::{AeadInPlace, ChaCha20Poly1305, KeyInit};

    use super::{Forged, TAG};

    /// Wipes its key when dropped.
    pub(in super::super) struct Cipher(ChaCha20Poly1305);

    impl Cipher {
        pub(in super::super) fn new(key: &[u8; 32]) -> Self {
            Self(ChaCha20Poly1305::new(key.into()))
        }

        /// Encrypts in place. A nonce must be new for each call.
        pub(in super::super) fn seal(
            &self,
            nonce: [u8; 12],
            associated: [u8; 8],
            text: &mut [u8],
        ) -> [u8; TAG] {
            let sealed = self.0.encrypt_in_place_detached(&nonce.into(), &associated, text);
            sealed.expect("the cipher refuses only beyond 256 GiB (RFC 8439 §2.8)").into()
        }

        /// Decrypts in place; what it leaves of a forgery is of no use.
        pub(in super::super) fn open(
            &self,
            nonce: [u8; 12],
            associated: [u8; 8],
            text: &mut [u8],
            tag: &[u8; TAG],
        ) -> Result<(), Forged> {
            let opened = self.0.decrypt_in_place_detached(&nonce.into(), &associated, text, tag.into());
            opened.map_err(|_| Forged)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    #[test]
    fn what_either_library_seals_both_open() {
        let (ours, portable) = (Cipher::new(&KEY), portable::Cipher::new(&KEY));
        for len in [1, 15, 16, 17, 255, 16 * 1024] {
            let (nonce, associated, text) = ([len as u8; 12], [3; 8], vec![9; len]);
            let (mut one, mut other) = (text.clone(), text.clone());
            let tags = [ours.seal(nonce, associated, &mut one), portable.seal(nonce, associated, &mut other)];
            assert_eq!((&one, tags[0]), (&other, tags[1]), "{len} bytes");
            assert_eq!(portable.open(nonce, associated, &mut one, &tags[0]), Ok(()));
            assert_eq!(ours.open(nonce, associated, &mut other, &tags[0]), Ok(()));
            assert_eq!((one, other), (text.clone(), text));
        }
    }

    #[test]
    fn every_part_is_verified() {
        let cipher = Cipher::new(&KEY);
        let (nonce, associated, mut text) = ([1; 12], [2; 8], *b"hello");
        let tag = cipher.seal(nonce, associated, &mut text);
        let open = |nonce, associated, mut text: [u8; 5], tag| cipher.open(nonce, associated, &mut text, tag);
        assert_eq!(open(nonce, associated, text, &tag), Ok(()));
        assert_eq!(open([0; 12], associated, text, &tag), Err(Forged));
        assert_eq!(open(nonce, [0; 8], text, &tag), Err(Forged));
        assert_eq!(open(nonce, associated, [0; 5], &tag), Err(Forged));
        assert_eq!(open(nonce, associated, text, &[0; 16]), Err(Forged));
    }
}
