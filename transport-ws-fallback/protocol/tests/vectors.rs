//! The wire, pinned: what other implementations are tested against too.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::{fmt::Debug, time::Duration, time::UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use beach_lifeguard_client::{
    Access, ClientHello, Header, Kind, Lane, LinkNumber, PeerAddr, Role, ServerHello,
    api::{Health, TokenRequest, TokenResponse, TurnCredentials, TurnRequest},
    close::{CloseCode, CloseFrame},
    control::Control,
    membership::{
        Credentials, FRESHNESS, Identity, LinkSecret, MembershipError, MembershipProof, PublicKey, Purpose,
        Verifier,
    },
    reason::{ErrorBody, Reason},
    session::{
        DocumentError, DocumentLink, MAX_DOCUMENT_BYTES, MAX_KEPT, MAX_LINKS, MAX_REMOVED, SessionDocument,
        SignedDocument,
    },
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
            link: LinkNumber(u32::from_str_radix(link, 16).unwrap()),
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
            "signed_document" => round_trip::<SignedDocument>(json),
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
    assert_eq!(seen, 24);
}

/// What others made with other libraries; and what is made here is the same, byte for byte.
#[test]
fn membership_proofs() {
    #[derive(Deserialize)]
    struct Vector {
        purpose: String,
        identity_seed: String,
        host_key: PublicKey,
        session_id: Uuid,
        peer_id: Uuid,
        link_secret: Option<String>,
        verifier: Option<Verifier>,
        message_hex: String,
        proof: MembershipProof,
    }
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("vectors/membership.json")).unwrap();
    assert_eq!(vectors.len(), 9);
    for vector in vectors {
        let Vector { session_id, proof, verifier, .. } = &vector;
        let purpose = Purpose::ALL.into_iter().find(|known| known.label() == vector.purpose).unwrap();
        let identity = Identity::from_seed(&bytes(&vector.identity_seed));
        let link = vector.link_secret.as_deref().map(|secret| LinkSecret::from_bytes(bytes(secret)));
        let credentials = match link.clone() {
            None => Credentials::host(identity.clone()),
            Some(link) => Credentials::viewer(vector.host_key, identity.clone(), link, proof.access),
        };
        let now = UNIX_EPOCH + Duration::from_secs(proof.timestamp);
        assert_eq!(&credentials.prove(purpose, now, proof.nonce), proof);
        assert_eq!((credentials.session_id(), credentials.peer_id()), (*session_id, vector.peer_id));
        assert_eq!((credentials.role(), proof.peer_id()), (proof.role, vector.peer_id));
        assert_eq!(identity.sign(&unhex(&vector.message_hex)), proof.signature);
        assert_eq!(link.as_ref().map(Verifier::of), *verifier);
        assert_eq!(link.map(|link| link.id()), proof.link);

        assert!(proof.is_signed(purpose, *session_id));
        let check = |proof: &MembershipProof, at| proof.check(verifier.as_ref(), purpose, *session_id, at);
        let second = Duration::from_secs(1);
        for (at, verdict) in [
            (now, Ok(())),
            (now + FRESHNESS, Ok(())),
            (now - FRESHNESS, Ok(())),
            (now + FRESHNESS + second, Err(MembershipError::Stale)),
            (now - FRESHNESS - second, Err(MembershipError::Stale)),
        ] {
            assert_eq!(check(proof, at), verdict);
        }
        for other in Purpose::ALL.into_iter().filter(|other| *other != purpose) {
            assert!(!proof.is_signed(other, *session_id));
        }
        assert!(!proof.is_signed(purpose, Uuid::nil()));
        let other_role = if proof.role == Role::Host { Role::Viewer } else { Role::Host };
        let other_access = if proof.access == Access::Full { Access::ReadOnly } else { Access::Full };
        for altered in [
            MembershipProof { key: Identity::from_seed(&[9; 32]).public(), ..proof.clone() },
            MembershipProof { role: other_role, ..proof.clone() },
            MembershipProof { access: other_access, ..proof.clone() },
            MembershipProof { link: Some(LinkSecret::from_bytes([9; 16]).id()), ..proof.clone() },
            MembershipProof { timestamp: proof.timestamp + 1, ..proof.clone() },
            MembershipProof { nonce: [0; 16], ..proof.clone() },
        ] {
            assert!(!altered.is_signed(purpose, *session_id), "{altered:?}");
            let authentic = check(&altered, UNIX_EPOCH + Duration::from_secs(altered.timestamp));
            assert_eq!(authentic, verifier.as_ref().map_or(Ok(()), |_| Err(MembershipError::Mac)));
        }
        let mac = if verifier.is_some() { None } else { Some([0; 32]) };
        let forged = Err(MembershipError::Mac);
        assert_eq!(check(&MembershipProof { mac, ..proof.clone() }, now), forged);
        assert_eq!(check(&MembershipProof { mac: Some([0; 32]), ..proof.clone() }, now), forged);
        let other = Some(Verifier::from_bytes([9; 32]));
        assert_eq!(proof.check(other.as_ref(), purpose, *session_id, now), forged);
        assert!(!format!("{credentials:?} {verifier:?}").contains("AwMD"));
    }
}

