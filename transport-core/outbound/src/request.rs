//! One HTTP request and its answer.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

/// A request. `Debug` shows neither its headers nor its body: they carry secrets.
#[derive(Clone)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) limit: usize,
}

impl Request {
    /// Asks for what is at `url`.
    pub fn get(url: Url) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), body: Bytes::new(), limit: DEFAULT_LIMIT }
    }

    /// Sends `body`, which is of type `content`.
    pub fn post(url: Url, content: HeaderValue, body: Bytes) -> Self {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content)]);
        Self { method: Method::POST, url, headers, body, limit: DEFAULT_LIMIT }
    }

    /// Sends `body` without saying of which type it is. A browser then need not ask another origin first whether it may
    /// (`docs/wire.md` §1.7).
    pub fn post_untyped(url: Url, body: Bytes) -> Self {
        Self { method: Method::POST, body, ..Self::get(url) }
    }

    /// Sends `body` as JSON.
    ///
    /// # Errors
    ///
    /// `body` has no JSON form.
    pub fn post_json(url: Url, body: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self::post(url, HeaderValue::from_static(JSON), serde_json::to_vec(body)?.into()))
    }

    /// Adds a header; one of the same name is replaced.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Allows the answer's body at most `bytes`. 64 KiB without.
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method, self.url.path())
    }
}

/// An answer, whatever its status.
#[derive(Clone)]
#[non_exhaustive]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Response {
    /// Reads the body as JSON.
    ///
    /// # Errors
    ///
    /// It is none, or not of this shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

/// Shows the body's length only: it may carry secrets.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {} bytes)", self.status, self.body.len())
    }
}

const JSON: &str = "application/json";

/// More than any answer of the control plane.
const DEFAULT_LIMIT: usize = 64 << 10;
