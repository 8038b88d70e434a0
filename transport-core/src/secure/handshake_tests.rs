#![expect(clippy::disallowed_methods, reason = "an anchor for a hand-driven clock")]

use proptest::prelude::*;

use super::*;
use crate::{
    ids::{Generation, PeerId, SessionId, TransportId},
    secure::testing::hex,
};

fn binding() -> Binding {
    let [session, joiner, host] = [1, 2, 3].map(|fill| [fill; 16]);
    Binding::new(
        SessionId::from_bytes(session),
        PeerId::from_bytes(joiner),
        PeerId::from_bytes(host),
        TransportId::from_static("webrtc"),
        Generation(4),
    )
}

fn secret() -> SessionSecret {
    SessionSecret::from_bytes([5; 32])
}

fn key() -> HostKey {
    HostKey::from_bytes([6; 32])
}

fn request() -> Request {
    Request { app: Bytes::from_static(b"viewer 1.2"), ..Request::new(Access::Full) }
}

fn start() -> (Requester, Bytes) {
    Requester::start(&binding(), &secret(), key().public(), &request()).unwrap()
}

fn read_with(binding: &Binding, message: &[u8]) -> Result<Responder, HandshakeError> {
    Responder::read(binding, &secret(), &key(), message)
}

#[test]
fn both_sides_agree_on_keys_access_version_and_six_digits() {
    let (initiator, message) = start();
    let responder = read_with(&binding(), &message).unwrap();
    assert_eq!(responder.request(), &request());
    let (answer, on_host, mut host_keys) = responder.accept(Access::ReadOnly, b"welcome").unwrap();
    let (on_joiner, mut joiner_keys) = initiator.finish(&answer).unwrap();
    assert_eq!((on_joiner.access, on_joiner.version), (Access::ReadOnly, versions()[0]));
    assert_eq!((on_host.access, on_host.version), (Access::ReadOnly, versions()[0]));
    assert_eq!((&on_joiner.app[..], &on_host.app[..]), (&b"welcome"[..], &b"viewer 1.2"[..]));
    assert_eq!(on_joiner.short_auth, on_host.short_auth);
    assert_eq!(on_joiner.short_auth.to_string().len(), 7);
    // Each direction and lane: what one side seals, only the other's opposite opens.
    let now = crate::time::Instant::now();
    let rekey = crate::secure::Rekey::default();
    for (send, receive) in
        [(&mut joiner_keys.send, &mut host_keys.receive), (&mut host_keys.send, &mut joiner_keys.receive)]
    {
        let take = |chain: &mut _| std::mem::replace(chain, spare_chain());
        let mut sealer = crate::secure::seal::Sealer::new(take(&mut send.reliable), true, rekey, now);
        let sealed = sealer.seal(crate::secure::seal::Kind::Data, Bytes::from_static(b"x")).into_parts().0;
        let mut wrong = crate::secure::seal::OrderedOpener::new(take(&mut receive.datagram));
        assert!(wrong.open(sealed.clone()).is_err());
        let mut right = crate::secure::seal::OrderedOpener::new(take(&mut receive.reliable));
        assert!(right.open(sealed).is_ok());
    }
}

fn spare_chain() -> crate::secure::seal::Chain {
    crate::secure::seal::Chain::new(Suite::ChaCha20Poly1305, &[0; 32], &[0; 32], b"spare")
}

#[test]
fn every_belief_must_match() {
    let (_, message) = start();
    assert!(read_with(&binding(), &message).is_ok());
    let beliefs: [fn(&mut Binding); 7] = [
        |b| b.session = SessionId::from_bytes([9; 16]),
        |b| b.joiner = PeerId::from_bytes([9; 16]),
        |b| b.host = PeerId::from_bytes([9; 16]),
        |b| std::mem::swap(&mut b.joiner, &mut b.host),
        |b| b.transport = TransportId::from_static("ws-fallback"),
        |b| b.generation = Generation(5),
        |b| b.extra = Bytes::from_static(b"sha-256 AB:CD"),
    ];
    for (which, alter) in beliefs.into_iter().enumerate() {
        let mut other = binding();
        alter(&mut other);
        assert_eq!(read_with(&other, &message).unwrap_err(), HandshakeError::NotAuthentic, "belief {which}");
    }
}

