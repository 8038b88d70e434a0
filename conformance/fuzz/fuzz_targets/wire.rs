//! The relay's binary frames and what they carry.
#![no_main]

use beach_lifeguard_client::{Header, close::CloseFrame, control::Control};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((header, payload)) = Header::split(Bytes::copy_from_slice(bytes)) {
        // What was read is written the same, but for the reserved byte.
        let again = header.frame(&payload);
        assert_eq!(again.len(), bytes.len());
        assert_eq!(again[4..], bytes[4..]);
    }
    let _ = CloseFrame::decode(bytes);
    let _ = Control::decode(bytes);
});
