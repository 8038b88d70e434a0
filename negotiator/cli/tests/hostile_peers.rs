//! Words of a hostile viewer on the host's terminal, and of a hostile host on a viewer's: names, reasons, goodbyes, refusals,
//! sealed as they should be and written as they must not be.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "program/glass.rs"]
mod glass;
#[allow(unused_imports, reason = "shared")]
mod program;

use std::{
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use beach_link::wire::{Message, Refusal, Service, VERSION};
use bytes::Bytes;
use glass::{CORPUS, Glass, steering};
use lifeguard_relay::{Dev, DevConfig};
use negotiator::{
    ControlPlaneRendezvous, FallbackMode, Host, HostConfig, JoinLink, Membership, Negotiator, NetworkConfig,
    Received, Rendezvous, SignalingError, Way,
};
use parking_lot::Mutex;
use program::{read_when_there, until};
use serde_json::json;
use tokio::time::timeout;
use transport_core::{
    PeerId,
    secure::{JoinFragment, LinkId, LinkSecret, LinkSecrets},
    signaling::{Sealer, Signaling, SignalingEvent},
};

/// A member that says what it likes under a seal that holds.
#[derive(Debug)]
struct Liar {
    standard: ControlPlaneRendezvous,
    said: Arc<Said>,
}

/// What it says instead of what the library would.
#[derive(Debug)]
struct Said {
    evil: &'static str,
    /// The link a host is joined by, once it is made.
    link: OnceLock<LinkSecret>,
    room: OnceLock<Arc<LiarsRoom>>,
}

impl Liar {
    fn new(address: &str, evil: &'static str) -> (Arc<Self>, Arc<Said>) {
        let said = Arc::new(Said { evil, link: OnceLock::new(), room: OnceLock::new() });
        let standard = ControlPlaneRendezvous::new(address.parse().unwrap(), relayed()).unwrap();
        (Arc::new(Self { standard, said: said.clone() }), said)
    }
}

/// Quick to connect, and the same path everywhere.
fn relayed() -> NetworkConfig {
    let mut network = NetworkConfig::default();
    network.mode = FallbackMode::RelayOnly;
    network
}

#[async_trait]
impl Rendezvous for Liar {
    fn wrapped(&self) -> Option<&dyn Rendezvous> {
        Some(&self.standard)
    }

    async fn enter(&self, membership: &Membership) -> Result<Arc<dyn Signaling>, SignalingError> {
        let room = self.standard.enter(membership).await?;
        let identity = membership.identity.clone();
        let sealer = match &membership.link {
            Some(link) => Sealer::joiner(identity, membership.host, link.clone()),
            None => Sealer::host(identity, self.said.clone()),
        };
        let is_host = membership.link.is_none();
        let liar = LiarsRoom {
            room,
            sealer: Mutex::new(sealer),
            said: self.said.clone(),
            is_host,
            spoke: AtomicBool::new(false),
        };
        let liar = self.said.room.get_or_init(|| Arc::new(liar));
        Ok(liar.clone())
    }

    fn ways(&self, membership: &Membership) -> Result<Vec<Way>, String> {
        self.standard.ways(membership)
    }
}

impl LinkSecrets for Said {
    fn secret(&self, link: LinkId) -> Option<LinkSecret> {
        self.link.get().filter(|secret| secret.id() == link).cloned()
    }
}

struct LiarsRoom {
    room: Arc<dyn Signaling>,
    sealer: Mutex<Sealer>,
    said: Arc<Said>,
    is_host: bool,
    spoke: AtomicBool,
}

impl std::fmt::Debug for LiarsRoom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LiarsRoom")
    }
}

impl LiarsRoom {
    /// Seals words that no library would write.
    async fn say(&self, to: PeerId, words: serde_json::Value) -> Result<(), SignalingError> {
        let sealed = self.sealer.lock().seal(SystemTime::now(), to, words.to_string().as_bytes());
        self.room.send(to, sealed.unwrap()).await
    }
}

#[async_trait]
impl Signaling for LiarsRoom {
    /// A viewer's first word is a knock; a host's every word is a goodbye.
    async fn send(&self, to: PeerId, envelope: Bytes) -> Result<(), SignalingError> {
        let evil = self.said.evil;
        if self.is_host {
            return self.say(to, json!({ "type": "bye", "reason": evil, "detail": evil })).await;
        }
        if self.spoke.swap(true, Relaxed) {
            return self.room.send(to, envelope).await;
        }
        self.say(
            to,
            json!({ "type": "knock", "version": 1, "transports": ["ws-fallback", evil], "name": evil }),
        )
        .await
    }

