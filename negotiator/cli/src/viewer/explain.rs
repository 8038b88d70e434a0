//! `beach-link explain`: which path a session takes from here, and why.

use negotiator::Session;
use serde_json::json;

use super::enter::connect;
use crate::{
    args::{ExplainArgs, Format},
    exit::Failure,
    signal::Interrupts,
    ui::{Lines, To},
};

/// Joins, prints the explanation, and leaves. Asks the host for nothing.
///
/// # Errors
///
/// [`Failure`]: without any path its line is the explanation.
pub async fn explain(args: ExplainArgs) -> Result<u8, Failure> {
    let mut interrupts = Interrupts::listen()?;
    let link = args.link.read()?;
    let mut lines = Lines::new(To::Stderr);
    let session = tokio::select! {
        session = connect(&link, args.network.config()?, &mut lines) => session?,
        failure = interrupts.next() => return Err(failure),
    };
    measured(&session).await;
    drop(lines);
    let explanation = session.explain();
    Lines::new(To::Stdout).say(&match args.output {
        Format::Json => json!({ "type": "explain", "explain": explanation }).to_string(),
        Format::Text => explanation.to_string(),
    });
    session.close().await;
    Ok(0)
}

/// Waits for the first round trip, a few seconds at most: it belongs to the answer.
async fn measured(session: &Session) {
    let measured = async {
        while session.status().rtt.is_none() {
            tokio::select! {
                received = session.recv() => match received {
                    Ok(_) => {}
                    Err(_) => return,
                },
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    };
    let _ = tokio::time::timeout(PATIENCE, measured).await;
}

const LOOK: std::time::Duration = std::time::Duration::from_millis(50);

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(3);
