//! `POST /v2/stream`: opens a carrier. The body begins with the client's hello.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    response::Response,
};
use beach_lifeguard_client::stream::{MAX_UPLOAD_BYTES, Opened};
use bytes::Bytes;
use tokio::time::timeout;

use super::{
    super::{core::Core, greet, refusal::HttpRefused, routes::may_connect},
    answer::answer,
};
use crate::listen::{Client, Socket};

/// Answers at once, and greets behind the answer: a refusal of the hello is a close frame, as on a WebSocket.
pub(in crate::relay) async fn open(State(relay): State<Arc<Core>>, mut request: Request) -> Response {
    let client = request.extensions_mut().remove::<Client>();
    let first = match first_bytes(&relay, request, client.as_ref()).await {
        Ok(first) => first,
        Err(refused) => return relay.refuse(refused),
    };
    let opener = client.as_ref().map(|client| client.stranger.clone());
    let (carrier, pipe, down) = relay.streams.start(first, opener);
    relay.tasks.spawn(greet::v2_over_http(relay.clone(), Socket::of_another_carrier(pipe), client));
    answer(&Opened { carrier, upload_bytes: MAX_UPLOAD_BYTES as u32 }, down)
}

async fn first_bytes(relay: &Core, request: Request, client: Option<&Client>) -> Result<Bytes, HttpRefused> {
    if !relay.config.http_carrier {
        return Err(HttpRefused::StreamOff);
    }
    may_connect(relay, request.headers(), client)?;
    whole_body(request.into_body(), relay.config.hello_deadline).await
}

/// Reads a body as small as an upload.
pub(super) async fn whole_body(body: Body, deadline: Duration) -> Result<Bytes, HttpRefused> {
    match timeout(deadline, to_bytes(body, MAX_UPLOAD_BYTES)).await {
        Err(_) => Err(HttpRefused::BodyLate),
        // Too large, or cut short; then nobody reads the answer.
        Ok(Err(_)) => Err(HttpRefused::BodyTooLarge),
        Ok(Ok(body)) => Ok(body),
    }
}