    async fn recv(&self) -> Result<SignalingEvent, SignalingError> {
        let event = self.room.recv().await;
        if let Ok(SignalingEvent::Envelope { from, envelope }) = &event {
            // To know whom to answer under which link.
            let _ = self.sealer.lock().open(SystemTime::now(), *from, envelope);
        }
        event
    }
}

async fn dev() -> Dev {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Dev::start(DevConfig::default()).await.unwrap()
}

/// Nothing here takes longer on a machine that is not busy than two seconds.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn no_name_and_no_goodbye_of_a_viewer_steers_the_hosts_terminal() {
    let dev = dev().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("link");
    let (url, path) = (dev.public_url(), file.to_str().unwrap());
    let share = ["share", "--loopback", "--control-plane", &url, "--link-file", path, "--", "cat"];
    let glass = Glass::start(&share, &[]);
    let link: JoinLink = read_when_there(Path::new(path)).parse().unwrap();
    let viewers = CORPUS.iter().map(|evil| visit(&url, link.clone(), evil));
    timeout(LONG, futures::future::join_all(viewers)).await.unwrap();
    let gone = || (glass.text().matches("is gone").count() >= CORPUS.len()).then_some(());
    until("not every goodbye was told", gone);
    let written = glass.finish();
    assert_eq!(steering(&written), Vec::<String>::new(), "{}", String::from_utf8_lossy(&written));
}

/// Joins under an evil name, and leaves with evil words.
async fn visit(url: &str, link: JoinLink, evil: &'static str) {
    let host = PeerId::of(&JoinFragment::parse(link.reveal().split_once('#').unwrap().1).unwrap().host);
    let (liar, said) = Liar::new(url, evil);
    let session = Negotiator::meeting_at(link, relayed(), liar).connect().await.unwrap();
    let hello = Message::Hello { version: VERSION, service: Service::Terminal };
    session.send(hello.encode()).await.unwrap();
    assert!(matches!(session.recv().await.unwrap(), Received::Message(_)), "a welcome");
    let room = said.room.get().unwrap();
    for words in [
        json!({ "type": "mode", "mode": evil }),
        json!({ "type": evil, "reason": evil }),
        json!({ "type": "lost", "generation": 1_000, "reason": evil }),
        json!({ "type": "decline", "generation": 1_000, "reason": evil }),
        json!({ "type": "bye", "reason": evil }),
    ] {
        room.say(host, words).await.unwrap();
    }
    session.abort(evil);
    session.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_goodbye_and_no_refusal_of_a_host_steers_a_viewers_terminal() {
    let dev = dev().await;
    let url = dev.public_url();
    let hosts = CORPUS.iter().flat_map(|evil| [evicts(&url, evil, true), evicts(&url, evil, false)]);
    timeout(LONG, futures::future::join_all(hosts)).await.unwrap();
}

/// A host that turns a viewer away: by a goodbye in the room, or by its own program's refusal on a path.
async fn evicts(url: &str, evil: &'static str, in_the_room: bool) {
    let mut config = HostConfig::new(url);
    config.network = relayed();
    let (liar, said) = Liar::new(url, evil);
    let host = if in_the_room {
        Host::meeting_at(config, liar).await.unwrap()
    } else {
        Host::share(config).await.unwrap()
    };
    let link = host.link().reveal();
    let fragment = JoinFragment::parse(link.split_once('#').unwrap().1).unwrap();
    let _ = said.link.set(fragment.secret);
    let mut glass = Glass::start(&["join", "--loopback"], &[("BEACH_LINK", &link)]);
    if !in_the_room {
        let session = host.accept().await.unwrap();
        let _hello = session.recv().await.unwrap();
        let refused = Message::Refused { why: Refusal::Full, text: evil.to_owned() };
        session.send(refused.encode()).await.unwrap();
        session.close().await;
    }
    let written = tokio::task::spawn_blocking(move || {
        until("the viewer stays", || glass.has_ended().then_some(()));
        glass.finish()
    });
    let written = written.await.unwrap();
    let text = String::from_utf8_lossy(&written);
    let told = if in_the_room { "a reason this program does not know" } else { "mallory" };
    assert!(text.contains(told), "{evil:?}: {text}");
    assert_eq!(steering(&written), Vec::<String>::new(), "{evil:?}: {text}");
}
