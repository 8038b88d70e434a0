//! What a host can be told, over its control, with viewers in one process and a network in memory.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use beach_link::{
    host::{
        control::{
            Control,
            approvals::Approvals,
            lines::{LineReader, write},
            protocol::{Answer, Request, State},
            serve,
        },
        hub::Hub,
        pty::{Program, Pty},
        serve::{Shared, serve as serve_viewer},
    },
    screen::Screen,
    wire::{Message, Service, Size, VERSION},
};
use negotiator::{
    Access, ByeReason, Host, JoinError, NetworkConfig, Received, Session, testing::MemoryNetwork,
};
use tokio::{
    io::{AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf},
    time::timeout,
};

const SIZE: Size = Size { columns: 40, rows: 10 };

struct Stage {
    net: MemoryNetwork,
    host: Arc<Host>,
    shared: Arc<Shared>,
    control: Arc<Control>,
}

impl Stage {
    async fn new(command: &[&str], approvals: Option<Approvals>) -> Self {
        let net = MemoryNetwork::new();
        let mut config = MemoryNetwork::host_config();
        let asks = approvals.is_some();
        let approvals = Arc::new(approvals.unwrap_or_else(|| Approvals::new(Duration::ZERO)));
        if asks {
            config.approval = Some(approvals.clone());
        }
        let host = Arc::new(net.share(config).await.unwrap());
        let argv: Vec<_> = command.iter().map(Into::into).collect();
        let (pty, output) = Pty::start(Program::find(&argv).unwrap(), SIZE).unwrap();
        let shared = Arc::new(Shared { hub: Hub::new(SIZE), pty });
        let printing = shared.clone();
        tokio::spawn(async move { printing.print_all(output).await });
        let control = Control::new("test".into(), "sh".into(), host.clone(), shared.clone(), approvals);
        Self { net, host, shared, control: Arc::new(control) }
    }

    fn connect(&self) -> Line {
        let (near, far) = tokio::io::duplex(4096);
        tokio::spawn(serve::serve(far, self.control.clone()));
        let (answers, requests) = tokio::io::split(near);
        Line {
            answers: LineReader::new(answers),
            requests,
            screen: Screen::new(SIZE),
            state: State::default(),
        }
    }

    async fn console(&self, size: Size) -> Line {
        let mut line = self.connect();
        line.say(&Request::Console { columns: size.columns, rows: size.rows }).await;
        line
    }

    /// A viewer that is served and reads nothing more.
    async fn viewer(&self) -> Session {
        let viewer = self.net.viewer(&self.host, NetworkConfig::default());
        let (viewer, hosted) = tokio::join!(viewer.connect(), self.host.accept());
        let (hosted, shared, viewer) = (hosted.unwrap(), self.shared.clone(), viewer.unwrap());
        tokio::spawn(async move { serve_viewer(&hosted, &shared).await });
        let hello = Message::Hello { version: VERSION, service: Service::Terminal };
        viewer.send(hello.encode()).await.unwrap();
        viewer
    }
}

struct Line {
    answers: LineReader<ReadHalf<DuplexStream>>,
    requests: WriteHalf<DuplexStream>,
    screen: Screen,
    state: State,
}

impl Line {
    async fn say(&mut self, request: &Request) {
        write(&mut self.requests, request).await.unwrap();
    }

    async fn next(&mut self) -> Option<Answer> {
        timeout(LIMIT, self.answers.next()).await.expect("an answer in time").unwrap()
    }

    /// Reads one answer into screen and state; returns any other.
    async fn reads(&mut self) -> Option<Answer> {
        match self.next().await.expect("it goes on") {
            Answer::State(state) => self.state = state,
            Answer::Message { bytes } => match Message::decode(bytes).unwrap() {
                Message::Snapshot { size, bytes } => self.screen = Screen::restore(size, &bytes),
                Message::Change(bytes) => self.screen.feed(&bytes),
                message => return Some(Answer::message(&message)),
            },
            answer => return Some(answer),
        }
        None
    }

    async fn sees(&mut self, text: &str) {
        while !self.screen.text().contains(text) {
            self.reads().await;
        }
    }

    async fn knows(&mut self, fact: impl Fn(&State) -> bool) {
        while !fact(&self.state) {
            self.reads().await;
        }
    }

    async fn asks(&mut self, request: Request) -> Answer {
        self.say(&request).await;
        loop {
            match self.reads().await {
                Some(Answer::Message { .. }) | None => {}
                Some(answer) => return answer,
            }
        }
    }
}

