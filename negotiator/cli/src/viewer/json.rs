//! `join --output json`: what happens to the session, one object per line, for programs.

use bytes::Bytes;
use negotiator::{Received, Session};
use serde_json::json;

use super::join::ended;
use crate::{
    exit::Failure,
    signal::Interrupts,
    ui::{Lines, To},
    wire::Message,
};

/// Prints events until the session ends.
///
/// # Errors
///
/// [`Failure`].
pub async fn watch(session: &Session, interrupts: &mut Interrupts) -> Result<u8, Failure> {
    let mut lines = Lines::new(To::Stdout);
    let mut say = move |value: serde_json::Value| lines.say(&value.to_string());
    let mut events = session.events();
    let mut received_bytes = 0;
    say(json!({ "type": "connected", "explain": session.explain() }));
    loop {
        tokio::select! {
            Some(event) = events.next() => {
                say(json!({ "type": "event", "event": event, "explain": session.explain() }));
            }
            received = session.recv() => match received {
                Ok(Received::Message(bytes)) => {
                    if let Some(value) = describe(bytes, &mut received_bytes)? {
                        let status = value["status"].as_u64().and_then(|status| u8::try_from(status).ok());
                        say(value);
                        if let Some(status) = status {
                            return Ok(status);
                        }
                    }
                }
                Ok(_) => {}
                Err(end) => {
                    say(json!({ "type": "ended", "why": end.to_string(), "bytes": received_bytes }));
                    return ended(end).map(|()| 0);
                }
            },
            failure = interrupts.next() => return Err(failure),
        }
    }
}

/// What is drawn is counted, not printed: whoever wants the terminal joins with one.
fn describe(bytes: Bytes, received_bytes: &mut u64) -> Result<Option<serde_json::Value>, Failure> {
    Ok(match Message::decode(bytes).map_err(Failure::Unintelligible)? {
        Message::Change(bytes) => {
            *received_bytes += bytes.len() as u64;
            None
        }
        Message::Snapshot { size, .. } => {
            Some(json!({ "type": "screen", "columns": size.columns, "rows": size.rows }))
        }
        Message::Viewers(count) => Some(json!({ "type": "viewers", "count": count })),
        Message::Notice(text) => Some(json!({ "type": "notice", "text": text })),
        Message::Exit(status) => Some(json!({ "type": "exit", "status": status, "bytes": received_bytes })),
        _ => None,
    })
}
