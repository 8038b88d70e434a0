//! From a fresh socket to a peer in its session: hello, admission, seat.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use beach_lifeguard_client::{
    Access, Claims, ClientHello, CloseCode, FeatureBits, Lane, PeerAddr, Role, ServerHello,
    control::Control,
    hello::{Compression, PROTOCOL_VERSION},
    token::{TokenError, TokenKind},
    v1,
};
use bytes::Bytes;
use uuid::Uuid;

use super::{
    activity::Activity,
    core::Core,
    ending::Order,
    guard::{OpenSocket, PeerGuard},
    handle::PeerHandle,
    hop::{self, Arrival, Way},
    inbound::Inbound,
    notice,
    outbound::Outgoing,
    peer::WebSocket,
    refusal::HandshakeRefused,
    registry::{Card, Joined, Roster, Wire},
    session::SessionShared,
    spare,
};
use crate::{
    listen::{Client, Socket},
    telemetry::metrics::Carrier,
    upgrade::Upgrade,
};

/// Takes the socket over.
async fn open(
    relay: &Core,
    socket: Socket,
    leftover: Bytes,
    max_message: usize,
) -> (WebSocket, Arc<Activity>) {
    let activity = Activity::new(relay.clock);
    let ws = WebSocket::open(relay, socket, leftover, activity.clone(), max_message).await;
    (ws, activity)
}

/// Greets a client of version 2: token in the hello.
pub(super) async fn v2(relay: Arc<Core>, upgrade: Upgrade) {
    let started = Instant::now();
    let Some((socket, leftover, client)) = upgrade.socket().await else { return };
    meet_v2(relay, socket, leftover, (client, Carrier::WebSocket), started).await;
}

/// Greets a client of version 2 whose network lets no WebSocket through.
pub(super) async fn v2_over_http(relay: Arc<Core>, socket: Socket, client: Option<Client>) {
    meet_v2(relay, socket, Bytes::new(), (client, Carrier::Http), Instant::now()).await;
}

async fn meet_v2(
    relay: Arc<Core>,
    socket: Socket,
    leftover: Bytes,
    (client, carrier): (Option<Client>, Carrier),
    started: Instant,
) {
    let max_message = relay.config.max_frame;
    let (mut ws, activity) = open(&relay, socket, leftover, max_message).await;
    let open = OpenSocket::new(relay.clone(), carrier);
    match check_v2(&relay, &mut ws, client.as_ref(), carrier).await {
        Err(refused) => refuse(&relay, ws, refused).await,
        Ok((arrival, Some(way))) => hop::pass_on(relay, ws, (arrival, way), client, open).await,
        Ok((arrival, None)) => match seat_v2(&relay, &arrival, &activity) {
            Err(refused) => refuse(&relay, ws, refused).await,
            Ok(greeted) => serve(relay, ws, greeted, client, open, started),
        },
    }
}

/// Greets a client whose hello another node has checked. The limits of this node count for it as for its own.
pub(super) async fn passed_on(relay: Arc<Core>, socket: Socket, arrival: Arrival, client: Option<Client>) {
    let started = Instant::now();
    let (ws, activity) = open(&relay, socket, Bytes::new(), relay.config.max_frame).await;
    let open = OpenSocket::passed_here(relay.clone(), arrival.carrier);
    let seated = may_be_seated(&relay, &arrival).and_then(|()| seat_v2(&relay, &arrival, &activity));
    match seated {
        Err(refused) => refuse(&relay, ws, refused).await,
        Ok(greeted) => serve(relay, ws, greeted, client, open, started),
    }
}

fn may_be_seated(relay: &Core, arrival: &Arrival) -> Result<(), HandshakeRefused> {
    if relay.admission.kill_switch.refuses_new(&arrival.claims.cohort_id) {
        return Err(HandshakeRefused::Paused);
    }
    if arrival.address.is_some_and(|address| !relay.by_address.admits(address)) {
        return Err(HandshakeRefused::RateLimited);
    }
    Ok(())
}

