//! An identity provider: real ES256 keys, published by a real HTTP server that can be told to misbehave.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey};
use lifeguard_relay::control::EntitlementConfig;
use parking_lot::Mutex;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use serde_json::{Value, json};

use super::patched;

pub const ISSUER: &str = "https://gate.test";
pub const AUDIENCE: &str = "beach-fallback";

pub struct Idp {
    pub address: SocketAddr,
    pub key: Key,
    state: Arc<Published>,
}

#[derive(Default)]
struct Published {
    status: Mutex<u16>,
    body: Mutex<String>,
    delay: Mutex<Duration>,
    asked: AtomicUsize,
}

/// One signing key and its public half.
pub struct Key {
    pub kid: String,
    pair: KeyPair,
}

impl Key {
    pub fn new(kid: &str) -> Self {
        Self { kid: kid.to_owned(), pair: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap() }
    }

    /// The key as it is published.
    pub fn jwk(&self) -> Value {
        // 0x04, then both coordinates (SEC 1 §2.3.3).
        let point = self.pair.der_bytes();
        let [x, y] = [&point[1..33], &point[33..65]].map(|part| URL_SAFE_NO_PAD.encode(part));
        json!({ "kid": self.kid, "kty": "EC", "crv": "P-256", "x": x, "y": y, "alg": "ES256", "use": "sig" })
    }

    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let content = format!("{}.{}", part(header), part(claims));
        let key = EncodingKey::from_ec_der(&self.pair.serialize_der());
        let signature = jsonwebtoken::crypto::sign(content.as_bytes(), &key, Algorithm::ES256).unwrap();
        format!("{content}.{signature}")
    }

    /// A proof with changes to what it usually says; times in claims may be `+n` or `-n` seconds from now.
    pub fn proof(&self, header: &str, claims: &str) -> String {
        let header = patched(json!({ "alg": "ES256", "typ": "JWT", "kid": self.kid }), header);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let mut claims = patched(
            json!({
                "iss": ISSUER, "aud": AUDIENCE, "sub": "account-1", "iat": "-1", "nbf": "-1", "exp": "+60",
                "entitlements": ["rescue:fallback", "private-beach:turn"],
            }),
            claims,
        );
        for time in ["iat", "nbf", "exp"] {
            if let Some(offset) = claims[time].as_str().and_then(|text| text.parse::<i64>().ok()) {
                claims[time] = json!(now + offset);
            }
        }
        self.sign(&header, &claims)
    }
}

impl Idp {
    pub async fn start() -> Self {
        let state = Arc::new(Published::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/jwks", get(publish)).with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let idp = Self { address, key: Key::new("k1"), state };
        idp.publish(&[&idp.key]);
        idp
    }

    pub fn publish(&self, keys: &[&Key]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        self.answer(200, &json!({ "keys": keys }).to_string());
    }

    pub fn answer(&self, status: u16, body: &str) {
        *self.state.status.lock() = status;
        *self.state.body.lock() = body.to_owned();
    }

    pub fn hesitate(&self, delay: Duration) {
        *self.state.delay.lock() = delay;
    }

    /// How often the keys were asked for.
    pub fn asked(&self) -> usize {
        self.state.asked.load(Relaxed)
    }

    /// What a control plane needs to know to require its proofs.
    pub fn config(&self) -> EntitlementConfig {
        let mut config = EntitlementConfig::default();
        config.required = true;
        config.jwks_url = Some(format!("http://{}/jwks", self.address).parse().unwrap());
        config.issuer = ISSUER.to_owned();
        config.audience = AUDIENCE.to_owned();
        config
    }
}

async fn publish(State(state): State<Arc<Published>>) -> impl IntoResponse {
    state.asked.fetch_add(1, Relaxed);
    let delay = *state.delay.lock();
    tokio::time::sleep(delay).await;
    let status = StatusCode::from_u16(*state.status.lock()).unwrap();
    (status, [("location", "http://127.0.0.1:1/jwks")], state.body.lock().clone())
}
