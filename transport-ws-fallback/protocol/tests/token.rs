//! Tokens: what is admitted, and why everything else is not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use beach_lifeguard_client::token::*;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use uuid::Uuid;

const ISSUER: &str = "https://control.example";
const NOW: u64 = 1_800_000_000;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn signer(id: &str, fill: u8) -> TokenSigner {
    TokenSigner::from_seed(KeyId::parse(id).unwrap(), &[fill; 32]).unwrap()
}

fn verifier(signers: &[&TokenSigner]) -> TokenVerifier {
    TokenVerifier::new(ISSUER, signers.iter().map(|s| (s.key_id().clone(), s.public_key())))
}

fn claims() -> Claims {
    Claims {
        iss: ISSUER.into(),
        sub: Uuid::from_u128(1),
        aud: AUDIENCE.into(),
        session_id: Uuid::from_u128(2),
        cohort_id: "public".into(),
        role: Role::Viewer,
        access: Access::Full,
        link: None,
        iat: NOW,
        nbf: NOW,
        exp: NOW + 60,
        jti: Uuid::from_u128(3),
        feature_bits: FeatureBits { telemetry_enabled: false, fallback_authorized: true },
        capabilities: vec![Capability::V2.label().into()],
    }
}

fn refused(change: impl FnOnce(&mut Claims)) -> TokenError {
    let signer = signer("k1", 1);
    let mut claims = claims();
    change(&mut claims);
    verifier(&[&signer]).verify(&signer.sign(&claims).unwrap(), Capability::V2, at(NOW)).unwrap_err()
}

#[test]
fn what_was_signed_is_what_is_read_and_an_openssl_key_works_too() {
    let signer = signer("k1", 1);
    let token = signer.sign(&claims()).unwrap();
    assert_eq!(verifier(&[&signer]).verify(&token, Capability::V2, at(NOW)), Ok(claims()));
    assert!(!format!("{token:?} {signer:?}").contains(token.expose()));
    let again =
        TokenSigner::from_pem(KeyId::parse("k1").unwrap(), private_key_pem(&[1; 32]).as_bytes()).unwrap();
    assert_eq!(again.public_key(), signer.public_key());
    // RFC 8032 §7.1, test 1.
    let seed: [u8; 32] = *b"\x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4\x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60";
    let known = TokenSigner::from_seed(KeyId::parse("rfc").unwrap(), &seed).unwrap();
    assert_eq!(known.public_key().to_string(), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
}

#[test]
fn a_token_opens_sockets_of_its_own_wire_version_and_of_no_other() {
    let signer = signer("k1", 1);
    let wires = [Capability::V1, Capability::V2];
    for granted in wires {
        let capabilities = vec!["something-else".into(), granted.label().into()];
        let token = signer.sign(&Claims { capabilities, ..claims() }).unwrap();
        for wanted in wires {
            let verdict = verifier(&[&signer]).verify(&token, wanted, at(NOW)).map(drop);
            let expected = if granted == wanted { Ok(()) } else { Err(TokenError::Entitlement) };
            assert_eq!(verdict, expected, "{granted:?} for {wanted:?}");
        }
    }
    assert_eq!(wires.map(Capability::label), ["fallback-ws", "fallback-ws.2"]);
}

#[test]
fn keys_rotate_with_overlap() {
    let (old, new) = (signer("2026-01", 1), signer("2026-02", 2));
    let (from_old, from_new) = (old.sign(&claims()).unwrap(), new.sign(&claims()).unwrap());
    let both = verifier(&[&old, &new]);
    assert!(
        both.verify(&from_old, Capability::V2, at(NOW)).is_ok()
            && both.verify(&from_new, Capability::V2, at(NOW)).is_ok()
    );
    let after = verifier(&[&new]);
    assert_eq!(after.verify(&from_old, Capability::V2, at(NOW)), Err(TokenError::Key));
    let trusted = both.keys().iter().map(|(id, key)| (id.as_str(), *key)).collect::<Vec<_>>();
    assert_eq!(trusted, [("2026-01", old.public_key()), ("2026-02", new.public_key())]);
    // A stolen name is not a key.
    let forger = signer("2026-02", 3);
    assert_eq!(
        after.verify(&forger.sign(&claims()).unwrap(), Capability::V2, at(NOW)),
        Err(TokenError::Signature)
    );
}

#[test]
fn times_have_five_seconds_of_leeway_and_not_six() {
    let signer = signer("k1", 1);
    let (verifier, token) = (verifier(&[&signer]), signer.sign(&claims()).unwrap());
    assert!(verifier.verify(&token, Capability::V2, at(NOW + 64)).is_ok());
    assert_eq!(verifier.verify(&token, Capability::V2, at(NOW + 65)), Err(TokenError::Expired));
    assert!(verifier.verify(&token, Capability::V2, at(NOW - 5)).is_ok());
    assert_eq!(verifier.verify(&token, Capability::V2, at(NOW - 6)), Err(TokenError::Premature));
    let mut longest = claims();
    longest.exp = longest.iat + 300;
    assert_eq!(verifier.verify(&signer.sign(&longest).unwrap(), Capability::V2, at(NOW)), Ok(longest));
    assert_eq!(refused(|c| c.exp = c.iat + 301), TokenError::Life);
    assert_eq!(refused(|c| c.exp = u64::MAX), TokenError::Life);
}

#[test]
fn each_wrong_claim_has_its_reason() {
    assert_eq!(refused(|c| c.iss = "https://evil.example".into()), TokenError::Issuer);
    assert_eq!(refused(|c| c.aud = "beach".into()), TokenError::Audience);
    assert_eq!(refused(|c| c.feature_bits.fallback_authorized = false), TokenError::Entitlement);
    assert_eq!(refused(|c| c.capabilities.clear()), TokenError::Entitlement);
}

fn forge(header: Value, claims: Value) -> FallbackToken {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    FallbackToken::new(format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode([0; 64])))
}

