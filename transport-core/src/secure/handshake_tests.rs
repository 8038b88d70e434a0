#![expect(clippy::disallowed_methods, reason = "an anchor for a hand-driven clock")]

use std::collections::BTreeMap;

use beach_identity::LinkSecret;
use proptest::prelude::*;

use super::*;
use crate::{
    ids::{Generation, PeerId, SessionId, TransportId},
    secure::testing::hex,
};

fn binding() -> Binding {
    let (joiner, host) = (joiner().public(), host().public());
    Binding::new(
        SessionId::of_host(&host),
        PeerId::of(&joiner),
        PeerId::of(&host),
        TransportId::from_static("webrtc"),
        Generation(4),
    )
}

fn joiner() -> Identity {
    Identity::from_seed(&[7; 32])
}

fn host() -> Identity {
    Identity::from_seed(&[6; 32])
}

fn link() -> LinkSecret {
    LinkSecret::from_bytes([5; 16])
}

fn request() -> Request {
    Request { app: Bytes::from_static(b"viewer 1.2"), ..Request::new(Access::Full) }
}

fn ask(request: &Request) -> Result<(Requester, Bytes), HandshakeError> {
    start_as(&joiner(), &link(), host().public(), request)
}

fn start_as(
    identity: &Identity,
    link: &LinkSecret,
    host: PublicKey,
    request: &Request,
) -> Result<(Requester, Bytes), HandshakeError> {
    Requester::start(&binding(), &Joiner { identity, link, host }, request)
}

fn start() -> (Requester, Bytes) {
    ask(&request()).unwrap()
}

fn read_with(binding: &Binding, message: &[u8]) -> Result<Responder, HandshakeError> {
    Responder::read(binding, &host(), &link(), message)
}

#[test]
fn both_sides_agree_on_keys_access_version_and_six_digits() {
    let (initiator, message) = start();
    let responder = read_with(&binding(), &message).unwrap();
    let visitor = Visitor { key: joiner().public(), link: link().id(), request: request() };
    assert_eq!(responder.visitor(), &visitor);
    let (answer, on_host, mut host_keys) = responder.accept(Access::ReadOnly, b"welcome").unwrap();
    let (on_joiner, mut joiner_keys) = initiator.finish(&answer).unwrap();
    assert_eq!((on_joiner.access, on_joiner.version), (Access::ReadOnly, versions()[0]));
    assert_eq!((on_host.access, on_host.version), (Access::ReadOnly, versions()[0]));
    assert_eq!((&on_joiner.app[..], &on_host.app[..]), (&b"welcome"[..], &b"viewer 1.2"[..]));
    assert_eq!((on_joiner.peer, on_host.peer), (host().public(), joiner().public()));
    assert_eq!([on_joiner.link, on_host.link], [link().id(); 2]);
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
    // Filed under this link's name, and not its secret.
    let misfiled = BTreeMap::from([(link().id(), LinkSecret::from_bytes([9; 16]))]);
    let wrong_secret = Responder::read(&binding(), &host(), &misfiled, &message);
    assert_eq!(wrong_secret.unwrap_err(), HandshakeError::NotAuthentic);
    let other_host = Identity::from_seed(&[9; 32]);
    let wrong_key = Responder::read(&binding(), &other_host, &link(), &message);
    assert_eq!(wrong_key.unwrap_err(), HandshakeError::NotAuthentic);
    // Somebody between with the link but without the host's key cannot answer either.
    let (initiator, message) = start();
    let (_, imposters) = start_as(&joiner(), &link(), other_host.public(), &request()).unwrap();
    assert!(read_with(&binding(), &imposters).is_err());
    let unrelated = Responder::read(&binding(), &other_host, &link(), &imposters).unwrap();
    let (answer, ..) = unrelated.accept(Access::Full, b"").unwrap();
    assert_eq!(initiator.finish(&answer).unwrap_err(), HandshakeError::NotAuthentic);
    assert!(read_with(&binding(), &message).is_ok());
}

