//! A tunnel through a proxy: `CONNECT` (RFC 9110 §9.3.6).

use std::io;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::{Proxy, ProxyUrl};
use crate::native::{address::Address, cause::ProxyFault, config::Deadlines};

/// Asks for a tunnel to `target`. The proxy resolves its name. Behind this, the stream belongs to the target.
pub(crate) async fn open<S>(
    stream: &mut S,
    proxy: &Proxy,
    target: &Address,
    deadlines: &Deadlines,
) -> Result<(), ProxyFault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limit = deadlines.proxy;
    timeout(limit, ask(stream, &proxy.url, target)).await.map_err(|_| ProxyFault::Silent(limit))?
}

async fn ask<S>(stream: &mut S, proxy: &ProxyUrl, target: &Address) -> Result<(), ProxyFault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let authority = target.authority();
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        request.extend([b"Proxy-Authorization: ", authorization.as_bytes(), b"\r\n"].concat());
    }
    request.extend(b"\r\n");
    stream.write_all(&request).await.map_err(garbled)?;
    stream.flush().await.map_err(garbled)?;
    let status = read_status(stream).await?;
    match status {
        200..=299 => Ok(()),
        // tinyproxy says 401 to a wrong password; it cannot come from the target.
        401 | 407 if proxy.authorization.is_some() => Err(ProxyFault::WrongPassword),
        401 | 407 => Err(ProxyFault::AsksForPassword),
        502..=504 => Err(ProxyFault::Unreachable(status)),
        _ => Err(ProxyFault::Refused(status)),
    }
}

/// Reads the head of the answer and no byte more: what follows is the target's.
async fn read_status<S: AsyncRead + Unpin>(stream: &mut S) -> Result<u16, ProxyFault> {
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD {
            return Err(ProxyFault::Garbled("its answer has no end".to_owned()));
        }
        head.push(stream.read_u8().await.map_err(garbled)?);
        // Not what HTTP begins with: waiting for the end of a head would be in vain.
        if !b"HTTP/1.".starts_with(&head[..head.len().min(7)]) {
            return Err(ProxyFault::Garbled("its answer is another protocol's".to_owned()));
        }
    }
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    answer.parse(&head).map_err(|error| ProxyFault::Garbled(error.to_string()))?;
    answer.code.ok_or_else(|| ProxyFault::Garbled("its answer has no status".to_owned()))
}

fn garbled(error: io::Error) -> ProxyFault {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ProxyFault::Garbled("it hung up".to_owned()),
        _ => ProxyFault::Garbled(error.to_string()),
    }
}

/// Of the answer's head, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// Of the answer.
const MAX_HEADERS: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::duplex;

    use super::*;

    async fn answered(answer: &[u8], proxy: &str) -> (String, String, Vec<u8>) {
        let (mut ours, mut theirs) = duplex(64 << 10);
        theirs.write_all(answer).await.unwrap();
        let proxy = Proxy { url: proxy.parse().unwrap(), source: "HTTPS_PROXY" };
        let deadlines = Deadlines { proxy: Duration::from_millis(100), ..Deadlines::default() };
        let said = open(&mut ours, &proxy, &Address::new("::1", 9), &deadlines).await;
        let said = said.map_or_else(|fault| proxy.fault(fault).to_string(), |()| "open".to_owned());
        let mut asked = vec![0; 4_096];
        let length = theirs.read(&mut asked).await.unwrap();
        drop(theirs);
        let mut rest = Vec::new();
        ours.read_to_end(&mut rest).await.unwrap();
        (said, String::from_utf8_lossy(&asked[..length]).into_owned(), rest)
    }

    #[tokio::test]
    async fn the_tunnel_begins_exactly_behind_the_answers_head() {
        let (said, asked, rest) =
            answered(b"HTTP/1.0 200 Established\r\nA: b\r\n\r\nhello", "http://p:1").await;
        assert_eq!((said.as_str(), rest.as_slice()), ("open", b"hello".as_slice()));
        assert_eq!(asked, "CONNECT [::1]:9 HTTP/1.1\r\nHost: [::1]:9\r\n\r\n");
    }

    #[tokio::test]
    async fn every_refusal_has_its_words() {
        let endless = [b"HTTP/1.1 200 OK\r\n".as_slice(), &[b'x'; MAX_HEAD]].concat();
        for (answer, proxy, words) in [
            (b"HTTP/1.1 407 No\r\n\r\n".as_slice(), "http://p:1", "asks for a password"),
            (b"HTTP/1.1 407 No\r\n\r\n", "http://ann:s3cret@p:1", "does not accept the password"),
            (b"HTTP/1.1 403 Forbidden\r\n\r\n", "http://p:1", "refused: 403"),
            (b"HTTP/1.1 302 Found\r\n\r\n", "http://p:1", "refused: 302"),
            (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "http://p:1", "cannot reach the target: 502"),
            (b"SSH-2.0-OpenSSH\r\n", "http://p:1", "does not speak HTTP: its answer is another protocol's"),
            (&endless, "http://p:1", "does not speak HTTP: its answer has no end"),
            (b"HTTP/1.1 nothing\r\n\r\n", "http://p:1", "does not speak HTTP: invalid response status"),
            (b"HTTP/1.1 20", "http://p:1", "has not opened the way within 100ms"),
        ] {
            let (said, _, _) = answered(answer, proxy).await;
            assert_eq!(said, format!("the proxy p:1 (from HTTPS_PROXY) {words}"));
        }
    }

    #[tokio::test]
    async fn a_proxy_that_hangs_up_is_told() {
        let (mut ours, mut theirs) = duplex(1_024);
        theirs.write_all(b"HTTP/1.1 2").await.unwrap();
        theirs.shutdown().await.unwrap();
        let proxy = "http://p:1".parse().unwrap();
        let fault = ask(&mut ours, &proxy, &Address::new("a", 1)).await.unwrap_err();
        assert_eq!(fault.to_string(), "does not speak HTTP: it hung up");
    }
}