#[test]
fn headers_are_judged_before_keys() {
    let signer = signer("k1", 1);
    let verifier = verifier(&[&signer]);
    let header = |alg: &str, typ: &str, kid: &str| json!({"alg": alg, "typ": typ, "kid": kid});
    for (header, why) in [
        (header("none", TOKEN_TYPE, "k1"), TokenError::Algorithm),
        (header("HS256", TOKEN_TYPE, "k1"), TokenError::Algorithm),
        (header("ES256", TOKEN_TYPE, "k1"), TokenError::Algorithm),
        (header("EdDSA", "JWT", "k1"), TokenError::Type),
        (header("EdDSA", TOKEN_TYPE, "k2"), TokenError::Key),
        (header("EdDSA", TOKEN_TYPE, "../k1"), TokenError::Key),
        (header("EdDSA", TOKEN_TYPE, "k1"), TokenError::Signature),
        (json!({"alg": "EdDSA", "typ": TOKEN_TYPE}), TokenError::Key),
        (json!({"alg": "EdDSA"}), TokenError::Type),
        (json!({"typ": TOKEN_TYPE}), TokenError::Json),
        (json!({"alg": "EdDSA", "typ": TOKEN_TYPE, "kid": "k1", "jku": "https://evil"}), TokenError::Json),
        (json!([]), TokenError::Json),
    ] {
        let token = forge(header.clone(), serde_json::to_value(claims()).unwrap());
        assert_eq!(verifier.verify(&token, Capability::V2, at(NOW)), Err(why), "{header}");
    }
    for (text, why) in [
        ("", TokenError::Malformed),
        ("a.b", TokenError::Malformed),
        ("a.b.c.d", TokenError::Malformed),
        ("%%.%%.%%", TokenError::Base64),
        ("e30.e30.e30", TokenError::Json),
    ] {
        assert_eq!(verifier.verify(&FallbackToken::new(text), Capability::V2, at(NOW)), Err(why), "{text:?}");
    }
    assert_eq!(
        verifier.verify(&FallbackToken::new(".".repeat(5000)), Capability::V2, at(NOW)),
        Err(TokenError::Malformed)
    );
    let padded = "A".repeat(4_094);
    assert_eq!(
        verifier.verify(&FallbackToken::new(format!("{padded}..")), Capability::V2, at(NOW)),
        Err(TokenError::Json)
    );
    assert_eq!(
        verifier.verify(&FallbackToken::new(format!("{padded}A..")), Capability::V2, at(NOW)),
        Err(TokenError::Malformed)
    );
}

