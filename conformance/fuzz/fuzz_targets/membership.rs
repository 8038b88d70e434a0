//! What a control plane is asked by: proofs of membership and session documents. Nobody without the keys makes one that
//! holds.
//!
//! Input: one byte that chooses proof or document, genuine beneath or not, and JSON or what is changed in it.
#![no_main]

use std::time::UNIX_EPOCH;

use beach_lifeguard_client::{
    SignedDocument,
    membership::{Credentials, Identity, LinkSecret, MembershipProof, Purpose, Verifier},
    session::{DocumentLink, SessionDocument},
    token::Access,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [how, bytes @ ..] = input else { return };
    let [host, viewer] = [5, 6].map(|seed| Identity::from_seed(&[seed; 32]));
    let link = LinkSecret::from_bytes([4; 16]);
    let altered = |genuine: Vec<u8>| {
        let mut text = bytes.to_vec();
        if how & 1 == 1 {
            text = genuine;
            text.iter_mut().zip(bytes).for_each(|(byte, change)| *byte ^= change);
        }
        text
    };
    if how & 2 == 0 {
        let who = Credentials::viewer(host.public(), viewer, link.clone(), Access::ReadOnly);
        let genuine = who.prove(Purpose::Token, UNIX_EPOCH, [7; 16]);
        let text = altered(serde_json::to_vec(&genuine).expect("plain data"));
        let Ok(proof) = serde_json::from_slice::<MembershipProof>(&text) else { return };
        let holds = proof.is_signed(Purpose::Token, who.session_id())
            && proof.check(Some(&Verifier::of(&link)), Purpose::Token, who.session_id(), UNIX_EPOCH).is_ok();
        assert!(!holds || proof == genuine);
    } else {
        let mut document = SessionDocument::new(host.public(), 1);
        document.links = vec![DocumentLink::new(&link, Access::Full)];
        let genuine = document.sign(&host);
        let text = altered(serde_json::to_vec(&genuine).expect("plain data"));
        let Ok(signed) = serde_json::from_slice::<SignedDocument>(&text) else { return };
        if let Ok(opened) = signed.open() {
            assert!(signed == genuine || opened.host_key != host.public());
        }
    }
});
