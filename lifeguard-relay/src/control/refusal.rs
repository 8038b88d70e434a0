//! Every way the control plane says no, as an HTTP answer.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use beach_lifeguard_client::reason::{ErrorBody, Reason};
use http::StatusCode;

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
        let status = StatusCode::from_u16(self.0.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(ErrorBody::from(self.0))).into_response()
    }
}
