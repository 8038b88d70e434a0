//! The identity provider's public keys: fetched when they are needed, kept for a while, and kept longer
//! while the provider cannot be asked.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use beach_outbound::{Cause, Outbound, Request};
use jsonwebtoken::DecodingKey;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::{Instant, timeout};
use url::Url;

use super::Unentitled;
use crate::telemetry::metrics::Metrics;

/// Keys by their names.
type Keys = HashMap<String, DecodingKey>;

/// A cache of one key set.
#[derive(Debug)]
pub(super) struct Jwks {
    url: Url,
    outbound: Outbound,
    fresh: Duration,
    metrics: Arc<Metrics>,
    known: Mutex<Known>,
    /// Held by the one who fetches; the others wait for its answer.
    fetching: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Known {
    keys: Arc<Keys>,
    /// When these keys came.
    fetched: Option<Instant>,
    /// When somebody last tried, and why it failed if it did.
    tried: Option<(Instant, Option<Unentitled>)>,
}

impl Jwks {
    pub(super) fn new(url: Url, fresh: Duration, metrics: Arc<Metrics>) -> Arc<Self> {
        let known = Mutex::default();
        let fetching = Arc::default();
        Arc::new(Self { url, outbound: Outbound::default(), fresh, metrics, known, fetching })
    }

    /// Finds a key; `None` when the provider does not know it.
    pub(super) async fn find(self: &Arc<Self>, kid: &str) -> Result<Option<DecodingKey>, Unentitled> {
        if let Some(answer) = self.look(kid) {
            return answer;
        }
        let old = self.known.lock().keys.get(kid).cloned();
        let turn = match (self.fetching.clone().try_lock_owned(), old) {
            (Ok(turn), _) => turn,
            // Somebody is asking; whoever has a key does not wait for the answer.
            (Err(_), Some(key)) => return Ok(Some(key)),
            (Err(_), None) => self.fetching.clone().lock_owned().await,
        };
        // Whoever held the lock before may have fetched what is needed.
        if let Some(answer) = self.look(kid) {
            return answer;
        }
        // A task of its own, ended by the fetch's deadline: clients that hang up in the middle would
        // otherwise have the provider asked again and again.
        let this = self.clone();
        let fetch = tokio::spawn(async move {
            this.refresh().await;
            drop(turn);
        });
        // It ends early only with the runtime.
        let _ = fetch.await;
        let known = self.known.lock();
        match (known.keys.get(kid), known.tried) {
            (Some(key), _) => Ok(Some(key.clone())),
            (None, Some((_, Some(failure)))) => Err(failure),
            (None, _) => Ok(None),
        }
    }

    /// Answers from what is known; `None` when it is time to ask.
    fn look(&self, kid: &str) -> Option<Result<Option<DecodingKey>, Unentitled>> {
        let known = self.known.lock();
        let fresh = known.fetched.is_some_and(|at| at.elapsed() < self.fresh);
        let key = known.keys.get(kid);
        let (tried, failed) = known.tried?;
        // Anybody can make up a name: for names alone the provider is asked every half minute at most,
        // and after a failure everybody leaves it in peace for a moment.
        let rest = if failed.is_some() { AFTER_FAILURE } else { FOR_UNKNOWN };
        let resting = tried.elapsed() < rest;
        match (key, failed) {
            (Some(key), _) if fresh || resting => Some(Ok(Some(key.clone()))),
            (None, Some(failure)) if resting => Some(Err(failure)),
            (None, None) if resting => Some(Ok(None)),
            _ => None,
        }
    }

    async fn refresh(&self) {
        let fetched = self.fetch().await;
        let mut known = self.known.lock();
        let now = Instant::now();
        known.tried = Some((now, fetched.as_ref().err().copied()));
        match fetched {
            Ok(keys) => {
                known.keys = Arc::new(keys);
                known.fetched = Some(now);
                self.metrics.jwks_refreshed("ok");
            }
            Err(failure) => {
                let stale = known.fetched.is_some_and(|at| at.elapsed() < self.fresh + STALE);
                if !stale {
                    // Revoked keys must not live for ever in an outage.
                    known.keys = Arc::default();
                }
                self.metrics.jwks_refreshed(if stale { "stale" } else { "error" });
                tracing::warn!(?failure, stale, "the identity provider's keys cannot be refreshed");
            }
        }
    }