#[test]
fn a_public_key_used_as_an_hmac_secret_is_refused() {
    let signer = signer("k1", 1);
    let mut header = Header::new(Algorithm::HS256);
    header.typ = Some(TOKEN_TYPE.into());
    header.kid = Some("k1".into());
    let token =
        jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&signer.public_key().0)).unwrap();
    let verdict = verifier(&[&signer]).verify(&FallbackToken::new(token), Capability::V2, at(NOW));
    assert_eq!(verdict, Err(TokenError::Algorithm));
}

#[test]
fn each_missing_or_misshapen_claim_is_refused_though_correctly_signed() {
    let signer = signer("k1", 1);
    let verifier = verifier(&[&signer]);
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(TOKEN_TYPE.into());
    header.kid = Some("k1".into());
    let pem = private_key_pem(&[1; 32]);
    let key = EncodingKey::from_ed_pem(pem.as_bytes()).unwrap();
    let whole = serde_json::to_value(claims()).unwrap();
    for name in whole.as_object().unwrap().keys() {
        for wrong in [None, Some(Value::Null), Some(json!({"x": 1})), Some(json!(-1)), Some(json!(1.5))] {
            let mut claims = whole.clone();
            match wrong.clone() {
                None => drop(claims.as_object_mut().unwrap().remove(name)),
                Some(value) => claims[name] = value,
            }
            let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
            let verdict = verifier.verify(&FallbackToken::new(token), Capability::V2, at(NOW));
            // An object where a time belongs ends the library's parser; all others are named exactly.
            let named = matches!(verdict, Err(TokenError::Claims))
                || (matches!(verdict, Err(TokenError::Json)) && wrong == Some(json!({"x": 1})));
            assert!(named, "{name} {wrong:?}: {verdict:?}");
        }
    }
}

#[test]
fn a_single_flipped_bit_is_noticed() {
    let signer = signer("k1", 1);
    let verifier = verifier(&[&signer]);
    let token = signer.sign(&claims()).unwrap().expose().to_owned();
    for index in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[index] ^= 1;
        let Ok(altered) = String::from_utf8(bytes) else { continue };
        assert!(
            verifier.verify(&FallbackToken::new(altered), Capability::V2, at(NOW)).is_err(),
            "byte {index}"
        );
    }
}

#[test]
fn labels_are_unique() {
    let labels: std::collections::BTreeSet<_> = TokenError::ALL.iter().map(|error| error.label()).collect();
    assert_eq!(labels.len(), TokenError::ALL.len());
}

#[test]
fn a_spare_token_lives_longer_and_is_taken_only_where_every_kind_is() {
    let signer = signer("k1", 1);
    let verifier = verifier(&[&signer]);
    for kind in TokenKind::ALL {
        let token = |life| {
            let (aud, exp) = (kind.audience().to_owned(), NOW + life);
            signer.sign(&Claims { aud, exp, ..claims() }).unwrap()
        };
        let longest = kind.max_life_secs();
        let (of, read) = verifier.verify_any(&token(longest), Capability::V2, at(NOW)).unwrap();
        assert_eq!((of, read.exp), (kind, NOW + longest));
        let longer = verifier.verify_any(&token(longest + 1), Capability::V2, at(NOW));
        assert_eq!(longer.unwrap_err(), TokenError::Life);
        let minted = verifier.verify(&token(60), Capability::V2, at(NOW));
        match kind {
            TokenKind::Minted => assert_eq!(minted.unwrap().aud, AUDIENCE),
            _ => assert_eq!(minted.unwrap_err(), TokenError::Audience),
        }
        assert_eq!(
            verifier.verify_any(&token(60), Capability::V1, at(NOW)).unwrap_err(),
            TokenError::Entitlement
        );
    }
}
