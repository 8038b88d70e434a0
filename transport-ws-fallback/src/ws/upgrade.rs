//! From a connection to a WebSocket: the opening handshake (RFC 6455 §4.1), by `hyper`.

use base64::{Engine, engine::general_purpose::STANDARD};
use beach_lifeguard_client::{SUBPROTOCOL, hello::MAX_SERVER_HELLO_BYTES};
use beach_outbound::{OutboundError, login_page};
use bytes::BytesMut;
use http_body_util::{BodyExt, Limited};
use hyper::{
    HeaderMap, Request, StatusCode,
    body::Incoming,
    client::conn::http1,
    header::{
        CONNECTION, HOST, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncWrite};
use transport_core::Text;
use url::{Position, Url};

use super::{WebSocket, refused::UpgradeRefused};
use crate::carrier::{MAX_REFUSAL, reason_in};

/// No WebSocket came of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadUpgrade {
    /// The connection failed, or what came is no HTTP.
    #[error(transparent)]
    Http(#[from] hyper::Error),
    /// The answer promises something else than was asked for.
    #[error("the answer to the upgrade has the wrong {0}")]
    Answer(HeaderName),
    /// A captive portal answers in place of the relay.
    #[error(transparent)]
    Login(OutboundError),
    /// Another status than 101.
    #[error(transparent)]
    Status(UpgradeRefused),
    /// A URL that fits into no request.
    #[error(transparent)]
    Url(#[from] hyper::http::Error),
}

/// Asks for a WebSocket of the relay's subprotocol.
pub(crate) async fn upgrade<S>(url: &Url, io: S) -> Result<WebSocket<S>, BadUpgrade>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let key = STANDARD.encode(rand::random::<[u8; 16]>());
    let request = Request::get(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, &key)
        .header(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
        .body(String::new())?;
    let (mut requests, connection) =
        http1::Builder::new().max_buf_size(MAX_ANSWER).handshake(TokioIo::new(io)).await?;
    let answered = async {
        let answer = requests.send_request(request).await?;
        if let Some(login) = login_page(url, answer.status(), answer.headers()) {
            return Err(BadUpgrade::Login(login));
        }
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = answer.status().as_u16();
            let reason = refusal_reason(answer.into_body()).await;
            return Err(BadUpgrade::Status(UpgradeRefused { status, reason }));
        }
        check(answer.headers(), &key)?;
        Ok(hyper::upgrade::on(answer).await?)
    };
    tokio::pin!(answered);
    let upgraded = tokio::select! {
        upgraded = &mut answered => upgraded,
        // It is over, well or badly: the answer knows.
        _ = connection.with_upgrades() => answered.await,
    }?;
    let parts = upgraded.downcast::<TokioIo<S>>().expect("what was put into the connection");
    Ok(WebSocket::new(parts.io.into_inner(), BytesMut::from(parts.read_buf), MAX_SERVER_HELLO_BYTES))
}

async fn refusal_reason(body: Incoming) -> Option<Text> {
    let body = Limited::new(body, MAX_REFUSAL).collect().await.ok()?;
    reason_in(&body.to_bytes())
}

fn check(headers: &HeaderMap, key: &str) -> Result<(), BadUpgrade> {
    let has = |name: HeaderName, wanted: &str| {
        let values = headers.get_all(&name).iter().filter_map(|value| value.to_str().ok());
        let found =
            values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(wanted));
        if found { Ok(()) } else { Err(BadUpgrade::Answer(name)) }
    };
    let is = |name: HeaderName, wanted: Option<&str>| {
        let value = headers.get(&name).map(|value| value.as_bytes());
        if value == wanted.map(str::as_bytes) { Ok(()) } else { Err(BadUpgrade::Answer(name)) }
    };
    has(CONNECTION, "upgrade")?;
    has(UPGRADE, "websocket")?;
    is(SEC_WEBSOCKET_ACCEPT, Some(&accept_of(key)))?;
    is(SEC_WEBSOCKET_PROTOCOL, Some(SUBPROTOCOL))?;
    is(SEC_WEBSOCKET_EXTENSIONS, None)
}

/// What a server that read `key` answers (RFC 6455 §4.2.2).
fn accept_of(key: &str) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// Proves that the answer was made for WebSocket: the number of RFC 6455 §1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Bytes of the answer's head at most.
const MAX_ANSWER: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_the_standard_s_key_is_the_standard_s() {
        assert_eq!(accept_of("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
