//! Certifies any relay, by its URL: hello, admission, routing, roles, limits, slow consumers, drain.
//!
//! The relay and the control plane that mints its tokens are seen from outside only, through
//! `docs/wire.md`; each case cites its section. `cargo run -p beach-conformance -- relay --url …
//! --control-plane …` is the command, [`certify_relay`] the same from a test.

mod admission;
mod client;
mod drain;
mod hello;
mod limits;
mod pressure;
mod routing;
mod trust;
mod v1;

use std::{
    fmt,
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::Instant,
};

use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use parking_lot::Mutex;
use rustls::ClientConfig;

pub(crate) use self::client::post;
pub use self::{
    client::{Endpoint, Session, Socket, small_buffers},
    v1::enter_v1,
};
use crate::{
    case::Result,
    report::{CaseReport, Outcome, Report},
    subject::Support,
    suite::run_alone,
};

/// A relay under test.
#[derive(Clone)]
pub struct RelayTarget {
    /// The row of the certification table.
    pub name: String,
    /// The relay's origin: `ws://127.0.0.1:9443` or `wss://relay.example`.
    pub relay: String,
    /// The control plane's origin: `http://127.0.0.1:9443` or `https://…`.
    pub control_plane: String,
    /// Whether the deployed wire is switched on.
    pub v1: Support,
    /// Makes the relay drain, where the one who certifies may. Called once, in the last case.
    pub drain: Option<DrainHook>,
    /// TLS with roots of one's own; `None` for the public ones.
    tls: Option<Arc<ClientConfig>>,
    /// Made with the first request: its certificates take longer to load than a request takes.
    http: Arc<OnceLock<reqwest::Client>>,
}

/// Makes a relay drain.
pub type DrainHook = Arc<dyn Fn() -> BoxFuture<'static, Result<()>> + Send + Sync>;

impl RelayTarget {
    /// Describes a relay that speaks both wires and cannot be made to drain from here.
    pub fn new(relay: impl Into<String>, control_plane: impl Into<String>) -> Self {
        let origin = |url: String| url.trim_end_matches('/').to_owned();
        Self {
            name: "relay".to_owned(),
            relay: origin(relay.into()),
            control_plane: origin(control_plane.into()),
            v1: Support::Yes,
            drain: None,
            tls: None,
            http: Arc::default(),
        }
    }

    /// Trusts the certificates in `pem` and no others: for a relay with a private authority.
    ///
    /// # Errors
    ///
    /// There is no certificate in `pem`, or one that cannot be a root.
    pub fn trusting(mut self, pem: &[u8]) -> Result<Self> {
        self.tls = Some(Arc::new(trust::only(pem)?));
        self.http = Arc::default();
        Ok(self)
    }
}

impl fmt::Debug for RelayTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, relay, control_plane, v1, drain, tls, http: _ } = self;
        f.debug_struct("RelayTarget")
            .field("name", name)
            .field("relay", relay)
            .field("control_plane", control_plane)
            .field("v1", v1)
            .field("drain", &drain.is_some())
            .field("own_roots", &tls.is_some())
            .finish()
    }
}

/// One thing a relay must do.
#[derive(Clone, Copy)]
struct RelayCase {
    name: &'static str,
    /// The section of `docs/wire.md`.
    clause: &'static str,
    needs: Option<Need>,
    run: for<'a> fn(&'a RelayTarget) -> BoxFuture<'a, Result<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Drain,
    V1,
}

impl Need {
    fn missing(self, target: &RelayTarget) -> Option<&'static str> {
        match (self, target.v1) {
            (Self::V1, Support::No(reason)) => Some(reason),
            (Self::Drain, _) if target.drain.is_none() => Some("the relay cannot be made to drain from here"),
            _ => None,
        }
    }
}

