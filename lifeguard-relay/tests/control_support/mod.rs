//! What the control plane's tests share: a real Redis, and waiting for a fact.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

pub mod redis;

use std::time::Duration;

/// Waits until `fact` holds; a fact that does not come within 10 s is a failure, named by `what`.
pub async fn until(what: &str, mut fact: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !fact().await {
        assert!(tokio::time::Instant::now() < deadline, "{what}: not within 10 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
