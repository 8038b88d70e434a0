//! How two nodes prove to each other that they are of one pool, and who came. All numbers are big-endian.
//!
//! | from | bytes |
//! |---|---|
//! | entry | [`MAGIC`], 8 · name of the key, 8 · nonce of the entry, 32 |
//! | owner | nonce of the owner, 32 · proof `owner` over both nonces and the owner's node, 32 |
//! | entry | length, 4 · [`Said`] as JSON · proof `entry` over both nonces, the owner's node and the JSON, 32 |
//!
//! Nonces are fresh, so nothing that was heard can be said again, to whomever. The entry tells nothing about a client
//! before the owner has proven itself. A node that was restarted is another one, and takes nothing for the one before.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{
    InternalConfig,
    key::{NAME_BYTES, PROOF_BYTES, PoolKey},
    question::Said,
};
use crate::store::pool::NodeId;

/// What went wrong between two nodes.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// The connection broke, or never was.
    #[error("the other node cannot be reached")]
    Unreachable(#[from] io::Error),
    /// The other end did not prove that it is who was meant.
    #[error("the other end is not a node of this pool, or has another key")]
    Untrusted,
}

impl Failed {
    /// Its name in metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Untrusted => "untrusted",
        }
    }
}

/// The entry's part: who is at the other end, then who came or what is asked.
pub(super) async fn enter(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    key: &PoolKey,
    owner: NodeId,
    said: &Said,
) -> Result<(), Failed> {
    let nonce: Nonce = rand::random();
    stream.write_all(&[&MAGIC[..], &key.name(), &nonce].concat()).await?;
    let mut answer = [0; NONCE_BYTES + PROOF_BYTES];
    if let Err(error) = stream.read_exact(&mut answer).await {
        // Who closes now does not know the key's name.
        let closed =
            error.kind() == io::ErrorKind::UnexpectedEof || error.kind() == io::ErrorKind::ConnectionReset;
        return Err(if closed { Failed::Untrusted } else { error.into() });
    }
    let (owners, proof) = split(answer);
    let both = transcript(&nonce, &owners, owner);
    if !key.verify("owner", &[&both], &proof) {
        return Err(Failed::Untrusted);
    }
    let said = serde_json::to_vec(said).map_err(|_| Failed::Untrusted)?;
    let length = u32::try_from(said.len()).map_err(|_| Failed::Untrusted)?;
    let proof = key.proof("entry", &[&both, &said]);
    stream.write_all(&[&length.to_be_bytes()[..], &said, &proof].concat()).await?;
    Ok(())
}

/// The owner's part.
pub(super) async fn admit(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    config: &InternalConfig,
    owner: NodeId,
) -> Result<Said, Failed> {
    let mut magic = [0; MAGIC.len()];
    stream.read_exact(&mut magic).await?;
    if magic != *MAGIC {
        return Err(Failed::Untrusted);
    }
    let mut named = [0; NAME_BYTES];
    let mut nonce: Nonce = [0; NONCE_BYTES];
    stream.read_exact(&mut named).await?;
    stream.read_exact(&mut nonce).await?;
    let key = config.accepted().find(|key| key.name() == named).ok_or(Failed::Untrusted)?;
    let own: Nonce = rand::random();
    let both = transcript(&nonce, &own, owner);
    stream.write_all(&[&own[..], &key.proof("owner", &[&both])].concat()).await?;
    let length = stream.read_u32().await? as usize;
    if length > MAX_SAID_BYTES {
        return Err(Failed::Untrusted);
    }
    let (mut said, mut proof) = (vec![0; length], [0; PROOF_BYTES]);
    stream.read_exact(&mut said).await?;
    stream.read_exact(&mut proof).await?;
    if !key.verify("entry", &[&both, &said], &proof) {
        return Err(Failed::Untrusted);
    }
    serde_json::from_slice(&said).map_err(|_| Failed::Untrusted)
}

fn split(answer: [u8; NONCE_BYTES + PROOF_BYTES]) -> (Nonce, [u8; PROOF_BYTES]) {
    let (mut nonce, mut proof) = ([0; NONCE_BYTES], [0; PROOF_BYTES]);
    nonce.copy_from_slice(&answer[..NONCE_BYTES]);
    proof.copy_from_slice(&answer[NONCE_BYTES..]);
    (nonce, proof)
}

/// What makes this handshake unlike all others.
fn transcript(entry: &Nonce, owner: &Nonce, node: NodeId) -> [u8; MAGIC.len() + 2 * NONCE_BYTES + 8] {
    let mut both = [0; MAGIC.len() + 2 * NONCE_BYTES + 8];
    let (magic, rest) = both.split_at_mut(MAGIC.len());
    magic.copy_from_slice(MAGIC);
    rest[..NONCE_BYTES].copy_from_slice(entry);
    rest[NONCE_BYTES..2 * NONCE_BYTES].copy_from_slice(owner);
    rest[2 * NONCE_BYTES..].copy_from_slice(&node.0.to_be_bytes());
    both
}

type Nonce = [u8; NONCE_BYTES];

