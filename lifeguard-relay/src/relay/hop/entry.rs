//! The entry's side: dials the owner, tells it who came, and joins the two sockets.

use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::{
    Arrival, HANDSHAKE_DEADLINE, InternalConfig, Way,
    handshake::{Failed, enter},
    question::Said,
    set_options,
    splice::{End, Splice},
};
use crate::{
    listen::{Client, Socket},
    relay::{
        core::Core,
        drain::{MARGIN, POLL},
        greet,
        guard::OpenSocket,
        peer::WebSocket,
        refusal::HandshakeRefused,
    },
};

/// Passes a client whose hello was checked on to the owner of its session, and serves it until either leaves.
pub(in crate::relay) async fn pass_on(
    relay: Arc<Core>,
    ws: WebSocket,
    (arrival, way): (Arrival, Way),
    client: Option<Client>,
    open: OpenSocket,
) {
    let session = arrival.claims.session_id;
    let dialled = match &relay.config.internal {
        Some(config) => dial(&relay, config, &way, arrival).await,
        None => Err(Failed::Untrusted),
    };
    let owner = match dialled {
        Ok(owner) => owner,
        Err(failed) => {
            relay.metrics.splice(failed.label());
            if let Some(ownership) = &relay.ownership {
                ownership.forget(session);
            }
            tracing::warn!(owner = way.address, %failed, "a client cannot be passed on to the owner of its session");
            return greet::refuse(&relay, ws, HandshakeRefused::OwnerUnreachable).await;
        }
    };
    let (socket, ahead) = match ws.into_bytes() {
        Ok(parts) => parts,
        Err(ws) => return greet::refuse(&relay, ws, HandshakeRefused::Moved).await,
    };
    relay.metrics.splice("spliced");
    // A stranger no more.
    if let Some(client) = client {
        client.stranger.prove();
    }
    let splice = Splice::new(socket, Socket::of_another_listener(owner), &ahead);
    let spliced = Spliced::new(relay.clone());
    relay.clone().tasks.spawn(serve(relay, splice, spliced, open));
}

async fn serve(relay: Arc<Core>, mut splice: Splice, spliced: Spliced, open: OpenSocket) {
    let end = splice.run(&relay).await;
    match end {
        End::OwnerLost => relay.metrics.splice("lost"),
        End::ClientStalled => relay.metrics.splice("stalled"),
        _ => {}
    }
    Box::pin(splice.finish(end)).await;
    drop((spliced, open));
}

async fn dial(
    relay: &Core,
    config: &InternalConfig,
    way: &Way,
    arrival: Arrival,
) -> Result<TcpStream, Failed> {
    let said = Said::Arrival(Box::new(arrival));
    let dial = async {
        let mut stream = TcpStream::connect(&way.address).await?;
        set_options(&stream, &relay.config)?;
        enter(&mut stream, &config.key, way.node, &said).await?;
        Ok(stream)
    };
    timeout(HANDSHAKE_DEADLINE, dial)
        .await
        .unwrap_or(Err(Failed::Unreachable(io::ErrorKind::TimedOut.into())))
}

/// Waits until everybody who was passed on has left a node that drains. Returns how many stayed to the end.
pub(in crate::relay) async fn leave(relay: &Core) -> usize {
    let plan = relay.config.drain;
    let deadline = Instant::now() + plan.grace + plan.spread + MARGIN;
    while relay.passed_on.load(Relaxed) > 0 && Instant::now() < deadline {
        sleep(POLL).await;
    }
    relay.passed_on.load(Relaxed)
}

/// One socket that is passed on, counted.
#[derive(Debug)]
struct Spliced(Arc<Core>);

impl Spliced {
    fn new(relay: Arc<Core>) -> Self {
        relay.passed_on.fetch_add(1, Relaxed);
        relay.metrics.spliced_opened("entry");
        Self(relay)
    }
}

impl Drop for Spliced {
    fn drop(&mut self) {
        self.0.passed_on.fetch_sub(1, Relaxed);
        self.0.metrics.spliced_closed("entry");
    }
}
