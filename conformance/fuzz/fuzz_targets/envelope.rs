//! What the signaling room brings: envelopes nobody sealed are never opened, and what is inside one is read or refused.
//!
//! Input: one byte that says whether the rest stands in the room as it is or inside a genuine envelope.
#![no_main]

use std::time::UNIX_EPOCH;

use libfuzzer_sys::fuzz_target;
use transport_core::{
    PeerId, SessionId,
    secure::SessionSecret,
    signaling::{MAX_ENVELOPE, Message, Sealer},
};

fuzz_target!(|input: &[u8]| {
    let [how, bytes @ ..] = input else { return };
    let key = SessionSecret::from_bytes([1; 32]).signaling_seal();
    let (session, here, there) =
        (SessionId::from_bytes([2; 16]), PeerId::from_bytes([3; 16]), PeerId::from_bytes([4; 16]));
    let mut reader = Sealer::new(&key, session, here);
    if how & 1 == 0 {
        assert!(reader.open(UNIX_EPOCH, there, bytes).is_err());
        return;
    }
    match Sealer::new(&key, session, there).seal(UNIX_EPOCH, here, bytes) {
        Ok(envelope) => {
            assert!(envelope.len() <= MAX_ENVELOPE);
            let opened = reader.open(UNIX_EPOCH, there, &envelope).expect("what was sealed is opened");
            assert_eq!(opened, bytes);
            let _ = serde_json::from_slice::<Message>(&opened);
        }
        Err(_) => assert!(bytes.len() + 49 > MAX_ENVELOPE),
    }
});
