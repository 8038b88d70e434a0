//! `docs/wire.md` says what the code does: its tables are read and compared.

use std::collections::BTreeMap;

use beach_lifeguard_client::{
    CloseCode, Reason, RetryClass,
    hello::{HelloError, Limits, MAX_HELLO_BYTES, MAX_SERVER_HELLO_BYTES},
    token::TokenError,
};

const DOCUMENT: &str = include_str!("../../../docs/wire.md");

/// The rows of the first table after `heading`, without its head.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = DOCUMENT.split_once(heading).unwrap_or_else(|| panic!("no section {heading:?}"));
    let rows =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    rows.skip(2).map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn the_close_code_table_is_the_code() {
    let written: Vec<_> = table("### 1.6 Close codes")
        .into_iter()
        .map(|row| (row[0].parse::<u16>().unwrap(), row[1].to_owned(), row[2].to_owned()))
        .collect();
    let coded: Vec<_> = CloseCode::ALL
        .iter()
        .map(|code| {
            let retry = match code.retry_class() {
                RetryClass::Reconnect => "reconnect",
                RetryClass::Stay => "stay",
            };
            (code.get(), code.label().to_owned(), retry.to_owned())
        })
        .collect();
    assert_eq!(written, coded);
}

#[test]
fn the_reason_table_is_the_code() {
    let written: Vec<_> =
        table("### 3.6 Reasons").into_iter().map(|row| (row[0], row[1].to_owned())).collect();
    let coded: Vec<_> =
        Reason::ALL.iter().map(|reason| (reason.label(), reason.status().to_string())).collect();
    assert_eq!(written, coded);
}

#[test]
fn the_label_table_names_every_way_a_token_or_a_hello_fails() {
    let written: BTreeMap<_, _> = table("## 4. Labels").into_iter().map(|row| (row[0], row[1])).collect();
    let token = TokenError::ALL.iter().map(|error| (error.label(), "4500"));
    let hello = [
        (HelloError::InvalidPayload.label(), "4501"),
        (HelloError::TooLarge.label(), "1009"),
        (HelloError::UnsupportedVersion(3).label(), "1003"),
    ];
    for (label, code) in token.chain(hello) {
        assert_eq!(written.get(label), Some(&code), "{label}");
    }
    let known: Vec<String> = CloseCode::ALL.iter().map(|code| code.get().to_string()).collect();
    assert!(written.values().all(|code| known.iter().any(|known| known == code)));
}

#[test]
fn the_limits_in_the_text_are_the_defaults() {
    let Limits { frame_bytes, reliable_bytes, datagram_bytes, in_flight_bytes } = Limits::default();
    let rows = table("### 1.1 Hello\n\nThe client's first message");
    assert_eq!(rows.len(), 10);
    for (field, bytes) in [
        ("limits.frame_bytes", frame_bytes),
        ("limits.reliable_bytes", reliable_bytes),
        ("limits.datagram_bytes", datagram_bytes),
        ("limits.in_flight_bytes", in_flight_bytes),
    ] {
        let row = DOCUMENT.lines().find(|line| line.starts_with(&format!("| `{field}`"))).unwrap();
        assert!(row.contains(&thousands(bytes as usize)), "{row}");
    }
    assert!(DOCUMENT.contains(&format!("text, at most {} bytes", thousands(MAX_HELLO_BYTES))));
    assert!(DOCUMENT.contains(&format!("text, at most {} bytes", thousands(MAX_SERVER_HELLO_BYTES))));
}

fn thousands(number: usize) -> String {
    format!("{},{:03}", number / 1000, number % 1000)
}
