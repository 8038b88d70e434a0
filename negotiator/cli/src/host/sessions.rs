//! `beach-link attach`, `list`, `stop` and `sessions`: what can be said to a session that runs on this machine.

use std::time::Duration;

use negotiator::Access;
use serde_json::json;
use tokio::{net::UnixStream, time::timeout};

use super::{
    console::{
        self, Left,
        menu::{link_line, viewer_line},
        view::{ConsoleView, Seat},
    },
    control::{
        folder::Folder,
        lines::{LineReader, write},
        protocol::{Answer, Link, Request, State, called, may, short},
    },
};
use crate::{
    args::{AttachArgs, Format, LinksCommand, ListArgs, Role, SessionsArgs, SessionsCommand, StopArgs},
    exit::Failure,
    guard,
    signal::Interrupts,
    terminal::{Keyboard, RawTerminal, print},
    ui::{Lines, To},
    viewer::status::span,
};

/// Shows a session in this terminal until the person leaves or the program ends; then with its status.
///
/// # Errors
///
/// [`Failure`]. The terminal is as it was.
pub async fn attach(args: AttachArgs) -> Result<u8, Failure> {
    guard::check()?;
    let mut interrupts = Interrupts::listen()?;
    let size = RawTerminal::check(Keyboard::StandardInput)?;
    let folder = Folder::open()?;
    let name = chosen(&folder, args.name).await?;
    let stream = folder.connect(&name).await?;
    let mut typed = Keyboard::StandardInput.read()?;
    let view = ConsoleView::new(Seat::Attached, size, args.escape);
    let left = tokio::select! {
        left = console::run(stream, view, &mut typed) => left?,
        failure = interrupts.next() => return Err(failure),
    };
    let mut lines = Lines::new(To::Stdout);
    match left {
        Left::Ended { status, screen } => {
            print(&screen)?;
            lines.say(&format!("the command ended with status {status}"));
            Ok(status)
        }
        Left::Gone => Err(Failure::Session(format!("session {name} is gone"))),
        Left::Quit => {
            lines.say(&format!("left; the session goes on, `beach-link attach {name}` comes back"));
            Ok(0)
        }
    }
}

/// Lists the sessions of this user on this machine.
///
/// # Errors
///
/// [`Failure::Folder`].
pub async fn list(args: ListArgs) -> Result<u8, Failure> {
    let mut lines = Lines::new(To::Stdout);
    let found = running(&Folder::open()?).await;
    for state in &found {
        lines.say(&match args.output {
            Format::Json => json!(state).to_string(),
            Format::Text => session_line(state),
        });
    }
    if found.is_empty() && args.output == Format::Text {
        Lines::new(To::Stderr).say("no session runs here: `beach-link share --detach` starts one");
    }
    Ok(0)
}

/// Ends a session, and waits until it is gone.
///
/// # Errors
///
/// [`Failure`].
pub async fn stop(args: StopArgs) -> Result<u8, Failure> {
    let folder = Folder::open()?;
    let name = chosen(&folder, args.name).await?;
    let mut session = Line::open(&folder, &name).await?;
    session.ask(&Request::Stop).await?;
    let gone = async {
        session.gone().await;
        // Its socket goes last.
        while folder.connect(&name).await.is_ok() {
            tokio::time::sleep(LOOK).await;
        }
    };
    match timeout(END, gone).await {
        Ok(()) => Lines::new(To::Stdout).say(&format!("session {name} has ended")),
        Err(_) => return Err(Failure::Session(format!("session {name} was asked to end and still runs"))),
    }
    Ok(0)
}

/// Asks a session about its people and links, or decides about them.
///
/// # Errors
///
/// [`Failure`]; [`Failure::Session`] is the session's own answer.
pub async fn sessions(args: SessionsArgs) -> Result<u8, Failure> {
    let folder = Folder::open()?;
    let name = chosen(&folder, args.session).await?;
    let mut session = Line::open(&folder, &name).await?;
    let before = match &args.command {
        SessionsCommand::Links { command: Some(LinksCommand::Add(_) | LinksCommand::Rotate) } => {
            links(session.ask(&Request::Links).await?)
        }
        _ => Vec::new(),
    };
    let answer = session.ask(&request(args.command)).await?;
    if let Answer::Failed { why } = answer {
        return Err(Failure::Session(why));
    }
    let mut lines = Lines::new(To::Stdout);
    if args.output == Format::Json {
        lines.say(&json!(answer).to_string());
        return Ok(0);
    }
    match answer {
        Answer::State(state) => who(&mut lines, &state),
        Answer::Links { links } => {
            let new =
                links.iter().filter(|link| link.is_in_force() && !before.iter().any(|old| old.id == link.id));
            for link in new {
                lines.say(&format!("{}\n\n  beach-link join '{}'\n", link_line(link), link.link));
            }
        }
        Answer::Done { said } => lines.say(&said),
        Answer::Failed { .. } | Answer::Message { .. } => {}
    }
    Ok(0)
}

