//! The ciphers of the seal, by the library this build has.
//!
//! | session version | cipher | |
//! |---|---|---|
//! | 1 | ChaCha20-Poly1305 (RFC 8439) | everywhere |
//! | 2 | AES-256-GCM (NIST SP 800-38D) | where the processor computes it (ADR 0010) |
//!
//! With the feature `aws-lc` both are AWS-LC's assembly; without, there is version 1 alone, in portable Rust that needs no C
//! compiler. A version makes the same bytes either way.

#[cfg(all(feature = "aws-lc", not(target_family = "wasm")))]
pub(super) use self::aws_lc::Cipher;
#[cfg(any(not(feature = "aws-lc"), target_family = "wasm"))]
pub(super) use self::portable::Cipher;

pub(super) const TAG: usize = 16;

/// What a session version seals with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suite {
    ChaCha20Poly1305,
    #[cfg(all(feature = "aws-lc", not(target_family = "wasm")))]
    Aes256Gcm,
}

impl Suite {
    /// The cipher of a session version; `None` if this build does not speak it.
    pub(super) const fn of(version: u16) -> Option<Self> {
        match version {
            1 => Some(Self::ChaCha20Poly1305),
            #[cfg(all(feature = "aws-lc", not(target_family = "wasm")))]
            2 => Some(Self::Aes256Gcm),
            _ => None,
        }
    }
}

/// Whether this machine should offer version 2. Without its instructions AES is slow, and other programs on the machine may
/// learn keys from its timing.
pub(super) fn has_aes_instructions() -> bool {
    #[cfg(all(feature = "aws-lc", target_arch = "x86_64"))]
    let has = std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(all(feature = "aws-lc", target_arch = "aarch64"))]
    let has =
        std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(all(feature = "aws-lc", any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let has = false;
    has
}

/// A message that does not verify: altered, replayed, out of order, or not from the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forged;

#[cfg(all(feature = "aws-lc", not(target_family = "wasm")))]
mod aws_lc {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
    use bytes::BytesMut;

    use super::{Forged, Suite, TAG};

    /// Wipes its key when dropped.
    pub(in super::super) struct Cipher(LessSafeKey);

    impl Cipher {
        pub(in super::super) fn new(suite: Suite, key: &[u8; 32]) -> Self {
            let algorithm = match suite {
                Suite::ChaCha20Poly1305 => &CHACHA20_POLY1305,
                Suite::Aes256Gcm => &AES_256_GCM,
            };
            Self(LessSafeKey::new(UnboundKey::new(algorithm, key).expect("a key of 32 bytes")))
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
            let tag = sealed.expect("either cipher refuses only beyond 64 GiB");
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

        /// Decrypts into new memory, in one pass.
        pub(in super::super) fn open_shared(
            &self,
            nonce: [u8; 12],
            associated: [u8; 8],
            sealed: &[u8],
            tag: &[u8; TAG],
        ) -> Result<BytesMut, Forged> {
            let (nonce, mut text) = (Nonce::assume_unique_for_key(nonce), BytesMut::zeroed(sealed.len()));
            let opened = self.0.open_separate_gather(nonce, Aad::from(associated), sealed, tag, &mut text);
            opened.map(|()| text).map_err(|_| Forged)
        }
    }
}

#[cfg(any(not(feature = "aws-lc"), target_family = "wasm"))]
mod portable {
    use bytes::BytesMut;
    use chacha20poly1305::{AeadInPlace, ChaCha20Poly1305, KeyInit};

    use super::{Forged, Suite, TAG};

    /// Wipes its key when dropped.
    pub(in super::super) struct Cipher(ChaCha20Poly1305);

    impl Cipher {
        pub(in super::super) fn new(suite: Suite, key: &[u8; 32]) -> Self {
            let Suite::ChaCha20Poly1305 = suite;
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

        /// Decrypts into new memory.
        pub(in super::super) fn open_shared(
            &self,
            nonce: [u8; 12],
            associated: [u8; 8],
            sealed: &[u8],
            tag: &[u8; TAG],
        ) -> Result<BytesMut, Forged> {
            let mut text = BytesMut::from(sealed);
            self.open(nonce, associated, &mut text, tag).map(|()| text)
        }
    }
}

#[cfg(test)]
mod tests {
    use aes_gcm::Aes256Gcm;
    use chacha20poly1305::{
        ChaCha20Poly1305,
        aead::{AeadInPlace, KeyInit, consts::U12, consts::U16, generic_array::GenericArray},
    };

    use super::*;

    const KEY: [u8; 32] = [7; 32];

    /// Compares with a library that shares no code with the ciphers above.
    fn agrees_with<A: AeadInPlace<NonceSize = U12, TagSize = U16> + KeyInit>(suite: Suite) {
        let (ours, other) = (Cipher::new(suite, &KEY), A::new(GenericArray::from_slice(&KEY)));
        for len in [1, 15, 16, 17, 255, 16 * 1024] {
            let (nonce, associated, text) = ([len as u8; 12], [3; 8], vec![9; len]);
            let (mut by_us, mut by_other) = (text.clone(), text.clone());
            let tag = ours.seal(nonce, associated, &mut by_us);
            let others = other.encrypt_in_place_detached(&nonce.into(), &associated, &mut by_other).unwrap();
            assert_eq!((&by_us, &tag[..]), (&by_other, &others[..]), "{len} bytes");
            assert_eq!(ours.open_shared(nonce, associated, &by_other, &tag).as_deref(), Ok(&text[..]));
            assert_eq!(ours.open(nonce, associated, &mut by_other, &tag), Ok(()));
            assert_eq!(by_other, text);
        }
    }

    #[test]
    fn each_version_is_the_cipher_it_says() {
        agrees_with::<ChaCha20Poly1305>(Suite::of(1).unwrap());
        match Suite::of(2) {
            Some(suite) => agrees_with::<Aes256Gcm>(suite),
            None => assert!(!cfg!(feature = "aws-lc") && !has_aes_instructions()),
        }
        assert_eq!((Suite::of(0), Suite::of(3)), (None, None));
    }

    #[test]
    fn every_part_is_verified() {
        for suite in [1, 2].into_iter().filter_map(Suite::of) {
            let cipher = Cipher::new(suite, &KEY);
            let (nonce, associated, mut text) = ([1; 12], [2; 8], *b"hello");
            let tag = cipher.seal(nonce, associated, &mut text);
            let open = |nonce, associated, mut text: [u8; 5], tag| {
                let shared = cipher.open_shared(nonce, associated, &text, tag).map(drop);
                let opened = cipher.open(nonce, associated, &mut text, tag);
                assert_eq!(shared, opened);
                opened
            };
            assert_eq!(open(nonce, associated, text, &tag), Ok(()));
            assert_eq!(open([0; 12], associated, text, &tag), Err(Forged));
            assert_eq!(open(nonce, [0; 8], text, &tag), Err(Forged));
            assert_eq!(open(nonce, associated, [0; 5], &tag), Err(Forged));
            assert_eq!(open(nonce, associated, text, &[0; 16]), Err(Forged));
        }
    }
}
