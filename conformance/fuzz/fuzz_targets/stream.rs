//! What the HTTP carrier adds: the relay's first record, and which upload is taken, however they are repeated.
#![no_main]

use beach_lifeguard_client::stream::{CarrierId, Opened, Sequence, Turn};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(opened) = Opened::decode(bytes) {
        assert_eq!(Opened::decode(opened.encode().as_bytes()), Ok(opened));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = text.parse::<CarrierId>();
    }
    let (mut sequence, mut taken) = (Sequence::default(), 0);
    for number in bytes.iter().map(|byte| u64::from(*byte)) {
        if sequence.judge(number) == Turn::Next {
            assert_eq!(number, taken + 1, "in order, each once");
            taken = number;
            sequence.advance();
        }
        assert_eq!(sequence.next(), taken + 1);
    }
});
