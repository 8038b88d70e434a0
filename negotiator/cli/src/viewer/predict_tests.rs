use proptest::prelude::*;

use super::*;
use crate::wire::Size;

const RTT: Duration = Duration::from_millis(300);

/// A host's screen far away, and what a person sees of it.
struct Far {
    now: Instant,
    screen: Screen,
    predictor: Predictor,
}

impl Far {
    fn new() -> Self {
        let mut predictor = Predictor::new(Predict::Adaptive);
        predictor.measured(Some(RTT));
        let mut far =
            Self { now: Instant::now(), screen: Screen::new(Size { columns: 40, rows: 8 }), predictor };
        far.prints("$ ");
        far
    }

    fn prints(&mut self, text: &str) {
        self.screen.feed(text.as_bytes());
        self.predictor.drawn(self.now, &self.screen);
    }

    fn types(&mut self, text: &str) {
        self.predictor.typed(self.now, text.as_bytes(), &self.screen);
    }

    fn waits(&mut self, time: Duration) {
        self.now += time;
        self.predictor.expire(self.now, true, &self.screen);
    }

    /// The characters that are shown and not confirmed.
    fn shows(&self) -> Option<String> {
        self.predictor.echo(self.now).map(|echo| echo.text)
    }

    /// Types one key, whose echo is seen.
    fn is_trusted(&mut self) {
        self.types("l");
        self.waits(RTT);
        self.prints("l");
    }
}

#[test]
fn keys_are_shown_at_once_after_the_first_echo_and_underlined_until_confirmed() {
    let mut far = Far::new();
    far.types("l");
    assert_eq!(far.shows(), None, "whether this echoes is not known yet");
    far.waits(RTT);
    far.prints("l");
    far.types("s -");
    let echo = Echo { row: 0, column: 3, text: "s -".into(), erased: 0, cursor: 6 };
    assert_eq!(far.predictor.echo(far.now), Some(echo));
    far.prints("s");
    assert_eq!(far.shows().as_deref(), Some(" -"));
    far.types("l");
    far.prints(" -l");
    assert_eq!(far.shows(), None);
}

#[test]
fn what_is_erased_is_gone_at_once() {
    let mut far = Far::new();
    far.is_trusted();
    far.types("sx\x7f");
    assert_eq!(far.shows().as_deref(), Some("s"));
    far.prints("sx");
    let echo = Echo { row: 0, column: 4, text: String::new(), erased: 1, cursor: 4 };
    assert_eq!(far.predictor.echo(far.now), Some(echo));
    far.types("y");
    assert_eq!(far.shows().as_deref(), Some("y"));
    far.prints("\x08 \x08y");
    assert_eq!(far.shows(), None);
    far.types("\x7f\x7f\x7f");
    far.types("\x7f");
    assert_eq!(far.shows(), None, "what stood before is not ours");
}

#[test]
fn a_password_is_never_shown() {
    let mut far = Far::new();
    far.is_trusted();
    far.types("\r");
    far.prints("\r\nPassword: ");
    far.waits(RTT * 2);
    for key in "secret".chars() {
        far.types(&key.to_string());
        assert_eq!(far.shows(), None);
        far.waits(Duration::from_millis(200));
        assert_eq!(far.shows(), None);
    }
    far.waits(RTT * 10);
    assert_eq!(far.shows(), None);
}

#[test]
fn a_wrong_guess_takes_all_back_and_the_next_waits_for_an_echo() {
    let mut far = Far::new();
    far.is_trusted();
    far.types("abc");
    assert_eq!(far.shows().as_deref(), Some("abc"));
    far.prints("X");
    assert_eq!(far.shows(), None);
    far.types("d");
    far.waits(RTT + SETTLE);
    far.types("e");
    assert_eq!(far.shows(), None);
    far.prints("e");
    far.types("f");
    assert_eq!(far.shows().as_deref(), Some("f"));
}

#[test]
fn nothing_that_came_of_a_guess_takes_it_back_unless_nothing_can_come() {
    let mut far = Far::new();
    far.is_trusted();
    far.types("a");
    far.now += RTT * 5;
    far.predictor.expire(far.now, false, &far.screen);
    assert_eq!(far.shows().as_deref(), Some("a"), "there is no path");
    far.predictor.expire(far.now, true, &far.screen);
    assert_eq!(far.shows(), None);
}

#[test]
fn a_fast_path_shows_guesses_only_when_it_hangs() {
    let mut far = Far::new();
    far.predictor.measured(Some(Duration::from_millis(5)));
    far.is_trusted();
    far.types("a");
    assert_eq!(far.shows(), None);
    far.waits(GLITCH);
    assert_eq!(far.shows().as_deref(), Some("a"));
    let mut never = Far::new();
    never.predictor.when = Predict::Never;
    never.is_trusted();
    never.types("a");
    assert_eq!(never.shows(), None);
}

#[test]
fn an_editors_commands_are_not_shown_and_its_insertions_are() {
    let mut far = Far::new();
    far.is_trusted();
    far.types("vi\r");
    far.waits(RTT);
    far.prints("\x1b[?1049h\x1b[2J\x1b[2;1H~\x1b[1;1H");
    far.waits(RTT);
    for command in ["i", "j", "\x1b"] {
        far.types(command);
        assert_eq!(far.shows(), None);
        far.waits(RTT * 4);
    }
    far.types("t");
    far.prints("t");
    far.types("ext");
    assert_eq!(far.shows().as_deref(), Some("ext"));
    far.prints("ext");
    far.types("\x1b");
    far.types("dd");
    assert_eq!(far.shows(), None);
}

#[test]
fn the_edge_and_text_behind_the_cursor_are_left_to_the_host() {
    let mut far = Far::new();
    far.is_trusted();
    far.types(&"x".repeat(60));
    assert_eq!(far.shows(), None);
    let mut far = Far::new();
    far.prints("ab\x1b[2D");
    far.is_trusted();
    far.types("x");
    assert_eq!(far.shows(), None);
}

proptest! {
    /// Where each key is echoed, whatever is shown becomes true, whenever the echoes come and however many at a time.
    #[test]
    fn of_a_host_that_echoes_no_guess_is_taken_back(
        steps in proptest::collection::vec((proptest::option::of("[a-z ]|\x7f"), 0..3usize), 1..60),
    ) {
        let mut far = Far::new();
        far.is_trusted();
        let (mut line, mut waiting) = (1, VecDeque::new());
        for (key, answered) in steps {
            if let Some(key) = key {
                let erases = key == "\x7f";
                if (erases && line > 1) || (!erases && line < 30) {
                    line = if erases { line - 1 } else { line + 1 };
                    far.types(&key);
                    waiting.push_back(if erases { "\x08 \x08".to_owned() } else { key });
                }
            }
            let echoes: String = waiting.drain(..answered.min(waiting.len())).collect();
            far.prints(&echoes);
            prop_assert!(far.predictor.trusted);
        }
        let rest: String = waiting.drain(..).collect();
        far.prints(&rest);
        far.waits(RTT * 10);
        prop_assert!(far.predictor.trusted && far.shows().is_none());
    }
}
