//! A shared terminal and its viewers, in one process, over a network in memory.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used)]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use beach_link::{
    host::{
        hub::Hub,
        pty::{Program, Pty},
        serve::{Left, Shared, serve},
    },
    screen::Screen,
    wire::{BadMessage, Message, PAST, Refusal, Service, Size, VERSION},
};
use bytes::Bytes;
use negotiator::{Access, Host, NetworkConfig, Received, Session};
use support::{Net, Scenes as _, host_config};
use tokio::{task::JoinHandle, time::timeout};

const SIZE: Size = Size { columns: 40, rows: 10 };

/// A host with one command in its terminal.
struct Stage {
    net: Net,
    host: Host,
    shared: Arc<Shared>,
}

impl Stage {
    async fn new(command: &[&str], access: Access) -> Self {
        let net = Net::new();
        let mut config = host_config();
        config.network.questions = Some(Message::only_asks);
        let host = net.host(config, access).await;
        let argv: Vec<_> = command.iter().map(Into::into).collect();
        let (pty, output) = Pty::start(Program::find(&argv).unwrap(), SIZE).unwrap();
        let shared = Arc::new(Shared { hub: Hub::new(SIZE).keeping(1 << 20), pty });
        let printing = shared.clone();
        tokio::spawn(async move { printing.print_all(output).await });
        Self { net, host, shared }
    }

    /// Connects a session that has not said anything yet.
    async fn connect(&self) -> (Session, JoinHandle<Left>) {
        let viewer = self.net.viewer(&self.host, NetworkConfig::default());
        let (viewer, hosted) = tokio::join!(viewer.connect(), self.host.accept());
        let (hosted, shared) = (hosted.unwrap(), self.shared.clone());
        (viewer.unwrap(), tokio::spawn(async move { serve(&hosted, &shared).await }))
    }

    /// Connects a viewer and lets it in.
    async fn join(&self) -> (Viewer, JoinHandle<Left>) {
        let (session, serving) = self.connect().await;
        send(&session, Message::Hello { version: VERSION, service: Service::Terminal }).await;
        let Message::Welcome(access) = next(&session).await else { panic!("not welcome") };
        assert_eq!(access == Access::Full, session.access() == Some(Access::Full));
        send(&session, Message::Resize(SIZE)).await;
        (Viewer { session, screen: Screen::new(SIZE), drawn: 0, notices: Vec::new() }, serving)
    }
}

struct Viewer {
    session: Session,
    screen: Screen,
    /// How often it was drawn.
    drawn: usize,
    notices: Vec<String>,
}

impl Viewer {
    async fn type_text(&self, text: &'static str) {
        send(&self.session, Message::Input(Bytes::from_static(text.as_bytes()))).await;
    }

    /// Reads until the screen holds `text`; returns the command's status if it ended before.
    async fn sees(&mut self, text: &str) -> Option<u8> {
        while !self.screen.text().contains(text) {
            if let Some(status) = self.reads().await {
                return Some(status);
            }
        }
        None
    }

    /// Reads until the screen was drawn once more.
    async fn draws(&mut self) {
        let before = self.drawn;
        while self.drawn == before {
            assert_eq!(self.reads().await, None);
        }
    }

    /// Reads one message; returns the command's status if it is that.
    async fn reads(&mut self) -> Option<u8> {
        match next(&self.session).await {
            Message::Snapshot { size, bytes } => {
                self.screen = Screen::restore(size, &bytes);
                self.drawn += 1;
            }
            Message::Change(bytes) => {
                self.screen.feed(&bytes);
                self.drawn += 1;
            }
            Message::Notice(text) => self.notices.push(text),
            Message::Exit(status) => return Some(status),
            _ => {}
        }
        None
    }
}

async fn send(session: &Session, message: Message) {
    session.send(message.encode()).await.unwrap();
}

