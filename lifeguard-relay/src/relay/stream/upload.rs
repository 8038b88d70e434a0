//! `POST /v2/stream/ID/NUMBER`: what a carrier's client sends.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
};
use beach_lifeguard_client::stream::{CarrierId, reason};
use http::StatusCode;
use serde_json::json;

use super::{
    super::{core::Core, refusal::HttpRefused},
    open::whole_body,
    uploads::Uploaded,
};
use crate::listen::Client;

/// Answers 204 when the upload is in its place, however often it came.
pub(in crate::relay) async fn upload(
    State(relay): State<Arc<Core>>,
    Path((id, number)): Path<(String, String)>,
    mut request: Request,
) -> Response {
    let client = request.extensions_mut().remove::<Client>();
    let outcome = take(&relay, client.as_ref(), (&id, &number), request).await;
    relay.metrics.stream_upload(outcome.label());
    outcome.into_response()
}

async fn take(
    relay: &Core,
    client: Option<&Client>,
    (id, number): (&str, &str),
    request: Request,
) -> Outcome {
    let uploads = id.parse::<CarrierId>().ok().and_then(|id| relay.streams.find(&id));
    let (Some(uploads), Ok(number)) = (uploads, number.parse::<u64>()) else {
        // Whoever guesses ids guesses at the rate of whoever opens connections.
        let admitted = client.is_none_or(|client| relay.by_address.admits(client.address));
        return if admitted { Outcome::Unknown } else { Outcome::RateLimited };
    };
    if let Some(client) = client.filter(|_| uploads.is_admitted()) {
        // Only the carrier's own client knows its id.
        client.stranger.prove();
    }
    let Some(_place) = uploads.enter() else { return Outcome::TooMany };
    match whole_body(request.into_body(), DEADLINE).await {
        Err(HttpRefused::BodyLate) => Outcome::Late,
        Err(_) => Outcome::TooLarge,
        Ok(body) => match uploads.take(number, body).await {
            Uploaded::Early => Outcome::OutOfOrder,
            Uploaded::Gone => Outcome::Unknown,
            Uploaded::Repeated => Outcome::Repeated,
            Uploaded::Taken => Outcome::Taken,
        },
    }
}

/// For a body: a narrow link needs seconds for the least that a client sends at once.
const DEADLINE: Duration = Duration::from_secs(10);

/// What became of a request, in metrics and in its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Late,
    OutOfOrder,
    RateLimited,
    Repeated,
    Taken,
    TooLarge,
    TooMany,
    Unknown,
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Self::Late => "timeout",
            Self::OutOfOrder => reason::OUT_OF_ORDER,
            Self::RateLimited => "rate_limited",
            Self::Repeated => "repeated",
            Self::Taken => "taken",
            Self::TooLarge => reason::TOO_LARGE,
            Self::TooMany => reason::TOO_MANY,
            Self::Unknown => reason::UNKNOWN,
        }
    }

    fn refusal(self) -> Option<(StatusCode, &'static str)> {
        Some(match self {
            Self::Repeated | Self::Taken => return None,
            Self::Late => (StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
            Self::OutOfOrder => (StatusCode::CONFLICT, "an upload before this one is missing"),
            Self::RateLimited => {
                (StatusCode::TOO_MANY_REQUESTS, "too many requests for streams that are not open")
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "send less at once"),
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "wait for the answer to the upload before"),
            Self::Unknown => (StatusCode::NOT_FOUND, "no such stream is open here"),
        })
    }
}

impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        match self.refusal() {
            None => StatusCode::NO_CONTENT.into_response(),
            Some((status, message)) => {
                let body = json!({ "success": false, "reason": self.label(), "message": message });
                (status, Json(body)).into_response()
            }
        }
    }
}
