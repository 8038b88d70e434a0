use super::*;

const SIZE: Size = Size { columns: 20, rows: 4 };

/// A viewer that takes what there is.
struct Seat<'a> {
    hub: &'a Hub,
    id: ViewerId,
    screen: Screen,
    messages: Vec<Message>,
}

impl<'a> Seat<'a> {
    fn take(hub: &'a Hub) -> Self {
        Self { hub, id: hub.enter().unwrap(), screen: Screen::new(SIZE), messages: Vec::new() }
    }

    fn catch_up(&mut self) -> usize {
        let mut bytes = 0;
        loop {
            let message = match self.hub.next(self.id).unwrap() {
                Next::Nothing => return bytes,
                Next::Message(message) => message,
                Next::Picture { .. } => match self.hub.picture(self.id) {
                    Some(message) => message,
                    None => continue,
                },
            };
            bytes += message.encode().len();
            match &message {
                Message::Snapshot { size, bytes } => self.screen = Screen::restore(*size, bytes),
                Message::Change(bytes) => self.screen.feed(bytes),
                _ => {}
            }
            self.messages.push(message);
        }
    }

    fn has_a_picture(&self) -> bool {
        self.hub.state.lock().viewers[&self.id].has.is_some()
    }
}

fn print(hub: &Hub, text: &str) {
    let _ = hub.print(&text.to_owned().into());
}

#[test]
fn a_late_viewer_gets_the_screen_and_then_the_rest() {
    let hub = Hub::new(SIZE);
    print(&hub, "one\r\n");
    let mut seat = Seat::take(&hub);
    seat.catch_up();
    print(&hub, "two");
    seat.catch_up();
    assert_eq!(seat.screen.text(), "one\ntwo");
    assert!(matches!(seat.messages.last(), Some(Message::Change(_))));
}

#[test]
fn the_terminal_has_the_size_of_the_smallest_viewer() {
    let hub = Hub::new(SIZE);
    let (a, b) = (hub.enter().unwrap(), hub.enter().unwrap());
    assert_eq!(hub.resize(a, Size { columns: 100, rows: 40 }), Some(Size { columns: 100, rows: 40 }));
    assert_eq!(hub.resize(b, Size { columns: 120, rows: 30 }), Some(Size { columns: 100, rows: 30 }));
    assert_eq!(hub.resize(b, Size { columns: 120, rows: 30 }), None);
    assert_eq!(hub.leave(b), Some(Size { columns: 100, rows: 40 }));
    assert_eq!(hub.leave(a), None);
}

#[test]
fn a_fixed_size_is_nobodys_but_the_hosts() {
    let hub = Hub::fixed(SIZE);
    let id = hub.enter().unwrap();
    assert_eq!(hub.resize(id, Size { columns: 100, rows: 40 }), None);
    assert_eq!((hub.silent(id, true), hub.leave(id), hub.size()), (None, None, SIZE));
}

#[test]
fn who_fell_silent_counts_for_nothing_until_it_is_heard_again() {
    let hub = Hub::new(SIZE);
    let (small, large) = (hub.enter().unwrap(), hub.enter().unwrap());
    let (narrow, wide) = (Size { columns: 30, rows: 9 }, Size { columns: 120, rows: 30 });
    assert_eq!(hub.resize(small, narrow), Some(narrow));
    assert_eq!(hub.resize(large, wide), None);
    assert_eq!((hub.silent(small, true), *hub.present().borrow()), (Some(wide), 1));
    assert_eq!((hub.silent(small, true), hub.silent(large, true), *hub.present().borrow()), (None, None, 0));
    assert_eq!((hub.silent(small, false), *hub.present().borrow()), (Some(narrow), 1));
}

#[test]
fn a_viewer_that_takes_nothing_costs_nothing_and_gets_the_newest_picture_alone() {
    let hub = Hub::new(SIZE);
    let mut seat = Seat::take(&hub);
    seat.catch_up();
    for n in 0..100_000 {
        print(&hub, &format!("line {n}\r\n"));
    }
    print(&hub, "\x1b[2J\x1b[Hend");
    assert!(seat.catch_up() < 200);
    assert_eq!(seat.screen.text(), "end");
}

