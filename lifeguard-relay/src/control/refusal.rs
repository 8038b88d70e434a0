//! Every way the control plane says no, as an HTTP answer.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use beach_lifeguard_client::reason::{ErrorBody, Reason};
use http::{HeaderValue, StatusCode, header};

/// A refusal on its way to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused(pub(super) Reason);

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self(reason)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        answer(self.0, ErrorBody::from(self.0))
    }
}

/// The same for a deployed v1 client, whose body is a success flag and a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RefusedV1(pub(super) Reason);

impl From<Refused> for RefusedV1 {
    fn from(Refused(reason): Refused) -> Self {
        Self(reason)
    }
}

impl IntoResponse for RefusedV1 {
    fn into_response(self) -> Response {
        answer(self.0, ErrorBody { message: "".into(), ..ErrorBody::from(self.0) })
    }
}

fn answer(reason: Reason, body: ErrorBody) -> Response {
    let status = StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = (status, Json(body)).into_response();
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    answer
}
