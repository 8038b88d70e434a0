//! `beach-link share`: a command in a terminal that others can join.

use std::{io::IsTerminal, sync::Arc, time::Duration};

use negotiator::{Access, Approval, ControlPlaneRendezvous, Host, HostConfig, LinkOptions, Session};
use parking_lot::Mutex;
use tokio::{io::DuplexStream, sync::mpsc, task::JoinSet, time::MissedTickBehavior};

use super::{
    board::{Board, Report},
    console::{
        self, Left,
        view::{ConsoleView, Seat},
    },
    control::{
        self, Control,
        approvals::{Approvals, PATIENCE},
        folder::{Folder, Socket},
        protocol::called,
    },
    detach, drain,
    hub::Hub,
    pty::{Output, Program, Pty},
    serve::{Shared, serve},
};
use crate::{
    args::{Format, ShareArgs},
    exit::Failure,
    first_contact::MeetingPoint,
    guard,
    meeting::Obstacles,
    qr,
    signal::Interrupts,
    terminal::{self, Keyboard, RawTerminal, keys::EscapeKey},
    ui::{Lines, To, write_link},
    wire::{Message, Size},
};

/// Runs the command until it ends, whoever watches. Returns its status.
///
/// # Errors
///
/// [`Failure`] when it could not be shared, or was interrupted.
pub async fn share(args: ShareArgs) -> Result<u8, Failure> {
    guard::check()?;
    if args.detach {
        return detach::start(args.output);
    }
    let mut interrupts = if args.in_background {
        detach::leave_terminal()?;
        Interrupts::listen_detached()?
    } else {
        Interrupts::listen()?
    };
    let program = Program::find(&args.command)?;
    let point = args.meeting.find()?;
    let front = Front::of(&args);
    let (name, socket) = listen(&args).await?;
    let approvals = Arc::new(Approvals::new(PATIENCE));
    // The library keeps to it, whatever a viewer's program does.
    let access = if args.read_only { Access::ReadOnly } else { Access::Full };
    let mut config = point.host_config(args.network.terminal()?);
    config.links = links(&args, access);
    // Who only watches may ask for what left the screen, and for nothing else.
    config.network.questions = Some(Message::only_asks);
    config.approval = args.approve.then(|| approvals.clone() as Arc<dyn Approval>);
    let mut lines = Lines::new(To::Stderr);
    let host = tokio::select! {
        host = open(&point, config, &mut lines) => Arc::new(host?),
        failure = interrupts.next() => return Err(failure),
    };
    let link = host.link().reveal();
    let also = host.links().list().get(1).map(|info| info.link.reveal());
    if let Some(path) = &args.link_file {
        write_link(path, &link)?;
    }
    let called = program.name();
    let log = args.in_background.then(|| Folder::open().map(|folder| folder.log(&name))).transpose()?;
    let size = args.size.unwrap_or_else(|| front.size());
    let (pty, output) = Pty::start(program, size)?;
    let hub = if args.size.is_some() { Hub::fixed(size) } else { Hub::new(size) };
    let hub = hub.keeping(usize::try_from(args.history).unwrap_or(usize::MAX).saturating_mul(1024));
    let shared = Arc::new(Shared { hub, pty });
    let control = Control::new(name.clone(), called.clone(), host.clone(), shared.clone(), approvals);
    let control = Arc::new(control);
    let board = if let Some(log) = log.clone() {
        let read_only_link = also;
        detach::ready(&detach::Ready { name, program: called, link, read_only_link, log })?;
        Board::new(args.output, To::Stderr)
    } else {
        let mut board = Board::new(args.output, To::Stdout);
        board.open(&link, also.as_deref(), &called, access);
        board.warn_of(host.link());
        if args.qr && args.output == Format::Text {
            let columns = terminal::size().map_or(80, |size| size.columns);
            board.say(&qr::picture(&link, columns));
        }
        board
    };

    let mut sharing = Sharing { host, shared, control, board: Arc::new(Mutex::new(board)), socket };
    let outcome = sharing.run(output, front, args.escape, &mut interrupts).await;
    let closed = sharing.board.lock().close(&outcome, &sharing.shared);
    match log {
        // Of a session that ended well nobody reads it.
        Some(log) if outcome.is_ok() => {
            let _ = std::fs::remove_file(log);
        }
        Some(_) => {}
        None => drain::end(),
    }
    closed.and(outcome)
}

