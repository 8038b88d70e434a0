//! The two messages of the handshake: nobody without the link's secret makes one that is accepted.
//!
//! Input: one byte that chooses the side, and a message. Odd bytes put a genuine message beneath, so that what is altered
//! is reached too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport_core::{
    Generation, PeerId, SessionId, memory,
    secure::{
        Access, Binding, Identity, LinkSecret, Request,
        handshake::{Joiner, Requester, Responder},
    },
};

fuzz_target!(|input: &[u8]| {
    let [how, bytes @ ..] = input else { return };
    let [host, viewer] = [5, 6].map(|seed| Identity::from_seed(&[seed; 32]));
    let secret = LinkSecret::from_bytes([4; 16]);
    let binding = Binding::new(
        SessionId::from_bytes(host.public().session_id()),
        PeerId::from_bytes(viewer.public().peer_id()),
        PeerId::from_bytes(host.public().peer_id()),
        memory::ID,
        Generation(1),
    );
    let joiner = Joiner { identity: &viewer, link: &secret, host: host.public() };
    let Ok((waiting, first)) = Requester::start(&binding, &joiner, &Request::new(Access::Full)) else { return };
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
        let read = Responder::read(&binding, &host, &secret, &message);
        assert!(read.is_err() || message == first);
    } else {
        let responder = Responder::read(&binding, &host, &secret, &first).expect("a genuine request");
        let (answer, ..) = responder.accept(Access::Full, b"").expect("a version in common");
        let message = altered(&answer);
        assert!(waiting.finish(&message).is_err() || message == answer);
    }
});