    async fn fetch(&self) -> Result<Keys, Unentitled> {
        // It follows no redirect: keys come from where the operator said, or not at all.
        let request = Request::get(self.url.clone()).limit(MAX_BODY_BYTES);
        let answer =
            timeout(FETCH_DEADLINE, self.outbound.http(request)).await.map_err(|_| Unentitled::Http)?;
        let answer = answer.map_err(|error| {
            tracing::debug!(%error, "the identity provider's keys were not fetched");
            if matches!(error.cause, Cause::TooLarge { .. }) { Unentitled::Jwks } else { Unentitled::Http }
        })?;
        if answer.status != http::StatusCode::OK {
            return Err(Unentitled::Http);
        }
        parse(&answer.body).ok_or(Unentitled::Jwks)
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// The fields of RFC 7517 and RFC 7518 §6.2 that a P-256 key for signatures has.
#[derive(Deserialize)]
struct Key {
    kid: String,
    kty: String,
    crv: String,
    x: String,
    y: String,
    alg: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
}

/// Reads a key set. Keys for other purposes and of other kinds are passed over; of two with one name the
/// first counts. A set without a single usable key is none.
fn parse(body: &[u8]) -> Option<Keys> {
    let set: Set = serde_json::from_slice(body).ok()?;
    let mut keys = Keys::new();
    for key in set.keys.into_iter().take(MAX_KEYS) {
        let Ok(key) = serde_json::from_value::<Key>(key) else { continue };
        if let (false, Some(usable)) = (keys.contains_key(&key.kid), key.usable()) {
            keys.insert(key.kid, usable);
        }
    }
    (!keys.is_empty()).then_some(keys)
}

impl Key {
    fn usable(&self) -> Option<DecodingKey> {
        let coordinate = |text: &str| URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == 32);
        let ours = self.kty == "EC"
            && self.crv == "P-256"
            && !self.kid.is_empty()
            && self.kid.len() <= MAX_KID_BYTES
            && self.alg.as_deref().is_none_or(|alg| alg == "ES256")
            && self.r#use.as_deref().is_none_or(|purpose| purpose == "sig")
            && self.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|op| op == "verify"))
            && matches!((coordinate(&self.x), coordinate(&self.y)), (Some(x), Some(y)) if is_point(&x, &y));
        ours.then(|| DecodingKey::from_ec_components(&self.x, &self.y).ok()).flatten()
    }
}

/// Whether there is such a point on P-256. The library would notice with the first signature, and blame the
/// signature: the client would hear that its proof is wrong.
fn is_point(x: &[u8], y: &[u8]) -> bool {
    // 0x04, then both coordinates (SEC 1 §2.3.3).
    let point = [&[4], x, y].concat();
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).is_ok()
}