/// What the person in front of it sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Front {
    /// Nothing.
    Background,
    /// Who comes and goes.
    Board,
    /// The shared terminal.
    Console,
}

impl Front {
    fn of(args: &ShareArgs) -> Self {
        if args.in_background {
            return Self::Background;
        }
        let shows = args.output == Format::Text && !args.board;
        let console = shows && drain::has_terminal() && RawTerminal::check(Keyboard::StandardInput).is_ok();
        if console { Self::Console } else { Self::Board }
    }

    /// The terminal's size until somebody who may type is here: as large as the one it is shared from.
    fn size(self) -> Size {
        let own = std::io::stdout().is_terminal().then(terminal::size).flatten();
        let own = own.unwrap_or(Size { columns: 80, rows: 24 });
        if self == Self::Console { terminal::usable(own) } else { own.shared() }
    }
}

/// Everything that runs while a terminal is shared.
struct Sharing {
    host: Arc<Host>,
    shared: Arc<Shared>,
    control: Arc<Control>,
    board: Arc<Mutex<Board>>,
    socket: Option<Socket>,
}

impl Sharing {
    /// Runs until the command has ended and everybody was told, or the program is interrupted.
    async fn run(
        &mut self,
        output: Output,
        front: Front,
        escape: EscapeKey,
        interrupts: &mut Interrupts,
    ) -> Result<u8, Failure> {
        let (near, far) = tokio::io::duplex(PIPE);
        let mut seat = JoinSet::new();
        match front {
            Front::Background => {}
            Front::Board => drain::begin(),
            Front::Console => {
                seat.spawn(sit(near, escape, self.board.clone()));
            }
        }
        let outcome = tokio::select! {
            status = self.finish(output) => Ok(status),
            never = self.receive() => match never {},
            never = self.connections(far) => match never {},
            never = self.stop_when_asked() => match never {},
            failure = left(&mut seat) => Err(failure),
            failure = interrupts.next() => Err(failure),
        };
        // The terminal first: whatever comes now is said on its first screen.
        seat.shutdown().await;
        if outcome.is_err() {
            self.shared.pty.stop().await;
        }
        self.host.close().await;
        outcome
    }

    /// Runs the command to its end, and until whoever is here was told its status.
    async fn finish(&self, output: Output) -> u8 {
        let status = self.shared.print_all(output).await;
        let (mut present, mut consoles) = (self.shared.hub.present(), self.control.consoles());
        let _ = tokio::time::timeout(FAREWELL, async {
            let _ = present.wait_for(|count| *count == 0).await;
            let _ = consoles.wait_for(|count| *count == 0).await;
        })
        .await;
        status
    }

