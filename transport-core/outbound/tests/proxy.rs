//! Through proxies: one of the tests' own, and Debian's tinyproxy.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use beach_outbound::{Cause, Deadlines, Fingerprint, Outbound, ProxyMode, Request, Stage};
use support::{
    Authority, ConnectProxy, Server, assert_echoes, in_environment, outbound, self_made, server, through,
    tinyproxy::Tinyproxy,
};

/// Resolves nowhere but, in these tests, at the proxy.
const FAR: &str = "control.invalid";

fn first_line(head: &str) -> &str {
    head.split("\r\n").next().unwrap()
}

#[tokio::test]
async fn tls_and_everything_else_that_is_no_plain_http_goes_through_https_proxy() {
    let ours = Authority::new("Corp CA");
    let target = Server::tls_echo(ours.server(FAR)).await;
    let proxy = ConnectProxy::before(target.address).await;
    let outbound = in_environment(&[("HTTPS_PROXY", &proxy.address())], |config| {
        config.trust.add_roots("us", ours.pem().as_bytes()).unwrap();
    });
    let answers = Arc::<AtomicUsize>::default();
    let count = answers.clone();
    let outbound = outbound.on_answer(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    assert_echoes(outbound.open(&format!("wss://{FAR}/v2/ws").parse().unwrap()).await.unwrap()).await;
    assert_echoes(outbound.tls(FAR, 5349).await.unwrap()).await;
    let stream = outbound.tcp(FAR, 3478).await.unwrap();
    assert!(stream.socket().nodelay().unwrap());
    let asked: Vec<String> = proxy.heads().iter().map(|head| first_line(head).to_owned()).collect();
    let connect = |port| format!("CONNECT {FAR}:{port} HTTP/1.1");
    assert_eq!(asked, [connect(443), connect(5349), connect(3478)]);
    assert_eq!(answers.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn plain_http_goes_through_http_proxy_and_a_request_with_it() {
    let target = Server::http("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
    let proxy = ConnectProxy::before(target.address).await;
    let outbound = in_environment(&[("http_proxy", &proxy.address())], |_| {});
    let answer = outbound.http(Request::get(format!("http://{FAR}/a").parse().unwrap())).await.unwrap();
    assert_eq!(answer.body, "{}");
    outbound.open(&format!("ws://{FAR}:81/").parse().unwrap()).await.unwrap();
    let asked: Vec<String> = proxy.heads().iter().map(|head| first_line(head).to_owned()).collect();
    assert_eq!(asked, [format!("CONNECT {FAR}:80 HTTP/1.1"), format!("CONNECT {FAR}:81 HTTP/1.1")]);
    let error = outbound.tcp(FAR, 1).await.unwrap_err();
    assert_eq!(error.stage, Stage::Resolve, "{error}");
}

#[tokio::test]
async fn loopback_and_exempt_names_are_reached_directly() {
    let (target, dead) = (Server::echo().await, ("ALL_PROXY", "http://127.0.0.1:1"));
    let outbound = in_environment(&[dead], |_| {});
    assert_echoes(outbound.tcp("127.0.0.1", target.address.port()).await.unwrap()).await;
    assert_echoes(outbound.tcp("localhost", target.address.port()).await.unwrap()).await;
    let exempt = in_environment(&[dead, ("NO_PROXY", "invalid")], |_| {});
    assert_eq!(exempt.tcp(FAR, 1).await.unwrap_err().stage, Stage::Resolve);
    let direct = in_environment(&[dead], |config| config.proxy = ProxyMode::Direct);
    assert_eq!(direct.tcp(FAR, 1).await.unwrap_err().stage, Stage::Resolve);
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named_with_its_source() {
    let gone = Server::silent().await.address;
    let error = in_environment(&[("HTTPS_PROXY", &format!("http://ann:s3cret@{gone}"))], |_| {})
        .tcp(FAR, 443)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{FAR}: proxy: the proxy {gone} (from HTTPS_PROXY) does not answer")
    );
    let unresolved = in_environment(&[("all_proxy", "proxy.invalid:3128")], |_| {});
    assert_eq!(
        unresolved.tcp(FAR, 443).await.unwrap_err().to_string(),
        format!("{FAR}: proxy: the proxy proxy.invalid:3128 (from all_proxy) does not answer")
    );
}

#[tokio::test]
async fn a_proxy_that_says_nothing_costs_its_stage_and_no_more() {
    let server = Server::silent().await;
    let silent = server.address;
    let outbound = outbound(|config| {
        config.proxy = through(&silent.to_string());
        config.deadlines.proxy = Duration::from_millis(200);
    });
    let error = outbound.tcp(FAR, 443).await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(
        error.to_string(),
        format!("{FAR}: proxy: the proxy {silent} (from the settings) has not opened the way within 200ms")
    );
}

#[tokio::test]
async fn a_proxy_may_itself_speak_tls_and_a_pin_is_not_for_it() {
    let ours = Authority::new("Corp CA");
    let (certificate, key) = self_made("friend");
    let target = Server::tls_echo(server(vec![certificate.clone()], &key)).await;
    let proxy = ConnectProxy::with_tls(target.address, ours.server("localhost")).await;
    let address = format!("https://localhost:{}", proxy.server.address.port());
    let pinned = outbound(|config| {
        config.proxy = through(&address);
        config.trust.add_roots("us", ours.pem().as_bytes()).unwrap();
        config.trust.pin(Fingerprint::of(&certificate));
    });
    assert_echoes(pinned.tls(FAR, 443).await.unwrap()).await;
    let plain = Server::echo().await;
    let proxy = ConnectProxy::with_tls(plain.address, ours.server("localhost")).await;
    let address = format!("https://localhost:{}", proxy.server.address.port());
    let trusting = outbound(|config| {
        config.proxy = through(&address);
        config.trust.add_roots("us", ours.pem().as_bytes()).unwrap();
    });
    assert_echoes(trusting.tcp(FAR, 443).await.unwrap()).await;
    let distrusting = outbound(|config| config.proxy = through(&address));
    assert_eq!(
        distrusting.tcp(FAR, 443).await.unwrap_err().to_string(),
        format!(
            "{FAR}: proxy: the proxy {} (from the settings) fails at TLS: \
             the certificate's issuer, \"Corp CA\", is not trusted; trust it as a root if it is yours",
            address.trim_start_matches("https://")
        )
    );
}

/// What reaching `target` through `proxy` comes to.
async fn through_tinyproxy(proxy: &Tinyproxy, login: &str, target: &Server) -> Result<(), String> {
    let outbound = outbound(|config| config.proxy = through(&format!("http://{login}{}", proxy.address())));
    let reached = outbound.tcp("localhost", target.address.port()).await;
    match reached {
        Ok(stream) => {
            assert_echoes(stream).await;
            Ok(())
        }
        Err(error) => {
            assert!(!format!("{error} {error:?} {outbound:?}").contains("s3cret"));
            let opening = format!("localhost: proxy: the proxy {} (from the settings) ", proxy.address());
            Err(error.to_string().strip_prefix(&opening).unwrap().to_owned())
        }
    }
}

#[tokio::test]
async fn tinyproxy_opens_a_tunnel_for_the_right_password_only() {
    let (target, proxy) = (Server::echo().await, Tinyproxy::start("BasicAuth ann s3cret"));
    assert_eq!(through_tinyproxy(&proxy, "ann:s3cret@", &target).await, Ok(()));
    let said = through_tinyproxy(&proxy, "ann:s3cret2@", &target).await;
    assert_eq!(said, Err("does not accept the password".to_owned()));
    assert_eq!(through_tinyproxy(&proxy, "", &target).await, Err("asks for a password".to_owned()));
}

#[tokio::test]
async fn tinyproxy_refuses_ports_that_its_owner_did_not_allow() {
    let (target, proxy) = (Server::echo().await, Tinyproxy::start("ConnectPort 443"));
    assert_eq!(through_tinyproxy(&proxy, "", &target).await, Err("refused: 403".to_owned()));
}

#[tokio::test]
async fn tinyproxy_answers_a_stranger_with_a_refusal() {
    let (target, proxy) = (Server::echo().await, Tinyproxy::start("Allow 10.1.2.3"));
    assert_eq!(through_tinyproxy(&proxy, "", &target).await, Err("refused: 403".to_owned()));
}

#[tokio::test]
async fn a_zero_deadline_is_refused() {
    let mut config = beach_outbound::OutboundConfig::default();
    config.deadlines.tls = Duration::ZERO;
    let error = Outbound::new(config).unwrap_err();
    assert_eq!(error.to_string(), "the deadline of stage tls is zero");
    let Deadlines { resolve, connect, proxy, tls, http, .. } = Deadlines::default();
    assert_eq!([resolve, connect, proxy, tls, http].map(|limit| limit.as_secs()), [10, 5, 5, 5, 5]);
}

#[tokio::test]
async fn a_setting_that_cannot_be_used_is_an_error_where_it_would_be_used() {
    let outbound = in_environment(&[("ALL_PROXY", "socks5h://ann:s3cret@10.0.0.1:1080")], |_| {});
    let error = outbound.tcp(FAR, 443).await.unwrap_err();
    assert!(
        matches!(error.cause, Cause::Proxy { .. }) && !format!("{outbound:?} {error:?}").contains("s3cret")
    );
    assert_eq!(
        error.to_string(),
        format!(
            "{FAR}: proxy: the proxy 10.0.0.1:1080 (from ALL_PROXY) cannot be used: only http:// and https:// are spoken"
        )
    );
}
