//! How often one address may ask.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use beach_lifeguard_client::reason::Reason;

use super::{plane::ControlPlane, refusal::Refused};
use crate::listen::Client;

/// Refuses an address that asks too often. Mounted in another service, whose listener does not tell us
/// addresses, the limit is that service's business.
pub(super) async fn admit(State(control): State<ControlPlane>, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<Client>().map(|client| client.address);
    if address.is_some_and(|address| !control.0.by_address.admits(address)) {
        return Refused(Reason::RateLimited).into_response();
    }
    next.run(request).await
}
