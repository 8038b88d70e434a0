//! What one node asks another for itself, by the same listener and with the same proofs as an arrival.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Arrival, HANDSHAKE_DEADLINE, InternalConfig, Way, handshake::enter, set_options};
use crate::relay::{core::Core, isolation::Answer};

/// What is said behind the proofs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Said {
    /// A client that is passed on.
    Arrival(Box<Arrival>),
    /// A question, which is answered by one byte.
    Question(Question),
}

/// A question. A node of before closes the connection on it: it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Question {
    /// Whether the store is reached now.
    Store,
}

/// Asks another node whether it reaches the store.
pub(in crate::relay) async fn ask(relay: &Core, config: &InternalConfig, way: &Way) -> Answer {
    let asked = async {
        let mut stream = TcpStream::connect(&way.address).await.ok()?;
        set_options(&stream, &relay.config).ok()?;
        enter(&mut stream, &config.key, way.node, &Said::Question(Question::Store)).await.ok()?;
        stream.read_u8().await.ok()
    };
    match timeout(HANDSHAKE_DEADLINE + LOOK, asked).await.ok().flatten() {
        Some(REACHES) => Answer::Reaches,
        Some(_) => Answer::Away,
        None => Answer::Silent,
    }
}

/// Looks, and answers.
pub(super) async fn answer(relay: &Arc<Core>, mut stream: TcpStream, question: Question) {
    let Question::Store = question;
    let reaches = match &relay.ownership {
        Some(ownership) => timeout(LOOK, ownership.beat(relay)).await.is_ok_and(|beat| beat.is_ok()),
        None => false,
    };
    // Whoever asked and is gone needs no answer.
    let _ = timeout(LOOK, stream.write_u8(if reaches { REACHES } else { AWAY })).await;
}

const AWAY: u8 = 0;
const REACHES: u8 = 1;
/// For the look at the store, behind the handshake: a store answers within a second or not at all.
const LOOK: Duration = Duration::from_secs(2);
