use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::*;
use crate::{
    secure::testing::{Vectors, hex},
    signaling::pairs::{PER_LINK, REMEMBERED},
};

const NOW: SystemTime = UNIX_EPOCH;

/// Links that come and go.
#[derive(Debug, Default)]
struct Links(Mutex<BTreeMap<LinkId, LinkSecret>>);

impl LinkSecrets for Links {
    fn secret(&self, link: LinkId) -> Option<LinkSecret> {
        self.0.lock().get(&link).cloned()
    }
}

fn link(fill: u8) -> LinkSecret {
    LinkSecret::from_bytes([fill; 16])
}

fn identity(number: u16) -> Identity {
    let mut seed = [0; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    Identity::from_seed(&seed)
}

/// A host with links 1 and 2.
struct Session {
    host: Sealer,
    links: Arc<Links>,
}

impl Session {
    fn new() -> Self {
        let links = Arc::new(Links::default());
        for fill in [1, 2] {
            links.0.lock().insert(link(fill).id(), link(fill));
        }
        Self { host: Sealer::host(identity(0), links.clone()), links }
    }

    fn viewer(&self, number: u16, fill: u8) -> Sealer {
        Sealer::joiner(identity(number), self.host.host, link(fill))
    }

    fn open(&mut self, from: PeerId, envelope: &[u8]) -> Result<Opened, SealError> {
        self.host.open(NOW, from, envelope)
    }

    /// Lets a viewer say something that the host hears.
    fn hear(&mut self, viewer: &mut Sealer) {
        let envelope = viewer.seal(NOW, self.host.local, b"knock").unwrap();
        self.open(viewer.local, &envelope).unwrap();
    }
}

#[test]
fn both_ways_an_envelope_opens_once_and_never_again() {
    let mut session = Session::new();
    let mut viewer = session.viewer(1, 1);
    let offer = viewer.seal(NOW, session.host.local, b"offer").unwrap();
    let opened = session.open(viewer.local, &offer).unwrap();
    assert_eq!((opened.key, opened.link), (identity(1).public(), link(1).id()));
    assert_eq!(opened.plaintext, b"offer");
    assert_eq!(session.open(viewer.local, &offer), Err(SealError::Replayed));
    let answer = session.host.seal(NOW, viewer.local, b"answer").unwrap();
    let opened = viewer.open(NOW, session.host.local, &answer).unwrap();
    assert_eq!((opened.key, opened.link), (identity(0).public(), link(1).id()));
    assert_eq!(viewer.open(NOW, session.host.local, &answer), Err(SealError::Replayed));
}

/// Computed independently, in Python, from the layout in this module's documentation.
#[test]
fn the_wire_is_pinned_by_its_vectors() {
    const VECTORS: Vectors = Vectors(include_str!("../../tests/vectors/envelope.txt"));
    let [host, viewer] = ["host_seed", "viewer_seed"].map(|name| Identity::from_seed(&VECTORS.bytes(name)));
    let link = LinkSecret::from_bytes(VECTORS.bytes("link_secret"));
    assert_eq!(*viewer.agree(&host.public()), VECTORS.bytes("agreed"));
    assert_eq!(*link.signaling_salt(), VECTORS.bytes("salt"));
    let mut sealers =
        [Sealer::joiner(viewer, host.public(), link.clone()), Sealer::host(host, Arc::new(link))];
    let now = NOW + Duration::from_secs(1_800_000_000);
    let peers = [sealers[0].local, sealers[1].local];
    for (from, name) in [(0, "knock"), (1, "pending")] {
        let (text, nonce) = (VECTORS.read(name), VECTORS.bytes(&format!("{name}_nonce")));
        let envelope = sealers[from].seal_with(nonce, now, peers[1 - from], &text).unwrap();
        assert_eq!(hex(&envelope), VECTORS.line(&format!("{name}_envelope")));
        assert_eq!(sealers[1 - from].open(now, peers[from], &envelope).unwrap().plaintext, text);
        assert!(serde_json::from_slice::<crate::signaling::Message>(&text).is_ok());
    }
}

#[test]
fn every_altered_bit_and_every_shorter_envelope_is_refused_by_both_sides() {
    let mut session = Session::new();
    let mut viewer = session.viewer(1, 1);
    let (v, h) = (viewer.local, session.host.local);
    let offer = viewer.seal(NOW, h, b"offer").unwrap();
    for bit in 0..offer.len() * 8 {
        let mut altered = offer.to_vec();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(session.open(v, &altered).is_err(), "bit {bit}");
    }
    for length in 0..offer.len() {
        assert!(session.open(v, &offer[..length]).is_err(), "length {length}");
    }
    assert_eq!(session.host.pairs.len(), 0, "nothing of it is remembered");
    assert!(session.open(v, &offer).is_ok());
    let answer = session.host.seal(NOW, v, b"answer").unwrap();
    for bit in 0..answer.len() * 8 {
        let mut altered = answer.to_vec();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(viewer.open(NOW, h, &altered).is_err(), "bit {bit}");
    }
    assert!(viewer.open(NOW, h, &answer).is_ok());
}

#[test]
fn each_way_to_be_bad_has_its_name() {
    let mut session = Session::new();
    let mut viewer = session.viewer(1, 1);
    let (v, h) = (viewer.local, session.host.local);
    let offer = viewer.seal(NOW, h, b"offer").unwrap().to_vec();
    let altered = |at: usize, to: u8| {
        let mut bad = offer.clone();
        bad[at] = to;
        bad
    };
    let cases = [
        (altered(0, 1), SealError::Malformed),
        (offer[..64].to_vec(), SealError::Malformed),
        (offer[..65].to_vec(), SealError::Forged),
        (altered(1, offer[1] ^ 1), SealError::ForeignKey),
        (altered(33, offer[33] ^ 1), SealError::UnknownLink),
        (altered(41, offer[41] ^ 1), SealError::Forged),
        (altered(80, offer[80] ^ 1), SealError::Forged),
        (vec![2; MAX_ENVELOPE + 1], SealError::TooLarge),
        (vec![2; MAX_ENVELOPE], SealError::ForeignKey),
    ];
    for (envelope, why) in cases {
        assert_eq!(session.open(v, &envelope), Err(why));
    }
    assert_eq!(session.open(h, &offer), Err(SealError::ForeignKey), "the room names another sender");
    assert_eq!(viewer.open(NOW, v, &offer), Err(SealError::ForeignKey), "reflected");
    // The host's own envelope, back at the host under its name.
    session.hear(&mut viewer);
    let own = session.host.seal(NOW, v, b"answer").unwrap();
    assert_eq!(session.open(h, &own), Err(SealError::ForeignKey));
    assert_eq!(session.open(v, &own), Err(SealError::ForeignKey));
}

#[test]
fn one_viewer_neither_reads_nor_makes_what_another_exchanges_with_the_host() {
    // By the same link, and by another one.
    for others in [1, 2] {
        let mut session = Session::new();
        let (mut honest, mut other) = (session.viewer(1, 1), session.viewer(2, others));
        let (v, h) = (honest.local, session.host.local);
        session.hear(&mut other);
        let offer = honest.seal(NOW, h, b"offer").unwrap();
        session.open(v, &offer).unwrap();
        let answer = session.host.seal(NOW, v, b"answer").unwrap();
        // It sees both pass, and holds every key a viewer has.
        assert_eq!(
            other.open(NOW, h, &answer),
            Err(if others == 1 { SealError::Forged } else { SealError::UnknownLink })
        );
        for secret in [link(1), link(2)] {
            let guessed = other.cipher(&identity(1).public(), &secret);
            let aad = other.associated_data(&offer[..HEAD], v, h);
            let payload = Payload { msg: &offer[HEAD + NONCE..], aad: &aad };
            assert!(guessed.decrypt(XNonce::from_slice(&offer[HEAD..HEAD + NONCE]), payload).is_err());
        }
        // It cannot speak as the other: its own key names it, and the other's key it does not hold.
        let forged = other.seal(NOW, h, b"bye").unwrap();
        assert_eq!(session.open(v, &forged), Err(SealError::ForeignKey));
        let mut claimed = forged.to_vec();
        claimed[1..33].copy_from_slice(identity(1).public().as_bytes());
        assert_eq!(session.open(v, &claimed), Err(SealError::Forged));
        // Nor as the host.
        let mut claimed = forged.to_vec();
        claimed[1..33].copy_from_slice(identity(0).public().as_bytes());
        claimed[33..41].copy_from_slice(&link(1).id().0);
        assert_eq!(honest.open(NOW, h, &claimed), Err(SealError::Forged));
        // Viewers do not speak with each other.
        assert_eq!(honest.seal(NOW, other.local, b"psst"), Err(SealError::UnknownPeer));
        assert_eq!(honest.open(NOW, other.local, &forged), Err(SealError::ForeignKey));
    }
}

#[test]
fn a_link_is_proven_by_its_secret_and_not_by_its_name() {
    let mut session = Session::new();
    let mut pretender = session.viewer(1, 2);
    let mut envelope = pretender.seal(NOW, session.host.local, b"knock").unwrap().to_vec();
    envelope[33..41].copy_from_slice(&link(1).id().0);
    assert_eq!(session.open(pretender.local, &envelope), Err(SealError::Forged));
    let mut stranger = session.viewer(2, 9);
    let envelope = stranger.seal(NOW, session.host.local, b"knock").unwrap();
    assert_eq!(session.open(stranger.local, &envelope), Err(SealError::UnknownLink));
}

#[test]
fn another_session_of_the_same_link_does_not_open_it() {
    let mut session = Session::new();
    let mut elsewhere = Sealer::host(identity(9), session.links.clone());
    let mut viewer = session.viewer(1, 1);
    let envelope = viewer.seal(NOW, session.host.local, b"knock").unwrap();
    assert_eq!(elsewhere.open(NOW, viewer.local, &envelope), Err(SealError::Forged));
    assert!(session.open(viewer.local, &envelope).is_ok());
}

#[test]
fn a_revoked_link_opens_and_seals_nothing_and_its_people_are_forgotten() {
    let mut session = Session::new();
    let [mut stays, mut goes, mut quiet] = [(1, 1), (2, 2), (3, 2)].map(|(n, fill)| session.viewer(n, fill));
    [&mut stays, &mut goes, &mut quiet].into_iter().for_each(|viewer| session.hear(viewer));
    let sent_before = goes.seal(NOW, session.host.local, b"late").unwrap();
    session.links.0.lock().remove(&link(2).id());
    assert_eq!(session.open(goes.local, &sent_before), Err(SealError::UnknownLink));
    assert_eq!(session.host.pairs.len(), 1, "the quiet one too");
    assert_eq!(session.host.seal(NOW, goes.local, b"x"), Err(SealError::UnknownPeer));
    session.hear(&mut stays);
    // Whichever side asks first.
    session.links.0.lock().clear();
    assert_eq!(session.host.seal(NOW, stays.local, b"x"), Err(SealError::UnknownLink));
    assert_eq!(session.host.pairs.len(), 0);
    // And whoever else is heard first.
    let mut session = Session::new();
    [1, 2].into_iter().for_each(|number| session.hear(&mut session.viewer(number, 2)));
    session.links.0.lock().remove(&link(2).id());
    session.hear(&mut session.viewer(3, 1));
    assert_eq!(session.host.pairs.len(), 1);
}

#[test]
fn a_host_answers_under_the_link_it_last_heard_a_viewer_under() {
    let mut session = Session::new();
    let (mut by_one, mut by_two) = (session.viewer(1, 1), session.viewer(1, 2));
    let (v, h) = (by_one.local, session.host.local);
    let first = by_one.seal(NOW, h, b"first").unwrap();
    session.open(v, &first).unwrap();
    session.hear(&mut by_two);
    let answer = session.host.seal(NOW, v, b"answer").unwrap();
    assert_eq!(by_one.open(NOW, h, &answer), Err(SealError::UnknownLink));
    assert!(by_two.open(NOW, h, &answer).is_ok());
    assert_eq!(session.open(v, &first), Err(SealError::Replayed), "said by the link before");
    assert_eq!(session.host.pairs.len(), 1);
}

#[test]
fn a_full_link_forgets_its_own_least_recent_and_nobody_of_another() {
    let mut session = Session::new();
    let mut other = session.viewer(1, 2);
    session.hear(&mut other);
    let mut viewers: Vec<Sealer> = (0..=PER_LINK as u16).map(|n| session.viewer(10 + n, 1)).collect();
    viewers[..PER_LINK].iter_mut().for_each(|viewer| session.hear(viewer));
    assert_eq!(session.host.pairs.len(), 1 + PER_LINK);
    // The first is heard again, so the second is the least recent.
    session.hear(&mut viewers[0]);
    session.hear(&mut viewers[PER_LINK]);
    assert_eq!(session.host.pairs.len(), 1 + PER_LINK);
    for (number, known) in [(0, true), (1, false), (2, true), (PER_LINK, true)] {
        let sealed = session.host.seal(NOW, viewers[number].local, b"x");
        assert_eq!(sealed.is_ok(), known, "{number}: {sealed:?}");
    }
    assert!(session.host.seal(NOW, other.local, b"x").is_ok());
    // A viewer that comes over from another link counts where it is.
    let mut moved = session.viewer(1, 1);
    session.hear(&mut moved);
    assert_eq!(session.host.pairs.len(), PER_LINK);
}

#[test]
fn as_many_nonces_are_remembered_as_are_promised() {
    let mut session = Session::new();
    let mut viewer = session.viewer(1, 1);
    let (v, h) = (viewer.local, session.host.local);
    let first = viewer.seal(NOW, h, b"first").unwrap();
    session.open(v, &first).unwrap();
    (1..REMEMBERED).for_each(|_| session.hear(&mut viewer));
    assert_eq!(session.open(v, &first), Err(SealError::Replayed));
    session.hear(&mut viewer);
    assert!(session.open(v, &first).is_ok(), "one more than is remembered");
}

#[test]
fn a_host_forgets_whom_it_is_told_to_and_a_viewer_never_its_host() {
    let mut session = Session::new();
    let mut viewer = session.viewer(1, 1);
    let (v, h) = (viewer.local, session.host.local);
    session.hear(&mut viewer);
    session.host.forget(v);
    assert_eq!(session.host.seal(NOW, v, b"x"), Err(SealError::UnknownPeer));
    viewer.forget(h);
    session.hear(&mut viewer);
    let answer = session.host.seal(NOW, v, b"x").unwrap();
    viewer.open(NOW, h, &answer).unwrap();
    viewer.forget(h);
    assert_eq!(viewer.open(NOW, h, &answer), Err(SealError::Replayed));
}

#[test]
fn two_minutes_either_way_are_fresh_and_a_second_more_is_not() {
    let mut session = Session::new();
    let mut viewer = session.viewer(1, 1);
    for (sent, read, fresh) in [(0, 120, true), (0, 121, false), (120, 0, true), (121, 0, false)] {
        let at = |seconds| NOW + Duration::from_secs(seconds);
        let envelope = viewer.seal(at(sent), session.host.local, b"x").unwrap();
        let opened = session.host.open(at(read), viewer.local, &envelope);
        assert_eq!(opened.err(), (!fresh).then_some(SealError::Stale), "{sent} {read}");
    }
}

#[test]
fn the_longest_text_fits_and_a_byte_more_does_not() {
    let mut session = Session::new();
    let mut viewer = session.viewer(1, 1);
    let text = vec![7; MAX_ENVELOPE - OVERHEAD];
    let envelope = viewer.seal(NOW, session.host.local, &text).unwrap();
    assert_eq!((envelope.len(), OVERHEAD), (MAX_ENVELOPE, 89));
    assert_eq!(session.open(viewer.local, &envelope).unwrap().plaintext, text);
    let longer = vec![7; MAX_ENVELOPE - OVERHEAD + 1];
    assert_eq!(viewer.seal(NOW, session.host.local, &longer), Err(SealError::TooLarge));
}

#[test]
fn nothing_secret_is_printed() {
    let shown = format!("{:?}", Session::new().viewer(1, 1));
    assert!(shown.len() < 100 && !shown.contains("cipher"), "{shown}");
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_open(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), head: bool) {
        let mut session = Session::new();
        let mut viewer = session.viewer(1, 1);
        let mut envelope = bytes;
        if head {
            let genuine = viewer.seal(NOW, session.host.local, b"offer").unwrap();
            envelope.splice(0..0, genuine[..HEAD].iter().copied());
        }
        proptest::prop_assert!(session.open(viewer.local, &envelope).is_err());
        proptest::prop_assert!(viewer.open(NOW, session.host.local, &envelope).is_err());
    }
}