    /// Serves whoever comes, and keeps the board up to date.
    async fn receive(&self) -> std::convert::Infallible {
        let mut viewers = JoinSet::new();
        let (reports, mut news) = mpsc::channel(64);
        let mut knocks = self.control.knocks_changed();
        let mut tick = tokio::time::interval(REFRESH);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                session = self.host.accept() => match session {
                    Some(session) => {
                        self.told(&session, "joined");
                        self.board.lock().joined(session.clone());
                        viewers.spawn(attend(session, self.shared.clone(), reports.clone()));
                    }
                    // Only after `close`, which nobody calls while this runs.
                    None => std::future::pending().await,
                },
                Some(report) = news.recv() => {
                    if let Report::Left(session, left) = &report {
                        self.told(session, &format!("is gone: {left}"));
                    }
                    self.board.lock().report(report);
                }
                Some(_) = viewers.join_next(), if !viewers.is_empty() => {}
                _ = knocks.changed() => self.board.lock().knocks(&self.control.state()),
                _ = tick.tick() => self.board.lock().refresh(),
            }
        }
    }

    /// Tells the consoles what became of a viewer.
    fn told(&self, session: &Session, what: &str) {
        let id = session.peer().to_string();
        let name = self.control.name_of(&id);
        self.control.tell_consoles(&format!("{} {what}", called(name.as_deref(), &id)));
    }

    /// Serves this program's own console, and the programs that ask over the socket.
    async fn connections(&self, own: DuplexStream) -> std::convert::Infallible {
        let mut connections = JoinSet::new();
        connections.spawn(control::serve::serve(own, self.control.clone()));
        let Some(socket) = &self.socket else {
            while connections.join_next().await.is_some() {}
            return std::future::pending().await;
        };
        loop {
            tokio::select! {
                stream = socket.accept(), if connections.len() < CONNECTIONS => {
                    connections.spawn(control::serve::serve(stream, self.control.clone()));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// Ends the command when somebody asks for the end; its status is everybody's then.
    async fn stop_when_asked(&self) -> std::convert::Infallible {
        self.control.stopped().await;
        self.shared.pty.stop().await;
        std::future::pending().await
    }
}

/// Listens for programs of this machine. Without a name it may fail: the session is reached from its own terminal.
async fn listen(args: &ShareArgs) -> Result<(String, Option<Socket>), Failure> {
    let name = args.name.clone().unwrap_or_else(|| format!("{:06x}", rand::random::<u32>() >> 8));
    let listening = match Folder::open() {
        Ok(folder) => folder.listen(&name).await,
        Err(failure) => Err(failure),
    };
    match listening {
        Ok(socket) => Ok((name, Some(socket))),
        Err(failure) if args.in_background || args.name.is_some() => Err(failure),
        Err(failure) => {
            tracing::warn!(%failure, "no other program of this machine reaches the session");
            Ok((name, None))
        }
    }
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
pub async fn open(point: &MeetingPoint, config: HostConfig, lines: &mut Lines) -> Result<Host, Failure> {
    let obstacles = Obstacles::default();
    let meeting = obstacles.beside(ControlPlaneRendezvous::of_host(&config)?);
    let host = obstacles.shown(lines, Host::meeting_at(config, meeting)).await;
    host.map_err(|error| Failure::from(error).at(&point.control_plane, &point.named_by))
}

/// Shows the board until return is pressed, so that the links can be copied; from then on the shared terminal.
async fn sit(stream: DuplexStream, escape: EscapeKey, board: Arc<Mutex<Board>>) -> Result<Left, Failure> {
    let mut typed = Keyboard::StandardInput.read()?;
    // The live lines stand where an echo would.
    let mute = drain::Mute::begin();
    board.lock().say(&match escape.name() {
        Some(key) => format!("Return goes to the shared terminal; {key} ? lists the keys there.\n"),
        None => "Return goes to the shared terminal.\n".to_owned(),
    });
    let size = loop {
        match typed.recv().await {
            Some(bytes) if bytes.contains(&b'\n') || bytes.contains(&b'\r') => {
                match RawTerminal::check(Keyboard::StandardInput) {
                    Ok(size) => break size,
                    Err(failure) => board.lock().say(&failure.to_string()),
                }
            }
            Some(_) => {}
            // Ctrl-D: the board stays.
            None => std::future::pending().await,
        }
    };
    drop(mute);
    board.lock().quiet(true);
    let left = console::run(stream, ConsoleView::new(Seat::Own, size, escape), &mut typed).await;
    board.lock().quiet(false);
    left
}

/// Waits until the console cannot go on; one that has seen the end of the command is no reason to end.
async fn left(seat: &mut JoinSet<Result<Left, Failure>>) -> Failure {
    match seat.join_next().await {
        Some(Ok(Err(failure))) => failure,
        Some(Ok(Ok(Left::Gone))) => {
            Failure::Session("the shared terminal cannot be shown any more".to_owned())
        }
        _ => std::future::pending().await,
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
    let _ = reports.send(Report::Left(session.clone(), left)).await;
}

/// How long viewers may take to receive the last output: as long as a session lingers, and a little.
const FAREWELL: Duration = Duration::from_secs(6);

/// How often round trips are shown anew.
const REFRESH: Duration = Duration::from_millis(500);

/// Bytes between this program and its own console.
const PIPE: usize = 64 * 1024;

/// Programs that ask over the socket at one time.
const CONNECTIONS: usize = 32;
