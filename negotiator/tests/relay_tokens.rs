//! From the control plane's token to a link, with and without TLS, and every way it says no.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::{sync::Arc, time::Duration};

use beach_control_client::{ControlPlane, Credentials, Published};
use beach_lifeguard_client::{
    Access, Reason, SessionDocument,
    identity::{Identity, LinkSecret},
    session::DocumentLink,
};
use beach_outbound::{Outbound, OutboundConfig};
use bytes::Bytes;
use lifeguard_relay::{Dev, DevConfig, kill_switch::Verb};
use negotiator::RelayTokens;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};
use transport_core::{
    CloseCode, ConnectError, ConnectErrorKind as Kind, Connector, DialRole, Generation, Lane, PeerId,
    SessionId, Target, Transport, TransportExt,
};
use transport_ws_fallback::{TokenRefused, WsConfig, WsFallbackConnector};

/// A session that the control plane knows, its host and its one link.
struct Session {
    dev: Dev,
    id: SessionId,
    host: Identity,
    link: LinkSecret,
}

impl Session {
    async fn start(config: DevConfig) -> Self {
        let dev = Dev::start(config).await.unwrap();
        let (host, link) = (Identity::random().unwrap(), LinkSecret::random().unwrap());
        let session = Self { dev, id: SessionId::of_host(&host.public()), host, link };
        let control = ControlPlane::new(session.dev.public_url().parse().unwrap(), session.outbound());
        let mut document = SessionDocument::new(session.host.public(), 1);
        document.links.push(DocumentLink::new(&session.link, Access::Full));
        let published = control.publish(&document.sign(&session.host)).await.unwrap();
        assert_eq!(published, Published::Created);
        session
    }

    fn viewer(&self) -> Credentials {
        self.with_link(self.link.clone())
    }

    fn with_link(&self, link: LinkSecret) -> Credentials {
        Credentials::viewer(self.host.public(), Identity::random().unwrap(), link, Access::Full)
    }

    fn config(&self, credentials: Credentials) -> WsConfig {
        let mut config = WsConfig::new(self.dev.public_url().parse().unwrap(), credentials);
        config.outbound = self.outbound();
        config
    }

    fn outbound(&self) -> Outbound {
        let mut config = OutboundConfig::default();
        if let Some(pem) = self.dev.certificate_pem() {
            config.trust.add_roots("the relay", pem.as_bytes()).unwrap();
        }
        Outbound::new(config).unwrap()
    }

    async fn refused(&self, config: WsConfig) -> ConnectError {
        let (id, local) = names(&config.credentials);
        let connector = connector(config);
        let target = Target::new(id, local, PeerId::random(), DialRole::Offerer, Generation(1));
        let error = timeout(Duration::from_secs(20), connector.connect(&target)).await.unwrap().unwrap_err();
        assert_eq!((connector.sockets(), self.dev.total_relay_connections()), (0, 0));
        error
    }
}

fn names(credentials: &Credentials) -> (SessionId, PeerId) {
    let local = PeerId::of(&credentials.identity().public());
    (SessionId::from_bytes(credentials.session_id().into_bytes()), local)
}

fn connector(config: WsConfig) -> WsFallbackConnector {
    WsFallbackConnector::new(config.clone(), Arc::new(RelayTokens::new(config))).unwrap()
}

fn reason(error: &ConnectError) -> Reason {
    reason_of(error, Kind::Rejected)
}

fn reason_of(error: &ConnectError, kind: Kind) -> Reason {
    assert_eq!((error.stage, error.kind), ("token", kind), "{}", error.chain());
    error.source.as_ref().unwrap().downcast_ref::<TokenRefused>().unwrap().reason
}

