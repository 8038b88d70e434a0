use super::*;

fn candidate(address: &str) -> String {
    format!("candidate:1 1 udp 2130706431 {address} 40000 typ host")
}

fn fresh(change: fn(&mut WebRtcConfig)) -> RemoteCandidates {
    let mut config = WebRtcConfig::default();
    change(&mut config);
    RemoteCandidates::new(&config)
}

#[test]
fn addresses_that_only_this_machine_or_its_link_can_mean_are_refused() {
    let mut remote = fresh(|_| {});
    for address in [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::127.0.0.1",
        "2002:7f00:1::",
        "169.254.1.1",
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "fd00:ec2::254",
        "fe80::1",
        "febf::1",
        "224.0.0.251",
        "239.255.255.250",
        "ff02::fb",
        "0.0.0.0",
        "0.1.2.3",
        "255.255.255.255",
        "::",
    ] {
        assert_eq!(remote.admit(&candidate(address)), Err(Refusal::Address), "{address}");
    }
    for address in ["192.0.2.1", "10.0.0.1", "192.168.1.1", "100.64.0.1", "2001:db8::1", "fd00::1"] {
        assert_eq!(remote.admit(&candidate(address)), Ok(()), "{address}");
    }
    assert_eq!((remote.refused, remote.taken), ([20, 0, 0], 6));
}

#[test]
fn the_configuration_opens_loopback_and_the_link_each_for_itself() {
    let (mut loopback, mut link) = (fresh(|c| c.loopback = true), fresh(|c| c.link_local = true));
    for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(loopback.admit(&candidate(address)), Ok(()), "{address}");
        assert_eq!(link.admit(&candidate(address)), Err(Refusal::Address), "{address}");
    }
    for address in ["169.254.1.1", "fe80::1"] {
        assert_eq!(loopback.admit(&candidate(address)), Err(Refusal::Address), "{address}");
        assert_eq!(link.admit(&candidate(address)), Ok(()), "{address}");
    }
    for address in ["0.0.0.0", "224.0.0.1", "169.254.169.254"] {
        assert_eq!(loopback.admit(&candidate(address)), Err(Refusal::Address), "{address}");
        assert_eq!(link.admit(&candidate(address)), Err(Refusal::Address), "{address}");
    }
}

#[test]
fn names_other_transports_and_nonsense_are_refused() {
    let mut remote = fresh(|c| c.loopback = true);
    for line in [
        "",
        "candidate:",
        "candidate:1 1 udp 1 127.0.0.1",
        "candidate:1 1 udp 1 127.0.0.1 9 typ",
        "candidate:1 1 tcp 1 127.0.0.1 9 typ host tcptype passive",
        &candidate("d1a2c3.local"),
        &candidate("host.example"),
        &candidate("fe80::1%eth0"),
        &candidate("127.1"),
    ] {
        assert_eq!(remote.admit(line), Err(Refusal::Form), "{line}");
    }
    assert_eq!(remote.taken, 0);
}

#[test]
fn the_twentieth_is_the_last_and_what_is_refused_takes_no_place() {
    let mut remote = fresh(|_| {});
    for number in 0..400 {
        let expected = if number < MAX_REMOTE { Ok(()) } else { Err(Refusal::Full) };
        assert_eq!(remote.admit(&candidate("127.0.0.1")), Err(Refusal::Address));
        assert_eq!(remote.admit(&candidate("192.0.2.1")), expected, "{number}");
    }
    assert_eq!(remote.refused, [400, 0, 380]);
}

/// A description with candidates for each media section, written as carelessly as a reader would still take it.
fn sdp(candidates: &[String]) -> String {
    let head = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n";
    let media = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n";
    let lines: String = candidates.iter().map(|line| format!("a={line}\r\n")).collect();
    format!("{head}{media}{lines}a=sctp-port:5000\r\n")
}

#[test]
fn candidates_inside_a_description_are_counted_with_those_outside() {
    let now = Instant::now();
    let mut remote = fresh(|_| {});
    let clean = sdp(&[candidate("192.0.2.1")]);
    let kept = remote.describe(RTCSdpType::Offer, clean.clone(), now).unwrap();
    assert_eq!(kept.sdp, clean, "nothing to refuse: not a byte is changed");
    assert_eq!(remote.taken, 1);

    let many: Vec<_> = (0..50).map(|n| candidate(&format!("192.0.2.{n}"))).collect();
    let careless = [format!(" {}", candidate("127.0.0.1")), format!("{} \t", candidate("127.0.0.1"))];
    let kept = remote.describe(RTCSdpType::Answer, sdp(&[&careless[..], &many].concat()), now).unwrap();
    assert_eq!(kept.sdp.matches("candidate:").count(), MAX_REMOTE - 1);
    assert!(!kept.sdp.contains("127.0.0.1"));
    assert!(kept.sdp.contains("a=sctp-port:5000"), "the rest stays");
    assert_eq!(remote.admit(&candidate("192.0.2.1")), Err(Refusal::Full));
}

#[test]
fn a_restart_has_its_own_count_and_a_flood_of_them_has_not() {
    let start = Instant::now();
    let mut remote = fresh(|_| {});
    let full: Vec<_> = (0..MAX_REMOTE).map(|_| candidate("192.0.2.1")).collect();
    let mut tried = |after: Duration| {
        let kept = remote.describe(RTCSdpType::Offer, sdp(&full), start + after).unwrap();
        kept.sdp.matches("candidate:").count()
    };
    assert_eq!(tried(Duration::ZERO), MAX_REMOTE);
    assert_eq!(tried(RENEWED_AFTER - Duration::from_millis(1)), 0);
    assert_eq!(tried(RENEWED_AFTER), MAX_REMOTE);
    assert_eq!(tried(RENEWED_AFTER + Duration::from_secs(1)), 0);
}

#[test]
fn a_browser_tries_the_names_that_browsers_hide_behind_and_no_others() {
    let uuid = "6f1c24a6-33a1-4c39-9c21-3c2b8e3a5d10.local";
    let mut remote = fresh(|_| {});
    assert_eq!(remote.admit(&candidate(uuid)), Err(Refusal::Form), "a machine asks nobody's names");
    remote.hidden = true;
    for name in
        ["printer.local", "6f1c24a6-33a1-4c39-9c21-3c2b8e3a5d10.example", "host.example", "127.0.0.1.local"]
    {
        assert_eq!(remote.admit(&candidate(name)), Err(Refusal::Form), "{name}");
    }
    for _ in 0..MAX_REMOTE {
        assert_eq!(remote.admit(&candidate(uuid)), Ok(()));
    }
    assert_eq!(remote.admit(&candidate(uuid)), Err(Refusal::Full));
}

#[test]
fn a_browser_is_given_the_same_description_without_the_same_candidates() {
    let now = Instant::now();
    let many: Vec<_> = (0..50).map(|n| candidate(&format!("192.0.2.{n}"))).collect();
    let careless = [format!(" {}", candidate("127.0.0.1")), candidate("d1a2c3.local")];
    let mut remote = fresh(|_| {});
    let kept = remote.without_refused(&sdp(&[&careless[..], &many].concat()), now);
    assert_eq!(kept, sdp(&many[..MAX_REMOTE]));
    assert_eq!(remote.refused, [1, 1, 30]);
    assert_eq!(remote.without_refused("no description", now), "no description");
}