/// Lists the cases of a file: name, section, need.
macro_rules! relay_cases {
    ($module:literal: $($case:ident [$clause:literal] $(needs $need:ident)?;)+) => {
        pub(super) const CASES: &[$crate::relay::RelayCase] = &[$($crate::relay::RelayCase {
            name: concat!($module, "::", stringify!($case)),
            clause: $clause,
            needs: relay_cases!(@need $($need)?),
            run: |target| Box::pin($case(target)),
        }),+];
    };
    (@need) => { None };
    (@need $need:ident) => { Some($crate::relay::Need::$need) };
}
use relay_cases;

fn all() -> impl Iterator<Item = &'static RelayCase> {
    [hello::CASES, admission::CASES, routing::CASES, limits::CASES, pressure::CASES, v1::CASES, drain::CASES]
        .into_iter()
        .flatten()
}

/// Runs one case against the relay, alone on a runtime of its own; `None` when there is no such case.
pub fn run_relay_case(target: &RelayTarget, name: &str) -> Option<Result<()>> {
    let case = all().find(|case| case.name == name)?;
    let (run, target) = (case.run, target.clone());
    Some(run_alone(async move { run(&target).await }))
}

/// Runs every case against the relay and reports, to `report` as JSON too. A run in which no case
/// ran fails.
pub fn certify_relay(target: &RelayTarget, arguments: &Arguments, report: Option<&str>) -> ExitCode {
    // Somebody may have installed one before: that one is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let started = Instant::now();
    let results = Arc::new(Mutex::new(Vec::new()));
    // The drain ends the relay, so it waits for all the others.
    let (last, first): (Vec<_>, Vec<_>) = all().partition(|case| case.needs == Some(Need::Drain));
    let mut ran = 0;
    let mut failed = false;
    for cases in [first, last] {
        let trials = cases.into_iter().map(|case| trial(target, case, &results)).collect();
        let conclusion = libtest_mimic::run(arguments, trials);
        ran += conclusion.num_passed + conclusion.num_failed;
        failed |= conclusion.has_failed();
    }
    if arguments.list {
        return ExitCode::SUCCESS;
    }
    let mut cases = std::mem::take(&mut *results.lock());
    cases.extend(all().filter_map(|case| {
        let reason = case.needs?.missing(target)?;
        Some(row(target, case, Outcome::Exempt { reason: reason.to_owned() }, 0))
    }));
    let summary = Report::new(0, started.elapsed(), cases, all().count());
    print!("{}", summary.summary());
    if let Some(Err(error)) = report.map(|path| summary.write(path)) {
        eprintln!("the report could not be written: {error}");
        return ExitCode::from(2);
    }
    if ran == 0 {
        eprintln!("no case ran: a run that proves nothing does not pass");
    }
    if failed || ran == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn trial(target: &RelayTarget, case: &'static RelayCase, results: &Arc<Mutex<Vec<CaseReport>>>) -> Trial {
    let exempt = case.needs.and_then(|need| need.missing(target));
    let (target, results) = (target.clone(), results.clone());
    let trial = Trial::test(format!("{}::{}", target.name, case.name), move || {
        let started = Instant::now();
        let run = case.run;
        let on = target.clone();
        let outcome = run_alone(async move { run(&on).await });
        let told = match &outcome {
            Ok(()) => Outcome::Passed,
            Err(failure) => Outcome::Failed { why: failure.to_string() },
        };
        results.lock().push(row(&target, case, told, started.elapsed().as_millis() as u64));
        outcome.map_err(|failure| {
            Failed::from(format!(
                "{failure}\n  section docs/wire.md §{}\n  replay  cargo run -p beach-conformance -- relay --url {} --control-plane {} {}",
                case.clause, target.relay, target.control_plane, case.name
            ))
        })
    });
    match exempt {
        Some(reason) => trial.with_kind(format!("exempt: {reason}")).with_ignored_flag(true),
        None => trial,
    }
}

fn row(target: &RelayTarget, case: &'static RelayCase, outcome: Outcome, ms: u64) -> CaseReport {
    CaseReport {
        subject: target.name.clone(),
        case: case.name,
        clause: case.clause,
        direction: "forth",
        outcome,
        ms,
    }
}
