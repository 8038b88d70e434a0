//! Numbers one way, fifty a second, none of which may be lost, doubled or out of order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use negotiator::{Received, Session};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::PATIENCE;

/// Both ends of it.
pub struct Flow {
    stop: Arc<AtomicBool>,
    sent: JoinHandle<u64>,
    received: JoinHandle<u64>,
}

impl Flow {
    pub fn start(from: &Session, to: &Session) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let sent = tokio::spawn(count(from.clone(), stop.clone()));
        Self { stop, sent, received: tokio::spawn(check(to.clone())) }
    }

    /// Stops, and returns how many arrived: all of them.
    pub async fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let sent = timeout(PATIENCE, self.sent).await.expect("everything is taken").unwrap();
        let received = timeout(PATIENCE, self.received).await.expect("everything arrives").unwrap();
        assert_eq!(sent, received, "sent and received");
        received
    }
}

async fn count(from: Session, stop: Arc<AtomicBool>) -> u64 {
    let mut number = 0u64;
    while !stop.load(Ordering::Relaxed) {
        from.send(number.to_be_bytes().to_vec().into()).await.unwrap();
        number += 1;
        sleep(Duration::from_millis(20)).await;
    }
    from.finish();
    number
}

/// Expects those numbers, and says how many there were.
async fn check(to: Session) -> u64 {
    let mut next = 0u64;
    loop {
        match to.recv().await.unwrap() {
            Received::Message(message) => assert_eq!(message[..], next.to_be_bytes()),
            Received::Finished => return next,
            other => panic!("{other:?}"),
        }
        next += 1;
    }
}