#[test]
fn another_secret_or_host_key_is_not_authentic() {
    let (_, message) = start();
    let other = SessionSecret::from_bytes([9; 32]);
    let wrong_secret = Responder::read(&binding(), &other, &key(), &message);
    assert_eq!(wrong_secret.unwrap_err(), HandshakeError::NotAuthentic);
    let wrong_key = Responder::read(&binding(), &secret(), &HostKey::from_bytes([9; 32]), &message);
    assert_eq!(wrong_key.unwrap_err(), HandshakeError::NotAuthentic);
    // Somebody between with the secret but without the host's key cannot answer either.
    let (initiator, message) = start();
    let imposter = Requester::start(&binding(), &secret(), HostKey::from_bytes([9; 32]).public(), &request());
    let (_, imposters) = imposter.unwrap();
    assert!(read_with(&binding(), &imposters).is_err());
    let unrelated =
        Responder::read(&binding(), &secret(), &HostKey::from_bytes([9; 32]), &imposters).unwrap();
    let (answer, ..) = unrelated.accept(Access::Full, b"").unwrap();
    assert_eq!(initiator.finish(&answer).unwrap_err(), HandshakeError::NotAuthentic);
    assert!(read_with(&binding(), &message).is_ok());
}

#[test]
fn every_altered_byte_and_every_cut_fails_on_both_sides() {
    let (_, message) = start();
    for at in 0..message.len() {
        let mut bad = message.to_vec();
        bad[at] ^= 1;
        assert!(read_with(&binding(), &bad).is_err(), "byte {at}");
        assert!(read_with(&binding(), &message[..at]).is_err(), "cut at {at}");
    }
    let answer_len = 32 + 16 + 4;
    for at in 0..answer_len {
        let (initiator, message) = start();
        let (answer, ..) = read_with(&binding(), &message).unwrap().accept(Access::Full, b"").unwrap();
        assert_eq!(answer.len(), answer_len);
        let mut bad = answer.to_vec();
        bad[at] ^= 1;
        assert!(initiator.finish(&bad).is_err(), "byte {at}");
    }
}

#[test]
fn fresh_keys_each_time_from_the_same_secret() {
    let digits: Vec<String> = (0..3)
        .map(|_| {
            let (initiator, message) = start();
            let (answer, ..) = read_with(&binding(), &message).unwrap().accept(Access::Full, b"").unwrap();
            initiator.finish(&answer).unwrap().0.short_auth.to_string()
        })
        .collect();
    assert!(digits[0] != digits[1] || digits[1] != digits[2], "{digits:?}");
    assert_ne!(start().1, start().1);
}

#[test]
fn the_host_may_say_no_and_the_joiner_learns_why() {
    let (initiator, message) = start();
    let responder = read_with(&binding(), &message).unwrap();
    let answer = responder.refuse(CloseCode::ROLE, "viewers are full").unwrap();
    let refused = HandshakeError::Refused { code: CloseCode::ROLE, reason: "viewers are full".into() };
    assert_eq!(initiator.finish(&answer).unwrap_err(), refused);
    assert_eq!(refused.to_string(), "the host refused: 4507 role, viewers are full");
}

#[test]
fn more_access_than_asked_for_is_never_granted() {
    let ask = Request::new(Access::ReadOnly);
    let (initiator, message) = Requester::start(&binding(), &secret(), key().public(), &ask).unwrap();
    let (answer, on_host, _) = read_with(&binding(), &message).unwrap().accept(Access::Full, b"").unwrap();
    assert_eq!(on_host.access, Access::ReadOnly);
    assert_eq!(initiator.finish(&answer).unwrap().0.access, Access::ReadOnly);
}

#[test]
fn a_peer_of_another_version_is_told_so() {
    let ask = Request { versions: vec![7, 8], ..request() };
    let (_, message) = Requester::start(&binding(), &secret(), key().public(), &ask).unwrap();
    let responder = read_with(&binding(), &message).unwrap();
    assert_eq!(responder.accept(Access::Full, b"").unwrap_err(), HandshakeError::NoCommonVersion);
    let ask = Request { versions: vec![7, 1], ..request() };
    assert_eq!(ask.common_version(), Some(1));
}

