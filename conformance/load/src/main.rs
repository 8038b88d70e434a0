//! Puts load on a relay and on a forwarder that does nothing, so that each figure has its ratio.
//!
//! `lifeguard-load stream --sessions 100 --rate 64KiB …` starts a `beach-lifeguard dev` of its own, and with
//! `--reference` repeats the run against a raw TCP forwarder and a WebSocket relay that does nothing, on the
//! same machine. `--control-plane URL`
//! loads a relay that runs elsewhere; its CPU and memory cannot be read then.
#![forbid(unsafe_code)]

mod arguments;
mod chaos;
mod chart;
mod chorus;
mod closed;
mod flow;
mod forwarder;
mod keystrokes;
mod lean;
mod mirror;
mod pair;
mod process;
mod report;
mod scenario;
mod session;
mod slow;
mod soak;
mod spread;
mod target;
mod throughput;

use std::{process::ExitCode, time::Duration};

use clap::Parser;

use crate::{
    arguments::{Arguments, Scenario},
    report::Report,
    target::Target,
};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.scenario {
        Scenario::Forward => return exit(forwarder::forward().await.map_err(Into::into)),
        Scenario::Mirror => return exit(mirror::mirror().await.map_err(Into::into)),
        Scenario::Spread => return exit(spread::spread().map_err(Into::into)),
        Scenario::Chorus => return exit(chorus::chorus().await.map_err(Into::into)),
        _ => (),
    }
    // Both providers are in this graph; nothing may guess which one is meant.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    exit(run(&arguments).await)
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let targets = arguments.targets();
    let mut turns = vec![Vec::new(); targets.len()];
    for _ in 0..arguments.turns {
        for (which, turns) in targets.iter().zip(&mut turns) {
            let target = which.start(arguments.control_plane.as_deref(), arguments.serving()).await?;
            turns.push(load(&arguments.scenario, &target).await?);
        }
    }
    let reports: Vec<_> = turns.into_iter().filter_map(Report::median).collect();
    if let Some(file) = &arguments.svg {
        std::fs::write(file, chart::draw(&reports))?;
    }
    if let Some((measured, beside)) = reports.split_first() {
        measured.print(beside, arguments.form());
    }
    Ok(())
}

async fn load(scenario: &Scenario, target: &Target) -> Result<Report, Failure> {
    match *scenario {
        Scenario::Idle { connections, seconds } => {
            scenario::idle(target, connections, Duration::from_secs(seconds)).await
        }
        Scenario::Stream { sessions, size, rate, seconds } => {
            scenario::stream(target, sessions, size, rate, Duration::from_secs(seconds)).await
        }
        Scenario::Fanout { viewers, size, messages, seconds } => {
            scenario::fanout(target, viewers, size, messages, Duration::from_secs(seconds)).await
        }
        Scenario::Chaos { sessions, size, rate, troublemakers, seconds } => {
            let lasting = Duration::from_secs(seconds);
            chaos::chaos(target, chaos::Settings { sessions, size, rate, troublemakers, lasting }).await
        }
        Scenario::Churn { connections, at_once } => scenario::churn(target, connections, at_once).await,
        Scenario::Throughput { sessions, size, in_flight, seconds } => {
            let lasting = Duration::from_secs(seconds);
            throughput::throughput(target, throughput::Settings { sessions, size, in_flight, lasting }).await
        }
        Scenario::Closed { sessions, viewers, size, in_flight, seconds } => {
            let lasting = Duration::from_secs(seconds);
            closed::closed(target, closed::Settings { sessions, viewers, size, in_flight, lasting }).await
        }
        Scenario::Keystrokes { size, keys, seconds } => {
            let lasting = Duration::from_secs(seconds);
            keystrokes::keystrokes(target, keystrokes::Settings { size, keys, lasting }).await
        }
        Scenario::Slow { fast, slow, size, messages, seconds } => {
            let lasting = Duration::from_secs(seconds);
            slow::slow(target, slow::Settings { fast, slow, size, messages, lasting }).await
        }
        Scenario::Soak { sessions, size, messages, churn, every, seconds } => {
            let (every, lasting) = (Duration::from_secs(every.max(1)), Duration::from_secs(seconds));
            soak::soak(target, soak::Settings { sessions, size, messages, churn, every, lasting }).await
        }
        Scenario::Forward | Scenario::Mirror | Scenario::Spread | Scenario::Chorus => {
            Err(Failure("a reference is no scenario".to_owned()))
        }
    }
}

fn exit(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(why)) => {
            eprintln!("lifeguard-load: {why}");
            ExitCode::FAILURE
        }
    }
}

/// A run that did not happen as asked; the text says why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failure(pub(crate) String);

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<conformance::Failure> for Failure {
    fn from(error: conformance::Failure) -> Self {
        Self(error.to_string())
    }
}