/// For the whole answer; the request that waits has 10 s.
const FETCH_DEADLINE: Duration = Duration::from_secs(3);
/// Between two fetches for names nobody knows.
const FOR_UNKNOWN: Duration = Duration::from_secs(30);
/// After a fetch that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// How long keys outlive their freshness while the provider cannot be asked.
const STALE: Duration = Duration::from_secs(3_600);
/// Providers publish a few keys of 300 bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;
const MAX_KEYS: usize = 64;
const MAX_KID_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use axum::{Router, routing::get};
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};

    use super::*;

    /// A provider whose answer can be changed.
    struct Provider {
        answer: Arc<Mutex<(u16, String)>>,
        asked: Arc<AtomicUsize>,
        jwks: Arc<Jwks>,
    }

    async fn provider() -> Provider {
        let answer = Arc::new(Mutex::new((200, keys(&["a"]))));
        let asked = Arc::<AtomicUsize>::default();
        let (said, counted) = (answer.clone(), asked.clone());
        let serve = get(move || {
            counted.fetch_add(1, Relaxed);
            let (status, body) = said.lock().clone();
            async move { (http::StatusCode::from_u16(status).unwrap(), body) }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/jwks", serve)).await });
        let jwks = Jwks::new(url, Duration::from_secs(300), Arc::new(Metrics::new()));
        Provider { answer, asked, jwks }
    }

    impl Provider {
        /// Whether a key is found, and how often the provider was asked so far.
        async fn find(&self, kid: &str) -> (Result<bool, Unentitled>, usize) {
            let found = self.jwks.find(kid).await.map(|key| key.is_some());
            (found, self.asked.load(Relaxed))
        }

        /// Makes everything that happened happen earlier.
        fn pass(&self, time: Duration) {
            let mut known = self.jwks.known.lock();
            known.fetched = known.fetched.map(|at| at - time);
            known.tried = known.tried.map(|(at, failure)| (at - time, failure));
        }

        fn says(&self, status: u16, body: String) {
            *self.answer.lock() = (status, body);
        }
    }

    fn keys(kids: &[&str]) -> String {
        let keys = kids.iter().map(|kid| {
            let point = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().der_bytes().to_vec();
            let [x, y] = [&point[1..33], &point[33..]].map(|part| URL_SAFE_NO_PAD.encode(part));
            serde_json::json!({ "kid": kid, "kty": "EC", "crv": "P-256", "x": x, "y": y })
        });
        serde_json::json!({ "keys": keys.collect::<Vec<_>>() }).to_string()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_key_is_fetched_once_while_it_is_fresh_and_again_after() {
        let provider = provider().await;
        assert_eq!(provider.find("a").await, (Ok(true), 1));
        provider.pass(299 * SECOND);
        assert_eq!(provider.find("a").await, (Ok(true), 1));
        provider.pass(SECOND);
        assert_eq!(provider.find("a").await, (Ok(true), 2));
    }

    #[tokio::test]
    async fn a_new_name_is_found_half_a_minute_after_the_last_fetch() {
        let provider = provider().await;
        assert_eq!(provider.find("a").await, (Ok(true), 1));
        provider.says(200, keys(&["a", "b"]));
        provider.pass(29 * SECOND);
        assert_eq!(provider.find("b").await, (Ok(false), 1));
        provider.pass(SECOND);
        assert_eq!(provider.find("b").await, (Ok(true), 2));
    }

    #[tokio::test]
    async fn a_key_that_was_withdrawn_is_gone() {
        let provider = provider().await;
        assert_eq!(provider.find("a").await, (Ok(true), 1));
        provider.says(200, keys(&["b"]));
        provider.pass(300 * SECOND);
        assert_eq!(provider.find("a").await, (Ok(false), 2));
    }

    #[tokio::test]
    async fn old_keys_stand_for_an_hour_of_outage_and_no_longer() {
        let provider = provider().await;
        assert_eq!(provider.find("a").await, (Ok(true), 1));
        provider.says(500, String::new());
        provider.pass(300 * SECOND);
        assert_eq!(provider.find("a").await, (Ok(true), 2));
        assert_eq!(provider.find("a").await, (Ok(true), 2), "left in peace for 5 s");
        assert_eq!(provider.find("b").await, (Err(Unentitled::Http), 2));
        provider.pass(5 * SECOND);
        assert_eq!(provider.find("a").await, (Ok(true), 3));
        provider.pass(3_600 * SECOND);
        assert_eq!(provider.find("a").await, (Err(Unentitled::Http), 4), "closed");
        provider.says(200, keys(&["a"]));
        provider.pass(5 * SECOND);
        assert_eq!(provider.find("a").await, (Ok(true), 5));
        let refreshed = |outcome| provider.jwks.metrics.read("beach_entitlement_jwks_refreshes", &[outcome]);
        assert_eq!((refreshed("ok"), refreshed("stale"), refreshed("error")), (2, 2, 1));
    }

    #[test]
    fn a_set_is_what_is_usable_in_it() {
        let good: serde_json::Value = serde_json::from_str(&keys(&["a", "a", "b"])).unwrap();
        assert_eq!(parse(good.to_string().as_bytes()).unwrap().len(), 2);
        let changed = |key: &str, value: serde_json::Value| {
            let mut set = good.clone();
            set["keys"].as_array_mut().unwrap().iter_mut().for_each(|jwk| jwk[key] = value.clone());
            parse(set.to_string().as_bytes()).is_some()
        };
        assert!(
            changed("alg", "ES256".into()) && changed("use", "sig".into()) && changed("moon", "full".into())
        );
        for (key, bad) in [
            ("kty", "RSA"),
            ("crv", "P-384"),
            ("alg", "ES384"),
            ("use", "enc"),
            ("x", "AA"),
            ("y", "!"),
            ("kid", ""),
        ] {
            assert!(!changed(key, bad.into()), "{key} {bad}");
        }
        for bad in ["", "[]", "{}", "{\"keys\":[]}", "{\"keys\":[1,null]}", "{\"keys\":{}}"] {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