#[tokio::test]
async fn a_member_gets_a_token_and_a_link_also_through_a_certificate_of_its_own() {
    for tls in [false, true] {
        let mut config = DevConfig::default();
        config.tls = tls;
        let session = Session::start(config).await;
        let (hosting, viewing) = (Credentials::host(session.host.clone()), session.viewer());
        let ids = (names(&hosting).1, names(&viewing).1);
        let [host, viewer] = [hosting, viewing].map(|credentials| connector(session.config(credentials)));
        viewer.prefetch(session.id, ids.1).await.unwrap();
        assert_eq!(session.dev.total_relay_connections(), 0);
        let target = |local, peer| Target::new(session.id, local, peer, DialRole::Offerer, Generation(1));
        let (near, far) = (target(ids.0, ids.1), target(ids.1, ids.0));
        let (near, far) = timeout(Duration::from_secs(20), async {
            tokio::join!(host.connect(&near), viewer.connect(&far))
        })
        .await
        .unwrap();
        let (near, far) = (near.unwrap(), far.unwrap());
        near.send(Lane::Reliable, Bytes::from_static(b"through")).await.unwrap();
        assert_eq!(far.recv().await.unwrap().payload, "through");
        assert_eq!(session.dev.live_relay_sockets(), 2);
        near.close(CloseCode::NORMAL, "");
        assert_eq!(far.closed().await.code, CloseCode::NORMAL);
        timeout(Duration::from_secs(5), async { tokio::join!(host.dormant(), viewer.dormant()) })
            .await
            .unwrap();
        session.dev.shutdown().await;
    }
}

#[tokio::test]
async fn a_pause_is_a_refusal_in_human_words_and_opens_no_socket() {
    let session = Session::start(DevConfig::default()).await;
    session.dev.kill_switch().set(None, Some(Verb::PauseMinting), "test", "drill").await.unwrap();
    let error = session.refused(session.config(session.viewer())).await;
    assert_eq!(reason(&error), Reason::FallbackPaused);
    assert_eq!(
        error.chain(),
        "ws-fallback failed at token: refused: \
         the operator has paused the fallback relay; staying on WebRTC retries"
    );
    let credentials = session.viewer();
    let local = names(&credentials).1;
    let connector = connector(session.config(credentials));
    let error = connector.prefetch(session.id, local).await.unwrap_err();
    assert_eq!(reason(&error), Reason::FallbackPaused);
    session.dev.kill_switch().set(None, None, "test", "over").await.unwrap();
    connector.prefetch(session.id, local).await.unwrap();
}

#[tokio::test]
async fn strangers_and_unknown_sessions_are_told_so() {
    let session = Session::start(DevConfig::default()).await;
    let stranger = session.with_link(LinkSecret::from_bytes([6; 16]));
    assert_eq!(reason(&session.refused(session.config(stranger)).await), Reason::LinkUnknown);
    let elsewhere = Credentials::host(Identity::random().unwrap());
    let nowhere = session.refused(session.config(elsewhere)).await;
    // The host may be about to register it again: a control plane that restarted has forgotten it.
    assert_eq!(reason_of(&nowhere, Kind::Unreachable), Reason::UnknownSession);
}

#[tokio::test]
async fn a_fallback_that_is_not_rolled_out_says_so() {
    let mut config = DevConfig::default();
    config.control.fallback_ws_enabled = false;
    let session = Session::start(config).await;
    let error = session.refused(session.config(session.viewer())).await;
    assert_eq!(reason(&error), Reason::FallbackDisabled);
}

#[tokio::test]
async fn an_unknown_certificate_is_not_trusted() {
    let mut config = DevConfig::default();
    config.tls = true;
    let session = Session::start(config).await;
    let mut trusting_nobody = session.config(session.viewer());
    trusting_nobody.outbound = Outbound::default();
    let error = session.refused(trusting_nobody).await;
    assert_eq!((error.stage, error.kind), ("token", Kind::Unreachable));
    assert!(error.chain().contains("certificate"), "{}", error.chain());
}

#[tokio::test]
async fn a_control_plane_that_is_gone_silent_or_something_else_is_told_apart() {
    let session = Session::start(DevConfig::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = listener.local_addr().unwrap();
    let mut config = session.config(session.viewer());
    config.deadlines.token = Duration::from_millis(300);
    config.control_plane = format!("http://{silent}").parse().unwrap();
    let error = session.refused(config.clone()).await;
    assert_eq!((error.stage, error.kind), ("token", Kind::TimedOut));
    drop(listener);
    let error = session.refused(config.clone()).await;
    assert_eq!((error.stage, error.kind), ("token", Kind::Unreachable));
    // A hotel's page instead of a control plane.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    config.control_plane = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let hotel = tokio::spawn(async move {
        let (mut guest, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = guest.read(&mut request).await.unwrap();
        let page = "HTTP/1.1 200 OK\r\ncontent-length: 13\r\nconnection: close\r\n\r\n<html>welcome";
        guest.write_all(page.as_bytes()).await.unwrap();
    });
    let error = session.refused(config).await;
    assert_eq!((error.stage, error.kind), ("token", Kind::Incompatible));
    hotel.await.unwrap();
}