/// Checks the hello and spends the token. Says who came, and the way to the session unless it is here.
async fn check_v2(
    relay: &Core,
    ws: &mut WebSocket,
    client: Option<&Client>,
    carrier: Carrier,
) -> Result<(Arrival, Option<Way>), HandshakeRefused> {
    let Outgoing::Text(hello) = first_message(relay, ws, client).await? else {
        return Err(HandshakeRefused::UnexpectedFrame);
    };
    let hello = ClientHello::decode(&hello)?;
    let (kind, claims) = match relay.admission.verify(&hello.token) {
        // A ticket is signed by a relay.
        Err(HandshakeRefused::Token(TokenError::Key)) => relay.tickets.verify(&hello.token)?,
        verified => verified?,
    };
    if claims.session_id != hello.session_id {
        return Err(TokenError::Session.into());
    }
    if claims.sub != hello.peer_id {
        return Err(TokenError::Subject.into());
    }
    if claims.role != hello.role || (claims.access == Access::ReadOnly && hello.access == Access::Full) {
        return Err(HandshakeRefused::NotGranted);
    }
    let way = match kind {
        TokenKind::Minted => {
            relay.admission.spend(&claims).await?;
            relay.way_to(claims.session_id).await?
        }
        spare => spare::admit(relay, spare, &claims).await?,
    };
    let address = client.map(|client| client.address);
    Ok((Arrival::new(&hello, claims, address, carrier), way))
}

fn seat_v2(
    relay: &Arc<Core>,
    arrival: &Arrival,
    activity: &Arc<Activity>,
) -> Result<Greeted, HandshakeRefused> {
    let claims = &arrival.claims;
    let card = Card { peer_id: claims.sub, role: claims.role, wire: Wire::V2 };
    let joined = join(relay, claims, card, activity, |address, others| {
        let mut present = notice::visible(card.role, others);
        let server_hello = ServerHello {
            protocol_version: PROTOCOL_VERSION,
            client_nonce: arrival.client_nonce,
            server_nonce: *Uuid::new_v4().as_bytes(),
            peer: address,
            peers: present.by_ref().take(LISTED_PEERS).collect(),
            limits: relay.config.hello_limits(),
            heartbeat: relay.config.patience.heartbeat,
            feature_bits: arrival.feature_bits(),
            compression: Compression::None,
        };
        let ticket = relay.tickets.give(claims);
        let rest = present.map(|peer| Outgoing::Binary(Control::PeerJoined(peer).frame()));
        let first = Outgoing::Text(server_hello.encode().into());
        std::iter::once(first).chain(rest).chain(ticket).collect()
    })?;
    Ok(Greeted { joined, role: card.role, access: arrival.access, telemetry: arrival.telemetry })
}

/// Greets a client of version 1, whose token was checked before the upgrade.
pub(super) async fn v1(relay: Arc<Core>, upgrade: Upgrade, claims: Claims) {
    let started = Instant::now();
    let max_message = relay.config.v1_max_message;
    let Some((socket, leftover, client)) = upgrade.socket().await else { return };
    let (mut ws, activity) = open(&relay, socket, leftover, max_message).await;
    let open = OpenSocket::new(relay.clone(), Carrier::WebSocket);
    match greet_v1(&relay, &mut ws, &activity, client.as_ref(), &claims).await {
        Err(refused) => refuse(&relay, ws, refused).await,
        Ok(greeted) => serve(relay, ws, greeted, client, open, started),
    }
}

