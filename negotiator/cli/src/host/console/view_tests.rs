use negotiator::Access;

use super::*;
use crate::host::control::protocol::{Knock, Link, Viewer};

const TERMINAL: Size = Size { columns: 100, rows: 20 };

fn view(seat: Seat) -> ConsoleView {
    ConsoleView::new(seat, TERMINAL, EscapeKey::DEFAULT)
}

fn state(viewers: &[&str], knocks: &[&str]) -> State {
    let viewer = |id: &&str| Viewer {
        id: (*id).to_owned(),
        name: Some("ada".to_owned()),
        link: "12ab34".to_owned(),
        access: Access::Full,
        path: Some("webrtc".to_owned()),
        since: 5,
        last_heard: Some(1),
    };
    let knock = |id: &&str| Knock {
        id: (*id).to_owned(),
        name: None,
        link: "12ab34".to_owned(),
        access: Access::ReadOnly,
        left: 42,
    };
    State {
        program: "sh".to_owned(),
        viewers: viewers.iter().map(viewer).collect(),
        knocks: knocks.iter().map(knock).collect(),
        ..State::default()
    }
}

fn told(view: &mut ConsoleView, viewers: &[&str], knocks: &[&str]) {
    view.handle_answer(Instant::now(), Answer::State(state(viewers, knocks))).unwrap();
}

/// What the terminal shows.
fn shown(view: &mut ConsoleView) -> String {
    let mut glass = Screen::new(TERMINAL);
    view.painter.forget();
    glass.feed(view.paint(Instant::now()).as_bytes());
    glass.text()
}

fn typed(view: &mut ConsoleView, text: &str) -> Vec<Do> {
    view.handle_typed(Instant::now(), text.as_bytes())
}

#[test]
fn typing_goes_to_the_program_and_ctrl_c_too() {
    let mut view = view(Seat::Own);
    assert_eq!(view.opening(), Request::Console { columns: 100, rows: 19 });
    assert_eq!(typed(&mut view, "ls\x03"), [Do::Ask(Request::Type { bytes: "ls\x03".into() })]);
}

#[test]
fn a_knock_is_shown_and_answered_behind_the_escape_key_alone() {
    let mut view = view(Seat::Own);
    assert_eq!(typed(&mut view, "\x1ey"), []);
    assert!(shown(&mut view).contains("nobody asks to come in"));
    view.notice = None;
    told(&mut view, &[], &["3fa2", "90ab"]);
    assert!(std::mem::take(&mut view.ring));
    let line = shown(&mut view);
    let asked = " Ctrl-^ y or n: viewer 3fa2 asks to come in by link 12ab (read-only), 42 s left";
    assert!(line.contains(asked), "{line}");
    assert_eq!(
        typed(&mut view, "y"),
        [Do::Ask(Request::Type { bytes: "y".into() })],
        "that was for the program"
    );
    let viewer = || "3fa2".to_owned();
    assert_eq!(typed(&mut view, "\x1ey"), [Do::Ask(Request::Approve { viewer: viewer() })]);
    assert_eq!(typed(&mut view, "\x1en"), [Do::Ask(Request::Refuse { viewer: viewer() })]);
}

#[test]
fn who_is_chosen_stays_chosen_while_others_come_and_go() {
    let mut view = view(Seat::Own);
    told(&mut view, &["1111", "2222", "3333"], &[]);
    assert!(shown(&mut view).contains("3 viewers · ada webrtc, ada webrtc"));
    assert_eq!(typed(&mut view, "\x1ew"), []);
    typed(&mut view, "\x1b[B");
    assert!(
        shown(&mut view)
            .contains(">ada (2222) · may type · webrtc · link 12ab · here for 5 s · heard 1 s ago")
    );
    told(&mut view, &["0000", "2222"], &[]);
    let request = Request::Access { viewer: "2222".to_owned(), access: Access::ReadOnly };
    assert_eq!(typed(&mut view, "r"), [Do::Ask(request)]);
    assert_eq!(typed(&mut view, "x"), [], "a question comes first");
    assert!(shown(&mut view).contains("Remove ada (2222)"));
    assert_eq!(typed(&mut view, "y"), [Do::Ask(Request::Remove { viewer: "2222".to_owned() })]);
    typed(&mut view, "x");
    assert_eq!(typed(&mut view, "n"), []);
    assert!(shown(&mut view).contains("nothing was done"));
    assert_eq!(typed(&mut view, "ls"), [Do::Ask(Request::Type { bytes: "ls".into() })], "the list is gone");
}

