//! One direction of a session that the history's judge reads.

use std::time::Duration;

use conformance::history::{Author, Judge, Stream};
use negotiator::{Received, Session};
use tokio::sync::watch;

/// Writes messages of these sizes in turn until told to stop, then says how many it was.
pub(crate) async fn write(
    to: Session,
    stream: Stream,
    sizes: [usize; 3],
    mut stop: watch::Receiver<bool>,
) -> u64 {
    let mut author = Author::new(stream);
    while !*stop.borrow_and_update() {
        let size = sizes[author.written() as usize % sizes.len()];
        to.send(author.write(size)).await.expect("a session that lives");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    to.finish();
    author.written()
}

/// Reads until the other side is finished.
pub(crate) async fn read(from: Session, stream: Stream) -> Judge {
    let mut judge = Judge::new(stream);
    loop {
        match from.recv().await.expect("a session that lives") {
            Received::Message(message) => judge.delivered(&message),
            Received::Finished => return judge,
            Received::Datagram(_) => {}
        }
    }
}