#[tokio::test]
async fn a_console_types_sees_counts_for_the_size_and_is_no_viewer() {
    let stage = Stage::new(&["sh"], None).await;
    let mut console = stage.console(Size { columns: 33, rows: 7 }).await;
    console.say(&Request::Type { bytes: "echo $((40+2)) $(stty size)\r".into() }).await;
    console.sees("42 7 33").await;
    assert_eq!((*stage.shared.hub.present().borrow(), *stage.control.consoles().borrow()), (0, 1));
    let mut other = stage.console(Size { columns: 30, rows: 9 }).await;
    other.sees("42").await;
    assert_eq!(stage.shared.hub.size(), Size { columns: 30, rows: 7 });
    drop(other);
    console.say(&Request::Type { bytes: "clear; stty size; exit 3\r".into() }).await;
    loop {
        if console.reads().await == Some(Answer::message(&Message::Exit(3))) {
            break;
        }
    }
    assert_eq!(console.next().await, None, "the connection ends with the program");
    assert!(console.screen.text().contains("7 33"), "{}", console.screen.text());
}

#[tokio::test]
async fn a_knock_that_nobody_answers_is_told_so_and_may_come_again() {
    let stage = Stage::new(&["sh"], Some(Approvals::new(Duration::from_secs(2)))).await;
    let mut console = stage.console(SIZE).await;
    let knock = || stage.net.viewer(&stage.host, NetworkConfig::default()).named("ada");
    let (error, ()) = tokio::join!(knock().connect(), console.knows(|state| !state.knocks.is_empty()));
    assert!(matches!(error, Err(JoinError::HostRefused { why: ByeReason::Unanswered })), "{error:?}");
    assert_eq!(console.state.knocks[0].name.as_deref(), Some("ada"));
    console.knows(|state| state.knocks.is_empty()).await;
    let (viewer, said) = tokio::join!(knock().connect(), async {
        console.knows(|state| !state.knocks.is_empty()).await;
        let viewer = console.state.knocks[0].id.clone();
        console.asks(Request::Approve { viewer }).await
    });
    assert!(viewer.is_ok() && matches!(&said, Answer::Done { said } if said.contains("ada")), "{said:?}");
}

#[tokio::test]
async fn who_may_no_longer_type_is_told_and_loses_its_say_in_the_size() {
    let stage = Stage::new(&["sh"], None).await;
    let mut console = stage.console(SIZE).await;
    let viewer = stage.viewer().await;
    viewer.send(Message::Resize(Size { columns: 30, rows: 6 }).encode()).await.unwrap();
    console.knows(|state| state.viewers.len() == 1).await;
    while stage.shared.hub.size() != (Size { columns: 30, rows: 6 }) {
        console.reads().await;
    }
    let id = console.state.viewers[0].id.clone();
    let said = console.asks(Request::Access { viewer: id, access: Access::ReadOnly }).await;
    assert!(matches!(said, Answer::Done { .. }), "{said:?}");
    let mut welcomes = 0;
    while welcomes < 2 {
        let received = timeout(LIMIT, viewer.recv()).await.expect("a message in time").unwrap();
        let Received::Message(bytes) = received else { continue };
        if let Message::Welcome(access) = Message::decode(bytes).unwrap() {
            welcomes += 1;
            assert_eq!(access, [Access::Full, Access::ReadOnly][welcomes - 1]);
        }
    }
    while stage.shared.hub.size() != SIZE {
        console.reads().await;
    }
}

#[tokio::test]
async fn an_idle_viewer_stays_and_a_silent_one_leaves_count_and_size_after_ten_seconds() {
    let stage = Stage::new(&["sh"], None).await;
    let viewer = stage.viewer().await;
    let mut present = stage.shared.hub.present();
    timeout(LIMIT, present.wait_for(|count| *count == 1)).await.unwrap().unwrap();
    let reading = {
        let viewer = viewer.clone();
        tokio::spawn(async move { while viewer.recv().await.is_ok() {} })
    };
    // Longer than a session that says nothing pings, and longer than a viewer may be silent.
    assert!(
        timeout(Duration::from_secs(16), present.wait_for(|count| *count == 0)).await.is_err(),
        "an idle viewer"
    );
    for road in [&stage.net.primary, &stage.net.fallback] {
        road.block();
    }
    timeout(LIMIT, present.wait_for(|count| *count == 0)).await.expect("a silent viewer").unwrap();
    reading.abort();
}

#[tokio::test]
async fn what_is_no_request_ends_the_connection_and_nothing_else() {
    let stage = Stage::new(&["sh"], None).await;
    for nonsense in ["nonsense\n".to_owned(), "{\"do\":\"dance\"}\n".to_owned(), "x".repeat(300_000)] {
        let mut line = stage.connect();
        let _ = line.requests.write_all(nonsense.as_bytes()).await;
        assert!(matches!(line.next().await, Some(Answer::Failed { .. })));
        assert_eq!(line.next().await, None);
    }
    let mut line = stage.connect();
    assert!(matches!(line.asks(Request::Redraw).await, Answer::Failed { .. }));
    line.say(&Request::Who).await;
    let Some(Answer::State(state)) = line.next().await else { panic!("no state") };
    assert_eq!((state.name.as_str(), state.viewers.len()), ("test", 0));
}

const LIMIT: Duration = Duration::from_secs(30);