#[test]
fn links_are_asked_for_shown_whole_and_revoked_after_a_question() {
    let mut view = view(Seat::Own);
    assert_eq!(typed(&mut view, "\x1ek"), [Do::Ask(Request::Links)]);
    let link = |id: &str, state: &str| Link {
        id: id.to_owned(),
        link: format!("http://h/s#{id}"),
        access: Access::Full,
        state: state.to_owned(),
        expires_at: None,
        uses: Some(3),
        used: 1,
    };
    let links = vec![link("aaaa", "revoked"), link("bbbb", "open"), link("cccc", "used_up")];
    view.handle_answer(Instant::now(), Answer::Links { links }).unwrap();
    let text = shown(&mut view);
    assert!(!text.contains("aaaa") && text.contains("beach-link join 'http://h/s#bbbb'"), "{text}");
    assert!(text.contains(">link bbbb · may type · open · used 1 of 3"), "{text}");
    assert_eq!(typed(&mut view, "c"), []);
    let painted = view.paint(Instant::now());
    assert!(painted.contains("\x1b]52;c;aHR0cDovL2gvcyNiYmJi\x07"), "{painted:?}");
    assert!(!view.paint(Instant::now()).contains("\x1b]52"), "once");
    let add = Request::AddLink { access: Access::ReadOnly, lifetime: None, uses: None };
    assert_eq!(typed(&mut view, "o"), [Do::Ask(add)]);
    typed(&mut view, "\x1b[B");
    typed(&mut view, "x");
    assert!(shown(&mut view).contains("Revoke link cccc?"));
    let revoke = Request::RevokeLink { link: "cccc".to_owned() };
    assert_eq!(typed(&mut view, "y"), [Do::Ask(revoke), Do::Ask(Request::Links)]);
}

#[test]
fn leaving_ends_the_own_session_after_a_question_and_another_never() {
    let mut attached = view(Seat::Attached);
    assert_eq!(typed(&mut attached, "\x1eq"), [Do::Quit]);
    let mut own = view(Seat::Own);
    assert_eq!(typed(&mut own, "\x1eq"), []);
    assert!(shown(&mut own).contains("End the program, and the session for everybody?"));
    assert_eq!(typed(&mut own, "q"), []);
    assert_eq!(typed(&mut own, "\x1eqy"), [Do::Ask(Request::Stop)]);
}

#[test]
fn what_is_typed_behind_the_key_that_takes_a_list_away_is_the_programs() {
    let mut view = view(Seat::Own);
    assert_eq!(typed(&mut view, "\x1ewqls"), [Do::Ask(Request::Type { bytes: "ls".into() })]);
    assert_eq!(typed(&mut view, "\x1e?\x1b[200~rm\x1b[201~"), [], "a paste into a list goes nowhere");
}

#[test]
fn the_last_screen_can_be_left_behind() {
    let mut view = view(Seat::Own);
    let mut screen = Screen::new(usable(TERMINAL));
    screen.feed(b"done\r\n");
    let bytes = screen.picture().whole();
    for message in [Message::Snapshot { size: usable(TERMINAL), bytes }, Message::Exit(3)] {
        let outcome = view.handle_answer(Instant::now(), Answer::message(&message)).unwrap();
        assert_eq!(outcome, matches!(message, Message::Exit(_)).then_some(Do::End(3)));
    }
    assert_eq!(view.last_screen(), "done\x1b[m\r\n");
}
