//! Errors as a page expects them: `Error` objects with a name.

use std::{error::Error, fmt::Write};

use js_sys::Reflect;
use negotiator::{BadJoinLink, JoinError, SignalingError};
use transport_core::secure::BadJoinFragment;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/**
 * The `code` of a `JoinFailed`: one of these, or the label under which the control plane or the relay refused
 * (`unknown_session`, `fallback_paused`, `entitlement_required`, …).
 */
export type JoinFailure =
  | "full" | "host_absent" | "host_refused" | "link_expired" | "link_revoked" | "link_used_up" | "no_path"
  | "not_approved" | "not_taken_back" | "removed" | "secret_mismatch" | "unreachable" | "version" | (string & {});
"#;

/// An `Error` called `name`, with what `error` and its sources say.
pub(crate) fn failed(name: &str, error: &dyn Error) -> JsValue {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(said, ": {error}");
        source = error.source();
    }
    named(name, &said)
}

/// Why a session was not joined: `BadLink` or `JoinFailed`, with a `code` for a program.
pub(crate) fn not_joined(error: &JoinError) -> JsValue {
    let code = match error {
        JoinError::Full => "full",
        JoinError::HostAbsent => "host_absent",
        JoinError::HostRefused { .. } => "host_refused",
        JoinError::Link(BadJoinLink::Fragment(BadJoinFragment::Expired)) | JoinError::LinkExpired => {
            "link_expired"
        }
        JoinError::Link(_) => return failed("BadLink", error),
        JoinError::LinkRevoked => "link_revoked",
        JoinError::LinkUsedUp => "link_used_up",
        JoinError::NoPath { explanation } => explanation.refusal().unwrap_or("no_path"),
        JoinError::NotApproved => "not_approved",
        JoinError::NotTakenBack => "not_taken_back",
        JoinError::Removed => "removed",
        JoinError::SecretMismatch => "secret_mismatch",
        JoinError::Signaling(SignalingError::Refused { label, .. }) => label.as_ref(),
        JoinError::Version { .. } => "version",
        _ => "unreachable",
    };
    let thrown = failed("JoinFailed", error);
    // An object takes a property.
    let _ = Reflect::set(&thrown, &"code".into(), &code.into());
    thrown
}

/// What an `AbortSignal` leads to, as `fetch` does.
pub(crate) fn aborted() -> JsValue {
    named("AbortError", "aborted")
}

pub(crate) fn named(name: &str, message: &str) -> JsValue {
    let error = js_sys::Error::new(message);
    error.set_name(name);
    error.into()
}