#[test]
fn a_link_that_is_not_of_the_session_is_unknown_before_anything_is_computed() {
    let stranger = LinkSecret::from_bytes([9; 16]);
    let (_, message) = start_as(&joiner(), &stranger, host().public(), &request()).unwrap();
    assert_eq!(read_with(&binding(), &message).unwrap_err(), HandshakeError::UnknownLink);
    // Revoked, or one of several.
    let (_, message) = start();
    let none: BTreeMap<LinkId, LinkSecret> = BTreeMap::new();
    assert_eq!(
        Responder::read(&binding(), &host(), &none, &message).unwrap_err(),
        HandshakeError::UnknownLink
    );
    let several = BTreeMap::from([link(), stranger.clone()].map(|secret| (secret.id(), secret)));
    let read = Responder::read(&binding(), &host(), &several, &message).unwrap();
    assert_eq!(read.visitor().link, link().id());
    // A name on the outside that belongs to another secret.
    let mut renamed = message.to_vec();
    renamed[1..9].copy_from_slice(&stranger.id().0);
    assert_eq!(
        Responder::read(&binding(), &host(), &several, &renamed).unwrap_err(),
        HandshakeError::NotAuthentic
    );
}

#[test]
fn a_joiner_is_the_peer_of_the_binding_or_foreign() {
    // A member with a valid link that says it is somebody else.
    let stranger = Identity::from_seed(&[8; 32]);
    let (_, message) = start_as(&stranger, &link(), host().public(), &request()).unwrap();
    assert_eq!(read_with(&binding(), &message).unwrap_err(), HandshakeError::ForeignKey);
    // In its own name it is welcome.
    let own = Binding { joiner: PeerId::of(&stranger.public()), ..binding() };
    let named = Joiner { identity: &stranger, link: &link(), host: host().public() };
    let (_, message) = Requester::start(&own, &named, &request()).unwrap();
    assert!(read_with(&own, &message).is_ok());
    assert_eq!(read_with(&binding(), &message).unwrap_err(), HandshakeError::NotAuthentic);
}

#[test]
fn the_key_in_the_payload_is_the_static_key_and_a_key_at_all() {
    let victim = joiner().public();
    let mut no_point = [0; 32];
    no_point[0] = 2;
    let cases: [(&[u8], HandshakeError); 5] = [
        (&[&[2][..], victim.as_bytes(), b"app"].concat(), HandshakeError::ForeignKey),
        (&[&[2][..], &[0; 32]].concat(), HandshakeError::ForeignKey),
        (&[&[2][..], &no_point].concat(), HandshakeError::ForeignKey),
        (&[&[3][..], victim.as_bytes()].concat(), HandshakeError::Malformed),
        (&[&[2][..], &victim.as_bytes()[..31]].concat(), HandshakeError::Malformed),
    ];
    for (payload, why) in cases {
        // It holds a link and a key, and names the victim's.
        let (thief, secret, offer) = (Identity::from_seed(&[8; 32]), link(), request().offer(link().id()));
        let (psk, prologue, own) = (secret.noise_psk(), binding().prologue(&offer), thief.x25519());
        let to = host().public().x25519();
        let mut noise = builder(&psk, &prologue, &own, None)
            .unwrap()
            .remote_public_key(&to)
            .unwrap()
            .build_initiator()
            .unwrap();
        let message = [&offer[..], &write(&mut noise, payload).unwrap()].concat();
        assert_eq!(read_with(&binding(), &message).unwrap_err(), why, "{}", payload.len());
    }
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
    assert_eq!(message.len(), 10 + 2 * versions().len() + 32 + 48 + 16 + 33 + 10);
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
    let asked = Request::new(Access::ReadOnly);
    let (initiator, message) = ask(&asked).unwrap();
    let (answer, on_host, _) = read_with(&binding(), &message).unwrap().accept(Access::Full, b"").unwrap();
    assert_eq!(on_host.access, Access::ReadOnly);
    assert_eq!(initiator.finish(&answer).unwrap().0.access, Access::ReadOnly);
}

