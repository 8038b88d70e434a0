//! `join --output json`: what happens to the session, one object per line, for programs.

use bytes::Bytes;
use negotiator::{Received, Session};
use serde_json::json;

use super::{
    again::{self, Again},
    desk::ended,
    enter::was_lost,
    join::{Visit, given_up},
};
use crate::{
    args::ViewArgs,
    exit::Failure,
    signal::Interrupts,
    ui::{Lines, To},
    wire::Message,
};

/// Prints events until the command ends, somebody ends the session, or it is lost and cannot be entered anew.
///
/// # Errors
///
/// [`Failure`].
pub(super) async fn watch(visit: Visit, args: &ViewArgs, interrupts: &mut Interrupts) -> Result<u8, Failure> {
    let mut lines = Lines::new(To::Stdout);
    let mut say = move |value: serde_json::Value| lines.say(&value.to_string());
    let mut session = visit.session;
    let outcome = loop {
        let watched = tokio::select! {
            watched = watch_one(&session, &mut say) => watched,
            failure = given_up(&session, args.give_up_after) => Err(failure),
            failure = interrupts.next() => Err(failure),
        };
        let end = match watched {
            Err(Failure::SessionLost(end)) if was_lost(&end) => end,
            watched => break watched,
        };
        say(json!({ "type": "rejoining", "why": again::why(&end) }));
        let again = Again::from(&session, &visit.entrance, args.give_up_after);
        let entered = tokio::select! {
            entered = again.enter() => entered,
            failure = interrupts.next() => Err(failure),
        };
        match entered {
            Ok((entered, _)) => session = entered,
            Err(failure) => break Err(failure),
        }
    };
    session.close().await;
    outcome
}

async fn watch_one(session: &Session, say: &mut impl FnMut(serde_json::Value)) -> Result<u8, Failure> {
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
