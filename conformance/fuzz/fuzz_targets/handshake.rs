//! The two messages of the handshake: nobody without the session's secret makes one that is accepted.
//!
//! Input: one byte that chooses the side, and a message. Odd bytes put a genuine message beneath, so that what is altered
//! is reached too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport_core::{
    Generation, PeerId, SessionId, memory,
    secure::{
        Access, Binding, HostKey, Request, SessionSecret,
        handshake::{Requester, Responder},
    },
};

fuzz_target!(|input: &[u8]| {
    let [how, bytes @ ..] = input else { return };
    let peer = |id| PeerId::from_bytes([id; 16]);
    let binding = Binding::new(
        SessionId::from_bytes([1; 16]),
        peer(2),
        peer(3),
        memory::ID,
        Generation(1),
    );
    let (secret, key) = (SessionSecret::from_bytes([4; 32]), HostKey::from_bytes([5; 32]));
    let Ok((waiting, first)) = Requester::start(&binding, &secret, key.public(), &Request::new(Access::Full))
    else {
        return;
    };
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
        let read = Responder::read(&binding, &secret, &key, &message);
        assert!(read.is_err() || message == first);
    } else {
        let responder = Responder::read(&binding, &secret, &key, &first).expect("a genuine request");
        let (answer, ..) = responder.accept(Access::Full, b"").expect("a version in common");
        let message = altered(&answer);
        assert!(waiting.finish(&message).is_err() || message == answer);
    }
});
