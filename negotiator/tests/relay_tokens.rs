//! From the control plane's token to a link, with and without TLS, and every way it says no.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::{sync::Arc, time::Duration};

use beach_control_client::{ControlPlane, Registered};
use beach_lifeguard_client::{Access, Reason, Role, membership::Verifier};
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
use transport_ws_fallback::{Membership, TokenRefused, WsConfig, WsFallbackConnector};

/// A session that the control plane knows, and the key its members prove themselves with.
struct Session {
    dev: Dev,
    id: SessionId,
    verifier: Verifier,
}

impl Session {
    async fn start(config: DevConfig) -> Self {
        let dev = Dev::start(config).await.unwrap();
        let session = Self { dev, id: SessionId::random(), verifier: Verifier::from_bytes([5; 32]) };
        let control = ControlPlane::new(session.dev.public_url().parse().unwrap(), session.outbound());
        assert_eq!(control.register(session.id, &session.verifier).await.unwrap(), Registered::Created);
        session
    }

    fn config(&self, role: Role) -> WsConfig {
        let membership = Membership { verifier: self.verifier.clone(), role, access: Access::Full };
        let mut config = WsConfig::new(self.dev.public_url().parse().unwrap(), membership);
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

    fn connector(&self, role: Role) -> WsFallbackConnector {
        connector(self.config(role))
    }

    async fn refused(&self, config: WsConfig, id: SessionId) -> ConnectError {
        let connector = connector(config);
        let target = Target::new(id, PeerId::random(), PeerId::random(), DialRole::Offerer, Generation(1));
        let error = timeout(Duration::from_secs(20), connector.connect(&target)).await.unwrap().unwrap_err();
        assert_eq!((connector.sockets(), self.dev.total_relay_connections()), (0, 0));
        error
    }
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
        let (host, viewer) = (session.connector(Role::Host), session.connector(Role::Viewer));
        let ids = (PeerId::random(), PeerId::random());
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
    let error = session.refused(session.config(Role::Viewer), session.id).await;
    assert_eq!(reason(&error), Reason::FallbackPaused);
    assert_eq!(
        error.chain(),
        "ws-fallback failed at token: refused: \
         the operator has paused the fallback relay; staying on WebRTC retries"
    );
    let connector = session.connector(Role::Viewer);
    let error = connector.prefetch(session.id, PeerId::random()).await.unwrap_err();
    assert_eq!(reason(&error), Reason::FallbackPaused);
    session.dev.kill_switch().set(None, None, "test", "over").await.unwrap();
    connector.prefetch(session.id, PeerId::random()).await.unwrap();
}

#[tokio::test]
async fn strangers_and_unknown_sessions_are_told_so() {
    let session = Session::start(DevConfig::default()).await;
    let mut stranger = session.config(Role::Viewer);
    stranger.membership.verifier = Verifier::from_bytes([6; 32]);
    assert_eq!(reason(&session.refused(stranger, session.id).await), Reason::MembershipInvalid);
    let nowhere = session.refused(session.config(Role::Viewer), SessionId::random()).await;
    // The host may be about to register it again: a control plane that restarted has forgotten it.
    assert_eq!(reason_of(&nowhere, Kind::Unreachable), Reason::UnknownSession);
}

#[tokio::test]
async fn a_fallback_that_is_not_rolled_out_says_so() {
    let mut config = DevConfig::default();
    config.control.fallback_ws_enabled = false;
    let session = Session::start(config).await;
    let error = session.refused(session.config(Role::Viewer), session.id).await;
    assert_eq!(reason(&error), Reason::FallbackDisabled);
}

#[tokio::test]
async fn an_unknown_certificate_is_not_trusted() {
    let mut config = DevConfig::default();
    config.tls = true;
    let session = Session::start(config).await;
    let mut trusting_nobody = session.config(Role::Viewer);
    trusting_nobody.outbound = Outbound::default();
    let error = session.refused(trusting_nobody, session.id).await;
    assert_eq!((error.stage, error.kind), ("token", Kind::Unreachable));
    assert!(error.chain().contains("certificate"), "{}", error.chain());
}

#[tokio::test]
async fn a_control_plane_that_is_gone_silent_or_something_else_is_told_apart() {
    let session = Session::start(DevConfig::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = listener.local_addr().unwrap();
    let mut config = session.config(Role::Viewer);
    config.deadlines.token = Duration::from_millis(300);
    config.control_plane = format!("http://{silent}").parse().unwrap();
    let error = session.refused(config.clone(), session.id).await;
    assert_eq!((error.stage, error.kind), ("token", Kind::TimedOut));
    drop(listener);
    let error = session.refused(config.clone(), session.id).await;
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
    let error = session.refused(config, session.id).await;
    assert_eq!((error.stage, error.kind), ("token", Kind::Incompatible));
    hotel.await.unwrap();
}