async fn greet_v1(
    relay: &Arc<Core>,
    ws: &mut WebSocket,
    activity: &Arc<Activity>,
    client: Option<&Client>,
    claims: &Claims,
) -> Result<Greeted, HandshakeRefused> {
    let hello = v1::ClientHello::decode(first_message(relay, ws, client).await?.bytes())?;
    if claims.session_id != hello.session_id {
        return Err(TokenError::Session.into());
    }
    let telemetry_enabled =
        claims.feature_bits.telemetry_enabled && hello.telemetry == v1::Telemetry::Enabled;
    let feature_bits = FeatureBits { telemetry_enabled, ..claims.feature_bits };
    // v1 never compressed, whatever was offered.
    let answer = v1::ServerHello { accepted_compression: v1::Compression::None, feature_bits };
    // A v1 client has no identity of its own: each connection is a peer.
    let card = Card { peer_id: Uuid::new_v4(), role: claims.role, wire: Wire::V1 };
    let first = vec![Outgoing::Text(answer.encode().into())];
    let joined = join(relay, claims, card, activity, move |_, _| first)?;
    Ok(Greeted { joined, role: claims.role, access: claims.access, telemetry: telemetry_enabled })
}

struct Greeted {
    joined: Joined<Arc<PeerHandle>, SessionShared>,
    role: Role,
    access: Access,
    telemetry: bool,
}

async fn first_message(
    relay: &Core,
    ws: &mut WebSocket,
    client: Option<&Client>,
) -> Result<Outgoing, HandshakeRefused> {
    tokio::select! {
        () = evicted(client) => Err(HandshakeRefused::Evicted),
        first = ws.first_message(relay.config.hello_deadline) => Ok(first?),
    }
}

/// Waits until this stranger must make room for others.
async fn evicted(client: Option<&Client>) {
    match client {
        Some(client) => client.stranger.evicted().await,
        None => std::future::pending().await,
    }
}

/// Takes a seat. The first messages, the server's hello before all, are queued before anybody else can
/// see the newcomer: nothing overtakes them.
fn join(
    relay: &Arc<Core>,
    claims: &Claims,
    card: Card,
    activity: &Arc<Activity>,
    first: impl FnOnce(PeerAddr, &Roster<Arc<PeerHandle>>) -> Vec<Outgoing>,
) -> Result<Joined<Arc<PeerHandle>, SessionShared>, HandshakeRefused> {
    if relay.is_draining() {
        return Err(HandshakeRefused::Draining);
    }
    let budget = relay.config.budget(card.wire);
    let handle = |address, others: &Roster<Arc<PeerHandle>>| {
        let handle = PeerHandle::new(address, card.wire, &claims.cohort_id, budget, activity.clone());
        let handle = if card.wire == Wire::V2 { handle.admitted_by(claims) } else { handle };
        for message in first(address, others) {
            handle.push(Lane::Reliable, message);
        }
        Arc::new(handle)
    };
    let share = || SessionShared::new(relay.config.limits.session_bytes);
    let joined = relay.registry.join(claims.session_id, card, share, handle, notice::tell)?;
    if let Some(older) = &joined.superseded {
        older.end(Order::new(CloseCode::SUPERSEDED, "superseded"));
    }
    Ok(joined)
}

pub(super) async fn refuse(relay: &Core, ws: WebSocket, refused: HandshakeRefused) {
    relay.refused_handshake(&refused);
    ws.close(refused.order()).await;
}

/// Hands the socket over to a task of its own: what greeting needed is not kept for the life of a peer.
fn serve(
    relay: Arc<Core>,
    ws: WebSocket,
    greeted: Greeted,
    client: Option<Client>,
    open: OpenSocket,
    started: Instant,
) {
    let Greeted { joined, role, access, telemetry } = greeted;
    if !telemetry {
        joined.session.shared.opted_out.store(true, Relaxed);
    }
    // A stranger no more: an HTTP connection may hold its own handle for as long as it lives.
    if let Some(client) = client {
        client.stranger.prove();
    }
    relay.metrics.handshake_succeeded(joined.handle.wire.version(), started.elapsed(), telemetry);
    let guard = PeerGuard::new(relay.clone(), &joined, open);
    let inbound = Inbound::new(relay.clone(), joined.session, joined.handle, (role, access));
    ws.serve(&relay, inbound, guard);
}

/// Peers named in the hello; it must stay below 64 KiB, and one takes 90 bytes. The rest follow as if they
/// had just joined.
const LISTED_PEERS: usize = 500;