async fn next(session: &Session) -> Message {
    match timeout(Duration::from_secs(20), session.recv()).await.expect("a message in time").unwrap() {
        Received::Message(bytes) => Message::decode(bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn viewers_share_one_screen_and_a_late_one_sees_it_whole() {
    let stage = Stage::new(&["sh"], Access::Full).await;
    let (mut first, _) = stage.join().await;
    first.type_text("echo $((40+2))\r").await;
    first.sees("42").await;
    let (mut late, _) = stage.join().await;
    late.sees("42").await;
    late.type_text("echo $((90+9)); exit 5\r").await;
    first.sees("99").await;
    late.sees("99").await;
    assert_eq!(first.sees("never").await, Some(5));
    assert_eq!(late.sees("never").await, Some(5));
}

#[tokio::test]
async fn a_large_screen_in_true_colour_arrives_whole() {
    let paint = r#"read go; awk 'BEGIN { for (r = 0; r < 109; r++) { for (c = 0; c < 430; c++)
        printf "\033[38;2;%d;%d;%dm#", r, c % 256, (r + c) % 256; print "" } }'; echo all; sleep 60"#;
    let stage = Stage::new(&["sh", "-c", paint], Access::Full).await;
    let (mut viewer, _) = stage.join().await;
    let size = Size { columns: 430, rows: 110 };
    send(&viewer.session, Message::Resize(size)).await;
    viewer.type_text("\r").await;
    viewer.sees("\nall").await;
    // Whoever comes now is sent it from nothing: more than a message holds.
    let (mut late, _) = stage.join().await;
    send(&late.session, Message::Resize(size)).await;
    late.sees("\nall").await;
    assert!(late.drawn > 10, "{} pieces", late.drawn);
    assert_eq!(late.screen.text(), viewer.screen.text());
    stage.shared.pty.stop().await;
}

#[tokio::test]
async fn the_terminal_follows_the_smallest_viewer() {
    let stage = Stage::new(&["sh"], Access::Full).await;
    let (mut viewer, _) = stage.join().await;
    send(&viewer.session, Message::Resize(Size { columns: 33, rows: 7 })).await;
    viewer.type_text("stty size\r").await;
    viewer.sees("7 33").await;
    assert_eq!(viewer.screen.size(), Size { columns: 33, rows: 7 });
}

#[tokio::test]
async fn a_viewer_that_asks_for_an_impossible_terminal_is_gone_and_nobody_else() {
    let stage = Stage::new(&["sh"], Access::Full).await;
    let (mut stays, _) = stage.join().await;
    for (columns, rows) in [(u16::MAX, u16::MAX), (1, 1), (1001, 24)] {
        let (hostile, serving) = stage.join().await;
        hostile.session.send(Message::Resize(Size { columns, rows }).encode()).await.unwrap();
        let left = Left::Unintelligible(BadMessage::Size { kind: 4, columns, rows });
        assert_eq!(serving.await.unwrap(), left);
    }
    assert_eq!(stage.shared.hub.size(), SIZE);
    stays.type_text("echo $((50+5))\r").await;
    stays.sees("55").await;
}

#[tokio::test]
async fn a_flood_of_sizes_ends_at_the_last_and_reaches_the_command_ten_times_a_second() {
    let counting = "trap 'n=$((n+1)); echo resized $n to $(stty size)' WINCH; while :; do sleep 0.01; done";
    let stage = Stage::new(&["sh", "-c", counting], Access::Full).await;
    let (mut viewer, _) = stage.join().await;
    let start = std::time::Instant::now();
    for nth in 0..2_000 {
        send(&viewer.session, Message::Resize(Size { columns: 60 + nth % 40, rows: 30 })).await;
    }
    send(&viewer.session, Message::Resize(Size { columns: 77, rows: 31 })).await;
    viewer.sees("to 31 77").await;
    let most = 10 * (1 + start.elapsed().as_secs() as u32);
    let text = viewer.screen.text();
    let count =
        text.lines().filter_map(|line| line.strip_prefix("resized ")?.split(' ').next()?.parse().ok());
    let count: u32 = count.max().unwrap();
    assert!((1..=most).contains(&count), "{count} of {most}");
    stage.shared.pty.stop().await;
}

#[tokio::test]
async fn who_only_watches_does_not_change_the_size_for_the_others() {
    let stage = Stage::new(&["sh"], Access::ReadOnly).await;
    let (mut viewer, _) = stage.join().await;
    send(&viewer.session, Message::Resize(Size { columns: 33, rows: 7 })).await;
    stage.shared.pty.input("echo $((40+2)) $(stty size)\r".into()).await;
    viewer.sees("42 10 40").await;
    assert_eq!(stage.shared.hub.size(), SIZE);
}

#[tokio::test]
async fn a_viewer_that_leaves_disturbs_nobody() {
    let stage = Stage::new(&["sh"], Access::Full).await;
    let (mut stays, _) = stage.join().await;
    let (leaves, serving) = stage.join().await;
    leaves.session.abort("gone");
    assert!(matches!(serving.await.unwrap(), Left::Gone(_) | Left::Quit));
    stays.type_text("echo still $((1+1))\r").await;
    stays.sees("still 2").await;
    assert_eq!(*stage.shared.hub.present().borrow(), 1);
}

#[tokio::test]
async fn a_read_only_viewer_types_into_nothing_and_is_told() {
    let stage = Stage::new(&["sh", "-c", "read line; echo read $line"], Access::ReadOnly).await;
    let (mut viewer, _) = stage.join().await;
    viewer.type_text("secret\r").await;
    stage.shared.pty.input("public\r".into()).await;
    viewer.sees("read public").await;
    assert!(viewer.notices.iter().any(|text| text.contains("read-only")), "{:?}", viewer.notices);
}

#[tokio::test]
async fn who_only_watches_reads_what_left_the_screen_and_still_types_into_nothing() {
    let stage =
        Stage::new(&["sh", "-c", "seq 1 5000; read line; echo read $line; sleep 60"], Access::ReadOnly).await;
    let (mut viewer, _) = stage.join().await;
    viewer.sees("5000").await;
    let mut before = u64::MAX;
    let mut lines = Vec::new();
    while before > 0 {
        // A flood of questions has one answer at a time, and none is larger than a message may be.
        for _ in 0..20 {
            send(&viewer.session, Message::Recall { before, lines: u16::MAX }).await;
        }
        let past = loop {
            if let Message::Recalled(past) = next(&viewer.session).await
                && past.behind() == before.min(past.end)
            {
                break past;
            }
        };
        assert!(past.text.len() <= PAST);
        let older = past.lines().map(|line| String::from_utf8_lossy(&line).into_owned());
        lines.splice(0..0, older.collect::<Vec<_>>());
        before = past.first;
    }
    let expected: Vec<String> = (1..=4_991).map(|nth| nth.to_string()).collect();
    assert_eq!(lines, expected);
    viewer.type_text("secret\r").await;
    stage.shared.pty.input("public\r".into()).await;
    viewer.sees("read public").await;
    stage.shared.pty.stop().await;
}

#[tokio::test]
async fn other_versions_and_other_services_are_refused_in_words() {
    let stage = Stage::new(&["sh"], Access::Full).await;
    for (hello, expected, words) in [
        (Message::Hello { version: 9, service: Service::Terminal }, Refusal::Version, "version"),
        (Message::Hello { version: VERSION, service: Service::Pipe }, Refusal::Service, "beach-link join"),
    ] {
        let (session, serving) = stage.connect().await;
        send(&session, hello).await;
        let Message::Refused { why, text } = next(&session).await else { panic!("not refused") };
        assert_eq!(why, expected);
        assert!(text.contains(words), "{text}");
        assert!(matches!(serving.await.unwrap(), Left::Refused(_)));
    }
}

#[tokio::test]
async fn bytes_that_are_no_message_end_that_viewer_and_nobody_else() {
    let stage = Stage::new(&["sh"], Access::Full).await;
    let (mut stays, _) = stage.join().await;
    let (strange, serving) = stage.join().await;
    strange.session.send(Bytes::from_static(&[200, 1, 2])).await.unwrap();
    assert_eq!(serving.await.unwrap(), Left::Unintelligible(BadMessage::Kind(200)));
    stays.type_text("echo $((50+5))\r").await;
    stays.sees("55").await;
}

#[tokio::test]
async fn a_flood_reaches_a_viewer_that_reads_and_ends_on_the_right_screen() {
    let stage = Stage::new(&["sh", "-c", "seq 1 200000; echo the end; sleep 60"], Access::Full).await;
    let (mut viewer, _) = stage.join().await;
    viewer.sees("the end").await;
    assert!(viewer.screen.text().contains("200000"));
    stage.shared.pty.stop().await;
}

#[tokio::test]
async fn a_viewer_that_leaves_amid_a_flood_is_gone_at_once_and_the_others_go_on() {
    let flood =
        "(while :; do seq 1 40; sleep 0.01; done) & read line; kill $!; clear; echo read $line; sleep 60";
    let stage = Stage::new(&["sh", "-c", flood], Access::Full).await;
    let (mut stays, _) = stage.join().await;
    stays.sees("40").await;
    for _ in 0..5 {
        let (mut leaves, serving) = stage.join().await;
        leaves.sees("40").await;
        leaves.session.abort("gone");
        let left = timeout(Duration::from_secs(5), serving).await.expect("it was noticed").unwrap();
        assert!(matches!(left, Left::Gone(_) | Left::Quit), "{left}");
    }
    stays.type_text("on\r").await;
    stays.sees("read on").await;
    stage.shared.pty.stop().await;
}

#[tokio::test]
async fn a_viewer_without_a_path_gets_the_newest_screen_and_none_from_before() {
    let count = "n=0; while :; do n=$((n+1)); printf '\\033[2J\\033[Hat %s' $n; sleep 0.01; done";
    let stage = Stage::new(&["sh", "-c", count], Access::Full).await;
    let (mut viewer, _) = stage.join().await;
    viewer.sees("at ").await;
    for road in [&stage.net.primary, &stage.net.fallback] {
        road.block();
        road.cut();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    stage.net.primary.heal();
    stage.net.fallback.heal();
    let mut drawn = 0;
    let before = at(&viewer);
    while at(&viewer) < before + 30 {
        viewer.draws().await;
        drawn += 1;
    }
    assert!(drawn <= 10, "{drawn} pictures for thirty that were missed");
    stage.shared.pty.stop().await;
}

/// The number on the screen.
fn at(viewer: &Viewer) -> u32 {
    viewer.screen.text().trim_start_matches("at ").parse().unwrap_or_default()
}

#[tokio::test]
async fn a_program_that_asks_its_terminal_is_answered_once_however_many_watch() {
    let ask = r#"stty raw -echo; printf '\033[6n'; dd bs=1 count=6 2>/dev/null | od -An -c; sleep 60"#;
    let stage = Stage::new(&["sh", "-c", &format!("read go; {ask}")], Access::Full).await;
    let (mut first, _) = stage.join().await;
    let (_second, _) = stage.join().await;
    first.type_text("\r").await;
    first.sees("033   [   2   ;   1   R").await;
    stage.shared.pty.stop().await;
}
