//! One HTTP request, by `fetch`.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use js_sys::{Array, Function, Promise, Reflect, Uint8Array};
use tokio::sync::oneshot;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    AbortController, Headers, ReadableStreamDefaultReader, ReferrerPolicy, RequestCache, RequestCredentials,
    RequestInit, RequestRedirect, ResponseType,
};

use super::cause::Cause;
use crate::request::{Request, Response};

/// Sends the request and reads the whole answer. Dropped, the request is aborted.
pub(super) async fn fetch(request: Request) -> Result<Response, Cause> {
    let (mut to_asker, answer) = oneshot::channel();
    spawn_local(async move {
        let abort = Abort::new();
        let answer = tokio::select! {
            answer = exchange(&request, &abort) => answer,
            () = to_asker.closed() => return abort.now(),
        };
        let _ = to_asker.send(answer);
    });
    answer.await.unwrap_or(Err(Cause::Blocked))
}

async fn exchange(request: &Request, abort: &Abort) -> Result<Response, Cause> {
    let mut answer = begin(request, abort).await?;
    let mut body = BytesMut::new();
    while let Some(piece) = answer.body.next().await? {
        if body.len() + piece.len() > request.limit {
            abort.now();
            return Err(Cause::TooLarge { limit: request.limit });
        }
        body.extend_from_slice(&piece);
    }
    Ok(Response { status: answer.status, headers: answer.headers, body: body.freeze() })
}

/// An answer whose head has come.
pub(super) struct Begun {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Pieces,
}

/// The body of an answer, as it comes.
pub(super) struct Pieces(Option<ReadableStreamDefaultReader>);

/// Ends a request. Outside of a browser there may be no such thing; then nothing can be aborted.
pub(super) struct Abort(Option<AbortController>);

/// Sends the request, and waits for the head of the answer.
pub(super) async fn begin(request: &Request, abort: &Abort) -> Result<Begun, Cause> {
    let init = RequestInit::new();
    init.set_method(request.method.as_str());
    init.set_cache(RequestCache::NoStore);
    init.set_credentials(RequestCredentials::Omit);
    init.set_redirect(RequestRedirect::Manual);
    init.set_referrer_policy(ReferrerPolicy::NoReferrer);
    init.set_signal(abort.0.as_ref().map(AbortController::signal).as_ref());
    if !request.body.is_empty() {
        init.set_body(&Uint8Array::from(&request.body[..]));
    }
    let headers = Headers::new().map_err(blocked)?;
    for (name, value) in &request.headers {
        let value = value.to_str().map_err(|_| Cause::Url("a header fits into no request"))?;
        headers.append(name.as_str(), value).map_err(blocked)?;
    }
    init.set_headers(&headers);
    let answer = ask(request.url.as_str(), &init).await.map_err(blocked)?;
    let answer: web_sys::Response = answer.dyn_into().map_err(blocked)?;
    if answer.type_() == ResponseType::Opaqueredirect {
        return Err(Cause::Redirected);
    }
    let status = StatusCode::from_u16(answer.status()).map_err(|_| Cause::Blocked)?;
    let headers = read_headers(&answer.headers());
    let reader = answer.body().map(|body| body.get_reader().dyn_into()).transpose().map_err(blocked)?;
    Ok(Begun { status, headers, body: Pieces(reader) })
}

impl Pieces {
    /// Waits for the next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Cause> {
        let Some(reader) = &self.0 else { return Ok(None) };
        let piece = JsFuture::from(reader.read()).await.map_err(blocked)?;
        if Reflect::get(&piece, &"done".into()).is_ok_and(|done| done.is_truthy()) {
            return Ok(None);
        }
        let piece = Reflect::get(&piece, &"value".into()).map_err(blocked)?;
        let piece: Uint8Array = piece.dyn_into().map_err(blocked)?;
        Ok(Some(piece.to_vec().into()))
    }
}

impl Abort {
    pub(super) fn new() -> Self {
        Self(AbortController::new().ok())
    }

    pub(super) fn now(&self) {
        if let Some(abort) = &self.0 {
            abort.abort();
        }
    }
}

/// Calls the global `fetch`, which a page and a worker both have.
async fn ask(url: &str, init: &RequestInit) -> Result<JsValue, JsValue> {
    let global = js_sys::global();
    let fetch: Function = Reflect::get(&global, &"fetch".into())?.dyn_into()?;
    let answer: Promise = fetch.call2(&global, &url.into(), init)?.dyn_into()?;
    JsFuture::from(answer).await
}

/// Those that the browser lets this page see.
fn read_headers(headers: &Headers) -> HeaderMap {
    let pairs = headers.entries().into_iter().flatten().filter_map(|pair| {
        let pair: Array = pair.dyn_into().ok()?;
        let name = HeaderName::try_from(pair.get(0).as_string()?).ok()?;
        Some((name, HeaderValue::try_from(pair.get(1).as_string()?).ok()?))
    });
    pairs.collect()
}

fn blocked<T>(_: T) -> Cause {
    Cause::Blocked
}