#[test]
fn the_joiner_chooses_among_what_both_speak_and_the_seal_is_that_versions() {
    let hello = Bytes::from_static(b"hello");
    let mut seen = Vec::new();
    for version in versions().iter().copied() {
        let ask = Request { versions: vec![7, version, 1], ..request() };
        let (initiator, message) = Requester::start(&binding(), &secret(), key().public(), &ask).unwrap();
        let (answer, on_host, host) =
            read_with(&binding(), &message).unwrap().accept(Access::Full, b"").unwrap();
        let (on_joiner, joiner) = initiator.finish(&answer).unwrap();
        assert_eq!((on_host.version, on_joiner.version), (version, version));
        let (now, rekey) = (crate::time::Instant::now(), crate::secure::Rekey::default());
        let mut sealer = crate::secure::seal::Sealer::new(host.send.reliable, true, rekey, now);
        let sealed = sealer.seal(crate::secure::seal::Kind::Data, hello.clone()).into_parts().0;
        let mut opener = crate::secure::seal::OrderedOpener::new(joiner.receive.reliable);
        assert_eq!(opener.open(sealed).unwrap().1, hello);
        seen.push(Suite::of(version).unwrap());
    }
    assert_eq!(seen.pop(), Some(Suite::ChaCha20Poly1305), "spoken everywhere, and the last choice");
    assert!(!seen.contains(&Suite::ChaCha20Poly1305));
}

#[test]
fn what_does_not_fit_is_refused_before_it_is_sent() {
    for (len, versions, good) in [(1_024, 16, true), (1_025, 1, false), (0, 0, false), (0, 17, false)] {
        let ask =
            Request { versions: vec![1; versions], app: vec![0; len].into(), ..Request::new(Access::Full) };
        let started = Requester::start(&binding(), &secret(), key().public(), &ask);
        assert_eq!(started.is_ok(), good, "{len} bytes, {versions} versions");
        if let Ok((_, message)) = started {
            assert!(message.len() <= crate::lane::MIN_RELIABLE_MESSAGE, "{}", message.len());
            assert!(read_with(&binding(), &message).is_ok());
        }
    }
}

#[test]
fn the_prologue_is_pinned() {
    let extra = Binding { extra: Bytes::from_static(b"ab"), ..binding() };
    let prologue = extra.prologue(&Request { versions: vec![1], ..request() }.offer());
    let expected = [
        "00000011",
        "62656163682f312f68616e647368616b65", // beach/1/handshake
        "00000004",
        "01010001", // form 1, one version: 1
        "00000010",
        &"01".repeat(16),
        "00000006",
        "6a6f696e6572", // joiner
        "00000010",
        &"02".repeat(16),
        "00000004",
        "686f7374", // host
        "00000010",
        &"03".repeat(16),
        "00000006",
        "776562727463", // webrtc
        "00000004",
        "00000004",
        "00000002",
        "6162",
    ];
    assert_eq!(hex(&prologue), expected.concat());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1_500)) {
        prop_assert!(read_with(&binding(), &bytes).is_err());
        prop_assert!(start().0.finish(&bytes).is_err());
    }
}

#[test]
fn an_answer_that_grants_what_was_not_asked_for_is_malformed() {
    for (asked, versions) in [(Access::ReadOnly, vec![1]), (Access::Full, vec![7])] {
        let ask = Request { versions, ..Request::new(asked) };
        let (initiator, message) = Requester::start(&binding(), &secret(), key().public(), &ask).unwrap();
        let mut liar = read_with(&binding(), &message).unwrap();
        liar.request = request();
        let (answer, ..) = liar.accept(Access::Full, b"").unwrap();
        assert_eq!(initiator.finish(&answer).unwrap_err(), HandshakeError::Malformed);
    }
}

#[test]
fn a_message_shorter_or_longer_than_any_handshake_is_not_even_tried() {
    for (len, error) in [
        (0, HandshakeError::Malformed),
        (31, HandshakeError::Malformed),
        (1_088, HandshakeError::NotAuthentic),
        (1_089, HandshakeError::Malformed),
    ] {
        assert_eq!(start().0.finish(&vec![0; len]).unwrap_err(), error);
    }
}

#[test]
fn the_application_may_say_a_kibibyte_in_the_answer_and_no_more() {
    for (len, good) in [(MAX_APP_BYTES, true), (MAX_APP_BYTES + 1, false)] {
        let (initiator, message) = start();
        let accepted = read_with(&binding(), &message).unwrap().accept(Access::Full, &vec![7; len]);
        assert_eq!(accepted.is_ok(), good, "{len}");
        if let Ok((answer, ..)) = accepted {
            assert_eq!(initiator.finish(&answer).unwrap().0.app, vec![7; len]);
        }
    }
}

#[test]
fn a_first_message_offers_one_to_sixteen_versions() {
    for (count, len) in [(0, 2), (17, 36)] {
        let mut message = vec![0; len + 49];
        (message[0], message[1]) = (1, count);
        assert_eq!(read_with(&binding(), &message).unwrap_err(), HandshakeError::Malformed, "{count}");
    }
}
