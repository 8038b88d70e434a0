//! Which services may ask for tokens, where that is restricted.

use axum::{
    Json,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use super::{config::Secret, plane::ControlPlane};

/// Lets a request pass that bears one of the configured tokens; everything, when none is configured.
pub(super) async fn service(State(control): State<ControlPlane>, request: Request, next: Next) -> Response {
    if !bears(request.headers(), &control.0.config.service_tokens) {
        let words = "this control plane mints for known services only";
        let body = Json(json!({ "success": false, "reason": "service_unauthorized", "message": words }));
        let mut answer = (StatusCode::UNAUTHORIZED, body).into_response();
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return answer;
    }
    next.run(request).await
}

/// Compares in constant time, with every token, so that time tells nothing about any of them.
fn bears(headers: &HeaderMap, tokens: &[Secret]) -> bool {
    let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let given = given.and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
    let equal = |token: &Secret| {
        aws_lc_rs::constant_time::verify_slices_are_equal(given, token.expose().as_bytes()).is_ok()
    };
    tokens.is_empty() || tokens.iter().filter(|token| equal(token)).count() > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_the_tokens_will_do_and_none_is_needed_when_there_is_none() {
        let tokens = [Secret::new("0123456789abcdef"), Secret::new("fedcba9876543210")];
        let with = |value: &'static str| {
            HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))])
        };
        assert!(bears(&with("Bearer 0123456789abcdef"), &tokens));
        assert!(bears(&with("Bearer fedcba9876543210"), &tokens));
        for bad in ["", "Bearer ", "Bearer 0123456789abcde", "bearer 0123456789abcdef", "0123456789abcdef"] {
            assert!(!bears(&with(bad), &tokens), "{bad:?}");
        }
        assert!(!bears(&HeaderMap::new(), &tokens));
        assert!(bears(&HeaderMap::new(), &[]));
    }
}
