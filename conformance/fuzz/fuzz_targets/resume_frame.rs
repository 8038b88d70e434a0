//! A frame of the session that can be read is written the same, but for what a reason must not hold.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use transport_core::resume::frame::Frame;

fuzz_target!(|bytes: &[u8]| {
    let bytes = Bytes::copy_from_slice(bytes);
    match Frame::decode(bytes.clone()) {
        // A reason is cleaned as it is read: it may be shorter, once.
        Ok(close @ Frame::Close { .. }) => assert_eq!(Frame::decode(close.encode()), Ok(close)),
        Ok(frame) => assert_eq!(frame.encode(), bytes),
        Err(_) => {}
    }
});
