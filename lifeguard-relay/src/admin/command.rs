//! The operator's commands.

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use beach_lifeguard_client::CloseCode;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::Admin;
use crate::{kill_switch::Verb, store::StoreError};

/// The body of every command.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandBody {
    /// Only this cohort; without it, everybody.
    cohort: Option<String>,
    /// Why, for the audit trail.
    #[serde(default)]
    reason: String,
    /// Who, for the audit trail.
    #[serde(default)]
    by: String,
}

/// `pause`, `refuse-new`, `drain`, `stop` and `resume` are the kill switch: for the whole deployment, or
/// one cohort of it. `drain-node` lets everybody go from this process alone, `resume-node` ends that.
pub(super) async fn run(
    State(admin): State<Admin>,
    Path(command): Path<String>,
    order: Result<Json<CommandBody>, axum::extract::rejection::JsonRejection>,
) -> Response {
    let Json(order) = match order {
        Ok(order) => order,
        Err(rejected) => return answer(rejected.status(), false, &rejected.body_text()),
    };
    let verb = match command.as_str() {
        "pause" => Some(Verb::PauseMinting),
        "refuse-new" => Some(Verb::RefuseNew),
        "drain" => Some(Verb::Drain),
        "stop" => Some(Verb::Stop),
        "resume" => None,
        "drain-node" => return drain_node(&admin, &order),
        "resume-node" => return resume_node(&admin, &order),
        _ => return answer(StatusCode::NOT_FOUND, false, "no such command"),
    };
    if let Some(verb) = verb {
        admin.0.metrics.kill_switch_set(verb.label());
    }
    let by = if order.by.is_empty() { "admin" } else { &order.by };
    match admin.0.kill_switch.set(order.cohort.as_deref(), verb, by, &order.reason).await {
        Ok(()) => answer(StatusCode::OK, true, &described(verb, order.cohort.as_deref())),
        Err(StoreError::Full) => {
            answer(StatusCode::CONFLICT, false, "too many cohorts have an order; nothing was changed")
        }
        Err(error) => {
            let words =
                format!("{}, on this process only: {error}", described(verb, order.cohort.as_deref()));
            answer(StatusCode::BAD_GATEWAY, false, &words)
        }
    }
}

fn drain_node(admin: &Admin, order: &CommandBody) -> Response {
    let Some(relay) = admin.0.relay.clone() else {
        return answer(StatusCode::CONFLICT, false, "this process has no relay to drain");
    };
    if order.cohort.is_some() {
        return answer(
            StatusCode::BAD_REQUEST,
            false,
            "a process is drained as a whole; `drain` takes a cohort",
        );
    }
    tracing::warn!(reason = order.reason, by = order.by, "draining this node");
    // The answer does not wait for it: readiness and `/debug/stats` show how far it is.
    tokio::spawn(async move { relay.drain(CloseCode::DRAIN).await });
    answer(StatusCode::ACCEPTED, true, "draining this node; `resume --node` takes new peers again")
}

fn resume_node(admin: &Admin, order: &CommandBody) -> Response {
    let Some(relay) = &admin.0.relay else {
        return answer(StatusCode::CONFLICT, false, "this process has no relay");
    };
    tracing::warn!(reason = order.reason, by = order.by, "this node takes peers again");
    relay.resume();
    answer(StatusCode::OK, true, "this node takes new peers again")
}

fn described(verb: Option<Verb>, cohort: Option<&str>) -> String {
    let scope = cohort.map_or_else(|| "everybody".to_owned(), |cohort| format!("cohort {cohort:?}"));
    let what = match verb {
        None => "resumed",
        Some(Verb::PauseMinting) => "no new tokens",
        Some(Verb::RefuseNew) => "nobody new comes in",
        Some(Verb::Drain) => "asked to leave",
        Some(Verb::Stop) => "cut off",
    };
    format!("{what}: {scope}")
}

fn answer(status: StatusCode, success: bool, message: &str) -> Response {
    (status, Json(json!({ "success": success, "message": message }))).into_response()
}
