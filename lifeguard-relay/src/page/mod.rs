//! The page behind a join link, `/s`: what a browser shows of a shared terminal.
//!
//! The files are those that `scripts/web page` built, embedded when this program was. What a link's fragment says stays
//! in the browser; the page asks nobody but this service and its relays, and its policy holds it to that.

mod files;

use std::{io, path::PathBuf, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::Url;

use self::files::{Files, INDEX};

/// What the page can be told.
///
/// # Defaults
///
/// The embedded files, no place to sign in, and no relay but this service.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct PageConfig {
    /// Serves the files of this folder instead of the embedded ones. They are read once.
    pub folder: Option<PathBuf>,
    /// Where an account is proven, when the relay asks for an entitlement. Default nowhere: the page says so.
    pub sign_in_url: Option<Url>,
    /// Which relays the page may connect to, beside this service.
    pub relays: Relays,
}

/// Relays beside this service, for the page's policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Relays {
    /// Any, over TLS: those of a pool come and go.
    Any,
    /// None.
    #[default]
    None,
    /// The one of this URL.
    One(String),
}

/// The page, as it is served.
#[derive(Debug, Clone)]
pub struct Page(Arc<Served>);

#[derive(Debug)]
struct Served {
    files: Files,
    policy: HeaderValue,
}

impl Page {
    /// Reads its files.
    ///
    /// # Errors
    ///
    /// [`PageError`] when the folder has none, or a URL cannot stand in a policy.
    pub fn new(config: &PageConfig) -> Result<Self, PageError> {
        let mut files = match &config.folder {
            None => Files::embedded(),
            Some(folder) => {
                Files::read(folder).map_err(|source| PageError::Folder { folder: folder.clone(), source })?
            }
        };
        if let Some(url) = &config.sign_in_url {
            let content = url.as_str().replace('&', "&amp;").replace('"', "&quot;");
            files.edit(|text| {
                text.replacen(NO_SIGN_IN, &format!("name=\"sign-in\" content=\"{content}\""), 1)
            });
        }
        let policy = policy(&config.relays).ok_or(PageError::Relay)?;
        Ok(Self(Arc::new(Served { files, policy })))
    }

    /// The routes, to be mounted by this service or by another.
    pub fn router(&self) -> Router {
        Router::new()
            .route(PATH, get(document))
            // The fragment goes along.
            .route(&format!("{PATH}/"), get(|| async { Redirect::permanent("../s") }))
            .route(&format!("{PATH}/{{*file}}"), get(file))
            .with_state(self.clone())
    }
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// The folder cannot be read, or no page is in it.
    #[error("no page in {folder}: {source}")]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The relay's URL is none that a page could connect to.
    #[error("the page can only connect to a relay at ws:// or wss://")]
    Relay,
}

async fn document(State(page): State<Page>, headers: HeaderMap) -> Response {
    let mut response = page.0.files.answer(INDEX, &headers);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, page.0.policy.clone());
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    protect(response)
}

async fn file(State(page): State<Page>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    protect(page.0.files.answer(&name, &headers))
}

/// What every answer says to the browser.
fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    response.into_response()
}

/// The policy of the document. Nothing inline, nothing evaluated but WebAssembly, nothing of others.
fn policy(relays: &Relays) -> Option<HeaderValue> {
    let relay = match relays {
        Relays::Any => " wss: https:".to_owned(),
        Relays::None => String::new(),
        Relays::One(url) => format!(" {}", sources(url)?),
    };
    let policy = format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' {EMPTY_STYLE}; \
         img-src 'self' data:; \
         connect-src 'self'{relay}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).ok()
}

/// Scheme, host and port of a WebSocket's URL, and of the same relay over HTTP.
fn sources(url: &str) -> Option<String> {
    let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "ws" | "wss"))?;
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    let (socket, host) = (url.scheme(), url.host_str()?);
    let http = if socket == "ws" { "http" } else { "https" };
    Some(format!("{socket}://{host}{port} {http}://{host}{port}"))
}

/// Where a join link leads.
const PATH: &str = "/s";

/// The place in the document where it is named where to sign in.
const NO_SIGN_IN: &str = "name=\"sign-in\" content=\"\"";

/// Lets in an element for a style that has no text: xterm.js makes some, and the page fills none of them.
const EMPTY_STYLE: &str = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='";

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

#[cfg(test)]
mod tests;
