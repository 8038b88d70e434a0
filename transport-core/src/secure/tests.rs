//! The whole decorator over memory transports, with somebody in the middle where it matters.

use std::{
    collections::BTreeMap,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use futures::FutureExt;

use super::{seal::Kind, *};
use crate::{
    CloseCode, Closed, Generation, Inbound, Initiator, Lane, PeerId, Refusal, SessionId, Transport,
    TransportExt, TransportId,
    memory::{self, MemoryTransport},
    time::{Duration, Instant},
};

type Memory = Secure<MemoryTransport>;

fn config() -> SecureConfig {
    let (joiner, host) = (joiner_key().public(), key().public());
    let binding = Binding::new(
        SessionId::of_host(&host),
        PeerId::of(&joiner),
        PeerId::of(&host),
        TransportId::from_static("memory"),
        Generation(1),
    );
    SecureConfig::new(binding, clock)
}

#[expect(clippy::disallowed_methods, reason = "a test is an owner, which brings the clock")]
fn clock() -> Instant {
    Instant::now()
}

fn key() -> Identity {
    Identity::from_seed(&[6; 32])
}

fn joiner_key() -> Identity {
    Identity::from_seed(&[7; 32])
}

fn link() -> LinkSecret {
    LinkSecret::from_bytes([5; 16])
}

fn welcome(visitor: &Visitor) -> Answer {
    Answer::Accept { access: visitor.request.access, app: Bytes::from_static(b"welcome") }
}

async fn initiate<T: Transport>(
    transport: T,
    config: SecureConfig,
    request: Request,
) -> Result<Secure<T>, SecureError> {
    let (identity, link) = (joiner_key(), link());
    let joiner = Joiner { identity: &identity, link: &link, host: key().public() };
    Secure::initiate(transport, config, &joiner, request).await
}

async fn accept<T: Transport>(
    transport: T,
    config: SecureConfig,
    decide: impl FnOnce(&Visitor) -> Answer + Send,
) -> Result<Secure<T>, SecureError> {
    Secure::accept(transport, config, &key(), &link(), decide).await
}

async fn pair() -> (Memory, Memory) {
    let (a, b, _link) = memory::pair(memory::profile(4_096, 2_000));
    establish(a, b).await
}

async fn establish<T: Transport>(a: T, b: T) -> (Secure<T>, Secure<T>) {
    let (joiner, host) =
        tokio::join!(initiate(a, config(), Request::new(Access::Full)), accept(b, config(), welcome),);
    (joiner.unwrap(), host.unwrap())
}

/// Two memory links with somebody between them who may do anything.
struct Middle {
    joiner: Memory,
    host: Memory,
    left: MemoryTransport,
    right: MemoryTransport,
}

impl Middle {
    async fn new() -> Self {
        let (a, left, _) = memory::pair(memory::profile(4_096, 2_000));
        let (right, b, _) = memory::pair(memory::profile(4_096, 2_000));
        let forward = async {
            // First message, answer, confirmation.
            right.send(Lane::Reliable, left.recv().await.unwrap().payload).await.unwrap();
            left.send(Lane::Reliable, right.recv().await.unwrap().payload).await.unwrap();
            right.send(Lane::Reliable, left.recv().await.unwrap().payload).await.unwrap();
        };
        let ((joiner, host), ()) = tokio::join!(establish(a, b), forward);
        Self { joiner, host, left, right }
    }

    /// Sends from the joiner and takes what comes out below the seal.
    async fn capture(&self, lane: Lane, text: &'static str) -> Bytes {
        self.joiner.try_send(lane, Bytes::from_static(text.as_bytes())).unwrap();
        self.left.recv().await.unwrap().payload
    }

    fn inject(&self, lane: Lane, message: impl Into<Bytes>) {
        self.right.try_send(lane, message.into()).unwrap();
    }
}

fn inbound(lane: Lane, text: &'static str) -> Inbound {
    Inbound { lane, payload: Bytes::from_static(text.as_bytes()) }
}

fn altered(message: &Bytes) -> Vec<u8> {
    let mut bad = message.to_vec();
    bad[0] ^= 1;
    bad
}

#[tokio::test]
async fn both_lanes_carry_both_ways_and_the_limits_shrink_by_the_seal() {
    let (joiner, host) = pair().await;
    for (from, to) in [(&joiner, &host), (&host, &joiner)] {
        for lane in Lane::ALL {
            assert_eq!(from.profile().lane(lane).max_message.get(), 2_000 - SEAL_OVERHEAD);
            from.try_send(lane, Bytes::from_static(b"hello")).unwrap();
            assert_eq!(to.recv().await.unwrap(), inbound(lane, "hello"));
            let longest = Bytes::from(vec![7; 2_000 - SEAL_OVERHEAD]);
            from.try_send(lane, longest.clone()).unwrap();
            assert_eq!(to.recv().await.unwrap().payload, longest);
            let refused = from.try_send(lane, Bytes::from(vec![7; 2_001 - SEAL_OVERHEAD])).unwrap_err();
            assert!(matches!(refused.why, Refusal::TooLarge { limit } if limit.get() == longest.len()));
            assert_eq!(from.try_send(lane, Bytes::new()).unwrap_err().why, Refusal::Empty);
        }
    }
    assert_eq!(joiner.agreed().short_auth, host.agreed().short_auth);
    assert_eq!(&joiner.agreed().app[..], b"welcome");
    let shown = format!("{joiner:?}").replace(&format!("{:?}", key().public()), "");
    assert!(!shown.contains("Key"), "{shown}");
}

#[tokio::test]
async fn any_transport_in_a_box_can_be_sealed() {
    let (a, b, _link) = memory::pair(memory::profile(4_096, 2_000));
    let (a, b): (Box<dyn Transport>, Box<dyn Transport>) = (Box::new(a), Box::new(b));
    let (joiner, host) = establish(a, b).await;
    let (joiner, host): (Box<dyn Transport>, Box<dyn Transport>) = (Box::new(joiner), Box::new(host));
    joiner.try_send(Lane::Reliable, Bytes::from_static(b"hello")).unwrap();
    assert_eq!(host.recv().await.unwrap(), inbound(Lane::Reliable, "hello"));
}

#[tokio::test]
async fn whoever_is_in_the_middle_sees_no_word_and_no_reason() {
    let m = Middle::new().await;
    let canary = "correct horse battery staple";
    for lane in Lane::ALL {
        let seen = m.capture(lane, canary).await;
        assert!(!seen.windows(7).any(|part| canary.as_bytes().windows(7).any(|word| part == word)));
    }
    m.joiner.close(CloseCode::NORMAL, canary);
    let farewell = m.left.recv().await.unwrap().payload;
    assert!(!farewell.windows(7).any(|part| canary.as_bytes().windows(7).any(|word| part == word)));
    assert_eq!(m.left.recv().await.unwrap_err(), Closed::peer(CloseCode::NORMAL, ""));
}

#[tokio::test]
async fn a_reliable_message_that_does_not_verify_ends_the_link_as_a_protocol_error() {
    for fault in ["altered", "replayed", "missing", "swapped", "other lane", "unknown"] {
        let m = Middle::new().await;
        let first = m.capture(Lane::Reliable, "first").await;
        let second = m.capture(Lane::Reliable, "second").await;
        let datagram = m.capture(Lane::Datagram, "datagram").await;
        let good = match fault {
            "replayed" | "other lane" | "unknown" => 1,
            _ => 0,
        };
        match fault {
            "altered" => m.inject(Lane::Reliable, altered(&first)),
            "replayed" => [first.clone(), first].into_iter().for_each(|f| m.inject(Lane::Reliable, f)),
            "missing" => m.inject(Lane::Reliable, second),
            "swapped" => [second, first].into_iter().for_each(|f| m.inject(Lane::Reliable, f)),
            "other lane" => [first, datagram].into_iter().for_each(|f| m.inject(Lane::Reliable, f)),
            _ => [first, Bytes::from_static(b"?")].into_iter().for_each(|f| m.inject(Lane::Reliable, f)),
        }
        for _ in 0..good {
            assert_eq!(m.host.recv().await.unwrap(), inbound(Lane::Reliable, "first"), "{fault}");
        }
        let end = m.host.recv().await.unwrap_err();
        assert_eq!((end.initiator, end.code), (Initiator::Local, CloseCode::PROTOCOL_ERROR), "{fault}");
        assert_eq!(m.host.closed().await, end);
        // The other side is told, under the seal.
        let told = m.right.recv().await.unwrap().payload;
        m.left.try_send(Lane::Reliable, told).unwrap();
        let seen = m.joiner.recv().await.unwrap_err();
        assert_eq!((seen.initiator, seen.code), (Initiator::Peer, CloseCode::PROTOCOL_ERROR), "{fault}");
    }
}

#[tokio::test]
async fn datagrams_that_do_not_verify_are_dropped_and_counted() {
    let m = Middle::new().await;
    let genuine = m.capture(Lane::Datagram, "genuine").await;
    for _ in 0..200 {
        m.inject(Lane::Datagram, altered(&genuine)[..30].to_vec());
        m.host.recv().now_or_never();
    }
    m.inject(Lane::Datagram, altered(&genuine));
    m.inject(Lane::Datagram, genuine.clone());
    m.inject(Lane::Datagram, genuine);
    assert_eq!(m.host.recv().await.unwrap(), inbound(Lane::Datagram, "genuine"));
    assert!(m.host.recv().now_or_never().is_none());
    let stats = m.host.stats().datagram;
    assert_eq!((stats.received_messages, stats.dropped_messages), (1, 202));
}

#[tokio::test]
async fn a_close_is_announced_under_the_seal_after_everything_before_it() {
    let (joiner, host) = pair().await;
    joiner.try_send(Lane::Reliable, Bytes::from_static(b"last words")).unwrap();
    joiner.close(CloseCode::NORMAL, "done");
    joiner.close(CloseCode::POLICY, "too late");
    assert_eq!(host.recv().await.unwrap(), inbound(Lane::Reliable, "last words"));
    let announced = Closed::peer(CloseCode::NORMAL, "done");
    assert_eq!(host.recv().await.unwrap_err(), announced);
    assert_eq!(host.recv().await.unwrap_err(), announced);
    assert_eq!(host.closed().await, announced);
    assert_eq!(joiner.recv().await.unwrap_err(), Closed::local(CloseCode::NORMAL, "done"));
    assert_eq!(joiner.closed().await, Closed::local(CloseCode::NORMAL, "done"));
    for lane in Lane::ALL {
        let refused = host.try_send(lane, Bytes::from_static(b"x")).unwrap_err();
        assert_eq!(refused, crate::Refused::new(Bytes::from_static(b"x"), announced.clone().into()));
        assert_eq!(host.writable(lane).await, Err(announced.clone()));
    }
}

#[tokio::test]
async fn asking_for_the_end_first_gives_the_same_end_and_loses_no_message() {
    let (joiner, host) = pair().await;
    joiner.try_send(Lane::Reliable, Bytes::from_static(b"one")).unwrap();
    joiner.try_send(Lane::Datagram, Bytes::from_static(b"two")).unwrap();
    joiner.close(CloseCode::DRAIN, "moving");
    let announced = Closed::peer(CloseCode::DRAIN, "moving");
    assert_eq!(host.closed().await, announced);
    let mut received = vec![host.recv().await.unwrap(), host.recv().await.unwrap()];
    received.sort_by_key(|inbound| inbound.lane);
    assert_eq!(received, [inbound(Lane::Datagram, "two"), inbound(Lane::Reliable, "one")]);
    assert_eq!(host.recv().await.unwrap_err(), announced);
}

#[tokio::test]
async fn a_reader_that_waits_while_another_asks_for_the_end_gets_every_message() {
    let (joiner, host) = pair().await;
    let mut waiting = Box::pin(host.recv());
    assert!((&mut waiting).now_or_never().is_none());
    joiner.try_send(Lane::Reliable, Bytes::from_static(b"one")).unwrap();
    joiner.close(CloseCode::NORMAL, "");
    // The waiting reader is not polled while the end is looked for.
    assert_eq!(host.closed().await, Closed::peer(CloseCode::NORMAL, ""));
    assert_eq!(waiting.await.unwrap(), inbound(Lane::Reliable, "one"));
}

#[tokio::test]
async fn a_cut_tail_and_a_forged_close_are_the_networks_doing() {
    // The middle holds back the last message and the farewell, and closes in clear, politely.
    let m = Middle::new().await;
    let first = m.capture(Lane::Reliable, "first").await;
    m.capture(Lane::Reliable, "second").await;
    m.joiner.close(CloseCode::NORMAL, "done");
    m.inject(Lane::Reliable, first);
    m.right.close(CloseCode::NORMAL, "done");
    assert_eq!(m.host.recv().await.unwrap(), inbound(Lane::Reliable, "first"));
    let end = m.host.recv().await.unwrap_err();
    assert_eq!((end.initiator, end.code), (Initiator::Network, CloseCode::NORMAL));
    // The code is kept: a relay that drains says so this way.
    let m = Middle::new().await;
    m.right.close(CloseCode::DRAIN, "");
    let end = m.host.closed().await;
    assert_eq!((end.initiator, end.code), (Initiator::Network, CloseCode::DRAIN));
}

#[tokio::test]
async fn a_full_lane_hands_the_payload_back_and_goes_on_afterwards() {
    let (joiner, host) = pair().await;
    let payload = Bytes::from(vec![9; 1_500]);
    let mut accepted = 0;
    let mut refused = 0;
    while refused < 50 {
        // Shared memory and unshared memory, alternately.
        let given = if refused % 2 == 0 { payload.clone() } else { Bytes::from(payload.to_vec()) };
        match joiner.try_send(Lane::Reliable, given) {
            Ok(()) => accepted += 1,
            Err(back) => {
                assert_eq!((back.payload, back.why), (payload.clone(), Refusal::Full));
                refused += 1;
            }
        }
    }
    for _ in 0..accepted {
        assert_eq!(host.recv().await.unwrap().payload, payload);
    }
    joiner.writable(Lane::Reliable).await.unwrap();
    joiner.try_send(Lane::Reliable, Bytes::from_static(b"after")).unwrap();
    assert_eq!(host.recv().await.unwrap(), inbound(Lane::Reliable, "after"));
}

#[tokio::test]
async fn receiving_can_be_given_up_any_number_of_times() {
    let (joiner, host) = pair().await;
    let sending = async {
        for number in 0..500u32 {
            joiner.send(Lane::Reliable, Bytes::from(number.to_string())).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let receiving = async {
        let mut next = 0u32;
        while next < 500 {
            if let Some(inbound) = host.recv().now_or_never() {
                assert_eq!(inbound.unwrap().payload, next.to_string());
                next += 1;
            } else {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn the_counters_tell_the_applications_messages_only() {
    let (joiner, host) = pair().await;
    for _ in 0..3 {
        joiner.try_send(Lane::Reliable, Bytes::from_static(b"12345")).unwrap();
        host.recv().await.unwrap();
    }
    let (sent, received) = (joiner.stats().reliable, host.stats().reliable);
    assert_eq!((sent.accepted_messages, sent.accepted_bytes), (3, 15));
    assert_eq!((sent.sent_messages, sent.sent_bytes), (3, 15));
    assert_eq!((received.received_messages, received.received_bytes), (3, 15));
}

#[tokio::test]
async fn keys_are_replaced_under_way_without_anybody_noticing() {
    let (a, b, _link) = memory::pair(memory::profile(4_096, 2_000));
    let mut small = config();
    small.rekey.bytes = 200;
    let (joiner, host) =
        tokio::join!(initiate(a, small.clone(), Request::new(Access::Full)), accept(b, small, welcome),);
    let (joiner, host) = (joiner.unwrap(), host.unwrap());
    for number in 0..1_000u32 {
        for lane in Lane::ALL {
            joiner.try_send(lane, Bytes::from(number.to_string())).unwrap();
            assert_eq!(host.recv().await.unwrap().payload, number.to_string());
        }
    }
}

#[tokio::test]
async fn ten_minutes_bring_new_keys_on_both_lanes() {
    static LATER: AtomicU64 = AtomicU64::new(0);
    static START: LazyLock<Instant> = LazyLock::new(clock);
    let clock = || *START + Duration::from_millis(LATER.load(Relaxed));
    let (a, left, _) = memory::pair(memory::profile(4_096, 2_000));
    let (right, b, _) = memory::pair(memory::profile(4_096, 2_000));
    let config = SecureConfig { clock, ..config() };
    let forward = async {
        right.send(Lane::Reliable, left.recv().await.unwrap().payload).await.unwrap();
        left.send(Lane::Reliable, right.recv().await.unwrap().payload).await.unwrap();
        right.send(Lane::Reliable, left.recv().await.unwrap().payload).await.unwrap();
    };
    let (joiner, host, ()) = tokio::join!(
        initiate(a, config.clone(), Request::new(Access::Full)),
        accept(b, config, welcome),
        forward,
    );
    let (joiner, host) = (joiner.unwrap(), host.unwrap());
    // The first datagram makes its key a used one; a key nothing was sealed with need not change.
    for (millis, epoch) in [(0, 0), (599_999, 0), (600_000, 1), (1_199_999, 1), (1_200_000, 2)] {
        LATER.store(millis, Relaxed);
        for lane in Lane::ALL {
            joiner.try_send(lane, Bytes::from_static(b"tick")).unwrap();
            let sealed = left.recv().await.unwrap().payload;
            assert_eq!(sealed[sealed.len() - 8..][..2], [0, epoch], "{lane:?} at {millis}");
            right.try_send(lane, sealed).unwrap();
            assert_eq!(host.recv().await.unwrap(), inbound(lane, "tick"));
        }
    }
}

#[tokio::test]
async fn a_stranger_ends_in_an_error_on_both_sides() {
    let none = BTreeMap::new();
    let misfiled = BTreeMap::from([(link().id(), LinkSecret::from_bytes([9; 16]))]);
    let cases: [(&Identity, &dyn LinkSecrets, HandshakeError); 3] = [
        (&joiner_key(), &none, HandshakeError::UnknownLink),
        (&joiner_key(), &misfiled, HandshakeError::NotAuthentic),
        (&Identity::from_seed(&[8; 32]), &link(), HandshakeError::ForeignKey),
    ];
    for (identity, links, why) in cases {
        let (a, b, _link) = memory::pair(memory::profile(4_096, 2_000));
        let (secret, host_key) = (link(), key());
        let joiner = Joiner { identity, link: &secret, host: host_key.public() };
        let (joiner, host) = tokio::join!(
            Secure::initiate(a, config(), &joiner, Request::new(Access::Full)),
            Secure::accept(b, config(), &host_key, links, |_| panic!("nobody to decide about")),
        );
        assert_eq!(host.unwrap_err(), SecureError::Handshake(why));
        let Err(SecureError::Closed(closed)) = joiner else { panic!("{joiner:?}") };
        assert_eq!((closed.initiator, closed.code), (Initiator::Peer, CloseCode::PROTOCOL_ERROR));
    }
}

#[tokio::test]
async fn both_sides_know_who_the_other_is_and_by_which_link() {
    let (a, b, _link) = memory::pair(memory::profile(4_096, 2_000));
    let mut seen = None;
    let decide = |visitor: &Visitor| {
        seen = Some(visitor.clone());
        welcome(visitor)
    };
    let (joiner, host) =
        tokio::join!(initiate(a, config(), Request::new(Access::ReadOnly)), accept(b, config(), decide));
    let visitor = seen.unwrap();
    assert_eq!((visitor.key, visitor.link), (joiner_key().public(), link().id()));
    assert_eq!(visitor.request, Request::new(Access::ReadOnly));
    let (joiner, host) = (joiner.unwrap(), host.unwrap());
    assert_eq!((joiner.agreed().peer, joiner.agreed().link), (key().public(), link().id()));
    assert_eq!((host.agreed().peer, host.agreed().link), (joiner_key().public(), link().id()));
}

#[tokio::test]
async fn a_refusal_names_its_reason_on_both_sides() {
    let (a, b, _link) = memory::pair(memory::profile(4_096, 2_000));
    let refuse = |_: &Visitor| Answer::Refuse { code: CloseCode::ROLE, reason: "full house".into() };
    let (joiner, host) =
        tokio::join!(initiate(a, config(), Request::new(Access::Full)), accept(b, config(), refuse),);
    let refused = HandshakeError::Refused { code: CloseCode::ROLE, reason: "full house".into() };
    assert_eq!(joiner.unwrap_err(), SecureError::Handshake(refused.clone()));
    assert_eq!(host.unwrap_err(), SecureError::Handshake(refused));
}

#[tokio::test]
async fn a_joiner_of_another_version_is_refused_as_unsupported() {
    let (a, b, _link) = memory::pair(memory::profile(4_096, 2_000));
    let request = Request { versions: vec![9], ..Request::new(Access::Full) };
    let (joiner, host) = tokio::join!(initiate(a, config(), request), accept(b, config(), welcome),);
    for error in [joiner.unwrap_err(), host.unwrap_err()] {
        let SecureError::Handshake(HandshakeError::Refused { code, .. }) = error else { panic!("{error}") };
        assert_eq!(code, CloseCode::UNSUPPORTED);
    }
}

#[tokio::test]
async fn a_replayed_first_message_never_becomes_a_link() {
    let (a, mut recorder, _) = memory::pair(memory::profile(4_096, 2_000));
    let joining = initiate(a, config(), Request::new(Access::Full));
    let recorded = tokio::select! {
        _ = joining => panic!("nobody answered"),
        first = recorder.recv() => first.unwrap().payload,
    };
    for then in [None, Some(Bytes::from_static(b"?")), Some(recorded.clone())] {
        let (attacker, b, _) = memory::pair(memory::profile(4_096, 2_000));
        recorder = attacker;
        recorder.try_send(Lane::Reliable, recorded.clone()).unwrap();
        let mut accepting = Box::pin(accept(b, config(), welcome));
        assert!((&mut accepting).now_or_never().is_none(), "waits for the confirmation");
        if let Some(then) = then {
            recorder.try_send(Lane::Reliable, then).unwrap();
            let error = accepting.await.unwrap_err();
            assert_eq!(error, SecureError::Handshake(HandshakeError::NotAuthentic));
        }
    }
}

#[tokio::test]
async fn a_transport_that_dies_or_is_too_narrow_is_said() {
    for dead_before in [true, false] {
        let (a, _b, link) = memory::pair(memory::profile(4_096, 2_000));
        if dead_before {
            link.cut();
        }
        let joiner = initiate(a, config(), Request::new(Access::Full));
        let (joiner, ()) = tokio::join!(joiner, async { link.cut() });
        let Err(SecureError::Closed(closed)) = joiner else { panic!("{joiner:?}") };
        assert_eq!(closed.initiator, Initiator::Network);
    }
    let (a, _b, _) = memory::pair(memory::profile(4_096, SEAL_OVERHEAD));
    let narrow = accept(a, config(), welcome).await.unwrap_err();
    assert_eq!(narrow, SecureError::TooNarrow { needed: SEAL_OVERHEAD + 1 });
}

#[tokio::test]
async fn an_empty_message_under_the_seal_is_no_message() {
    let (joiner, host) = pair().await;
    joiner.seal_and_send(Lane::Datagram, Kind::Data, Bytes::new()).unwrap();
    assert!(host.recv().now_or_never().is_none());
    assert_eq!(host.stats().datagram.dropped_messages, 1);
    joiner.seal_and_send(Lane::Reliable, Kind::Data, Bytes::new()).unwrap();
    let end = host.recv().await.unwrap_err();
    assert_eq!((end.initiator, end.code), (Initiator::Local, CloseCode::PROTOCOL_ERROR));
}

#[tokio::test]
async fn a_datagram_that_overtakes_the_handshake_is_lost_and_nothing_else() {
    let (a, b, _link) = memory::pair(memory::profile(4_096, 2_000));
    let early = Bytes::from_static(b"early");
    a.try_send(Lane::Datagram, early.clone()).unwrap();
    b.try_send(Lane::Datagram, early).unwrap();
    let (joiner, host) = establish(a, b).await;
    joiner.try_send(Lane::Reliable, Bytes::from_static(b"hello")).unwrap();
    assert_eq!(host.recv().await.unwrap(), inbound(Lane::Reliable, "hello"));
}

#[tokio::test]
async fn whoever_is_turned_away_learns_the_code() {
    let request = || Request { versions: vec![1], ..Request::new(Access::Full) };
    // Too narrow for a seal, and too narrow for the handshake only.
    for (max_message, needed) in [(SEAL_OVERHEAD, SEAL_OVERHEAD + 1), (SEAL_OVERHEAD + 1, 141)] {
        let (a, b, _link) = memory::pair(memory::profile(4_096, max_message));
        let narrow = initiate(a, config(), request()).await.unwrap_err();
        assert_eq!(narrow, SecureError::TooNarrow { needed });
        assert_eq!(b.closed().await.code, CloseCode::UNSUPPORTED);
    }
    let (a, b, _link) = memory::pair(memory::profile(4_096, 2_000));
    let joiner = initiate(a, config(), request());
    let liar = async {
        b.recv().await.unwrap();
        b.send(Lane::Reliable, Bytes::from_static(b"?")).await.unwrap();
        b.closed().await
    };
    let (joiner, seen) = tokio::join!(joiner, liar);
    assert_eq!(joiner.unwrap_err(), SecureError::Handshake(HandshakeError::Malformed));
    assert_eq!((seen.initiator, seen.code), (Initiator::Peer, CloseCode::PROTOCOL_ERROR));
}
