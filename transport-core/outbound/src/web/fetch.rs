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
        // Outside of a browser there may be none; then nothing can be aborted.
        let abort = AbortController::new().ok();
        let answer = tokio::select! {
            answer = exchange(&request, abort.as_ref()) => answer,
            () = to_asker.closed() => {
                if let Some(abort) = abort {
                    abort.abort();
                }
                return;
            }
        };
        let _ = to_asker.send(answer);
    });
    answer.await.unwrap_or(Err(Cause::Blocked))
}

async fn exchange(request: &Request, abort: Option<&AbortController>) -> Result<Response, Cause> {
    let init = RequestInit::new();
    init.set_method(request.method.as_str());
    init.set_cache(RequestCache::NoStore);
    init.set_credentials(RequestCredentials::Omit);
    init.set_redirect(RequestRedirect::Manual);
    init.set_referrer_policy(ReferrerPolicy::NoReferrer);
    init.set_signal(abort.map(AbortController::signal).as_ref());
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
    Ok(Response {
        status,
        headers: read_headers(&answer.headers()),
        body: whole(&answer, request.limit).await?,
    })
}

/// Calls the global `fetch`, which a page and a worker both have.
async fn ask(url: &str, init: &RequestInit) -> Result<JsValue, JsValue> {
    let global = js_sys::global();
    let fetch: Function = Reflect::get(&global, &"fetch".into())?.dyn_into()?;
    let answer: Promise = fetch.call2(&global, &url.into(), init)?.dyn_into()?;
    JsFuture::from(answer).await
}

async fn whole(answer: &web_sys::Response, limit: usize) -> Result<Bytes, Cause> {
    let Some(body) = answer.body() else { return Ok(Bytes::new()) };
    let reader: ReadableStreamDefaultReader = body.get_reader().dyn_into().map_err(|_| Cause::Blocked)?;
    let mut read = BytesMut::new();
    loop {
        let piece = JsFuture::from(reader.read()).await.map_err(blocked)?;
        if Reflect::get(&piece, &"done".into()).is_ok_and(|done| done.is_truthy()) {
            return Ok(read.freeze());
        }
        let piece = Reflect::get(&piece, &"value".into()).map_err(blocked)?;
        let piece: Uint8Array = piece.dyn_into().map_err(blocked)?;
        if read.len() + piece.length() as usize > limit {
            let _ = reader.cancel();
            return Err(Cause::TooLarge { limit });
        }
        read.extend_from_slice(&piece.to_vec());
    }
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
