//! Nobody without the key makes a token.
#![no_main]

use std::{
    sync::LazyLock,
    time::{Duration, UNIX_EPOCH},
};

use beach_lifeguard_client::{
    FallbackToken,
    token::{Capability, KeyId, PublicKey, TokenVerifier},
};
use libfuzzer_sys::fuzz_target;

static VERIFIER: LazyLock<TokenVerifier> = LazyLock::new(|| {
    let key = (KeyId::parse("k1").expect("a key id"), PublicKey([7; 32]));
    TokenVerifier::new("issuer", [key])
});

fuzz_target!(|text: &str| {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    assert!(VERIFIER.verify(&FallbackToken::new(text), Capability::V2, now).is_err());
});
