//! The two messages of the handshake: nobody without a link's secret and the joiner's key makes one that is accepted.
//!
//! Input: one byte that chooses the side, and a message. Odd bytes put a genuine message beneath, so that what is altered
//! is reached too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport_core::{
    Generation, PeerId, SessionId, memory,
    secure::{
        Access, Binding, Identity, Joiner, LinkSecret, Request,
        handshake::{Requester, Responder},
    },
};

fuzz_target!(|input: &[u8]| {
    let [how, bytes @ ..] = input else { return };
    let [viewer, key] = [[4; 32], [5; 32]].map(|seed| Identity::from_seed(&seed));
    let [joiner, host] = [&viewer, &key].map(|identity| PeerId::of(&identity.public()));
    let session = SessionId::of_host(&key.public());
    let (binding, link) =
        (Binding::new(session, joiner, host, memory::ID, Generation(1)), LinkSecret::from_bytes([3; 16]));
    let named = Joiner { identity: &viewer, link: &link, host: key.public() };
    let Ok((waiting, first)) = Requester::start(&binding, &named, &Request::new(Access::Full)) else { return };
    let altered = |genuine: &[u8]| {
        let mut message = bytes.to_vec();
        if how & 1 == 1 {
            message = genuine.to_vec();
            message.iter_mut().zip(bytes).for_each(|(byte, change)| *byte ^= change);
            message.truncate(genuine.len().saturating_sub(usize::from(how >> 2)));
        }
        message
    };
    if how & 2 == 0 {
        let message = altered(&first);
        let read = Responder::read(&binding, &key, &link, &message);
        assert!(read.is_err() || message == first);
    } else {
        let responder = Responder::read(&binding, &key, &link, &first).expect("a genuine request");
        let (answer, ..) = responder.accept(Access::Full, b"").expect("a version in common");
        let message = altered(&answer);
        assert!(waiting.finish(&message).is_err() || message == answer);
    }
});
