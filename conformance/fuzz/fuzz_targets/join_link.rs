//! What a person pastes as a link.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport_core::secure::JoinLink;

fuzz_target!(|text: &str| {
    if let Ok(link) = JoinLink::parse(text) {
        let again = JoinLink::parse(&link.to_fragment()).expect("what was written is read");
        assert_eq!(again.to_fragment(), link.to_fragment());
    }
});
