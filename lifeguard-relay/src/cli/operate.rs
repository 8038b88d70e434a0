//! `pause`, `resume`, `drain` and `status`: what an operator does to a running process.

use std::{io::IsTerminal, path::PathBuf};

use beach_outbound::{Outbound, OutboundConfig, ProxyMode, Request};
use clap::{Args, ValueEnum};
use http::{HeaderValue, header::AUTHORIZATION};
use serde_json::{Value, json};
use url::Url;

use super::{failure::Failure, output};
use crate::config::ADMIN_ADDR;

#[derive(Debug, Args)]
pub(crate) struct AdminArgs {
    /// The admin address of the process.
    #[arg(long, default_value_t = format!("http://{ADMIN_ADDR}"), env = "BEACH_LIFEGUARD_ADMIN")]
    admin: String,
    /// Its bearer token, when it has one.
    #[arg(long, env = "BEACH_LIFEGUARD_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The same, from a file: what a container's health check has.
    #[arg(long, value_name = "FILE", env = "BEACH_LIFEGUARD_ADMIN_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Print the raw JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ScopeArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Only this cohort of the deployment: one that is configured, or `public`, which is everybody else. Without
    /// it, everybody.
    #[arg(long)]
    cohort: Option<String>,
    /// Why, for the audit trail.
    #[arg(long, default_value = "")]
    reason: String,
    /// Who, for the audit trail.
    #[arg(long, env = "USER", default_value = "")]
    by: String,
}

#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    /// How far it goes; each step includes those before it.
    #[arg(long, value_enum, default_value = "minting")]
    level: Level,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    /// No new tokens; whoever has one may still come in.
    Minting,
    /// Nobody new comes in.
    RefuseNew,
    /// Whoever is inside, on any node, is asked to leave.
    Drain,
    /// Whoever is inside is cut off.
    Stop,
}

pub(super) async fn pause(args: PauseArgs) -> Result<(), Failure> {
    let command = match args.level {
        Level::Minting => "pause",
        Level::RefuseNew => "refuse-new",
        Level::Drain => "drain",
        Level::Stop => "stop",
    };
    args.scope.send(command).await
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    /// Only this process takes peers again after `drain`; the kill switch stays as it is.
    #[arg(long, conflicts_with = "cohort")]
    node: bool,
}

pub(super) async fn resume(args: ResumeArgs) -> Result<(), Failure> {
    args.scope.send(if args.node { "resume-node" } else { "resume" }).await
}

/// One process, or one cohort on all of them.
pub(super) async fn drain(args: ScopeArgs) -> Result<(), Failure> {
    let command = if args.cohort.is_some() { "drain" } else { "drain-node" };
    args.send(command).await
}

pub(super) async fn status(args: AdminArgs) -> Result<(), Failure> {
    let stats = args.call(Request::get(args.url("/debug/stats")?)).await?;
    if args.json {
        return output::line(stats);
    }
    output::print(&pretty(&stats, std::io::stdout().is_terminal()))
}

impl ScopeArgs {
    async fn send(&self, command: &str) -> Result<(), Failure> {
        let body = json!({ "cohort": self.cohort, "reason": self.reason, "by": self.by });
        let url = self.admin.url(&format!("/admin/{command}"))?;
        let request =
            Request::post(url, HeaderValue::from_static("application/json"), body.to_string().into());
        let answer = self.admin.call(request).await?;
        if self.admin.json {
            return output::line(answer);
        }
        output::line(answer["message"].as_str().unwrap_or("done"))
    }
}

impl AdminArgs {
    /// The token itself wins over its file.
    fn token(&self) -> Result<Option<String>, Failure> {
        match (&self.token, &self.token_file) {
            (Some(token), _) => Ok(Some(token.clone())),
            (None, Some(file)) => std::fs::read_to_string(file)
                .map(|text| Some(text.trim().to_owned()))
                .map_err(|error| Failure::Input(format!("cannot read {}: {error}", file.display()))),
            (None, None) => Ok(None),
        }
    }

    fn url(&self, path: &str) -> Result<Url, Failure> {
        let url = format!("{}{path}", self.admin.trim_end_matches('/'));
        url.parse().map_err(|error| Failure::Input(format!("--admin {}: {error}", self.admin)))
    }

    async fn call(&self, mut request: Request) -> Result<Value, Failure> {
        if let Some(token) = self.token()? {
            let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| Failure::Input("the admin token holds what no header can".to_owned()))?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        let unreachable = |why: String| Failure::Unreachable { url: self.admin.clone(), why };
        // An admin address is on this machine or in its private network.
        let mut config = OutboundConfig::default();
        config.proxy = ProxyMode::Direct;
        let outbound = Outbound::new(config).map_err(|error| unreachable(error.to_string()))?;
        let answer = outbound.http(request.limit(MAX_ANSWER_BYTES)).await;
        let answer = answer.map_err(|error| unreachable(error.cause.to_string()))?;
        let body: Value = answer.json().unwrap_or_default();
        if answer.status.is_success() {
            return Ok(body);
        }
        let why = body["message"].as_str().map_or_else(|| answer.status.to_string(), str::to_owned);
        Err(Failure::Refused(why))
    }
}

