//! Rooms in which the members of a session meet: opaque envelopes, and who is present.

mod room;
mod socket;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
};
use beach_lifeguard_client::reason::Reason;
use bytes::Bytes;
use http::{StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use uuid::Uuid;

pub(super) use self::room::Rooms;
use super::{ControlPlane, refusal::Refused};
use crate::listen::{Client, Socket};

/// `GET /v1/signaling/{session}`.
pub(super) async fn enter(
    State(control): State<ControlPlane>,
    Path(session): Path<String>,
    mut request: Request,
) -> Result<Response, Refused> {
    let session = Uuid::parse_str(&session).map_err(|_| Reason::InvalidSessionId)?;
    let (key, upgrade) = take_upgrade(&mut request).ok_or(Reason::InvalidRequest)?;
    // Holds the connection's place among the strangers until its member has proven who it is.
    let client = request.extensions_mut().remove::<Client>();
    let rooms = control.0.rooms.clone();
    rooms.tasks().spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        // Our own listener's socket is taken out of hyper, which would keep a buffer for each; another
        // service's is used as it comes.
        match upgraded.downcast::<TokioIo<Socket>>() {
            Ok(parts) => socket::serve(control, session, client, parts.io.into_inner(), parts.read_buf).await,
            Err(upgraded) => {
                socket::serve(control, session, client, TokioIo::new(upgraded), Bytes::new()).await;
            }
        }
    });
    let headers = [
        (header::CONNECTION, "upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_ACCEPT, &*key),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response())
}

/// Reads what RFC 6455 §4.2.1 asks for: the answer to the key, and the way to the socket.
fn take_upgrade(request: &mut Request) -> Option<(Arc<str>, OnUpgrade)> {
    let headers = request.headers();
    let is = |name, value: &str| {
        let values = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
        values.flat_map(|v| v.split(',')).any(|v| v.trim().eq_ignore_ascii_case(value))
    };
    let websocket = is(header::CONNECTION, "upgrade")
        && is(header::UPGRADE, "websocket")
        && is(header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| websocket && key.len() == 24)?;
    let accept = derive_accept_key(key.as_bytes()).into();
    Some((accept, request.extensions_mut().remove::<OnUpgrade>()?))
}
