//! One request over a connection of its own.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::{sync::atomic::Ordering, time::Duration};

use beach_outbound::{Cause, Outbound, Request, Response, http::header};
use serde_json::json;
use support::{Authority, Server, outbound, read_head};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn ask(server: &Server, outbound: &Outbound) -> Result<Response, String> {
    let url = format!("http://{}/v1/token?a=b#c", server.address).parse().unwrap();
    outbound.http(Request::get(url).limit(10)).await.map_err(|error| error.to_string())
}

async fn answered(answer: &str) -> Result<Response, String> {
    ask(&Server::http(answer).await, &outbound(|_| {})).await
}

#[tokio::test]
async fn json_goes_in_and_bytes_come_out_over_tls() {
    let ours = Authority::new("Corp CA");
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(ours.server("localhost")));
    let server = Server::start(move |guest| {
        let acceptor = acceptor.clone();
        async move {
            let mut guest = acceptor.accept(guest).await.unwrap();
            let head = read_head(&mut guest).await.to_lowercase();
            let mut body = [0; 7];
            guest.read_exact(&mut body).await.unwrap();
            let port = guest.get_ref().0.local_addr().unwrap().port();
            assert!(head.starts_with("post /v1/token?a=b http/1.1\r\n"), "{head}");
            for line in
                [&*format!("host: localhost:{port}"), "content-type: application/json", "connection: close"]
            {
                assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} is not in {head}");
            }
            let answer = [b"HTTP/1.1 201 Created\r\nContent-Length: 7\r\n\r\n".as_slice(), &body].concat();
            guest.write_all(&answer).await.unwrap();
            guest.flush().await.unwrap();
            // The connection ends with its request: nothing idle is kept.
            assert_eq!(guest.read(&mut [0; 1]).await.unwrap_or(0), 0);
        }
    })
    .await;
    let outbound = outbound(|config| config.trust.add_roots("us", ours.pem().as_bytes()).unwrap());
    let url = format!("https://localhost:{}/v1/token?a=b#c", server.address.port()).parse().unwrap();
    let answer = outbound.http(Request::post_json(url, &json!({"a": 1})).unwrap()).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.json().unwrap()), (201, json!({"a": 1})));
}

#[tokio::test]
async fn every_status_is_an_answer_and_no_redirect_is_followed() {
    let server =
        Server::http("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n").await;
    let answer = ask(&server, &outbound(|_| {})).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), &answer.headers[header::LOCATION]),
        (302, &"/elsewhere".parse().unwrap())
    );
    assert_eq!(server.served.load(Ordering::Relaxed), 1);
    assert_eq!(answered("HTTP/1.1 500 Oops\r\n\r\nbody").await.unwrap().body, "body");
}

#[tokio::test]
async fn a_body_has_a_limit() {
    assert_eq!(answered("HTTP/1.1 200 OK\r\n\r\n0123456789").await.unwrap().body, "0123456789");
    let too_long = Err("127.0.0.1: http: the answer is longer than 10 bytes".to_owned());
    for answer in
        ["HTTP/1.1 200 OK\r\n\r\n0123456789a", "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n0123456789a"]
    {
        assert_eq!(answered(answer).await.map(drop), too_long);
    }
}

#[tokio::test]
async fn a_login_page_is_told_with_its_host() {
    for (answer, host) in [
        ("HTTP/1.1 302 Found\r\nLocation: http://portal.hotel.example/\r\n\r\n", "portal.hotel.example"),
        ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", "127.0.0.1"),
        ("HTTP/1.1 511 Network Authentication Required\r\n\r\n", "127.0.0.1"),
    ] {
        let said = answered(answer).await.unwrap_err();
        assert_eq!(said, format!("127.0.0.1: http: a login page answers at {host}; log in there first"));
    }
}

#[tokio::test]
async fn silence_garbage_and_a_hang_up_are_told_apart() {
    let quick = outbound(|config| config.deadlines.http = Duration::from_millis(200));
    let said = ask(&Server::silent().await, &quick).await.unwrap_err();
    assert_eq!(said, "127.0.0.1: http: no answer within 200ms");
    let slow_body = Server::start(|mut guest| async move {
        read_head(&mut guest).await;
        guest.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n1").await.unwrap();
        let _ = guest.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let said = ask(&slow_body, &quick).await.unwrap_err();
    assert_eq!(said, "127.0.0.1: http: no answer within 200ms");
    assert_eq!(
        answered("SSH-2.0-OpenSSH\r\n").await.unwrap_err(),
        "127.0.0.1: http: invalid HTTP version parsed"
    );
    assert_eq!(
        answered("").await.unwrap_err(),
        "127.0.0.1: http: connection closed before message completed"
    );
}

#[tokio::test]
async fn a_port_that_refuses_is_told_at_its_stage() {
    let server = Server::silent().await;
    let address = server.address;
    drop(server);
    tokio::task::yield_now().await;
    let url = format!("http://{address}/").parse().unwrap();
    let error = outbound(|_| {}).http(Request::get(url)).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Io(_)));
    assert_eq!(error.to_string(), "127.0.0.1: connect: Connection refused (os error 111)");
    assert!(error.is_refused() && !error.is_timeout());
}

#[tokio::test]
async fn no_secret_is_shown() {
    let url: beach_outbound::url::Url = "https://control.example/v1?proof=s3cret".parse().unwrap();
    let request = Request::post_json(url, &json!({"token": "s3cret"})).unwrap();
    let request = request.header(header::AUTHORIZATION, "Bearer s3cret".parse().unwrap());
    let answer = answered("HTTP/1.1 200 OK\r\n\r\ns3cret").await.unwrap();
    assert_eq!(format!("{request:?} {answer:?}"), "Request(POST /v1) Response(200 OK, 6 bytes)");
}
