//! Rooms in which the members of a session meet: opaque envelopes, and who is present.

mod socket;

use axum::{
    extract::{Path, Request, State},
    response::Response,
};
use beach_lifeguard_client::reason::Reason;
use serde::Deserialize;
use uuid::Uuid;

use super::{plane::ControlPlane, refusal::Refused};
use crate::upgrade::Upgrade;

/// Read by name: a service that mounts the route may have parameters of its own before it.
#[derive(Deserialize)]
pub(super) struct Room {
    session: String,
}

/// `GET /v1/signaling/{session}`.
pub(super) async fn enter(
    State(control): State<ControlPlane>,
    Path(Room { session }): Path<Room>,
    mut request: Request,
) -> Result<Response, Refused> {
    let session = Uuid::parse_str(&session).map_err(|_| Reason::InvalidSessionId)?;
    let upgrade = Upgrade::from_request(&mut request).ok_or(Reason::InvalidRequest)?;
    let answer = upgrade.response(None);
    let rooms = control.0.rooms.clone();
    rooms.tasks().spawn(async move {
        // The client holds its place among the strangers until it has proven who it is.
        if let Some((socket, read, client)) = upgrade.socket().await {
            socket::serve(control, session, client, socket, read).await;
        }
    });
    Ok(answer)
}
