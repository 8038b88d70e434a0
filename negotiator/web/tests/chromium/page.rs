//! A tiny site: the page of the tests, and the module that `scripts/web` built.

use std::{net::SocketAddr, path::PathBuf};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Serves until it is dropped.
pub(crate) struct Site {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

pub(crate) async fn serve() -> Site {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut requests = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            requests.spawn(answer(stream));
        }
    });
    Site { address, _serving: serving }
}

impl Site {
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn answer(mut stream: TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let (content, body) = match head.split(' ').nth(1) {
        Some("/") => ("text/html", PAGE.as_bytes().to_vec()),
        Some("/beach_web.js") => ("text/javascript", built("beach_web.js")),
        Some("/beach_web_bg.wasm") => ("application/wasm", built("beach_web_bg.wasm")),
        _ => ("text/plain", Vec::new()),
    };
    // As strict as it can be: a page that uses the module needs no more.
    let policy = "default-src 'none'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; connect-src *";
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content}\r\ncontent-length: {}\r\ncontent-security-policy: {policy}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&body).await;
}

fn built(name: &str) -> Vec<u8> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/web-dev").join(name);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}; run scripts/web test", file.display()))
}

const PAGE: &str = include_str!("page.html");
