use beach_identity::Identity;
use proptest::prelude::*;

use super::*;

fn link(access: Access, expires_at: Option<u64>) -> JoinFragment {
    let host = Identity::from_seed(&[1; 32]).public();
    JoinFragment { expires_at, ..JoinFragment::new(host, LinkSecret::from_bytes([2; 16]), access) }
}

fn pinned(link: JoinFragment) -> JoinFragment {
    JoinFragment { certificate: Some(CertificatePin([9; 16])), ..link }
}

/// Alters the bytes of a link and makes its checksum good again.
fn altered(link: &JoinFragment, alter: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(&*link.to_fragment()).unwrap();
    bytes.truncate(bytes.len() - 2);
    alter(&mut bytes);
    let sum = checksum(&bytes);
    URL_SAFE_NO_PAD.encode([&bytes[..], &sum].concat())
}

#[test]
fn a_link_survives_the_round_trip_and_its_length_is_what_is_promised() {
    for (expires_at, len, with_pin) in [(None, 68, 90), (Some(1_800_000_000), 74, 95)] {
        for access in [Access::Full, Access::ReadOnly] {
            let plain = link(access, expires_at);
            for (link, len) in [(plain.clone(), len), (pinned(plain), with_pin)] {
                let fragment = link.to_fragment();
                assert_eq!(fragment.len(), len);
                assert_eq!(JoinFragment::parse(&format!("#{}\n", *fragment)), Ok(link));
            }
        }
    }
}

/// Computed independently, in Python.
#[test]
fn the_form_is_pinned_by_its_vectors() {
    const VECTORS: &str = include_str!("../../tests/vectors/join_links.txt");
    let host = Identity::from_seed(&[6; 32]).public();
    let lines: Vec<&str> = VECTORS.lines().filter(|line| !line.starts_with('#')).collect();
    for line in &lines {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let access = if fields[0] == "full" { Access::Full } else { Access::ReadOnly };
        let plain = JoinFragment::new(host, LinkSecret::from_bytes([5; 16]), access);
        let pin = CertificatePin(std::array::from_fn(|n| 0xA0 + u8::try_from(n).unwrap()));
        let certificate = (fields[2] == "pinned").then_some(pin);
        let link = JoinFragment { expires_at: fields[1].parse().ok(), certificate, ..plain };
        assert_eq!(*link.to_fragment(), fields[3]);
        assert_eq!(JoinFragment::parse(fields[3]), Ok(link));
    }
    assert_eq!(lines.len(), 8);
}

#[test]
fn a_link_names_its_session_and_its_host_by_the_key() {
    let link = link(Access::Full, None);
    assert_eq!(link.session().as_bytes(), &link.host.session_id());
    assert_eq!(link.host_peer().as_bytes(), &link.host.peer_id());
}

#[test]
fn every_single_altered_character_is_noticed() {
    let good = pinned(link(Access::ReadOnly, Some(1_800_000_000))).to_fragment();
    for at in 0..good.len() {
        let mut bad = good.as_bytes().to_vec();
        bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
        let bad = String::from_utf8(bad).unwrap();
        assert!(JoinFragment::parse(&bad).is_err(), "character {at}");
    }
    for cut in 0..good.len() {
        assert!(JoinFragment::parse(&good[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn each_way_to_be_bad_has_its_name() {
    let link = link(Access::Full, None);
    let good = link.to_fragment();
    assert_eq!(JoinFragment::parse(""), Err(BadJoinFragment::Length));
    assert_eq!(JoinFragment::parse("not a link!"), Err(BadJoinFragment::Encoding));
    assert_eq!(JoinFragment::parse(&good[..64]), Err(BadJoinFragment::Length));
    assert_eq!(JoinFragment::parse(&"A".repeat(100_000)), Err(BadJoinFragment::Length));
    for form in [0, 1, 3, 15] {
        let other = altered(&link, |bytes| bytes[0] = form << 4);
        assert_eq!(JoinFragment::parse(&other), Err(BadJoinFragment::Form(form)));
    }
    let longer = altered(&link, |bytes| bytes.push(0));
    assert_eq!(JoinFragment::parse(&longer), Err(BadJoinFragment::Length));
    // A key of small order, with whom everybody would agree on the same.
    let weak = altered(&link, |bytes| bytes[1..33].fill(0));
    assert_eq!(JoinFragment::parse(&weak), Err(BadJoinFragment::Altered));
    let mut other_sum = URL_SAFE_NO_PAD.decode(&*good).unwrap();
    other_sum[50] ^= 1;
    assert_eq!(JoinFragment::parse(&URL_SAFE_NO_PAD.encode(other_sum)), Err(BadJoinFragment::Altered));
}

#[test]
fn a_pasted_page_is_refused_by_its_length_and_flags_of_a_later_form_by_their_value() {
    assert_eq!(JoinFragment::parse(&"A".repeat(256)), Err(BadJoinFragment::Form(0)));
    assert_eq!(JoinFragment::parse(&"A".repeat(257)), Err(BadJoinFragment::Length));
    let later = altered(&link(Access::Full, None), |bytes| bytes[0] |= 8);
    assert_eq!(JoinFragment::parse(&later), Err(BadJoinFragment::Altered));
    // A flag that announces what is not there.
    for flag in [FLAG_EXPIRES, FLAG_PINNED] {
        let short = altered(&link(Access::Full, None), |bytes| bytes[0] |= flag);
        assert_eq!(JoinFragment::parse(&short), Err(BadJoinFragment::Length));
    }
}

#[test]
fn a_link_expires_at_its_second_and_not_before() {
    let link = link(Access::Full, Some(1000));
    assert_eq!(link.check_expiry(999), Ok(()));
    assert_eq!(link.check_expiry(1000), Err(BadJoinFragment::Expired));
}

#[test]
fn an_expiry_beyond_the_wire_reads_as_the_last_second_it_has() {
    let last = u64::from(u32::MAX);
    for (given, read) in [(last - 1, last - 1), (last, last), (last + 1, last), (u64::MAX, last)] {
        let fragment = link(Access::Full, Some(given)).to_fragment();
        assert_eq!(JoinFragment::parse(&fragment).unwrap().expires_at, Some(read));
    }
}

#[test]
fn a_pin_is_the_beginning_of_a_fingerprint() {
    let pin = CertificatePin::of_fingerprint(&std::array::from_fn(|n| u8::try_from(n).unwrap()));
    assert_eq!(pin.to_string(), "000102030405060708090a0b0c0d0e0f");
}

#[test]
fn nothing_secret_is_printed() {
    let shown = format!("{:?}", link(Access::Full, None));
    assert!(shown.contains("LinkSecret(…)"), "{shown}");
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        let _ = JoinFragment::parse(&text);
    }

    #[test]
    fn arbitrary_bytes_with_a_good_checksum_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 1..76)) {
        let text = altered(&link(Access::Full, None), |of| of.splice(.., bytes.clone()).for_each(drop));
        if let Ok(read) = JoinFragment::parse(&text) {
            prop_assert_eq!(&*read.to_fragment(), &text);
        }
    }
}