/// Names the protocol and its version; no HTTP request begins like this.
const MAGIC: &[u8; 8] = b"LG-HOP/1";
const NONCE_BYTES: usize = 32;
/// A token's claims are below 1 KiB.
const MAX_SAID_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use beach_lifeguard_client::{Access, Claims, FeatureBits, Role};
    use tokio::io::duplex;
    use uuid::Uuid;

    use super::*;
    use crate::{
        relay::hop::{Arrival, question::Question},
        telemetry::metrics::Carrier,
    };

    const OWNER: NodeId = NodeId(7);

    fn arrival() -> Said {
        let claims = Claims {
            iss: "control".to_owned(),
            sub: Uuid::from_u128(1),
            aud: "relay".to_owned(),
            session_id: Uuid::from_u128(2),
            cohort_id: "public".to_owned(),
            role: Role::Viewer,
            access: Access::Full,
            link: None,
            iat: 1,
            nbf: 1,
            exp: 61,
            jti: Uuid::from_u128(3),
            feature_bits: FeatureBits::default(),
            capabilities: Vec::new(),
        };
        let arrival = Arrival {
            claims,
            access: Access::ReadOnly,
            telemetry: false,
            client_nonce: [9; 16],
            address: Some(Ipv4Addr::new(192, 0, 2, 1).into()),
            carrier: Carrier::Http,
        };
        Said::Arrival(Box::new(arrival))
    }

    fn key(n: u8) -> PoolKey {
        PoolKey::new(n.to_string().repeat(32)).unwrap()
    }

    async fn meet(entry: PoolKey, owner: InternalConfig, meant: NodeId) -> (bool, Option<Said>) {
        say(entry, owner, meant, arrival()).await
    }

    async fn say(entry: PoolKey, owner: InternalConfig, meant: NodeId, said: Said) -> (bool, Option<Said>) {
        let (mut near, mut far) = duplex(4_096);
        let entering = async {
            let entered = enter(&mut near, &entry, meant, &said).await;
            drop(near);
            entered.is_ok()
        };
        let admitting = async {
            let admitted = admit(&mut far, &owner, OWNER).await;
            drop(far);
            admitted.ok()
        };
        tokio::join!(entering, admitting)
    }

    #[tokio::test]
    async fn who_came_is_told_whole_between_nodes_of_one_pool() {
        let config = InternalConfig::new("", key(1));
        assert_eq!(meet(key(1), config, OWNER).await, (true, Some(arrival())));
    }

    #[tokio::test]
    async fn a_question_is_told_from_an_arrival() {
        let (config, asked) = (InternalConfig::new("", key(1)), Said::Question(Question::Store));
        assert_eq!(serde_json::to_string(&asked).unwrap(), r#"{"ask":"store"}"#);
        assert_eq!(say(key(1), config, OWNER, asked.clone()).await, (true, Some(asked)));
    }

    #[tokio::test]
    async fn while_a_key_is_replaced_nodes_with_either_meet() {
        let mut config = InternalConfig::new("", key(1));
        config.other_key = Some(key(2));
        assert_eq!(meet(key(2), config, OWNER).await, (true, Some(arrival())));
    }

    #[tokio::test]
    async fn another_key_and_another_node_are_refused_by_both() {
        let config = InternalConfig::new("", key(1));
        assert_eq!(meet(key(2), config.clone(), OWNER).await, (false, None));
        assert_eq!(meet(key(1), config, NodeId(8)).await, (false, None));
    }

    #[tokio::test]
    async fn what_was_heard_once_is_worth_nothing_the_second_time() {
        let config = InternalConfig::new("", key(1));
        let (mut near, mut far) = duplex(4_096);
        let said = async {
            // Everything an entry says, kept by somebody who listens.
            let (mut inner, mut outer) = duplex(4_096);
            let arrival = arrival();
            let key = key(1);
            let entering = enter(&mut inner, &key, OWNER, &arrival);
            let listening = async {
                let mut first = [0; 8 + NAME_BYTES + NONCE_BYTES];
                outer.read_exact(&mut first).await.unwrap();
                near.write_all(&first).await.unwrap();
                let mut answer = [0; NONCE_BYTES + PROOF_BYTES];
                near.read_exact(&mut answer).await.unwrap();
                outer.write_all(&answer).await.unwrap();
                first
            };
            let (entered, first) = tokio::join!(entering, listening);
            entered.unwrap();
            drop(inner);
            let mut second = Vec::new();
            outer.read_to_end(&mut second).await.unwrap();
            near.write_all(&second).await.unwrap();
            (first, second)
        };
        let (admitted, (first, second)) = tokio::join!(admit(&mut far, &config, OWNER), said);
        admitted.unwrap();
        let (mut near, mut far) = duplex(4_096);
        let repeated = async {
            near.write_all(&first).await.unwrap();
            near.write_all(&second).await.unwrap();
            near
        };
        let (admitted, _near) = tokio::join!(admit(&mut far, &config, OWNER), repeated);
        assert!(matches!(admitted, Err(Failed::Untrusted)), "{admitted:?}");
    }

    #[tokio::test]
    async fn what_no_node_says_ends_without_an_answer() {
        for said in [&b"GET /v2/ws HTTP/1.1\r\nhost: a\r\n\r\n"[..], &[0xFF; 64], b"LG-HOP/2"] {
            let (mut near, mut far) = duplex(4_096);
            near.write_all(said).await.unwrap();
            let admitted = admit(&mut far, &InternalConfig::new("", key(1)), OWNER).await;
            assert!(matches!(admitted, Err(Failed::Untrusted)), "{admitted:?}");
            drop(far);
            let mut answer = Vec::new();
            near.read_to_end(&mut answer).await.unwrap();
            assert!(answer.is_empty());
        }
    }
}