fn request(command: SessionsCommand) -> Request {
    let access = |role| match role {
        Role::Full => Access::Full,
        Role::ReadOnly => Access::ReadOnly,
    };
    match command {
        SessionsCommand::Access { viewer, access: role } => Request::Access { viewer, access: access(role) },
        SessionsCommand::Approve { viewer } => Request::Approve { viewer },
        SessionsCommand::Links { command: None | Some(LinksCommand::List) } => Request::Links,
        SessionsCommand::Links { command: Some(LinksCommand::Add(args)) } => Request::AddLink {
            access: access(if args.read_only { Role::ReadOnly } else { Role::Full }),
            lifetime: args.lifetime.map(|lifetime| lifetime.as_secs()),
            uses: args.uses,
        },
        SessionsCommand::Links { command: Some(LinksCommand::Revoke { link }) } => {
            Request::RevokeLink { link }
        }
        SessionsCommand::Links { command: Some(LinksCommand::Rotate) } => Request::RotateLinks,
        SessionsCommand::Refuse { viewer } => Request::Refuse { viewer },
        SessionsCommand::Remove { viewer } => Request::Remove { viewer },
        SessionsCommand::Who => Request::Who,
    }
}

fn links(answer: Answer) -> Vec<Link> {
    match answer {
        Answer::Links { links } => links,
        _ => Vec::new(),
    }
}

fn who(lines: &mut Lines, state: &State) {
    for knock in &state.knocks {
        let who = called(knock.name.as_deref(), &knock.id);
        let left = span(Duration::from_secs(knock.left));
        let by = short(&knock.link);
        lines.say(&format!(
            "{who} asks to come in by link {by} ({}), {left} left: beach-link sessions approve {}",
            may(knock.access),
            short(&knock.id)
        ));
    }
    for viewer in &state.viewers {
        lines.say(&viewer_line(viewer));
    }
    if state.knocks.is_empty() && state.viewers.is_empty() {
        lines.say("nobody is here");
    }
}

fn session_line(state: &State) -> String {
    let mut parts = vec![state.name.clone(), state.program.clone()];
    parts.push(format!("for {}", span(Duration::from_secs(state.since))));
    parts.push(match state.viewers.len() {
        1 => "1 viewer".to_owned(),
        count => format!("{count} viewers"),
    });
    if !state.knocks.is_empty() {
        parts.push(format!("{} waiting to come in", state.knocks.len()));
    }
    parts.join(" · ")
}

/// The session that is meant: the one that was named, or the only one.
async fn chosen(folder: &Folder, name: Option<String>) -> Result<String, Failure> {
    if let Some(name) = name {
        return Ok(name);
    }
    let mut found = running(folder).await.into_iter().map(|state| state.name);
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Failure::NoSession),
        (Some(_), Some(_)) => Err(Failure::Usage(
            "more than one session runs here: name one, `beach-link list` shows them".to_owned(),
        )),
    }
}

/// Every session that answers.
async fn running(folder: &Folder) -> Vec<State> {
    let mut found = Vec::new();
    for name in folder.names() {
        let Ok(mut session) = Line::open(folder, &name).await else { continue };
        match session.ask(&Request::Who).await {
            Ok(Answer::State(state)) => found.push(state),
            answer => tracing::debug!(name, ?answer, "a session gives no answer"),
        }
    }
    found
}

/// A connection on which one thing is asked after the other.
struct Line {
    name: String,
    answers: LineReader<tokio::net::unix::OwnedReadHalf>,
    requests: tokio::net::unix::OwnedWriteHalf,
}

impl Line {
    async fn open(folder: &Folder, name: &str) -> Result<Self, Failure> {
        let stream: UnixStream = folder.connect(name).await?;
        let (answers, requests) = stream.into_split();
        Ok(Self { name: name.to_owned(), answers: LineReader::new(answers), requests })
    }

    async fn ask(&mut self, request: &Request) -> Result<Answer, Failure> {
        let mute = |why: String| Failure::Session(format!("session {} does not answer: {why}", self.name));
        let asking = async {
            write(&mut self.requests, request).await.map_err(|error| error.to_string())?;
            match self.answers.next().await {
                Ok(answer) => answer.ok_or_else(|| "it is gone".to_owned()),
                Err(bad) => Err(bad.to_string()),
            }
        };
        match timeout(ANSWER, asking).await {
            Ok(answer) => answer.map_err(mute),
            Err(_) => Err(mute("it is busy, or stopped".to_owned())),
        }
    }

    async fn gone(&mut self) {
        while let Ok(Some(_)) = self.answers.next::<Answer>().await {}
    }
}

/// How long a session may take to answer: a new link is told to the control plane first.
const ANSWER: Duration = Duration::from_secs(15);

/// How often it is looked whether a session is gone.
const LOOK: Duration = Duration::from_millis(50);

/// How long it may take to end: viewers are told, and the program is asked three times.
const END: Duration = Duration::from_secs(20);