#[test]
fn session_documents() {
    #[derive(Deserialize)]
    struct Vector {
        identity_seed: String,
        json: String,
        body: SignedDocument,
    }
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("vectors/documents.json")).unwrap();
    assert_eq!(vectors.len(), 2);
    for Vector { identity_seed, json, body } in vectors {
        let identity = Identity::from_seed(&bytes(&identity_seed));
        let document: SessionDocument = serde_json::from_str(&json).unwrap();
        assert_eq!(document.sign(&identity), body);
        assert_eq!(body.open(), Ok(document.clone()));
        assert_eq!(body.document, json);
        // A space more is another document.
        let altered = SignedDocument { document: (json.clone() + " ").into(), ..body.clone() };
        assert_eq!(altered.open(), Err(DocumentError::Signature));
        let stranger = Identity::from_seed(&[9; 32]);
        assert_eq!(document.sign(&stranger).open(), Err(DocumentError::Signature));
        for taken in [
            SessionDocument { host_key: stranger.public(), ..document.clone() },
            SessionDocument { session_id: Uuid::nil(), ..document.clone() },
        ] {
            assert_eq!(taken.sign(&stranger).open(), Err(DocumentError::Session));
        }
        assert_eq!(document.sign(&stranger).open().unwrap_err().reason(), Reason::SignatureInvalid);
    }
}

#[test]
fn a_session_document_is_bounded() {
    let host = Identity::from_seed(&[1; 32]);
    let with = |links: usize, kept: usize, removed: usize| {
        let mut document = SessionDocument::new(host.public(), 1);
        let secret = |n: usize| LinkSecret::from_bytes((n as u128).to_be_bytes());
        document.links = (0..links).map(|n| DocumentLink::new(&secret(n), Access::Full)).collect();
        let half = links / 2;
        for n in 0..kept {
            document.links[n % half.max(1)].kept.push(Uuid::from_u128(n as u128));
            document.links[n % half.max(1)].expires_at = Some(u64::MAX);
        }
        document.removed = (0..removed).map(|n| Uuid::from_u128(n as u128)).collect();
        document
    };
    let fullest = with(MAX_LINKS, MAX_KEPT, MAX_REMOVED);
    assert_eq!(fullest.sign(&host).open(), Ok(fullest.clone()), "all of it fits");
    let mut twice = with(2, 0, 0);
    twice.links[1] = twice.links[0].clone();
    let mut wordy = fullest.clone();
    wordy.cohort_id = Some("x".repeat(MAX_DOCUMENT_BYTES));
    for document in [
        with(MAX_LINKS + 1, 0, 0),
        with(MAX_LINKS, MAX_KEPT + 1, 0),
        with(0, 0, MAX_REMOVED + 1),
        twice,
        wordy,
    ] {
        assert_eq!(document.sign(&host).open(), Err(DocumentError::Malformed));
    }
    assert_eq!(DocumentError::Malformed.reason(), Reason::InvalidRequest);
}

#[test]
fn a_link_serves_everybody_until_its_end_and_then_those_who_are_kept() {
    let [early, late] = [1, 2].map(Uuid::from_u128);
    let mut link = DocumentLink::new(&LinkSecret::from_bytes([3; 16]), Access::Full);
    assert!(link.serves(late, u64::MAX));
    (link.expires_at, link.kept) = (Some(100), vec![early]);
    assert_eq!([99, 100, 101].map(|now| link.serves(late, now)), [true, false, false]);
    assert_eq!([99, 100, 101].map(|now| link.serves(early, now)), [true, true, true]);
}

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap()
}
