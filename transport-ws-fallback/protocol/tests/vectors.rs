//! The wire, pinned: what other implementations are tested against too.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::{fmt::Debug, time::Duration, time::UNIX_EPOCH};

use beach_lifeguard_client::{
    ClientHello, Header, Kind, Lane, LinkId, PeerAddr, ServerHello,
    api::{Health, RegisterSession, TokenRequest, TokenResponse, TurnCredentials, TurnRequest},
    close::{CloseCode, CloseFrame},
    control::Control,
    membership::{FRESHNESS, MembershipError, MembershipProof, Purpose, Verifier},
    reason::ErrorBody,
    signaling::{FromRoom, ToRoom},
    v1,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

fn lines(file: &str) -> impl Iterator<Item = &str> {
    file.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn frames() {
    let mut seen = 0;
    for line in lines(include_str!("vectors/frames.txt")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [kind, lane, peer, link, payload] = words[..5] else { panic!("{line}") };
        let header = Header {
            kind: match kind {
                "control" => Kind::Control,
                "data" => Kind::Data,
                "heartbeat" => Kind::Heartbeat,
                "close" => Kind::Close,
                other => Kind::Unknown(other.strip_prefix("unknown").unwrap().parse().unwrap()),
            },
            lane: if lane == "reliable" { Lane::Reliable } else { Lane::Datagram },
            peer: PeerAddr::from_wire(u32::from_str_radix(peer, 16).unwrap()),
            link: LinkId(u32::from_str_radix(link, 16).unwrap()),
        };
        let (payload, frame) = (unhex(payload), unhex(&words[5..].concat()));
        assert_eq!(header.frame(&payload), frame, "{line}");
        let (decoded, rest) = Header::split(frame.into()).unwrap();
        assert_eq!((decoded, &rest[..]), (header, &payload[..]), "{line}");
        if header.kind == Kind::Close {
            let close = CloseFrame::decode(&rest).unwrap();
            assert_eq!(close, CloseFrame::new(CloseCode::GOING_AWAY, "gone"));
        }
        seen += 1;
    }
    assert_eq!(seen, 8);
}

fn round_trip<T: Serialize + DeserializeOwned + Debug>(json: &str) {
    let message: T = serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"));
    assert_eq!(serde_json::to_string(&message).unwrap(), json, "{message:?}");
}

#[test]
fn messages() {
    let mut seen = 0;
    for line in lines(include_str!("vectors/messages.txt")) {
        let (kind, json) = line.split_once(' ').unwrap();
        match kind {
            "client_hello" => {
                assert_eq!(ClientHello::decode(json.as_bytes()).unwrap().encode(), json);
            }
            "server_hello" => {
                assert_eq!(ServerHello::decode(json.as_bytes()).unwrap().encode(), json);
            }
            "control" => round_trip::<Control>(json),
            "register_session" => round_trip::<RegisterSession>(json),
            "token_request" => round_trip::<TokenRequest>(json),
            "token_response" => round_trip::<TokenResponse>(json),
            "error_body" => round_trip::<ErrorBody>(json),
            "turn_request" => round_trip::<TurnRequest>(json),
            "turn_credentials" => round_trip::<TurnCredentials>(json),
            "health" => round_trip::<Health>(json),
            "to_room" => round_trip::<ToRoom>(json),
            "from_room" => round_trip::<FromRoom>(json),
            "v1_client_hello" => round_trip::<v1::ClientHello>(json),
            "v1_server_hello" => round_trip::<v1::ServerHello>(json),
            "v1_token_response" => round_trip::<v1::TokenResponse>(json),
            other => panic!("no type {other}"),
        }
        seen += 1;
    }
    assert_eq!(seen, 23);
}

#[test]
fn membership_proofs() {
    #[derive(Deserialize)]
    struct Vector {
        verifier: Verifier,
        purpose: String,
        session_id: Uuid,
        proof: MembershipProof,
    }
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("vectors/membership.json")).unwrap();
    assert_eq!(vectors.len(), 4);
    for Vector { verifier, purpose, session_id, proof } in vectors {
        let purpose = if purpose == "token" { Purpose::Token } else { Purpose::Signaling };
        let other = if purpose == Purpose::Token { Purpose::Signaling } else { Purpose::Token };
        let now = UNIX_EPOCH + Duration::from_secs(proof.timestamp);
        assert_eq!(verifier.prove(purpose, session_id, proof.member(), now, proof.nonce), proof);
        for (at, verdict) in [
            (now, Ok(())),
            (now + FRESHNESS, Ok(())),
            (now - FRESHNESS, Ok(())),
            (now + FRESHNESS + Duration::from_secs(1), Err(MembershipError::Stale)),
            (now - FRESHNESS - Duration::from_secs(1), Err(MembershipError::Stale)),
        ] {
            assert_eq!(verifier.check(purpose, session_id, &proof, at), verdict);
        }
        let forged = Err(MembershipError::Mac);
        assert_eq!(verifier.check(other, session_id, &proof, now), forged);
        assert_eq!(verifier.check(purpose, Uuid::nil(), &proof, now), forged);
        assert_eq!(Verifier::from_bytes([9; 32]).check(purpose, session_id, &proof, now), forged);
        for alter in [
            MembershipProof { peer_id: Uuid::nil(), ..proof.clone() },
            MembershipProof { timestamp: proof.timestamp + 1, ..proof.clone() },
            MembershipProof { nonce: [0; 16], ..proof.clone() },
            MembershipProof { mac: [0; 32], ..proof.clone() },
        ] {
            assert_eq!(verifier.check(purpose, session_id, &alter, now), forged);
        }
        assert_eq!(Verifier::from_bytes(*verifier.expose()), verifier);
        assert_eq!(format!("{verifier:?}"), "Verifier(…)");
    }
}
