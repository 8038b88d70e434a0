//! `beach-link share`: a command in a terminal that others can join.

use std::{collections::BTreeMap, io::IsTerminal, sync::Arc, time::Duration};

use negotiator::{Access, Host, HostConfig, LinkOptions, NegotiationEvent, PeerId, Session, ShareError};
use serde_json::json;
use tokio::{sync::mpsc, task::JoinSet, time::MissedTickBehavior};

use super::{
    hub::Hub,
    pty::{Output, Program, Pty},
    serve::{Left, Shared, serve},
};
use crate::{
    args::{Format, ShareArgs},
    exit::Failure,
    guard,
    meeting::Obstacles,
    qr,
    signal::Interrupts,
    terminal,
    ui::{Lines, To, write_link},
    viewer::status,
    wire::Size,
};

/// Runs the command until it ends, whoever watches. Returns its status.
///
/// # Errors
///
/// [`Failure`] when it could not be shared, or was interrupted.
pub async fn share(args: ShareArgs) -> Result<u8, Failure> {
    guard::check()?;
    let mut interrupts = Interrupts::listen()?;
    let program = Program::find(&args.command)?;
    let mut config = HostConfig::new(&args.meeting.control_plane);
    config.network = args.network.terminal()?;
    // The library keeps to it, whatever a viewer's program does.
    let access = if args.read_only { Access::ReadOnly } else { Access::Full };
    config.links = links(&args, access);
    let mut lines = Lines::new(To::Stderr);
    let host = tokio::select! {
        host = open(config, &mut lines) => host?,
        failure = interrupts.next() => return Err(failure),
    };
    let link = host.link().reveal();
    let also = host.links().list().get(1).map(|info| info.link.reveal());
    if let Some(path) = &args.link_file {
        write_link(path, &link)?;
    }
    let mut board = Board::new(args.output);
    board.open(&link, also.as_deref(), &program.name(), access);
    if args.qr && args.output == Format::Text {
        let columns = terminal::size().map_or(80, |size| size.columns);
        board.lines.say(&qr::picture(&link, columns));
    }

    let size = args.size.unwrap_or_else(unwatched);
    let (pty, output) = Pty::start(program, size)?;
    let hub = if args.size.is_some() { Hub::fixed(size) } else { Hub::new(size) };
    let shared = Arc::new(Shared { hub, pty });
    let outcome = tokio::select! {
        status = finish(output, &shared) => Ok(status),
        never = receive(&host, &shared, &mut board) => match never {},
        failure = interrupts.next() => Err(failure),
    };
    if outcome.is_err() {
        shared.pty.stop().await;
    }
    host.close().await;
    board.close(&outcome, &shared)?;
    outcome
}

/// The link that is printed first, and the one for who may only watch where that is asked for.
fn links(args: &ShareArgs, access: Access) -> Vec<LinkOptions> {
    let watching = args.also_read_only.then(LinkOptions::read_only);
    let first = match access {
        Access::Full => LinkOptions::full(),
        Access::ReadOnly => LinkOptions::read_only(),
    };
    let expiring = |mut options: LinkOptions| {
        options.expires_in = args.link_lifetime;
        options
    };
    std::iter::once(first).chain(watching).map(expiring).collect()
}

/// Makes a session known. The live line says meanwhile what stands in the way.
///
/// # Errors
///
/// [`Failure`].
pub async fn open(config: HostConfig, lines: &mut Lines) -> Result<Host, Failure> {
    let address = config.address().map_err(ShareError::from)?;
    let obstacles = Obstacles::default();
    let meeting = obstacles.meeting(address, config.network.clone())?;
    Ok(obstacles.shown(lines, Host::meeting_at(config, meeting)).await?)
}

/// Runs the command to its end, and until the viewers that are here were told its status.
async fn finish(output: Output, shared: &Shared) -> u8 {
    let status = shared.print_all(output).await;
    let mut present = shared.hub.present();
    let _ = tokio::time::timeout(FAREWELL, present.wait_for(|count| *count == 0)).await;
    status
}

/// Serves whoever comes, and keeps the board up to date.
async fn receive(host: &Host, shared: &Arc<Shared>, board: &mut Board) -> std::convert::Infallible {
    let mut viewers = JoinSet::new();
    let (reports, mut news) = mpsc::channel(64);
    let mut tick = tokio::time::interval(REFRESH);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            session = host.accept() => match session {
                Some(session) => {
                    board.joined(session.clone());
                    viewers.spawn(attend(session, shared.clone(), reports.clone()));
                }
                // Only after `close`, which nobody calls while this runs.
                None => std::future::pending().await,
            },
            Some(report) = news.recv() => board.report(report),
            Some(_) = viewers.join_next(), if !viewers.is_empty() => {}
            _ = tick.tick() => board.refresh(),
        }
    }
}

async fn attend(session: Session, shared: Arc<Shared>, reports: mpsc::Sender<Report>) {
    let mut events = session.events();
    let serve = serve(&session, &shared);
    tokio::pin!(serve);
    let left = loop {
        tokio::select! {
            left = &mut serve => break left,
            Some(event) = events.next() => {
                let _ = reports.send(Report::Path(event)).await;
            }
        }
    };
    let _ = reports.send(Report::Left(session.peer(), left)).await;
}

