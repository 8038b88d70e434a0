use axum::body::{Body, to_bytes};
use http::{Request, StatusCode};
use tower::ServiceExt;

use super::*;

async fn ask(page: &Page, path: &str, headers: &[(HeaderName, &str)]) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let response = page.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let body = to_bytes(body, 1 << 24).await.unwrap();
    (head.status, head.headers, String::from_utf8_lossy(&body).into_owned())
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn page_in(folder: &tempfile::TempDir) -> PageConfig {
    PageConfig { folder: Some(folder.path().to_owned()), ..PageConfig::default() }
}

#[tokio::test]
async fn whether_the_page_was_built_or_not_a_link_leads_to_a_document_with_a_strict_policy() {
    let page = Page::new(&PageConfig::default()).unwrap();
    let (status, headers, body) = ask(&page, "/s", &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("<!doctype html>"), "{body}");
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(
        policy.starts_with(
            "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'sha256-"
        )
    );
    assert!(policy.contains("connect-src 'self';") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe-inline"));
    assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
}

#[tokio::test]
async fn the_document_is_asked_for_again_and_its_files_are_kept_for_good() {
    let folder = folder(&[("index.html", "<!doctype html>"), ("b1/app.js", "long"), ("b1/app.js.gz", "zip")]);
    let page = Page::new(&page_in(&folder)).unwrap();
    let (_, index, _) = ask(&page, "/s", &[]).await;
    let tag = index[header::ETAG].to_str().unwrap();
    let (status, _, body) = ask(&page, "/s", &[(header::IF_NONE_MATCH, tag)]).await;
    assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""));

    let (_, plain, body) = ask(&page, "/s/b1/app.js", &[]).await;
    assert_eq!((body.as_str(), plain.get(header::CONTENT_ENCODING)), ("long", None));
    assert_eq!(plain[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
    let (_, zipped, body) = ask(&page, "/s/b1/app.js", &[(header::ACCEPT_ENCODING, "br, gzip;q=0.8")]).await;
    assert_eq!(
        (body.as_str(), &zipped[header::CONTENT_ENCODING]),
        ("zip", &HeaderValue::from_static("gzip"))
    );
    assert_eq!(zipped[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
    assert_ne!(plain[header::ETAG], zipped[header::ETAG]);
}

#[tokio::test]
async fn nothing_but_the_files_is_served() {
    let folder = folder(&[("index.html", "<!doctype html>")]);
    let page = Page::new(&page_in(&folder)).unwrap();
    for path in ["/s/nothing.js", "/s/../Cargo.toml", "/s/%2e%2e/Cargo.toml", "/s//etc/passwd"] {
        assert_eq!(ask(&page, path, &[]).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let (status, headers, _) = ask(&page, "/s/", &[]).await;
    assert_eq!(
        (status, &headers[header::LOCATION]),
        (StatusCode::PERMANENT_REDIRECT, &HeaderValue::from_static("../s"))
    );
}

#[tokio::test]
async fn where_to_sign_in_and_the_relay_are_named() {
    let folder = folder(&[("index.html", "<!doctype html><meta name=\"sign-in\" content=\"\">")]);
    let mut config = page_in(&folder);
    config.sign_in_url = Some("https://account.example/in?a=1&b=\"2".parse().unwrap());
    config.relays = Relays::One("wss://relay.example:8443/v2/ws".to_owned());
    let page = Page::new(&config).unwrap();
    let (_, headers, body) = ask(&page, "/s", &[]).await;
    assert!(body.contains("content=\"https://account.example/in?a=1&amp;b=%222\""), "{body}");
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(
        policy.contains("connect-src 'self' wss://relay.example:8443 https://relay.example:8443;"),
        "{policy}"
    );
}

#[test]
fn what_is_no_page_and_no_relay_is_said() {
    let empty = folder(&[]);
    assert!(matches!(Page::new(&page_in(&empty)), Err(PageError::Folder { .. })));
    let config =
        PageConfig { relays: Relays::One("https://relay.example".to_owned()), ..PageConfig::default() };
    assert!(matches!(Page::new(&config), Err(PageError::Relay)));
}
