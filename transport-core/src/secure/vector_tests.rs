//! Reads the transcript that pins the handshake for other implementations. It was computed independently, in Python, from
//! the layout in this module's documentation.
#![expect(clippy::disallowed_methods, reason = "an anchor for a hand-driven clock")]

use beach_identity::LinkSecret;

use super::*;
use crate::{
    ids::{Generation, PeerId, SessionId, TransportId},
    secure::{
        Rekey,
        seal::{Chain, Kind, OrderedOpener, Sealer},
        testing::{Vectors, hex},
    },
    time::Instant,
};

const TRANSCRIPT: Vectors = Vectors(include_str!("../../tests/vectors/handshake.txt"));

fn binding() -> Binding {
    let [joiner, host] = ["joiner_peer", "host_peer"].map(|name| PeerId::from_bytes(TRANSCRIPT.bytes(name)));
    let session = SessionId::from_bytes(TRANSCRIPT.bytes("session"));
    let transport = TransportId::from_static("webrtc");
    Binding {
        extra: Bytes::from_static(b"ab"),
        ..Binding::new(session, joiner, host, transport, Generation(4))
    }
}

fn identities() -> [Identity; 2] {
    ["joiner_seed", "host_seed"].map(|name| Identity::from_seed(&TRANSCRIPT.bytes(name)))
}

#[test]
fn keys_and_names_are_those_of_the_transcript() {
    let [joiner, host] = identities().map(|identity| identity.public());
    let link = LinkSecret::from_bytes(TRANSCRIPT.bytes("link_secret"));
    assert_eq!(joiner.as_bytes(), &TRANSCRIPT.bytes("joiner_key"));
    assert_eq!(host.as_bytes(), &TRANSCRIPT.bytes("host_key"));
    assert_eq!(joiner.x25519(), TRANSCRIPT.bytes("joiner_x25519"));
    assert_eq!(host.x25519(), TRANSCRIPT.bytes("host_x25519"));
    assert_eq!(
        (joiner.peer_id(), host.peer_id()),
        (TRANSCRIPT.bytes("joiner_peer"), TRANSCRIPT.bytes("host_peer"))
    );
    assert_eq!(host.session_id(), TRANSCRIPT.bytes("session"));
    assert_eq!((link.id().0, *link.noise_psk()), (TRANSCRIPT.bytes("link_id"), TRANSCRIPT.bytes("psk")));
}

#[test]
fn both_sides_say_what_the_transcript_says() {
    let [joiner, host] = identities();
    let link = LinkSecret::from_bytes(TRANSCRIPT.bytes("link_secret"));
    let [joiners, hosts]: [[u8; 32]; 2] = ["joiner_ephemeral", "host_ephemeral"].map(|n| TRANSCRIPT.bytes(n));
    let app = Bytes::from_static(b"viewer 1.2");
    let request = Request { versions: vec![1], app, ..Request::new(Access::Full) };
    assert_eq!(hex(&binding().prologue(&request.offer(link.id()))), TRANSCRIPT.line("prologue"));

    let named = Joiner { identity: &joiner, link: &link, host: host.public() };
    let (requester, first) = start(&named, &request, &joiners);
    assert_eq!(hex(&first), TRANSCRIPT.line("first_message"));

    let responder = respond(&host, &link, &first, &hosts);
    assert_eq!((responder.visitor().key, responder.visitor().link), (joiner.public(), link.id()));
    assert_eq!(responder.visitor().request, request);
    let (answer, on_host, host_keys) = responder.accept(Access::ReadOnly, b"welcome").unwrap();
    assert_eq!(hex(&answer), TRANSCRIPT.line("answer"));
    let (on_joiner, joiner_keys) = requester.finish(&answer).unwrap();
    assert_eq!((on_joiner.access, on_host.access), (Access::ReadOnly, Access::ReadOnly));
    let digits = TRANSCRIPT.line("short_auth").replace('-', " ");
    assert_eq!((on_joiner.short_auth.to_string(), on_host.short_auth.to_string()), (digits.clone(), digits));

    // Each side's first sealed message, made by one and opened by the other.
    for (sender, receiver, kind, text, name) in [
        (joiner_keys.send.reliable, host_keys.receive.reliable, Kind::Confirm, "", "confirmation"),
        (host_keys.send.reliable, joiner_keys.receive.reliable, Kind::Data, "hello", "hello"),
    ] {
        let sealed = seal(sender, kind, text);
        assert_eq!(hex(&sealed), TRANSCRIPT.line(name));
        assert_eq!(OrderedOpener::new(receiver).open(sealed), Ok((kind, text.into())));
    }
}

fn start(joiner: &Joiner<'_>, request: &Request, ephemeral: &[u8; 32]) -> (Requester, Bytes) {
    Requester::start_with(&binding(), joiner, request, Some(ephemeral)).unwrap()
}

fn respond(host: &Identity, link: &LinkSecret, first: &[u8], ephemeral: &[u8; 32]) -> Responder {
    Responder::read_with(&binding(), host, link, first, Some(ephemeral)).unwrap()
}

fn seal(chain: Chain, kind: Kind, text: &'static str) -> Bytes {
    Sealer::new(chain, true, Rekey::default(), Instant::now()).seal(kind, text.into()).into_parts().0
}
