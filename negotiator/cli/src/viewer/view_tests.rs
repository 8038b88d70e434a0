use super::*;

const TERMINAL: Size = Size { columns: 40, rows: 10 };

fn view(access: Access) -> View {
    View::new(TERMINAL, access, EscapeKey::DEFAULT)
}

#[test]
fn typing_goes_to_the_host_and_commands_do_not() {
    let mut view = view(Access::Full);
    let now = Instant::now();
    assert_eq!(view.handle_typed(now, b"ls\x1eq"), [Do::Send(Message::Input("ls".into())), Do::Quit]);
    assert_eq!(view.handle_typed(now, b"\x1e?"), []);
    assert_eq!(view.overlay, Some(Overlay::Help));
    assert_eq!(view.handle_typed(now, b"x"), [], "this key takes the overlay away");
    assert_eq!(view.handle_typed(now, b"y"), [Do::Send(Message::Input("y".into()))]);
}

#[test]
fn help_that_does_not_fit_has_pages_and_keys_turn_them() {
    let mut view = view(Access::Full);
    let now = Instant::now();
    view.handle_typed(now, b"\x1e?");
    let mut shown = String::new();
    let mut turned = 0;
    while view.overlay.is_some() {
        let page = view.laid_over(HELP);
        assert!(page.len() < usize::from(TERMINAL.rows));
        shown += &page.concat();
        assert_eq!(view.handle_typed(now, b" "), []);
        turned += 1;
    }
    assert!(turned > 1 && shown.contains("this list") && shown.contains("why it is used"), "{shown}");
    assert_eq!(view.handle_typed(now, b"\x1ez"), [Do::Suspend]);
}

#[test]
fn a_read_only_viewer_sends_nothing_and_is_told() {
    let mut view = view(Access::ReadOnly);
    assert_eq!(view.handle_typed(Instant::now(), b"rm"), []);
    assert_eq!(view.notice.unwrap().0, READ_ONLY);
}

#[test]
fn while_a_session_is_entered_anew_keys_try_and_nothing_is_sent() {
    let mut view = view(Access::Full);
    let now = Instant::now();
    view.stand_still("the host had let it go", "no answer".to_owned());
    assert_eq!(view.handle_typed(now, b"x"), [Do::Again]);
    assert_eq!(view.handle_typed(now, b"\x1eq"), [Do::Quit]);
    view.enter_anew(Access::Full, "entered anew".to_owned());
    assert_eq!(view.lasting.as_deref(), Some("entered anew"));
    assert_eq!(view.handle_typed(now, b"x"), [Do::Send(Message::Input("x".into()))]);
    assert_eq!(view.lasting, None);
}

#[test]
fn the_status_line_is_not_part_of_the_shared_screen() {
    let mut view = view(Access::Full);
    assert_eq!(view.opening(), Some(Message::Resize(Size { columns: 40, rows: 9 })));
    let resize = |columns, rows| Some(Do::Send(Message::Resize(Size { columns, rows })));
    assert_eq!(view.handle_resize(Size { columns: 100, rows: 50 }), resize(100, 49));
    assert_eq!(view.handle_resize(Size { columns: 9, rows: 1 }), resize(20, 4));
    assert_eq!(view.handle_resize(Size { columns: 3000, rows: 501 }), resize(1000, 500));
}

#[test]
fn who_only_watches_has_no_say_in_the_size() {
    let mut view = view(Access::ReadOnly);
    assert_eq!(view.opening(), None);
    assert_eq!(view.handle_resize(Size { columns: 30, rows: 9 }), None);
}

#[test]
fn what_was_printed_last_is_painted_and_can_be_left_behind() {
    let mut view = view(Access::Full);
    let now = Instant::now();
    let size = Size { columns: 40, rows: 9 };
    let mut screen = Screen::new(size);
    let before = screen.picture();
    view.handle_message(now, Message::Snapshot { size, bytes: before.whole() });
    screen.feed(b"$ make\r\n\x1b[32mall done\x1b[m\r\n");
    view.handle_message(now, Message::Change(screen.picture().since(&before)));
    assert_eq!(view.handle_message(now, Message::Exit(0)), Some(Do::End(0)));
    assert_eq!(view.last_screen(), "$ make\x1b[m\r\n\x1b[32mall done\x1b[m\r\n");
}

#[test]
fn what_the_program_copies_reaches_the_clipboard_only_where_the_person_lets_it() {
    let now = Instant::now();
    let copy = || Message::Change(Bytes::from_static(b"\x1b]52;c;aGVsbG8=\x07"));
    for (clipboard, copies) in [(Clipboard::Off, false), (Clipboard::Ask, false), (Clipboard::On, true)] {
        let mut view = view(Access::ReadOnly).copying(clipboard);
        view.handle_message(now, copy());
        assert_eq!(view.copies, copies);
        view.handle_typed(now, b"\x1ec");
        assert_eq!(view.copies, clipboard != Clipboard::Off);
    }
}
