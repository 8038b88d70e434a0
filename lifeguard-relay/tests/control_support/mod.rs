//! What the control plane's tests share: both planes over real sockets, a real Redis, an identity provider
//! with real keys, and waiting for a fact.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

pub mod idp;
pub mod member;
pub mod plane;
pub mod redis;
pub mod redis_many;

use std::time::Duration;

use serde_json::{Value, json};

/// Waits until `fact` holds; a fact that does not come within 10 s is a failure, named by `what`.
pub async fn until(what: &str, mut fact: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !fact().await {
        assert!(tokio::time::Instant::now() < deadline, "{what}: not within 10 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Changes a good object as a line of a corpus says; `"-"` takes a key away.
pub fn patched(mut good: Value, patch: &str) -> Value {
    let patch: Value = if patch.is_empty() { json!({}) } else { serde_json::from_str(patch).expect(patch) };
    merge(&mut good, &patch);
    good
}

fn merge(good: &mut Value, patch: &Value) {
    for (key, value) in patch.as_object().unwrap() {
        match value {
            Value::String(text) if text == "-" => {
                good.as_object_mut().unwrap().remove(key);
            }
            Value::Object(_) if good[key].is_object() => merge(&mut good[key], value),
            value => good[key] = value.clone(),
        }
    }
}
