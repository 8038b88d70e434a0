//! What the signaling room brings: envelopes nobody sealed are never opened, and what is inside one is read or refused.
//!
//! Input: one byte that says how, and bytes. 0: they stand in the room as they are. 1: inside a genuine envelope. 2: they alter a
//! genuine envelope. Its third bit turns the direction around.
#![no_main]

use std::time::UNIX_EPOCH;

use libfuzzer_sys::fuzz_target;
use transport_core::{
    secure::{Identity, LinkSecret},
    signaling::{MAX_ENVELOPE, Message, Sealer},
};

fuzz_target!(|input: &[u8]| {
    let [how, bytes @ ..] = input else { return };
    let [viewer, host] = [[1; 32], [2; 32]].map(|seed| Identity::from_seed(&seed));
    let link = LinkSecret::from_bytes([3; 16]);
    let mut ends =
        [Sealer::joiner(viewer, host.public(), link.clone()), Sealer::host(host, std::sync::Arc::new(link))];
    let peers = [ends[0].local(), ends[1].local()];
    // A host answers once it was spoken to.
    let knock = ends[0].seal(UNIX_EPOCH, peers[1], b"knock").expect("a viewer may always speak");
    ends[1].open(UNIX_EPOCH, peers[0], &knock).expect("what was sealed is opened");
    let from = usize::from(how >> 2 & 1);
    match how & 3 {
        0 => assert!(ends[1 - from].open(UNIX_EPOCH, peers[from], bytes).is_err()),
        1 => match ends[from].seal(UNIX_EPOCH, peers[1 - from], bytes) {
            Ok(envelope) => {
                assert!(envelope.len() <= MAX_ENVELOPE);
                let opened = ends[1 - from].open(UNIX_EPOCH, peers[from], &envelope);
                let opened = opened.expect("what was sealed is opened").plaintext;
                assert_eq!(opened, bytes);
                let _ = serde_json::from_slice::<Message>(&opened);
            }
            Err(_) => assert!(bytes.len() + 89 > MAX_ENVELOPE),
        },
        _ => {
            let genuine = ends[from].seal(UNIX_EPOCH, peers[1 - from], b"genuine").expect("it fits");
            let mut altered = genuine.to_vec();
            altered.iter_mut().zip(bytes).for_each(|(byte, change)| *byte ^= change);
            let opened = ends[1 - from].open(UNIX_EPOCH, peers[from], &altered);
            assert!(opened.is_err() || altered == genuine);
        }
    }
});
