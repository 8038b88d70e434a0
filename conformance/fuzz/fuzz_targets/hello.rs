//! The first words of a client and of a relay, versions 1 and 2.
#![no_main]

use beach_lifeguard_client::{ClientHello, ServerHello, v1};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(hello) = ClientHello::decode(bytes) {
        assert!(ClientHello::decode(hello.encode().as_bytes()).is_ok());
    }
    let _ = ServerHello::decode(bytes);
    let _ = v1::ClientHello::decode(bytes);
});