fn pretty(stats: &Value, color: bool) -> String {
    let paint = |code: &str, text: &str| {
        if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let number = |key: &str| stats[key].as_u64().unwrap_or_default();
    let order = &stats["kill_switch"]["everybody"];
    let state = match (order["verb"].as_str(), stats["phase"].as_str(), stats["ready"].as_bool()) {
        (Some(verb), ..) => {
            let words = format!(
                "{verb} by {}: {}",
                order["by"].as_str().unwrap_or("?"),
                order["reason"].as_str().filter(|reason| !reason.is_empty()).unwrap_or("no reason given")
            );
            paint("1;31", &words)
        }
        (None, Some("serving") | None, Some(true)) => paint("1;32", "open"),
        (None, phase, _) => paint("1;33", phase.unwrap_or("not ready")),
    };
    let mut out = format!("  state      {state}\n");
    let cohorts = stats["kill_switch"]["cohorts"].as_object();
    for (cohort, order) in cohorts.into_iter().flatten() {
        let verb = order["verb"].as_str().unwrap_or("?");
        out += &format!("  cohort     {cohort:?} {}\n", paint("1;31", verb));
    }
    out += &format!(
        "  sessions   {}\n  peers      {}\n",
        number("active_sessions"),
        number("active_connections")
    );
    out += &format!(
        "  forwarded  {} messages, {:.1} MiB\n  waiting    {:.1} KiB\n  sockets    {} since start\n",
        number("total_messages_forwarded"),
        number("total_bytes_forwarded") as f64 / f64::from(1 << 20),
        number("queued_bytes") as f64 / 1024.0,
        number("total_connections")
    );
    out += &pool(&stats["pool"], paint);
    let sessions = stats["sessions"].as_array().map(Vec::as_slice).unwrap_or_default();
    for session in sessions.iter().take(10) {
        out += &format!(
            "    {}  {:>4} peers  {:>10} messages\n",
            session["session_id"].as_str().unwrap_or("?"),
            session["connections"],
            session["forwarded"]
        );
    }
    out
}

/// The relays of a pool, the one that was asked first. Nothing without a pool.
fn pool(nodes: &Value, paint: impl Fn(&str, &str) -> String) -> String {
    let nodes = nodes.as_array().map(Vec::as_slice).unwrap_or_default();
    if nodes.is_empty() {
        return String::new();
    }
    let mut out = format!("  pool       {} relays\n", nodes.len());
    for node in nodes {
        // Behind one address all have the same URL.
        let name = node["internal"].as_str().or(node["url"].as_str()).unwrap_or("?");
        let state =
            if node["ready"] == true { paint("1;32", "open") } else { paint("1;33", "takes no sessions") };
        out += &format!(
            "    {} {name}  {}{:>5} sessions  {:>6} sockets  {state}\n",
            if node["this"] == true { "*" } else { " " },
            node["region"]
                .as_str()
                .filter(|region| !region.is_empty())
                .map_or(String::new(), |r| format!("{r}  ")),
            node["sessions"].as_u64().unwrap_or_default(),
            node["sockets"].as_u64().unwrap_or_default(),
        );
    }
    out
}

/// The statistics of a full relay name ten thousand sessions.
const MAX_ANSWER_BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_comes_first_and_says_who_and_why() {
        let stats = json!({
            "ready": false, "phase": "serving", "active_sessions": 2,
            "kill_switch": { "everybody": { "verb": "stop", "by": "ops", "reason": "incident 7" }, "cohorts": {} },
        });
        let text = pretty(&stats, false);
        assert!(text.starts_with("  state      stop by ops: incident 7\n  sessions   2\n"), "{text}");
        assert!(
            pretty(&json!({ "ready": true, "phase": "serving" }), false).starts_with("  state      open\n")
        );
        assert!(pretty(&json!({ "ready": false, "phase": "draining" }), false).contains("draining"));
    }

    #[test]
    fn the_pool_is_shown_node_by_node_and_the_one_that_was_asked_is_marked() {
        let node = |this: bool, internal: &str, ready: bool| {
            json!({ "url": "wss://a/v2/ws", "internal": internal, "region": "eu", "sockets": 7,
                    "sessions": 2, "ready": ready, "this": this })
        };
        let stats = json!({ "ready": true, "pool": [node(true, "10.0.0.1:9445", true), node(false, "10.0.0.2:9445", false)] });
        let text = pretty(&stats, false);
        assert!(text.contains("  pool       2 relays\n"), "{text}");
        assert!(text.contains("    * 10.0.0.1:9445  eu      2 sessions       7 sockets  open\n"), "{text}");
        assert!(
            text.contains("      10.0.0.2:9445  eu      2 sessions       7 sockets  takes no sessions\n"),
            "{text}"
        );
        assert!(!pretty(&json!({ "ready": true, "pool": [] }), false).contains("pool"));
    }
}
