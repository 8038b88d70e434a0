//! A tiny site: the page of the tests, and the module that `scripts/web` built; or, at `BEACH_WEB_SITE`, both as a
//! bundler packed them.

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
    let path = head.split(' ').nth(1).unwrap_or_default();
    let path = path.split_once('?').map_or(path, |(path, _query)| path);
    let content = match path.rsplit_once('.') {
        None if path == "/" => "text/html",
        Some((_, "html")) => "text/html",
        Some((_, "js")) => "text/javascript",
        Some((_, "wasm")) => "application/wasm",
        _ => "text/plain",
    };
    let body = file(path);
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

/// Where `scripts/web` puts what it builds: for `BEACH_WEB_RELEASE` what is shipped, else what is built quickly.
pub(crate) fn built(release: &str, quick: &str) -> PathBuf {
    let name = if std::env::var_os("BEACH_WEB_RELEASE").is_some() { release } else { quick };
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target").join(name)
}

/// Where `scripts/web` puts what makes a page one end of the conformance kit. Nothing of it is shipped.
pub(crate) fn kit() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/web-kit-dev")
}

/// A file of the site: the tests' page with the module beside it, or what a bundler made of them.
fn file(path: &str) -> Vec<u8> {
    let bundled = std::env::var_os("BEACH_WEB_SITE").map(PathBuf::from);
    let file = match (&bundled, path) {
        (None, "/") => return PAGE.as_bytes().to_vec(),
        (Some(folder), "/") => folder.join("index.html"),
        (None, "/beach_web.js" | "/beach_web_bg.wasm") => built("web", "web-dev").join(&path[1..]),
        (_, "/kit.html") => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/kit/kit.html"),
        (_, "/beach_web_kit.js" | "/beach_web_kit_bg.wasm") => kit().join(&path[1..]),
        (_, "/viewer.js") => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("page/viewer.js"),
        (Some(folder), path) if path.starts_with("/assets/") && !path.contains("..") => {
            folder.join(&path[1..])
        }
        _ => return Vec::new(),
    };
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}; run scripts/web test", file.display()))
}

const PAGE: &str = include_str!("page.html");
