//! `beach-link pipe`: standard input and output over a session, to the last byte. `send` and `receive`: a file.

mod progress;
pub mod receive;
pub mod send;
mod stream;

use std::{io::IsTerminal, path::Path, time::Duration};

use negotiator::{Access, Host, JoinLink, NetworkConfig, Session};
use tokio::{
    io::{AsyncRead, empty, stdin, stdout},
    task::JoinSet,
    time::timeout,
};

use crate::{
    args::{MeetingArgs, NetworkArgs, PipeHostArgs, PipeJoinArgs, StreamArgs},
    exit::Failure,
    host::{
        serve::{greet, refuse},
        share::open,
    },
    signal::Interrupts,
    ui::{Lines, To, write_link},
    viewer::enter::{ask, connect},
    wire::{Message, Refusal, Service},
};

pub use stream::{Totals, carry, carry_until};

/// Waits for one peer and carries both streams.
///
/// # Errors
///
/// [`Failure`].
pub async fn host(args: PipeHostArgs) -> Result<u8, Failure> {
    let mut interrupts = Interrupts::listen()?;
    let mut lines = Lines::new(To::Stderr);
    let host = open_host(&args.meeting, &args.network, &mut lines, &mut interrupts).await?;
    tell_link(&host, args.link_file.as_deref(), "beach-link pipe join", &mut lines)?;
    let outcome = serve_one(&host, &args.stream, &mut lines, &mut interrupts).await;
    host.close().await;
    outcome
}

/// Joins the host's pipe and carries both streams.
///
/// # Errors
///
/// [`Failure`].
pub async fn join(args: PipeJoinArgs) -> Result<u8, Failure> {
    let mut interrupts = Interrupts::listen()?;
    let link = args.link.read()?;
    let mut lines = Lines::new(To::Stderr);
    let session = tokio::select! {
        session = enter(&link, args.network.config()?, Service::Pipe, &mut lines) => session?,
        failure = interrupts.next() => return Err(failure),
    };
    let progress = progress(&args.stream, &mut lines);
    let outcome = stream::run(&session, input(&args.stream), stdout(), progress, interrupts.next()).await;
    session.close().await;
    outcome.map(|_| 0)
}

/// Begins a session that others can join.
async fn open_host(
    meeting: &MeetingArgs,
    network: &NetworkArgs,
    lines: &mut Lines,
    interrupts: &mut Interrupts,
) -> Result<Host, Failure> {
    let point = meeting.find()?;
    let config = point.host_config(network.config()?);
    tokio::select! {
        host = open(&point, config, lines) => host,
        failure = interrupts.next() => Err(failure),
    }
}

/// Connects to the host of a link and tells it what for.
async fn enter(
    link: &JoinLink,
    config: NetworkConfig,
    service: Service,
    lines: &mut Lines,
) -> Result<Session, Failure> {
    let session = connect(link, config, lines).await?;
    match ask(&session, service).await {
        Ok(_) => Ok(session),
        Err(failure) => {
            session.close().await;
            Err(failure)
        }
    }
}

/// Writes the link into a file, or prints the line that the other side types.
fn tell_link(host: &Host, file: Option<&Path>, command: &str, lines: &mut Lines) -> Result<(), Failure> {
    let link = host.link().reveal();
    match file {
        Some(path) => write_link(path, &link),
        None => {
            lines.say(&format!("{command} '{link}'"));
            Ok(())
        }
    }
}

/// Waits for somebody who asks for `service`.
async fn newcomer(host: &Host, service: Service) -> Result<Session, Failure> {
    loop {
        let Some(session) = host.accept().await else { return Err(Failure::HostAbsent) };
        match greet(&session, service).await {
            Ok(()) => return Ok(session),
            Err(left) => tracing::info!(%left, "somebody came and was not served"),
        }
        session.close().await;
    }
}

/// Serves the first peer that asks for a pipe; whoever comes later is told that it is taken.
async fn serve_one(
    host: &Host,
    args: &StreamArgs,
    lines: &mut Lines,
    interrupts: &mut Interrupts,
) -> Result<u8, Failure> {
    let session = tokio::select! {
        session = newcomer(host, Service::Pipe) => session?,
        failure = interrupts.next() => return Err(failure),
    };
    let _ = session.send(Message::Welcome(Access::Full).encode()).await;
    let carry = async {
        let progress = progress(args, lines);
        let outcome = stream::run(&session, input(args), stdout(), progress, interrupts.next()).await;
        if outcome.is_ok() {
            // The joining side hangs up first: whoever leaves first takes its last acknowledgement along.
            let _ = timeout(HANG_UP, session.ended()).await;
        }
        session.close().await;
        outcome.map(|_| 0)
    };
    tokio::select! {
        outcome = carry => outcome,
        never = turn_away(host) => match never {},
    }
}

async fn turn_away(host: &Host) -> std::convert::Infallible {
    let mut refusals = JoinSet::new();
    loop {
        tokio::select! {
            Some(session) = host.accept() => { refusals.spawn(turn_one_away(session)); }
            Some(_) = refusals.join_next(), if !refusals.is_empty() => {}
            else => std::future::pending().await,
        }
    }
}

async fn turn_one_away(session: Session) {
    if greet(&session, Service::Pipe).await.is_ok() {
        refuse(&session, Refusal::Full, "this pipe has its peer".to_owned()).await;
    }
    session.close().await;
}

/// What is read: nothing from a terminal, where nobody would know that it waits for an end of file.
fn input(args: &StreamArgs) -> Box<dyn AsyncRead + Send + Unpin> {
    if args.no_stdin || std::io::stdin().is_terminal() { Box::new(empty()) } else { Box::new(stdin()) }
}

fn progress<'a>(args: &StreamArgs, lines: &'a mut Lines) -> Option<&'a mut Lines> {
    args.progress.then_some(lines)
}

/// How long a host that is done waits for its peer to be done too.
const HANG_UP: Duration = Duration::from_secs(5);
