//! Guesses before real programs, over a path with a round trip of 300 ms: how many keys are shown at once, how many wrongly.
//!
//! With figures, and with editors and pagers: `cargo test -p beach-link --test echo -- --nocapture --include-ignored`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use beach_link::{
    host::pty::{Output, Program, Pty},
    screen::{Echo, Picture, Screen},
    viewer::predict::{Predict, Predictor},
    wire::Size,
};
use bytes::Bytes;
use tokio::time::{sleep, timeout};

const SIZE: Size = Size { columns: 80, rows: 24 };
const ONE_WAY: Duration = Duration::from_millis(150);
const FRAME: Duration = Duration::from_millis(16);
const BETWEEN_KEYS: Duration = Duration::from_millis(80);

#[derive(Clone, Copy)]
enum Step {
    /// Types this, a key after another.
    Type(&'static str),
    /// Waits until the viewer sees this.
    See(&'static str),
    /// Waits as long as a person that looks.
    Look,
}
use Step::{Look, See, Type};

#[tokio::test(flavor = "multi_thread")]
async fn a_shells_line_is_shown_at_once_and_a_password_is_not() {
    let bash = ["bash", "--norc", "--noprofile", "-i"];
    let mut far = Far::start(&bash);
    far.goes(&[See("bash-"), Look, Type("echo hello world, this is far away"), Look]).await;
    far.goes(&[Type("\r"), See("\nhello world"), Look]).await;
    println!("bash: {:?}", far.figures);
    let Figures { typed, shown, wrong } = far.figures;
    assert!(shown > 0 && shown <= typed && wrong * 5 <= shown, "{:?}", far.figures);
    far.goes(&[Type("read -s word; echo got $word"), Look, Type("\r"), Look, Look]).await;
    let before = far.figures.shown;
    far.goes(&[Type("a secret"), Look]).await;
    assert_eq!(far.figures.shown, before);
    far.goes(&[Type("\r"), See("got a secret")]).await;
    far.pty.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs vim and less, and takes half a minute: for the figures"]
async fn an_editor_and_a_pager() {
    let mut far = Far::start(&["vim", "-n", "-u", "NONE", "-N"]);
    let text = "The quick brown fox jumps over the lazy dog, and then some more of it";
    far.goes(&[See("~"), Look, Type("i"), Look, Look, Type(text), Type("\r"), Look, Type(text), Look]).await;
    far.goes(&[Type("\x1b"), Look, Look, Type("kdwx0jyypdd:set nu"), Look, Type("\r"), Look, Look]).await;
    println!("vim: {:?}", far.figures);
    far.pty.stop().await;
    let mut far = Far::start(&["less", "/etc/services"]);
    far.goes(&[See("tcp"), Look, Type("jjj  k/udp"), Look, Type("\r"), Look, Look, Type("ggGq"), Look]).await;
    println!("less: {:?}", far.figures);
    far.pty.stop().await;
}

/// Of the keys that draw a character.
#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    typed: usize,
    /// As soon as they were typed.
    shown: usize,
    /// Characters that were shown, and then were others.
    wrong: usize,
}

/// A program, its viewer, and the path between them.
struct Far {
    pty: Pty,
    output: Output,
    host: Screen,
    sent: Picture,
    changed: bool,
    down: VecDeque<(Instant, Bytes)>,
    up: VecDeque<(Instant, Bytes)>,
    viewer: Screen,
    predictor: Predictor,
    figures: Figures,
}

impl Far {
    fn start(command: &[&str]) -> Self {
        let argv: Vec<_> = command.iter().map(Into::into).collect();
        let (pty, output) = Pty::start(Program::find(&argv).unwrap(), SIZE).unwrap();
        let host = Screen::new(SIZE);
        let sent = host.picture();
        let mut predictor = Predictor::new(Predict::Adaptive);
        predictor.measured(Some(ONE_WAY * 2));
        Self {
            pty,
            output,
            host,
            sent,
            changed: false,
            down: VecDeque::new(),
            up: VecDeque::new(),
            viewer: Screen::new(SIZE),
            predictor,
            figures: Figures::default(),
        }
    }

    async fn goes(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Type(text) => {
                    for key in text.chars() {
                        self.types(key);
                        self.passes(BETWEEN_KEYS).await;
                    }
                }
                Look => self.passes(ONE_WAY * 6).await,
                See(text) => {
                    let deadline = Instant::now() + Duration::from_secs(30);
                    while !self.viewer.text().contains(text) {
                        assert!(Instant::now() < deadline, "{text:?} in {}", self.viewer.text());
                        self.passes(FRAME).await;
                    }
                }
            }
        }
    }

    fn types(&mut self, key: char) {
        let (now, bytes) = (Instant::now(), Bytes::from(key.to_string()));
        self.predictor.typed(now, &bytes, &self.viewer);
        self.up.push_back((now + ONE_WAY, bytes));
        if !key.is_control() {
            self.figures.typed += 1;
            self.figures.shown +=
                usize::from(self.predictor.echo(now).is_some_and(|echo| echo.text.ends_with(key)));
        }
    }

    async fn passes(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            if let Ok(Ok(bytes)) = timeout(Duration::from_millis(2), self.output.next()).await {
                self.host.feed(&bytes);
                self.pty.answer(self.host.take_answers());
                self.changed = true;
            }
            let now = Instant::now();
            if self.changed && self.down.back().is_none_or(|(due, _)| *due + FRAME <= now + ONE_WAY) {
                let picture = self.host.picture();
                self.down.push_back((now + ONE_WAY, picture.since(&self.sent)));
                (self.sent, self.changed) = (picture, false);
            }
            while self.up.front().is_some_and(|(due, _)| *due <= now) {
                let (_, bytes) = self.up.pop_front().unwrap();
                self.pty.input(bytes).await;
            }
            let before = self.predictor.echo(now);
            while self.down.front().is_some_and(|(due, _)| *due <= now) {
                let (_, bytes) = self.down.pop_front().unwrap();
                self.viewer.feed(&bytes);
                self.predictor.drawn(now, &self.viewer);
            }
            self.predictor.expire(now, true, &self.viewer);
            if let (Some(before), None) = (before, self.predictor.echo(now)) {
                self.figures.wrong += self.differs(&before);
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// How many characters of a guess the viewer's screen does not show.
    fn differs(&self, echo: &Echo) -> usize {
        let start = usize::from(echo.column);
        let shown = |(nth, letter)| self.viewer.letter(echo.row, start + nth) == Some(letter);
        echo.text.chars().enumerate().filter(|place| !shown(*place)).count()
    }
}
