//! `beach-link join`: somebody else's terminal in this one.

use std::time::Duration;

use negotiator::{Access, JoinLink, NetworkConfig, Session};

use super::{
    again::Again,
    desk::{Desk, TICK},
    enter::{ACK_DELAY, Entrance, ask, was_lost},
    json,
    view::View,
};
use crate::{
    args::{Format, JoinArgs, ViewArgs},
    exit::Failure,
    guard,
    signal::Interrupts,
    terminal::{Keyboard, RawTerminal, print},
    ui::{Lines, To},
    wire::Service,
};

/// Joins until the person leaves, the command ends or the session does.
///
/// # Errors
///
/// [`Failure`]. The terminal is as it was.
pub async fn join(args: JoinArgs) -> Result<u8, Failure> {
    let mut interrupts = Interrupts::listen()?;
    // Before anything else: a bad link is bad wherever it is used.
    let link = args.link.read()?;
    // A link on standard input leaves the keyboard to the terminal itself.
    let keyboard = if args.link.is_stdin() { Keyboard::Terminal } else { Keyboard::StandardInput };
    if args.output == Format::Text {
        guard::check()?;
        RawTerminal::check(keyboard)?;
    }
    let network = args.network.terminal()?;
    if args.output == Format::Json {
        let visit = Visit::begin(link, network, &args.view, &mut interrupts).await?;
        return json::watch(visit, &args.view, &mut interrupts).await;
    }
    let farewell = show(link, network, &args.view, keyboard, &mut interrupts).await?;
    Lines::new(To::Stdout).say(&farewell.to_string());
    Ok(farewell.code())
}

/// Shows the terminal behind a link in this one. Says how the person left.
///
/// # Errors
///
/// [`Failure`]. The terminal is as it was.
pub async fn show(
    link: JoinLink,
    network: NetworkConfig,
    args: &ViewArgs,
    keyboard: Keyboard,
    interrupts: &mut Interrupts,
) -> Result<Farewell, Failure> {
    let clipboard = args.clipboard()?;
    let Visit { entrance, mut session, access } = Visit::begin(link, network, args, interrupts).await?;
    let size = RawTerminal::check(keyboard)?;
    let mut view = View::new(size, access, args.escape).predicting(args.predict).copying(clipboard);
    let mut desk = Desk::take(keyboard, &mut view, interrupts)?;
    let outcome = loop {
        let shown = tokio::select! {
            shown = desk.show(&session) => shown,
            failure = given_up(&session, args.give_up_after) => Err(failure),
        };
        let end = match shown {
            Err(Failure::SessionLost(end)) if was_lost(&end) => end,
            shown => break shown,
        };
        let again = Again::from(&session, &entrance, args.give_up_after);
        match desk.come_back(&session, &end, &again, entrance.obstacle()).await {
            Ok(Some((entered, _))) => session = entered,
            Ok(None) => break Ok(Farewell::Left),
            Err(failure) => break Err(failure),
        }
    };
    drop(desk);
    session.close().await;
    // What was shown last would be gone with the second screen.
    if args.keep || matches!(outcome, Ok(Farewell::Ended(_) | Farewell::Stopped)) {
        print(&view.last_screen())?;
    }
    outcome
}

/// A session that was joined, and the way back into it.
pub(super) struct Visit {
    pub(super) entrance: Entrance,
    pub(super) session: Session,
    access: Access,
}

impl Visit {
    async fn begin(
        link: JoinLink,
        mut network: NetworkConfig,
        args: &ViewArgs,
        interrupts: &mut Interrupts,
    ) -> Result<Self, Failure> {
        network.ack_delay = ACK_DELAY;
        if let Some(patience) = args.give_up_after {
            network.connect_timeout = network.connect_timeout.min(patience);
        }
        let work = async {
            let mut lines = Lines::new(To::Stderr);
            let entrance = Entrance::new(link, network, args.name.clone())?;
            let session = entrance.first(&mut lines).await?;
            let access = ask(&session, Service::Terminal).await?;
            Ok(Self { entrance, session, access })
        };
        tokio::select! {
            visit = work => visit,
            failure = interrupts.next() => Err(failure),
        }
    }
}

/// How a viewer left, and the line that stays in its terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Farewell {
    /// The command ended.
    #[error("the command ended with status {0}")]
    Ended(u8),
    /// The person left.
    #[error("left; the session goes on")]
    Left,
    /// The host ended the session.
    #[error("the host ended the session")]
    Stopped,
}

impl Farewell {
    /// Returns the exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Ended(status) => status,
            Self::Left | Self::Stopped => 0,
        }
    }
}

/// Waits until nothing was heard of the host for as long as the person wants to wait; for ever without a limit.
pub(super) async fn given_up(session: &Session, patience: Option<Duration>) -> Failure {
    let Some(patience) = patience else { return std::future::pending().await };
    while session.status().last_heard.is_none_or(|silence| silence < patience) {
        tokio::time::sleep(TICK).await;
    }
    Failure::GivenUp(patience)
}
