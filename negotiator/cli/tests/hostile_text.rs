//! Words of strangers on a real terminal: whatever a service, a link or a variable holds, not one byte steers it.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "program/glass.rs"]
mod glass;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use glass::{CORPUS, Glass, steering};
use sha1::{Digest, Sha1};

/// A service that answers every request with these bytes.
fn service(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(count @ 1..) => request.extend_from_slice(&buffer[..count]),
                    _ => break,
                }
            }
            let _ = stream.write_all(&answer(&String::from_utf8_lossy(&request)));
            thread::spawn(move || {
                // Closed only when it was read, or the client would see a reset.
                let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
                while matches!(stream.read(&mut buffer), Ok(1..)) {}
            });
        }
    });
    url
}

fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}connection: close\r\n\r\n{body}")
        .into_bytes()
}

/// A refusal in the control plane's own words, in each of its fields.
fn refusal(evil: &str) -> Vec<u8> {
    let body = serde_json::json!({ "success": false, "reason": evil, "message": evil, "detail": evil });
    http("400 Bad Request", "content-type: application/json\r\n", &body.to_string())
}

/// A room that lets nobody in, and says why.
fn farewell(request: &str, evil: &str) -> Vec<u8> {
    let key = request.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim().to_owned())
    });
    let Some(key) = key else { return refusal(evil) };
    let proof = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let proof = STANDARD.encode(proof);
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {proof}\r\n\r\n"
    )
    .into_bytes();
    let mut why = evil.as_bytes();
    while why.len() > 120 || std::str::from_utf8(why).is_err() {
        why = &why[..why.len() - 1];
    }
    answer.extend([0x88, why.len() as u8 + 2]);
    answer.extend(4_500_u16.to_be_bytes());
    answer.extend(why);
    answer
}

/// Runs `beach-link` in a terminal until it ends, or for a moment if it goes on trying. Returns all that it wrote.
fn on_a_terminal(arguments: &[&str], environment: &[(&str, &str)]) -> Vec<u8> {
    let mut glass = Glass::start(arguments, environment);
    let deadline = Instant::now() + Duration::from_secs(4);
    while !glass.has_ended() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
    glass.finish()
}

/// A link to a session of that service; nobody is there.
fn link_to(service: &str) -> String {
    use transport_core::secure::{Access, Identity, JoinFragment, LinkSecret};
    let host = Identity::random().unwrap().public();
    let fragment = JoinFragment::new(host, LinkSecret::from_bytes([7; 16]), Access::Full);
    format!("{service}/s#{}", *fragment.to_fragment())
}

#[test]
fn no_word_of_a_service_steers_a_terminal() {
    for evil in CORPUS {
        let evil = *evil;
        let one_line = evil.replace(['\r', '\n', '\0'], " ");
        let page = format!("<html><title>{evil}</title>{evil}</html>");
        let status = format!("400 {one_line}");
        let location = format!("location: http://{one_line}/\r\n");
        let strange = format!("x-{}: {one_line}\r\nserver: {one_line}\r\n", "reason");
        let services = [
            ("a refusal", service(move |_| refusal(evil))),
            ("a page", service(move |_| http("200 OK", "content-type: text/html\r\n", &page))),
            ("a reason phrase", service(move |_| http(&status, "", ""))),
            ("a redirection", service(move |_| http("302 Found", &location, ""))),
            ("headers", service(move |_| http("503 Service Unavailable", &strange, evil))),
            ("a goodbye of the room", service(move |request| farewell(request, evil))),
            ("no HTTP at all", service(move |_| evil.as_bytes().to_vec())),
        ];
        thread::scope(|scope| {
            let runs: Vec<_> = services
                .iter()
                .flat_map(|(what, url)| {
                    let share = scope.spawn(move || {
                        on_a_terminal(&["share", "--loopback", "--control-plane", url, "--", "true"], &[])
                    });
                    let join = scope.spawn(move || {
                        on_a_terminal(&["join", "--loopback"], &[("BEACH_LINK", &link_to(url))])
                    });
                    [(*what, "share", share), (*what, "join", join)]
                })
                .collect();
            for (what, command, run) in runs {
                let written = run.join().unwrap();
                assert!(!written.is_empty(), "{command} says nothing about {what}");
                assert_eq!(
                    steering(&written),
                    Vec::<String>::new(),
                    "{what}, {command}, {evil:?}: {written:?}"
                );
            }
        });
    }
}

#[test]
fn no_word_that_was_pasted_steers_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    for evil in CORPUS {
        let evil = evil.replace('\0', " ");
        let file = folder.path().join("link");
        std::fs::write(&file, &evil).unwrap();
        let file = file.to_str().unwrap();
        let link = format!("http://{evil}/s#{evil}");
        for (arguments, environment) in [
            (vec!["join", evil.as_str()], vec![]),
            (vec!["join", link.as_str()], vec![]),
            (vec!["join"], vec![("BEACH_LINK", link.as_str())]),
            (vec!["join", "--link-file", file], vec![]),
            (vec!["share", "--control-plane", link.as_str(), "--", "true"], vec![]),
            (
                vec!["share", "--control-plane", "http://192.0.2.1", "--ca", evil.as_str(), "--", "true"],
                vec![],
            ),
            (
                vec!["share", "--control-plane", "https://control.test", "--", "true"],
                vec![("HTTPS_PROXY", link.as_str())],
            ),
            (vec![evil.as_str()], vec![]),
        ] {
            let written = on_a_terminal(&arguments, &environment);
            assert!(!written.is_empty(), "{arguments:?}");
            assert_eq!(steering(&written), Vec::<String>::new(), "{arguments:?}: {written:?}");
        }
    }
}

#[test]
fn steering_is_seen_where_it_is() {
    assert_eq!(steering(b"a\r\n\x1b[3F\x1b[Jb"), Vec::<String>::new());
    for evil in CORPUS {
        assert!(!steering(evil.as_bytes()).is_empty(), "{evil:?}");
    }
}
