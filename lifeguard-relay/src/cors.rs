//! What a browser is told about pages of other origins.

use std::time::Duration;

use http::{HeaderValue, Method, header};
use tower_http::cors::CorsLayer;

/// Lets pages of these origins ask and read the answers; `None` when there are none. Nothing here is proven by a cookie,
/// so no credentials are let through.
pub(crate) fn cross_origin(origins: &[String]) -> Option<CorsLayer> {
    // One that is no header value can be nobody's.
    let origins: Vec<_> = origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok()).collect();
    let allowed = CorsLayer::new()
        .allow_methods([Method::POST])
        .allow_headers([header::CONTENT_TYPE])
        // A page whose clock is off is told so by the date.
        .expose_headers([header::DATE, header::RETRY_AFTER])
        .max_age(PREFLIGHT);
    (!origins.is_empty()).then(|| allowed.allow_origin(origins))
}

/// How long a browser need not ask again whether it may ask.
const PREFLIGHT: Duration = Duration::from_secs(600);