#[test]
fn viewers_that_stand_at_the_same_picture_share_what_is_made() {
    let hub = Hub::new(SIZE);
    let mut seats: Vec<_> = (0..MAX_VIEWERS).map(|_| Seat::take(&hub)).collect();
    assert_eq!(hub.enter(), None);
    for seat in &mut seats {
        seat.catch_up();
    }
    print(&hub, "all");
    let made: Vec<_> = seats.iter().map(|seat| hub.picture(seat.id).unwrap()).collect();
    assert_eq!(hub.state.lock().changes.len(), 1);
    assert!(made.iter().all(|message| *message == made[0]));
}

#[test]
fn pictures_that_are_kept_for_the_slow_are_few() {
    let hub = Hub::new(SIZE);
    let mut seats: Vec<_> = (0..20).map(|_| Seat::take(&hub)).collect();
    for (nth, seat) in seats.iter_mut().enumerate() {
        print(&hub, &format!("{nth} "));
        seat.catch_up();
    }
    assert_eq!(seats.iter().filter(|seat| seat.has_a_picture()).count(), MAX_HELD);
    print(&hub, "end");
    let seen: BTreeSet<_> = seats
        .iter_mut()
        .map(|seat| {
            seat.catch_up();
            seat.screen.text()
        })
        .collect();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(held(Size::LARGEST), 2);
}

#[test]
fn the_answer_to_a_key_is_to_be_shown_at_once_and_only_to_who_typed() {
    let hub = Hub::new(SIZE);
    let (mut typist, mut other) = (Seat::take(&hub), Seat::take(&hub));
    typist.catch_up();
    other.catch_up();
    hub.typed(typist.id);
    assert_eq!(hub.next(typist.id), Some(Next::Nothing));
    print(&hub, "x");
    assert_eq!(hub.next(typist.id), Some(Next::Picture { at_once: true }));
    assert_eq!(hub.next(other.id), Some(Next::Picture { at_once: false }));
    typist.catch_up();
    print(&hub, "y");
    assert_eq!(hub.next(typist.id), Some(Next::Picture { at_once: false }));
}

#[test]
fn another_size_and_a_request_draw_everything_anew() {
    let hub = Hub::new(SIZE);
    let mut seat = Seat::take(&hub);
    print(&hub, "text");
    seat.catch_up();
    hub.resize(seat.id, Size { columns: 30, rows: 6 });
    seat.catch_up();
    assert_eq!((seat.screen.size(), seat.screen.text().as_str()), (Size { columns: 30, rows: 6 }, "text"));
    seat.messages.clear();
    hub.resync(seat.id);
    seat.catch_up();
    assert!(matches!(seat.messages[..], [Message::Snapshot { .. }]), "{:?}", seat.messages);
}

#[test]
fn the_last_picture_goes_before_the_status_and_whoever_comes_later_gets_both() {
    let hub = Hub::new(SIZE);
    let mut seat = Seat::take(&hub);
    seat.catch_up();
    print(&hub, "last words");
    hub.end(3);
    let mut late = Seat::take(&hub);
    for seat in [&mut seat, &mut late] {
        seat.catch_up();
        assert_eq!(seat.messages.last(), Some(&Message::Exit(3)));
        assert_eq!(seat.screen.text(), "last words");
    }
}

#[test]
fn of_many_questions_about_the_past_the_newest_is_answered_once() {
    let hub = Hub::new(SIZE).keeping(10_000);
    let mut seat = Seat::take(&hub);
    for nth in 0..50 {
        print(&hub, &format!("{nth}\r\n"));
    }
    for before in 0..1_000 {
        hub.recall(seat.id, before, 5);
    }
    hub.recall(seat.id, 10, 2);
    seat.catch_up();
    let told = seat.messages.iter().filter_map(|message| match message {
        Message::Recalled(past) => Some(past),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    let [past] = told[..] else { panic!("{told:?}") };
    assert_eq!(past.lines().collect::<Vec<_>>(), ["8", "9"]);
    assert_eq!((past.first, past.oldest, past.end), (8, 0, 47));
}
