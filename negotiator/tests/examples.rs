//! The examples do what they say.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::{error::Error, time::Duration};

use tokio::time::timeout;

#[path = "../examples/blocking.rs"]
#[allow(dead_code, unreachable_pub, reason = "a module here, a program of its own there")]
mod blocking;
#[path = "../examples/byte_stream.rs"]
#[allow(dead_code, unreachable_pub, reason = "a module here, a program of its own there")]
mod byte_stream;
#[path = "../examples/chat.rs"]
#[allow(dead_code, unreachable_pub, reason = "a module here, a program of its own there")]
mod chat;
#[path = "../examples/own_rung.rs"]
#[allow(dead_code, unreachable_pub, reason = "a module here, a program of its own there")]
mod own_rung;

async fn in_time<T>(example: impl Future<Output = Result<T, Box<dyn Error>>>) -> T {
    timeout(Duration::from_secs(120), example).await.expect("it ends").unwrap()
}

#[tokio::test]
async fn everybody_in_the_chat_hears_the_others() {
    let heard = in_time(chat::run()).await;
    assert_eq!(heard.len(), 3);
    for (name, lines) in heard {
        assert_eq!(lines.len(), 2, "{name} {lines:?}");
        assert!(!lines.contains(&format!("hello from {name}")), "{name} {lines:?}");
    }
}

#[tokio::test]
async fn the_byte_stream_is_counted_and_answered_after_its_end() {
    assert_eq!(in_time(byte_stream::run(&vec![7; 500_000])).await, "500000 bytes came");
}

#[tokio::test]
async fn the_rung_of_ones_own_carries_the_session() {
    assert_eq!(in_time(own_rung::run()).await, "tcp-example");
}

#[tokio::test]
async fn each_viewer_of_the_blocking_host_hears_its_own_words() {
    let run = tokio::task::spawn_blocking(|| blocking::run().map_err(|error| error.to_string()));
    let heard = timeout(Duration::from_secs(120), run).await.expect("it ends").unwrap();
    assert_eq!(heard.unwrap(), ["hello from ada", "hello from grace"]);
}
