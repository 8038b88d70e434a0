use negotiator::{ByeReason, JoinError, SessionEnd};
use transport_core::signaling::{Obstacle, SignalingError};

use super::*;

#[test]
fn every_code_is_in_the_table_and_its_own() {
    let refused = |label: &'static str| SignalingError::refused(label).into();
    let failures: Vec<Failure> = vec![
        Failure::io("x")(std::io::Error::other("y")),
        Failure::Usage("x".into()),
        "http://host".parse::<negotiator::JoinLink>().unwrap_err().into(),
        Failure::Expired,
        refused("membership_invalid"),
        refused("unknown_session"),
        Failure::Unreachable(String::new()),
        refused("rate_limited"),
        refused("fallback_paused"),
        JoinError::HostAbsent.into(),
        Failure::NoPath(String::new()),
        JoinError::Version { ours: 1, theirs: 2 }.into(),
        Failure::declined(Refusal::Full, String::new()),
        Failure::NoTerminal("standard input"),
        Failure::TooSmall { columns: 1, rows: 1, least_columns: 20, least_rows: 4 },
        Failure::StdinClosed,
        Failure::SessionLost(SessionEnd::Gap { from: 1, to: 2 }),
        Failure::Corrupt,
        Failure::Unintelligible(crate::wire::BadMessage::Empty),
        Failure::Demo(String::new()),
        PtyError::NotExecutable("x".into()).into(),
        PtyError::NotFound("x".into()).into(),
        PtyError::Unavailable("x".into()).into(),
        SessionEnd::LinkRevoked.into(),
        SessionEnd::Removed.into(),
        Failure::NoControlPlane,
        SignalingError::Unreachable { detail: String::new(), obstacle: Obstacle::OtherCertificate }.into(),
        Failure::Folder(String::new()),
        Failure::NoSession,
        Failure::Session(String::new()),
        Failure::Nested,
        Failure::Ssh(String::new()),
        Failure::NotInstalled(String::new()),
        Failure::GivenUp(Duration::from_secs(60)),
        Failure::Interrupted,
    ];
    let mut codes: Vec<u8> = failures.iter().map(Failure::code).collect();
    for code in &codes {
        let listed = TABLE.split_whitespace().any(|word| word == code.to_string());
        assert!(listed, "{code} is not in the table");
    }
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), failures.len());
}

#[test]
fn a_host_that_refuses_is_told_apart_from_one_that_is_away() {
    for (error, code) in [
        (JoinError::HostAbsent, 77),
        (JoinError::Full, 80),
        (JoinError::HostRefused { why: ByeReason::Closed }, 80),
        (JoinError::LinkExpired, 71),
        (JoinError::LinkRevoked, 89),
        (JoinError::LinkUsedUp, 89),
        (JoinError::HostRefused { why: ByeReason::Unanswered }, 90),
        (JoinError::NotApproved, 90),
        (JoinError::Removed, 90),
    ] {
        assert_eq!(Failure::from(error).code(), code);
    }
}

#[test]
fn what_cannot_be_reached_is_told_with_url_stage_and_cause() {
    let detail = "10.0.0.1: tls: no answer within 5s".to_owned();
    let said = |by| Failure::Unreachable(detail.clone()).at("https://10.0.0.1:7443", &by).to_string();
    let url = "the control plane cannot be reached (https://10.0.0.1:7443";
    assert!(said(NamedBy::Argument).starts_with(&format!("{url}: tls: no answer within 5s): ")));
    let up = said(NamedBy::Up("/run/x".into()));
    assert!(up.starts_with(&format!("{url}, left by `beach-lifeguard up` in /run/x: tls: ")), "{up}");
}

#[test]
fn an_error_is_one_line() {
    assert_eq!(OneLine("a\n  b\x1b[2J\n").to_string(), "a; b; [2J");
}
