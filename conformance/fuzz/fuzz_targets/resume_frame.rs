//! A frame of the session that can be read is written the same.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use transport_core::resume::frame::Frame;

fuzz_target!(|bytes: &[u8]| {
    let bytes = Bytes::copy_from_slice(bytes);
    if let Ok(frame) = Frame::decode(bytes.clone()) {
        assert_eq!(frame.encode(), bytes);
    }
});
