//! `beach-link pipe`: standard input and output over a session, to the last byte.

mod stream;

use std::{io::IsTerminal, time::Duration};

use negotiator::{Access, Host, Session};
use tokio::{
    io::{AsyncRead, empty, stdin, stdout},
    task::JoinSet,
    time::timeout,
};

use crate::{
    args::{PipeHostArgs, PipeJoinArgs, StreamArgs},
    exit::Failure,
    host::{
        serve::{greet, refuse},
        share::open,
    },
    signal::Interrupts,
    ui::{Lines, To, write_link},
    viewer::join::{ask, connect},
    wire::{Message, Refusal, Service},
};

pub use stream::{Totals, carry};

/// Waits for one peer and carries both streams.
///
/// # Errors
///
/// [`Failure`].
pub async fn host(args: PipeHostArgs) -> Result<u8, Failure> {
    let mut interrupts = Interrupts::listen()?;
    let point = args.meeting.find()?;
    let config = point.host_config(args.network.config()?);
    let mut lines = Lines::new(To::Stderr);
    let work = async {
        let host = open(&point, config, &mut lines).await?;
        let link = host.link().reveal();
        match &args.link_file {
            Some(path) => write_link(path, &link)?,
            None => lines.say(&format!("beach-link pipe join '{link}'")),
        }
        let outcome = serve_one(&host, &args.stream, &mut lines).await;
        host.close().await;
        outcome
    };
    tokio::select! {
        outcome = work => outcome,
        failure = interrupts.next() => Err(failure),
    }
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
    let work = async {
        let session = connect(&link, args.network.config()?, &mut lines).await?;
        let outcome = match ask(&session, Service::Pipe).await {
            Ok(_) => {
                stream::run(&session, input(&args.stream), stdout(), progress(&args.stream, &mut lines)).await
            }
            Err(failure) => Err(failure),
        };
        session.close().await;
        outcome.map(|_| 0)
    };
    tokio::select! {
        outcome = work => outcome,
        failure = interrupts.next() => Err(failure),
    }
}

/// Serves the first peer that asks for a pipe; whoever comes later is told that it is taken.
async fn serve_one(host: &Host, args: &StreamArgs, lines: &mut Lines) -> Result<u8, Failure> {
    let session = loop {
        let Some(session) = host.accept().await else { return Err(Failure::HostAbsent) };
        match greet(&session, Service::Pipe).await {
            Ok(()) => break session,
            Err(left) => tracing::info!(%left, "somebody came and was not served"),
        }
        session.close().await;
    };
    let _ = session.send(Message::Welcome(Access::Full).encode()).await;
    let carry = async {
        let outcome = stream::run(&session, input(args), stdout(), progress(args, lines)).await;
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