/// What the board is told.
#[derive(Debug)]
enum Report {
    Left(PeerId, Left),
    Path(NegotiationEvent),
}

/// What the person who shares sees: the link, who comes and goes, which path each viewer is on.
#[derive(Debug)]
struct Board {
    format: Format,
    lines: Lines,
    viewers: BTreeMap<PeerId, Session>,
}

impl Board {
    fn new(format: Format) -> Self {
        Self { format, lines: Lines::new(To::Stdout), viewers: BTreeMap::new() }
    }

    fn open(&mut self, link: &str, also: Option<&str>, program: &str, access: Access) {
        match self.format {
            Format::Json => self.json(&json!({
                "type": "sharing", "link": link, "read_only": access == Access::ReadOnly, "read_only_link": also,
            })),
            Format::Text => {
                let how = if access == Access::ReadOnly { ", read-only" } else { "" };
                self.lines
                    .say(&format!("sharing {program}{how}; join with:\n\n  beach-link join '{link}'\n"));
                if let Some(also) = also {
                    self.lines.say(&format!("or, to watch and not type:\n\n  beach-link join '{also}'\n"));
                }
            }
        }
    }

    fn joined(&mut self, session: Session) {
        let peer = session.peer();
        match self.format {
            Format::Json => {
                self.json(&json!({ "type": "joined", "peer": peer, "path": session.status().path }))
            }
            Format::Text => {
                let path = session.status().path.map_or_else(String::new, |path| format!(" over {path}"));
                self.lines.say(&format!("{} joined{path}", name(peer)));
            }
        }
        self.viewers.insert(peer, session);
        self.refresh();
    }

    fn report(&mut self, report: Report) {
        match (self.format, report) {
            (Format::Json, Report::Path(event)) => self.json(&json!({ "type": "event", "event": event })),
            (Format::Text, Report::Path(event)) => self.lines.say(&format!("{} {event}", name(event.peer))),
            (format, Report::Left(peer, left)) => {
                self.viewers.remove(&peer);
                match format {
                    Format::Json => {
                        self.json(&json!({ "type": "left", "peer": peer, "why": left.to_string() }))
                    }
                    Format::Text => self.lines.say(&format!("{} is gone: {left}", name(peer))),
                }
            }
        }
        self.refresh();
    }

    fn refresh(&mut self) {
        if self.format == Format::Json {
            return;
        }
        let mut lines: Vec<String> = self.viewers.values().map(viewer_line).collect();
        if lines.is_empty() {
            lines.push("nobody watches".to_owned());
        }
        self.lines.show(&lines);
    }

    fn close(&mut self, outcome: &Result<u8, Failure>, shared: &Shared) -> Result<(), Failure> {
        if self.format == Format::Text && self.lines.is_live() {
            // What the command said last stays here as it does at its viewers.
            self.lines.clear();
            let columns = terminal::size().map_or(80, |size| size.columns);
            let screen: String = shared.hub.lines(columns).into_iter().map(|line| line + "\n").collect();
            terminal::print(&screen)?;
        }
        let status = outcome.as_ref().ok();
        match self.format {
            Format::Json => self.json(&json!({ "type": "ended", "status": status })),
            Format::Text => {
                if let Some(status) = status {
                    self.lines.say(&format!("the command ended with status {status}"));
                }
            }
        }
        Ok(())
    }

    fn json(&mut self, value: &serde_json::Value) {
        self.lines.say(&value.to_string());
    }
}

/// The viewer's side decides about paths and knows the reasons; here it counts which one is used, and since when.
fn viewer_line(session: &Session) -> String {
    let status = session.status();
    let mut parts = vec![name(session.peer())];
    match (&status.path, status.since) {
        (Some(path), Some(since)) => parts.push(format!("{path} for {}", status::span(since))),
        _ => parts.push("no path, waiting for it to come back".to_owned()),
    }
    parts.extend(status.rtt.filter(|_| status.path.is_some()).map(status::milliseconds));
    let silence = status.last_heard.filter(|silence| *silence >= status::SILENT);
    parts.extend(silence.map(|silence| format!("last heard {} ago", status::span(silence))));
    parts.join(" · ")
}

/// The first digits of a peer's id: enough to tell viewers apart.
fn name(peer: PeerId) -> String {
    format!("viewer {:.4}", peer.to_string())
}

/// The terminal's size until somebody who may type is here: as large as the one it is shared from.
fn unwatched() -> Size {
    let own = std::io::stdout().is_terminal().then(terminal::size).flatten();
    own.unwrap_or(Size { columns: 80, rows: 24 }).shared()
}

/// How long viewers may take to receive the last output: as long as a session lingers, and a little.
const FAREWELL: Duration = Duration::from_secs(6);

/// How often round trips are shown anew.
const REFRESH: Duration = Duration::from_millis(500);
