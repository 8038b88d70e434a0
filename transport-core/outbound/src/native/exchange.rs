//! One request over a connection of its own.

use bytes::Bytes;
use http::{
    HeaderMap, StatusCode,
    header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, LOCATION},
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use url::{Position, Url};

use crate::{
    error::{OutboundError, Stage},
    native::{address::same_host, cause::Cause, stream::Stream},
    request::{Request, Response},
};

/// Sends the request and reads the whole answer.
pub(crate) async fn exchange(stream: Stream, request: Request) -> Result<Response, Cause> {
    let Request { method, url, headers, body, limit } = request;
    let mut asked = http::Request::builder()
        .method(method)
        .uri(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(CONNECTION, "close")
        .body(Full::new(body))
        .map_err(|_| Cause::Url("the URL fits into no request"))?;
    asked.headers_mut().extend(headers);
    let (mut requests, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(garbled)?;
    let answered = async {
        let (head, body) = requests.send_request(asked).await.map_err(garbled)?.into_parts();
        if let Some(host) = login_host(&url, head.status, &head.headers) {
            return Err(Cause::LoginPage { host });
        }
        Ok(Response { status: head.status, headers: head.headers, body: whole(body, limit).await? })
    };
    tokio::pin!(answered);
    tokio::select! {
        answer = &mut answered => answer,
        // It is over, well or badly: the answer knows.
        _ = connection => answered.await,
    }
}

async fn whole(body: hyper::body::Incoming, limit: usize) -> Result<Bytes, Cause> {
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Cause::TooLarge { limit }),
        Err(error) => Err(match error.downcast() {
            Ok(error) => garbled(*error),
            Err(error) => Cause::Io(std::io::Error::other(error)),
        }),
    }
}

/// Says whether an answer to a request for `url` comes from a login page: status 511, a redirect to
/// another host, or a page where something else was due. For those who speak HTTP over
/// [`Outbound::open`](crate::Outbound::open) themselves; [`Outbound::http`](crate::Outbound::http) asks
/// by itself.
pub fn login_page(url: &Url, status: StatusCode, headers: &HeaderMap) -> Option<OutboundError> {
    let host = login_host(url, status, headers)?;
    Some(OutboundError::new(Stage::Http, url.host_str().unwrap_or("?"), Cause::LoginPage { host }))
}

/// Returns the host where the login page is.
fn login_host(url: &Url, status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let place = || text(LOCATION).and_then(|place| url.join(place).ok());
    let host = |url: &Url| url.host_str().map(str::to_owned);
    match status {
        StatusCode::NETWORK_AUTHENTICATION_REQUIRED => place().as_ref().and_then(host).or_else(|| host(url)),
        status if status.is_redirection() => {
            place().filter(|place| !same_host(place, url)).as_ref().and_then(host)
        }
        status if status.is_success() => {
            let page = text(CONTENT_TYPE)?.trim_start().get(..PAGE.len())?.eq_ignore_ascii_case(PAGE);
            if page { host(url) } else { None }
        }
        _ => None,
    }
}

fn garbled(error: hyper::Error) -> Cause {
    Cause::Http(error)
}

/// Of the answer, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// What a person's browser is given.
const PAGE: &str = "text/html";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_page_is_told_from_an_answer() {
        let url: Url = "https://control.example/v1/sessions".parse().unwrap();
        let judge = |status: u16, name: http::HeaderName, value: &'static str| {
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
            login_host(&url, StatusCode::from_u16(status).unwrap(), &headers)
        };
        let (portal, ours) = (Some("portal.hotel.example".to_owned()), Some("control.example".to_owned()));
        assert_eq!(judge(302, LOCATION, "http://portal.hotel.example/login?to=x"), portal);
        assert_eq!(judge(307, LOCATION, "//portal.hotel.example/"), portal);
        assert_eq!(judge(511, LOCATION, "http://portal.hotel.example/"), portal);
        assert_eq!(judge(511, CONTENT_TYPE, "text/plain"), ours);
        assert_eq!(judge(200, CONTENT_TYPE, "text/html; charset=utf-8"), ours);
        assert_eq!(judge(204, CONTENT_TYPE, "Text/HTML"), ours);
        for (status, name, value) in [
            (200, CONTENT_TYPE, "application/json"),
            (301, LOCATION, "/v2/sessions"),
            (302, LOCATION, "https://control.example:444/"),
            (304, CONTENT_TYPE, "text/html"),
            (502, CONTENT_TYPE, "text/html"),
            (404, CONTENT_TYPE, "text/html"),
        ] {
            assert_eq!(judge(status, name.clone(), value), None, "{status} {name} {value}");
        }
    }
}
