//! A member that holds a valid link, speaks the whole protocol and keeps no rule.
//!
//! A link is handed to friends of friends. This is the worst of them, as a library: tests give it a link of a running
//! session and have it do what the link does not allow (`docs/operations/threat-model.md`, "A malicious member").
//!
//! What it is not: a stranger without a link; those are the relay's kit and its bad-input corpus.

mod room;

use std::time::SystemTime;

use beach_lifeguard_client::{
    Access, ClientHello, FallbackToken, Role,
    api::{TOKEN_PATH, TokenRequest, TokenResponse},
    hello::{Compression, PROTOCOL_VERSION},
    membership::{Credentials, Identity, MembershipProof, Purpose},
};
use rand::Rng;
use transport_core::{
    secure::JoinFragment,
    signaling::{Message, Sealer},
};
use uuid::Uuid;

pub use self::room::{Refused, Room};
use crate::{
    case::{Failure, Result},
    ensure,
    relay::{RelayTarget, post},
};

/// Whoever holds the link.
#[derive(Debug)]
pub struct Attacker {
    target: RelayTarget,
    fragment: JoinFragment,
    identity: Identity,
}

impl Attacker {
    /// Comes by a join link, `http://…/s#fragment`, whose control plane is a relay too.
    ///
    /// # Errors
    ///
    /// When it is no link.
    pub fn with_link(link: &str) -> Result<Self> {
        let (address, fragment) = link.split_once('#').ok_or_else(|| Failure("no fragment".to_owned()))?;
        let base = address.trim_end_matches("/s");
        let relay = base.replacen("http", "ws", 1);
        let (target, fragment) = (RelayTarget::new(relay, base), JoinFragment::parse(fragment)?);
        Ok(Self { target, fragment, identity: Identity::random()? })
    }

    /// Invents another member with the same link.
    ///
    /// # Errors
    ///
    /// When the system has no random numbers.
    pub fn somebody_else(&self) -> Result<Self> {
        let (target, fragment) = (self.target.clone(), self.fragment.clone());
        Ok(Self { target, fragment, identity: Identity::random()? })
    }

    /// Returns the relay and control plane that are attacked.
    pub fn target(&self) -> &RelayTarget {
        &self.target
    }

    /// Returns the session.
    pub fn session(&self) -> Uuid {
        Uuid::from_bytes(self.fragment.host.session_id())
    }

    /// Returns the host's name.
    pub fn host(&self) -> Uuid {
        Uuid::from_bytes(self.fragment.host.peer_id())
    }

    /// Returns what the link holds.
    pub fn fragment(&self) -> &JoinFragment {
        &self.fragment
    }

    /// Returns honest credentials for `access`, which the link may not grant.
    pub fn credentials(&self, access: Access) -> Credentials {
        let Self { fragment, identity, .. } = self;
        Credentials::viewer(fragment.host, identity.clone(), fragment.secret.clone(), access)
    }

    /// Makes a proof that holds, for all that the link grants.
    pub fn prove(&self, purpose: Purpose) -> MembershipProof {
        let credentials = self.credentials(self.fragment.access);
        credentials.prove(purpose, SystemTime::now(), rand::rng().random())
    }

    /// Makes a proof that claims to come from the host, signed with this member's own key.
    pub fn prove_as_host(&self, purpose: Purpose) -> MembershipProof {
        let mut proof = MembershipProof {
            role: Role::Host,
            access: Access::Full,
            link: None,
            mac: None,
            ..self.prove(purpose)
        };
        proof.signature = self.identity.sign(&proof.message(purpose, self.session()));
        proof
    }

    /// Asks for a token with any proof. Returns status and body.
    ///
    /// # Errors
    ///
    /// Only when there was no answer.
    pub async fn ask_for_token(&self, proof: MembershipProof) -> Result<(u16, String)> {
        post(&self.target, TOKEN_PATH, &TokenRequest::new(self.session(), proof)).await
    }

    /// Gets the token that the link allows.
    ///
    /// # Errors
    ///
    /// What the control plane answered.
    pub async fn token(&self) -> Result<FallbackToken> {
        let (status, text) = self.ask_for_token(self.prove(Purpose::Token)).await?;
        ensure!(status == 200, "asking for a token was answered with {status}: {text}");
        Ok(serde_json::from_str::<TokenResponse>(&text)?.token)
    }

    /// Writes the hello that the link allows.
    ///
    /// # Errors
    ///
    /// What kept the token from being minted.
    pub async fn hello(&self) -> Result<ClientHello> {
        Ok(ClientHello {
            protocol_version: PROTOCOL_VERSION,
            session_id: self.session(),
            peer_id: Uuid::from_bytes(self.identity.public().peer_id()),
            role: Role::Viewer,
            access: self.fragment.access,
            token: self.token().await?,
            client_nonce: rand::rng().random(),
            client_version: "attacker".to_owned(),
            compression: Compression::None,
            telemetry: false,
        })
    }

    /// Enters the signaling room with any proof.
    ///
    /// # Errors
    ///
    /// How the room refused, or what failed before.
    pub async fn enter(&self, proof: MembershipProof) -> Result<std::result::Result<Room, Refused>> {
        room::enter(&self.target, self.session(), proof).await
    }

    /// Enters the signaling room as the link allows.
    ///
    /// # Errors
    ///
    /// How the room refused, or what failed before.
    pub async fn enter_honestly(&self) -> Result<Room> {
        let entered = self.enter(self.prove(Purpose::Signaling)).await?;
        entered.map_err(|refused| Failure(format!("refused: {refused:?}")))
    }

    /// Seals words for the host as this member may.
    ///
    /// # Errors
    ///
    /// When they are too large.
    pub fn seal(&self, message: &Message) -> Result<bytes::Bytes> {
        let Self { fragment, identity, .. } = self;
        let mut sealer = Sealer::joiner(identity.clone(), fragment.host, fragment.secret.clone());
        let host = transport_core::PeerId::from_bytes(fragment.host.peer_id());
        Ok(sealer.seal(transport_core::time::SystemTime::now(), host, &serde_json::to_vec(message)?)?)
    }
}
