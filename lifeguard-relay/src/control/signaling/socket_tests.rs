//! A member's socket in virtual time, over a pipe in memory.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use beach_lifeguard_client::{
    Access,
    membership::{Credentials, Identity, LinkSecret},
    session::{DocumentLink, SessionDocument},
};
use tokio::io::DuplexStream;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    control::{ControlConfig, TokenKeys},
    kill_switch::KillSwitch,
    store::{Store, flaky::Flaky},
    telemetry::metrics::Metrics,
};

struct Room {
    control: ControlPlane,
    store: Arc<Flaky>,
    document: Arc<SessionDocument>,
}

impl Room {
    async fn new() -> Self {
        let store = Arc::new(Flaky::default());
        let mut document = SessionDocument::new(Self::host().public(), 1);
        document.links.push(DocumentLink::new(&Self::link(), Access::Full));
        let document = Arc::new(document);
        store.publish(&document, Duration::from_secs(3_600)).await.unwrap();
        let control = ControlPlane::new(
            ControlConfig::development(),
            store.clone(),
            TokenKeys::generate("test").unwrap(),
            Arc::new(Metrics::new()),
            KillSwitch::local(),
            CancellationToken::new(),
        );
        Self { control, store, document }
    }

    fn host() -> Identity {
        Identity::from_seed(&[1; 32])
    }

    fn link() -> LinkSecret {
        LinkSecret::from_bytes([7; 16])
    }

    /// What the store knows.
    async fn known(&self) -> Option<Arc<SessionDocument>> {
        self.store.session(self.document.session_id).await.unwrap()
    }

    /// A client's end of a socket that is being served.
    async fn knock(&self) -> WebSocketStream<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(256 * 1024);
        tokio::spawn(serve(self.control.clone(), self.document.session_id, None, theirs, Bytes::new()));
        WebSocketStream::from_raw_socket(ours, Role::Client, None).await
    }

    async fn enter(&self, role: MemberRole) -> WebSocketStream<DuplexStream> {
        let mut socket = self.knock().await;
        let viewer = Identity::random().unwrap();
        let member = match role {
            MemberRole::Host => Credentials::host(Self::host()),
            MemberRole::Viewer => {
                Credentials::viewer(Self::host().public(), viewer, Self::link(), Access::Full)
            }
        };
        let nonce = *Uuid::new_v4().as_bytes();
        let proof = member.prove(Purpose::Signaling, SystemTime::now(), nonce);
        let hello = serde_json::to_string(&ToRoom::Hello { proof }).unwrap();
        socket.send(Message::text(hello)).await.unwrap();
        assert!(matches!(socket.next().await, Some(Ok(Message::Text(text))) if text.contains("welcome")));
        socket
    }
}

/// Reads until the room closes; says when and why.
async fn closed(socket: &mut WebSocketStream<DuplexStream>) -> (Duration, u16, String) {
    let start = Instant::now();
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(Some(close)))) => {
                return (start.elapsed(), close.code.into(), close.reason.to_string());
            }
            Some(Ok(_)) => {}
            end => panic!("{end:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hello_has_five_seconds() {
    let room = Room::new().await;
    let mut socket = room.knock().await;
    let (after, code, reason) = closed(&mut socket).await;
    assert_eq!((after.as_secs(), code, reason.as_str()), (5, 1008, "timeout"));
    assert_eq!(room.control.0.metrics.read("beach_signaling_refused", &["timeout"]), 1);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_answers_pings_stays() {
    let room = Room::new().await;
    let mut socket = room.enter(MemberRole::Host).await;
    // Reading answers them.
    let ended = timeout(Duration::from_secs(3_600), closed(&mut socket)).await;
    assert!(ended.is_err(), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn silence_for_three_pings_ends_it() {
    let room = Room::new().await;
    let mut socket = room.enter(MemberRole::Viewer).await;
    // Nobody reads, so nobody answers.
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(room.control.0.metrics.read("beach_signaling_peers", &[]), 0);
    // Past the client's library, which would answer now.
    let mut bytes = Vec::new();
    socket.get_mut().read_to_end(&mut bytes).await.unwrap();
    let pings = [[0x89, 0]; 3].concat();
    assert_eq!(bytes, [&pings[..], &[0x88, 8], &4002_u16.to_be_bytes(), b"silent"].concat());
}

#[tokio::test(start_paused = true)]
async fn a_host_keeps_its_session_through_a_store_that_forgets() {
    let room = Room::new().await;
    let mut host = room.enter(MemberRole::Host).await;
    tokio::spawn(async move { closed(&mut host).await });
    room.store.forget();
    assert_eq!(room.known().await, None);
    tokio::time::sleep(RENEW + Duration::from_secs(1)).await;
    assert_eq!(room.known().await, Some(room.document.clone()));
    room.enter(MemberRole::Viewer).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_to_a_host_whose_session_was_forgotten_waits_for_nothing() {
    let room = Room::new().await;
    let mut host = room.enter(MemberRole::Host).await;
    tokio::spawn(async move { closed(&mut host).await });
    room.store.forget();
    room.enter(MemberRole::Viewer).await;
    assert_eq!(room.known().await, Some(room.document.clone()), "the other nodes know it again too");
}
