//! What the signaling room brings: envelopes nobody sealed are never opened, and what is inside one is read or refused.
//!
//! Input: one byte that says whether the rest stands in the room as it is or inside a genuine envelope.
#![no_main]

use std::{sync::Arc, time::UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use transport_core::{
    PeerId,
    secure::{Identity, LinkSecret},
    signaling::{MAX_ENVELOPE, Message, Sealer},
};

fuzz_target!(|input: &[u8]| {
    let [how, bytes @ ..] = input else { return };
    let [host, viewer] = [5, 6].map(|seed| Identity::from_seed(&[seed; 32]));
    let secret = LinkSecret::from_bytes([4; 16]);
    let [here, there] = [&host, &viewer].map(|identity| PeerId::from_bytes(identity.public().peer_id()));
    let mut reader = Sealer::host(host.clone(), Arc::new(secret.clone()));
    if how & 1 == 0 {
        assert!(reader.open(UNIX_EPOCH, there, bytes).is_err());
        return;
    }
    match Sealer::joiner(viewer, host.public(), secret).seal(UNIX_EPOCH, here, bytes) {
        Ok(envelope) => {
            assert!(envelope.len() <= MAX_ENVELOPE);
            let opened = reader.open(UNIX_EPOCH, there, &envelope).expect("what was sealed is opened");
            let _ = serde_json::from_slice::<Message>(&opened.plaintext);
        }
        Err(_) => assert!(bytes.len() + 89 > MAX_ENVELOPE),
    }
});
