//! Whose certificates are accepted, over real handshakes.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::{sync::Arc, time::Duration};

use beach_outbound::{Cause, Fingerprint, Outbound, OutboundError, Stage, rustls};
use rustls::{
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use support::{Authority, Server, assert_echoes, outbound, self_made, server};

async fn refused(outbound: &Outbound, to: &Server) -> OutboundError {
    outbound.tls("localhost", to.address.port()).await.unwrap_err()
}

fn trusting(authority: &Authority) -> Outbound {
    outbound(|config| config.trust.add_roots("the company", authority.pem().as_bytes()).unwrap())
}

fn pinning(fingerprint: Fingerprint) -> Outbound {
    outbound(|config| config.trust.pin(fingerprint))
}

#[tokio::test]
async fn a_root_that_was_added_is_trusted_and_no_other_is() {
    let (ours, other) = (Authority::new("Corp CA"), Authority::new("Other CA"));
    let server = Server::tls_echo(ours.server("localhost")).await;
    assert_echoes(trusting(&ours).tls("localhost", server.address.port()).await.unwrap()).await;
    for outbound in [trusting(&other), outbound(|_| {})] {
        assert_eq!(
            refused(&outbound, &server).await.to_string(),
            "localhost: tls: the certificate's issuer, \"Corp CA\", is not trusted; trust it as a root if it is yours"
        );
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let ours = Authority::new("Corp CA");
    let server = Server::tls_echo(ours.server("other.example")).await;
    assert_eq!(
        refused(&trusting(&ours), &server).await.to_string(),
        "localhost: tls: invalid peer certificate: certificate not valid for name \"localhost\"; \
         certificate is only valid for DnsName(\"other.example\")"
    );
}

#[tokio::test]
async fn a_pinned_certificate_is_accepted_whoever_made_it_and_whatever_its_name() {
    let (certificate, key) = self_made("other.example");
    let server = Server::tls_echo(server(vec![certificate.clone()], &key)).await;
    let pinned = pinning(Fingerprint::of(&certificate));
    assert_echoes(pinned.tls("127.0.0.1", server.address.port()).await.unwrap()).await;
}

#[tokio::test]
async fn a_pin_accepts_no_other_certificate_not_even_a_trusted_one() {
    let ours = Authority::new("Corp CA");
    let server = Server::tls_echo(ours.server("localhost")).await;
    let outbound = outbound(|config| {
        config.trust.add_roots("the company", ours.pem().as_bytes()).unwrap();
        config.trust.pin(Fingerprint::from_bytes([7; 32]));
    });
    let error = refused(&outbound, &server).await;
    let Cause::NotPinned { shown } = error.cause else { panic!("{error}") };
    assert_eq!(
        error.to_string(),
        format!("localhost: tls: the certificate is not the pinned one; its fingerprint is {shown}")
    );
    assert_echoes(pinning(shown).tls("localhost", server.address.port()).await.unwrap()).await;
}

#[tokio::test]
async fn a_pin_for_one_host_says_nothing_about_another() {
    let ours = Authority::new("Corp CA");
    let (certificate, key) = self_made("any.example");
    let made = Server::tls_echo(server(vec![certificate.clone()], &key)).await;
    let signed = Server::tls_echo(ours.server("localhost")).await;
    let start = Fingerprint::of(&certificate).as_bytes()[..16].try_into().unwrap();
    let outbound = outbound(|config| {
        config.trust.add_roots("the company", ours.pem().as_bytes()).unwrap();
        config.trust.pin_host("127.0.0.1", start);
        config.trust.pin_host("[::1]", start);
    });
    assert_echoes(outbound.tls("127.0.0.1", made.address.port()).await.unwrap()).await;
    assert_echoes(outbound.tls("localhost", signed.address.port()).await.unwrap()).await;
    let error = outbound.tls("127.0.0.1", signed.address.port()).await.unwrap_err();
    assert!(error.is_not_pinned(), "{error}");
    let error = outbound.tls("localhost", made.address.port()).await.unwrap_err();
    assert!(!error.is_not_pinned() && error.stage == Stage::Tls, "{error}");
}

#[tokio::test]
async fn a_pin_for_a_host_is_wrong_by_one_bit_and_holds_for_every_spelling() {
    let (certificate, key) = self_made("any.example");
    let server = Server::tls_echo(server(vec![certificate.clone()], &key)).await;
    let mut start: [u8; 16] = Fingerprint::of(&certificate).as_bytes()[..16].try_into().unwrap();
    let pinned = outbound(|config| config.trust.pin_host("LocalHost.", start));
    assert_echoes(pinned.tls("localhost", server.address.port()).await.unwrap()).await;
    start[15] ^= 1;
    let error = refused(&outbound(|config| config.trust.pin_host("localhost", start)), &server).await;
    assert!(error.is_not_pinned(), "{error}");
}

/// Shows a certificate without holding its key.
#[derive(Debug)]
struct Impostor(Arc<CertifiedKey>);

impl ResolvesServerCert for Impostor {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

#[tokio::test]
async fn a_pinned_certificate_without_its_key_is_refused_in_both_versions() {
    let (certificate, _) = self_made("localhost");
    let (_, foreign) = self_made("localhost");
    let key = rustls::pki_types::PrivateKeyDer::try_from(foreign.serialize_der()).unwrap();
    let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let shown = Arc::new(CertifiedKey::new(vec![certificate.clone()], key));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Impostor(shown.clone())));
        let server = Server::tls_echo(config).await;
        let error = refused(&pinning(Fingerprint::of(&certificate)), &server).await;
        assert_eq!(error.to_string(), "localhost: tls: invalid peer certificate: BadSignature");
    }
}

#[tokio::test]
async fn what_speaks_no_tls_or_nothing_is_told() {
    let plain = Server::http("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let outbound = outbound(|config| config.deadlines.tls = Duration::from_millis(300));
    // An answer comes only after a line, which a handshake may not hold.
    let chatty = Server::start(|mut guest| async move {
        let _ = tokio::io::AsyncWriteExt::write_all(&mut guest, b"220 mail.example ESMTP\r\n").await;
        let _ = support::read_head(&mut guest).await;
    })
    .await;
    let error = refused(&outbound, &chatty).await;
    assert_eq!(error.to_string(), "localhost: tls: what answers does not speak TLS");
    for silent in [Server::silent().await, plain] {
        let error = refused(&outbound, &silent).await;
        assert_eq!((error.stage, error.is_timeout()), (Stage::Tls, true));
        assert_eq!(error.to_string(), "localhost: tls: no answer within 300ms");
    }
}

#[tokio::test]
async fn alpn_is_said_for_urls_and_for_nothing_else() {
    let ours = Authority::new("Corp CA");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(ours.server("localhost")));
    let server = Server::start(move |guest| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut guest) = acceptor.accept(guest).await else { return };
            let said = guest.get_ref().1.alpn_protocol().unwrap_or(b"nothing").to_vec();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut guest, &said).await;
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut guest).await;
        }
    })
    .await;
    let (outbound, port) = (trusting(&ours), server.address.port());
    let url = format!("wss://localhost:{port}/v2/ws").parse().unwrap();
    for (mut stream, wanted) in [
        (outbound.open(&url).await.unwrap(), "http/1.1"),
        (outbound.tls("localhost", port).await.unwrap(), "nothing"),
    ] {
        let mut said = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut said).await.unwrap();
        assert_eq!(said, wanted);
    }
}
