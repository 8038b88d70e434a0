//! What the STUN server reads of strangers, and how much it answers.
#![no_main]

use beach_lifeguard_client::stun::{BindingRequest, GAIN_V4, GAIN_V6, MAX_REQUEST};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(request) = BindingRequest::decode(bytes) {
        assert!(bytes.len() <= MAX_REQUEST);
        for (source, gain) in [("192.0.2.1:53", GAIN_V4), ("[2001:db8::1]:53", GAIN_V6)] {
            let answer = request.answer(source.parse().unwrap());
            assert!(answer.len() <= bytes.len() + gain, "no more than is owed");
            assert_eq!(BindingRequest::decode(&answer), None, "two servers do not talk to each other");
        }
    }
});
