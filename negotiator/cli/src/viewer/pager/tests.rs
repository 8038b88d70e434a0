use super::*;

const TERMINAL: Size = Size { columns: 60, rows: 6 };

/// A host that has lines 0 to `count`, of which those before `oldest` are gone.
struct Host {
    oldest: u64,
    count: u64,
    answers: usize,
}

impl Host {
    fn answer(&mut self, ask: &Message) -> Past {
        let Message::Recall { before, .. } = ask else { panic!("{ask:?}") };
        self.answers += 1;
        let behind = (*before).clamp(self.oldest, self.count);
        let first = behind.saturating_sub(20).max(self.oldest);
        let text: String = (first..behind).map(|nth| format!("\x1b[32mline\x1b[m {nth}\n")).collect();
        Past { first, oldest: self.oldest, end: self.count, text: text.into() }
    }
}

/// A pager, its host, and nothing under way between them.
struct Desk(Pager, Host);

impl Desk {
    fn open(oldest: u64, count: u64) -> Self {
        let (pager, ask) = Pager::open(TERMINAL);
        let mut desk = Self(pager, Host { oldest, count, answers: 0 });
        desk.settle(ask);
        desk
    }

    fn settle(&mut self, ask: Message) {
        let mut ask = Some(ask);
        while let Some(asked) = ask {
            ask = self.0.take(&self.1.answer(&asked));
        }
    }

    fn types(&mut self, text: &str) {
        for outcome in self.0.handle_typed(text.as_bytes()).0 {
            match outcome {
                Outcome::Ask(ask) => self.settle(ask),
                other => panic!("{other:?}"),
            }
        }
    }

    fn shows(&self) -> (Vec<String>, String) {
        let (rows, status) = self.0.paint(TERMINAL);
        let mut glass = Screen::new(Size { rows: 1, ..TERMINAL });
        let mut text = |row: &String| {
            glass.feed(format!("\x1b[m\x1b[2J\x1b[H{row}").as_bytes());
            glass.text().trim_start().to_owned()
        };
        let shown = rows.iter().map(&mut text).collect();
        (shown, text(&status))
    }

    #[track_caller]
    fn first_is(&self, nth: u64) {
        assert_eq!(self.shows().0[0], format!("line {nth}"), "{:?}", self.shows());
    }
}

#[test]
fn the_newest_lines_are_shown_first_and_older_ones_are_fetched_as_they_are_looked_for() {
    let mut desk = Desk::open(0, 300);
    let (rows, status) = desk.shows();
    assert_eq!(rows, ["line 295", "line 296", "line 297", "line 298", "line 299"]);
    assert!(status.starts_with("history 296–300 of 300"), "{status}");
    assert_eq!(desk.1.answers, 1);
    desk.types("\x1b[5~");
    desk.first_is(291);
    desk.types("k\x1bOA");
    desk.first_is(289);
    desk.types("\x1b[6~j");
    desk.first_is(294);
    assert!(desk.1.answers < 4);
    desk.types("g");
    desk.first_is(0);
    desk.types("G");
    desk.first_is(295);
}

#[test]
fn lines_that_came_meanwhile_are_there_at_the_end() {
    let mut desk = Desk::open(0, 100);
    desk.1.count = 110;
    desk.types("G");
    assert_eq!(desk.shows().0[4], "line 109");
    // More than an answer holds, and the host has forgotten older ones.
    (desk.1.oldest, desk.1.count) = (1_000, 1_100);
    desk.types("\x1b[6~");
    assert_eq!(desk.shows().0[4], "line 1099");
    desk.types("g");
    desk.first_is(1_000);
}

#[test]
fn what_the_host_forgot_meanwhile_does_not_take_away_what_is_here() {
    let mut desk = Desk::open(0, 100);
    // It forgets more than this pager has.
    (desk.1.oldest, desk.1.count) = (5_000, 6_000);
    desk.types("g");
    let first = desk.0.first;
    assert!(first < 100);
    desk.first_is(first);
    assert!(desk.shows().1.starts_with("history 1–5 of"), "{:?}", desk.shows());
    desk.types("/line 7\r");
    assert_eq!(desk.shows().1, "nothing older");
}

#[test]
fn a_search_fetches_until_it_finds() {
    let mut desk = Desk::open(7, 500);
    desk.types("/LINE 123\x7f\x7f\x7f");
    assert_eq!(desk.shows().1, "/LINE");
    desk.types("\x1b");
    desk.types("/ine 123\r");
    assert!(desk.shows().0.contains(&"line 123".to_owned()));
    desk.types("/ine 45\r");
    assert!(desk.shows().0.contains(&"line 45".to_owned()), "{:?}", desk.shows());
    desk.types("N");
    assert!(desk.shows().0.contains(&"line 450".to_owned()), "{:?}", desk.shows());
    desk.types("n");
    assert!(desk.shows().0.contains(&"line 45".to_owned()), "{:?}", desk.shows());
    desk.types("n");
    assert_eq!(desk.shows().1, "nothing older");
    assert_eq!(desk.0.first, 7, "everything was looked through");
    desk.types("/Line\r");
    assert_eq!(desk.shows().1, "nothing older", "a capital counts");
}

#[test]
fn keys_close_it_and_nothing_else_does() {
    let mut desk = Desk::open(0, 10);
    desk.types("xyz\x1b[<0;1;1M");
    for close in ["q", "\x1b", "\x03"] {
        assert_eq!(desk.0.handle_typed(close.as_bytes()), (vec![Outcome::Close], close.len()));
    }
    assert_eq!(desk.0.handle_typed(b"kqls"), (vec![Outcome::Close], 2), "the rest is for the program");
}

#[test]
fn one_question_is_under_way_and_it_is_asked_once_more_in_another_session() {
    let (mut pager, _) = Pager::open(TERMINAL);
    assert_eq!(pager.handle_typed(b"g").0, []);
    assert_eq!(pager.handle_typed(b"G").0, []);
    assert_eq!(pager.handle_typed(b"g").0, []);
    assert!(matches!(pager.again(), Some(Message::Recall { before: u64::MAX, .. })));
    let mut host = Host { oldest: 0, count: 100, answers: 0 };
    let past = host.answer(&Message::Recall { before: u64::MAX, lines: 9 });
    assert_eq!(pager.take(&past), Some(Message::Recall { before: 80, lines: LINES }));
    assert_eq!(pager.again(), Some(Message::Recall { before: 80, lines: LINES }));
}

#[test]
fn what_a_host_puts_into_a_line_steers_nothing() {
    let (mut pager, _) = Pager::open(TERMINAL);
    let text = "a\x1b[2J\x1b]52;c;ZXZpbA==\x07\x1b[5nb\x1b[31mc\n".into();
    assert_eq!(pager.take(&Past { first: 0, oldest: 0, end: 1, text }), None);
    let row = pager.paint(TERMINAL).0.concat();
    assert!(!row.contains("]52") && !row.contains("[2J") && !row.contains("[5n"), "{row:?}");
    let wide = format!("{}\n", "x".repeat(5_000)).into();
    let (mut pager, _) = Pager::open(TERMINAL);
    pager.take(&Past { first: 0, oldest: 0, end: 1, text: wide });
    assert!(pager.paint(TERMINAL).0.concat().len() < 80);
}

#[test]
fn without_lines_the_pager_says_so() {
    let desk = Desk::open(0, 0);
    assert!(desk.shows().1.starts_with("no line has left"));
}