#[test]
fn a_peer_of_another_version_is_told_so() {
    let asked = Request { versions: vec![7, 8], ..request() };
    let (_, message) = ask(&asked).unwrap();
    let responder = read_with(&binding(), &message).unwrap();
    assert_eq!(responder.accept(Access::Full, b"").unwrap_err(), HandshakeError::NoCommonVersion);
    let asked = Request { versions: vec![7, 1], ..request() };
    assert_eq!(asked.common_version(), Some(1));
}

#[test]
fn the_joiner_chooses_among_what_both_speak_and_the_seal_is_that_versions() {
    let hello = Bytes::from_static(b"hello");
    let mut seen = Vec::new();
    for version in versions().iter().copied() {
        let asked = Request { versions: vec![7, version, 1], ..request() };
        let (initiator, message) = ask(&asked).unwrap();
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
        let asked =
            Request { versions: vec![1; versions], app: vec![0; len].into(), ..Request::new(Access::Full) };
        let started = ask(&asked);
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
    let prologue = extra.prologue(&Request { versions: vec![1], ..request() }.offer(LinkId([9; 8])));
    let [session, joiner, host] =
        [binding().session.as_bytes(), binding().joiner.as_bytes(), binding().host.as_bytes()]
            .map(|id| hex(id));
    let expected = [
        "00000011",
        "62656163682f322f68616e647368616b65", // beach/2/handshake
        "0000000c",
        "02090909090909090901", // form 2, link, one version:
        "0001",
        "00000010",
        &session,
        "00000006",
        "6a6f696e6572", // joiner
        "00000010",
        &joiner,
        "00000004",
        "686f7374", // host
        "00000010",
        &host,
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
        let asked = Request { versions, ..Request::new(asked) };
        let (initiator, message) = ask(&asked).unwrap();
        let mut liar = read_with(&binding(), &message).unwrap();
        liar.visitor.request = request();
        let (answer, ..) = liar.accept(Access::Full, b"").unwrap();
        assert_eq!(initiator.finish(&answer).unwrap_err(), HandshakeError::Malformed);
    }
}

#[test]
fn a_message_shorter_or_longer_than_any_handshake_is_not_even_tried() {
    for (len, error) in [
        (0, HandshakeError::Malformed),
        (31, HandshakeError::Malformed),
        (1_076, HandshakeError::NotAuthentic),
        (1_077, HandshakeError::Malformed),
    ] {
        assert_eq!(start().0.finish(&vec![0; len]).unwrap_err(), error);
    }
    let offer = request().offer(link().id());
    for (len, error) in [
        (0, HandshakeError::Malformed),
        (79, HandshakeError::Malformed),
        (1_153, HandshakeError::NotAuthentic),
        (1_154, HandshakeError::Malformed),
    ] {
        let message = [&offer[..], &vec![0; len]].concat();
        assert_eq!(read_with(&binding(), &message).unwrap_err(), error, "{len}");
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
fn a_first_message_has_form_2_and_offers_one_to_sixteen_versions() {
    for (form, count, error) in [
        (2, 0, HandshakeError::Malformed),
        (2, 1, HandshakeError::UnknownLink),
        (2, 16, HandshakeError::UnknownLink),
        (2, 17, HandshakeError::Malformed),
        (1, 1, HandshakeError::Malformed),
        (3, 1, HandshakeError::Malformed),
    ] {
        let mut message = vec![0; 200];
        (message[0], message[9]) = (form, count);
        assert_eq!(read_with(&binding(), &message).unwrap_err(), error, "{form} {count}");
        message.truncate(10 + 2 * usize::from(count) - usize::from(count > 0));
        assert_eq!(read_with(&binding(), &message).unwrap_err(), HandshakeError::Malformed, "{form} {count}");
    }
}
