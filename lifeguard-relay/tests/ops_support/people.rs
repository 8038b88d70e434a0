//! What people do to a service: register sessions, ask for tokens, talk over the relay.

use std::{net::SocketAddr, sync::OnceLock, time::SystemTime};

use beach_lifeguard_client::{
    Access, Lane, Role,
    api::{TokenRequest, TokenResponse},
    membership::{Credentials, Identity, LinkSecret, Purpose},
    session::{DocumentLink, SessionDocument},
};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::relay_support::{Client, hello};

/// One session and what its members know.
pub struct Session {
    http: reqwest::Client,
    control: String,
    pub id: Uuid,
    host: Identity,
}

impl Session {
    pub async fn register(control: &str) -> Self {
        let host = Identity::random().unwrap();
        let id = Uuid::from_bytes(host.public().session_id());
        let this = Self { http: http(), control: control.to_owned(), id, host };
        let mut document = SessionDocument::new(this.host.public(), 1);
        document.links.push(DocumentLink::new(&link(7), Access::Full));
        let body = document.sign(&this.host);
        let answer = this.http.post(format!("{control}/v1/sessions")).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        this
    }

    /// Somebody new of this role.
    pub fn member(&self, role: Role) -> Credentials {
        match role {
            Role::Host => Credentials::host(self.host.clone()),
            Role::Viewer => self.viewer(7),
        }
    }

    fn viewer(&self, by: u8) -> Credentials {
        Credentials::viewer(self.host.public(), Identity::random().unwrap(), link(by), Access::Full)
    }

    /// Asks as somebody who does not know the secret.
    pub async fn ask_as_a_stranger(&self) -> Result<TokenResponse, Value> {
        self.ask(&self.viewer(8)).await
    }

    /// Asks for a token as a member does.
    pub async fn ask(&self, member: &Credentials) -> Result<TokenResponse, Value> {
        let proof = member.prove(Purpose::Token, SystemTime::now(), *Uuid::new_v4().as_bytes());
        let mut request = TokenRequest::new(self.id, proof);
        request.telemetry_opt_in = true;
        let answer = self
            .http
            .post(format!("{}/v1/fallback/token", self.control))
            .json(&request)
            .send()
            .await
            .unwrap();
        if answer.status().is_success() {
            Ok(answer.json().await.unwrap())
        } else {
            Err(answer.json().await.unwrap())
        }
    }

    /// Gets a token and joins the relay with it.
    pub async fn join(&self, role: Role) -> Client {
        let member = self.member(role);
        let (peer, minted) = (member.peer_id(), self.ask(&member).await.unwrap());
        let mut client = knock(address(&self.control)).await;
        client.say(Message::text(hello(self.id, peer, role, minted.token).encode())).await;
        client.welcome().await;
        client
    }
}

fn link(byte: u8) -> LinkSecret {
    LinkSecret::from_bytes([byte; 16])
}

/// A socket that has said nothing yet.
pub async fn knock(address: SocketAddr) -> Client {
    let protocol = [("sec-websocket-protocol", beach_lifeguard_client::SUBPROTOCOL)];
    Client::connect(address, beach_lifeguard_client::RELAY_PATH, &protocol).await.unwrap()
}

/// Two people type at each other and leave.
pub async fn talk(control: &str, frames: usize) {
    let session = Session::register(control).await;
    let (mut host, mut viewer) = (session.join(Role::Host).await, session.join(Role::Viewer).await);
    for number in 0..frames {
        viewer.send(host.address(), Lane::Reliable, format!("key {number}").as_bytes()).await;
        let (from, _) = host.data().await;
        host.send(from, Lane::Datagram, &vec![b'.'; 200 + number * 64]).await;
        viewer.data().await;
    }
    viewer.ws.close(None).await.unwrap();
    host.ws.close(None).await.unwrap();
}

/// One client for everybody: making one takes long enough for hundreds of them to miss the relay's deadlines.
/// It keeps no connection, which would belong to another test's runtime.
fn http() -> reqwest::Client {
    static HTTP: OnceLock<reqwest::Client> = OnceLock::new();
    HTTP.get_or_init(|| reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap()).clone()
}

fn address(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().parse().unwrap()
}
