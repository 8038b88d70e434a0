//! The owner's side: the internal listener. Whoever comes by it was checked by another node, and is a peer like any other
//! from then on.

use std::sync::Arc;

use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{
    Arrival, HANDSHAKE_DEADLINE, InternalConfig,
    handshake::admit,
    question::{Said, answer},
    set_options,
};
use crate::{
    listen::{Client, Connections, OpenConnection, Socket, Stranger, accept},
    relay::{core::Core, greet},
    store::pool::NodeId,
};

/// Takes in what other nodes pass on, until the relay stops.
pub(in crate::relay) async fn serve(
    relay: Arc<Core>,
    listener: TcpListener,
    connections: Arc<Connections>,
    (config, node): (InternalConfig, NodeId),
) {
    let config = Arc::new(config);
    while let Some((stream, address)) = accept(&listener, &relay.stop).await {
        // Nodes speak for many, as proxies do: no cap per address counts them.
        let Ok((open, stranger)) = connections.admit(address.ip(), true) else { continue };
        relay.tasks.spawn(arrive(relay.clone(), stream, (open, stranger), (config.clone(), node)));
    }
}

async fn arrive(
    relay: Arc<Core>,
    mut stream: TcpStream,
    (open, stranger): (OpenConnection, Stranger),
    (config, node): (Arc<InternalConfig>, NodeId),
) {
    let admitted = async {
        set_options(&stream, &relay.config)?;
        admit(&mut stream, &config, node).await
    };
    let admitted = tokio::select! {
        () = stranger.evicted() => return,
        admitted = timeout(HANDSHAKE_DEADLINE, admitted) => admitted,
    };
    let arrival = match admitted {
        Ok(Ok(Said::Arrival(arrival))) => *arrival,
        Ok(Ok(Said::Question(question))) => return answer(&relay, stream, question).await,
        _ => {
            // Nothing is answered: whoever is not of the pool learns nothing here.
            relay.metrics.splice("refused");
            return;
        }
    };
    relay.metrics.splice("taken");
    let Arrival { address, .. } = arrival;
    // A node has proven itself. Its client's address stands in for the connection's own.
    stranger.prove();
    let client = address.map(|address| Client { address, stranger: Arc::new(stranger) });
    greet::passed_on(relay, Socket::plain(stream, open), arrival, client).await;
}
