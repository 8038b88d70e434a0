//! What a person pastes as a link.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport_core::secure::JoinFragment;

fuzz_target!(|text: &str| {
    if let Ok(link) = JoinFragment::parse(text) {
        let again = JoinFragment::parse(&link.to_fragment()).expect("what was written is read");
        assert_eq!(again.to_fragment(), link.to_fragment());
    }
});
