//! The files of a page, and how one of them is answered.

use std::{collections::BTreeMap, fs, io, path::Path};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// The name of the document; every other file is one that it names.
pub(super) const INDEX: &str = "index.html";

/// Files by their path below the page. `x.gz` beside `x` is the same, compressed.
#[derive(Debug, Default)]
pub(super) struct Files(BTreeMap<String, File>);

#[derive(Debug)]
struct File {
    bytes: Bytes,
    kind: &'static str,
    tag: HeaderValue,
}

impl Files {
    /// The page that was built into this program; one that says how to do so, where none was.
    pub(super) fn embedded() -> Self {
        let built = if BUILT.is_empty() { MISSING } else { BUILT };
        Self(
            built
                .iter()
                .map(|(name, bytes)| ((*name).to_owned(), File::new(name, Bytes::from_static(bytes))))
                .collect(),
        )
    }

    /// Reads all files of a folder, once.
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        let mut files = Self::default();
        files.add(folder, "")?;
        if files.0.contains_key(INDEX) { Ok(files) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn add(&mut self, folder: &Path, below: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                self.add(&entry.path(), &format!("{name}/"))?;
            } else {
                let file = File::new(&name, fs::read(entry.path())?.into());
                self.0.insert(name, file);
            }
        }
        Ok(())
    }

    /// Rewrites the document.
    pub(super) fn edit(&mut self, edit: impl FnOnce(&str) -> String) {
        let Some(index) = self.0.get_mut(INDEX) else { return };
        let text = edit(&String::from_utf8_lossy(&index.bytes));
        *index = File::new(INDEX, text.into());
        self.0.remove("index.html.gz");
    }

    /// Answers a request for `name`; compressed where there is such a file and the asker takes it.
    pub(super) fn answer(&self, name: &str, asked: &HeaderMap) -> Response {
        let Some(file) = self.0.get(name) else { return StatusCode::NOT_FOUND.into_response() };
        let zipped = self.0.get(&format!("{name}.gz")).filter(|_| takes_gzip(asked));
        let sent = zipped.unwrap_or(file);
        let same = asked.get(header::IF_NONE_MATCH).is_some_and(|tag| tag == sent.tag);
        let mut response =
            if same { StatusCode::NOT_MODIFIED.into_response() } else { sent.bytes.clone().into_response() };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.kind));
        headers.insert(header::ETAG, sent.tag.clone());
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if zipped.is_some() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        // Files lie in a folder named by what they hold; the document says which folder that is.
        let life = if name == INDEX { "no-cache" } else { "public, max-age=31536000, immutable" };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(life));
        response
    }
}

impl File {
    fn new(name: &str, bytes: Bytes) -> Self {
        let digest = Sha256::digest(&bytes);
        let tag = digest[..12].iter().fold(String::new(), |tag, byte| tag + &format!("{byte:02x}"));
        // Digits in quotes are always a header's value.
        let tag = HeaderValue::from_str(&format!("\"{tag}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self { bytes, kind: kind(name), tag }
    }
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("txt") => "text/plain; charset=utf-8",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

fn takes_gzip(asked: &HeaderMap) -> bool {
    let listed = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    // With a weight it is taken as well, unless that is 0, which nobody writes.
    listed.flat_map(|list| list.split(',')).any(|item| item.split(';').next().unwrap_or("").trim() == "gzip")
}

const MISSING: &[(&str, &[u8])] = &[
    (INDEX, include_bytes!("missing/index.html")),
    ("missing/style.css", include_bytes!("missing/style.css")),
];
