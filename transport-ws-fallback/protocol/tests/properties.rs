//! Arbitrary bytes never panic, and what was written reads back.

use std::time::{Duration, UNIX_EPOCH};

use beach_lifeguard_client::{
    ClientHello, FallbackToken, Header, Kind, Lane, LinkNumber, PeerAddr, ServerHello, SignedDocument,
    close::{CloseCode, CloseFrame, Text},
    control::Control,
    frame::{HEADER_BYTES, Window, set_peer},
    membership::Signature,
    signaling::{FromRoom, ToRoom},
    stream::{CarrierId, Opened, Sequence, Turn},
    token::{Capability, KeyId, PublicKey, TokenVerifier},
    v1,
};
use proptest::{collection::vec, prelude::*};

fn header() -> impl Strategy<Value = Header> {
    (any::<u8>(), any::<bool>(), any::<u32>(), any::<u32>()).prop_map(|(kind, reliable, peer, link)| {
        let kind = match kind {
            0 => Kind::Control,
            1 => Kind::Data,
            2 => Kind::Heartbeat,
            3 => Kind::Close,
            other => Kind::Unknown(other),
        };
        let lane = if reliable { Lane::Reliable } else { Lane::Datagram };
        Header { kind, lane, peer: PeerAddr::from_wire(peer), link: LinkNumber(link) }
    })
}

proptest! {
    // Failing inputs are printed; a regression gets a test with a name instead of a file.
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_frame_reads_back(header in header(), payload in vec(any::<u8>(), 0..200), to in any::<u32>()) {
        let frame = header.frame(&payload);
        let (decoded, rest) = Header::split(frame.clone()).unwrap();
        prop_assert_eq!((decoded, &rest[..]), (header, &payload[..]));
        let mut frame = frame.to_vec();
        set_peer(&mut frame, PeerAddr::from_wire(to)).unwrap();
        let rewritten = Header::decode(&frame).unwrap();
        prop_assert_eq!(rewritten, Header { peer: PeerAddr::from_wire(to), ..header });
        prop_assert_eq!(&frame[HEADER_BYTES..], &payload[..]);
    }

    #[test]
    fn a_close_reads_back_cleaned(code in 1000..5000u16, reason in "\\PC{0,130}") {
        let Some(code) = CloseCode::from_wire(code) else { return Ok(()) };
        let close = CloseFrame::new(code, reason.clone());
        prop_assert!(close.reason.len() <= 123 && close.reason == Text::new(reason));
        prop_assert_eq!(CloseFrame::decode(&close.encode()).unwrap(), close);
    }

    #[test]
    fn words_of_a_reason_stay_as_they_are(code in 1000..5000u16, reason in "[ -~äß€語]{0,130}") {
        let Some(code) = CloseCode::from_wire(code) else { return Ok(()) };
        let close = CloseFrame::new(code, reason.clone());
        prop_assert!(reason.starts_with(&*close.reason) && close.reason.len() >= reason.len().min(120));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        if let Ok(header) = Header::decode(&bytes) {
            prop_assert_eq!(&header.encode()[4..], &bytes[4..HEADER_BYTES]);
        }
        let _ = Window::read(&bytes);
        let _ = CloseFrame::decode(&bytes);
        let _ = Control::decode(&bytes);
        let _ = ClientHello::decode(&bytes);
        let _ = ServerHello::decode(&bytes);
        let _ = v1::ClientHello::decode(&bytes);
        let _ = serde_json::from_slice::<ToRoom>(&bytes);
        let _ = serde_json::from_slice::<FromRoom>(&bytes);
        let signed = SignedDocument { document: bytes.into(), signature: Signature([7; 64]) };
        prop_assert!(signed.open().is_err());
    }

    #[test]
    fn arbitrary_text_is_never_a_token(text in "[A-Za-z0-9_.{}\":-]{0,200}") {
        let key = (KeyId::parse("k1").unwrap(), PublicKey([7; 32]));
        let verifier = TokenVerifier::new("issuer", [key]);
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        prop_assert!(verifier.verify(&FallbackToken::new(text), Capability::V2, now).is_err());
    }

    #[test]
    fn a_first_record_reads_back(id in any::<[u8; 16]>(), upload_bytes in 1..u32::MAX, junk in vec(any::<u8>(), 0..80)) {
        let opened = Opened { carrier: CarrierId::from_bytes(id), upload_bytes };
        prop_assert_eq!(Opened::decode(opened.encode().as_bytes()), Ok(opened));
        let path = opened.carrier.upload_path(1);
        let [number, id] = [0, 1].map(|at| path.rsplit('/').nth(at).unwrap());
        prop_assert_eq!((id.parse(), number), (Ok(opened.carrier), "1"));
        let _ = Opened::decode(&junk);
        let _ = String::from_utf8_lossy(&junk).parse::<CarrierId>();
    }

    #[test]
    fn uploads_are_taken_in_order_and_once_however_they_come(numbers in vec(0..20u64, 0..200)) {
        let (mut sequence, mut taken) = (Sequence::default(), Vec::new());
        for number in numbers {
            if sequence.judge(number) == Turn::Next {
                taken.push(number);
                sequence.advance();
            }
        }
        prop_assert_eq!(&taken, &(1..=taken.len() as u64).collect::<Vec<_>>());
    }

    #[test]
    fn a_hello_cut_short_is_refused(cut in 0..HELLO.len()) {
        prop_assert!(ClientHello::decode(HELLO).is_ok());
        prop_assert!(ClientHello::decode(&HELLO[..cut]).is_err());
    }
}

const HELLO: &[u8] = br#"{"protocol_version":2,"session_id":"6f9a2f0e-4f0b-4a5d-9d0a-2f1f0f3c9b11","peer_id":"0b7e6c1a-5a43-4d0c-8a67-3f2d9f1e7c55","role":"viewer","access":"full","token":"a.b.c","client_nonce":"AAECAwQFBgcICQoLDA0ODw==","client_version":"beach-link 0.1.0","compression":"none","telemetry":false}"#;
