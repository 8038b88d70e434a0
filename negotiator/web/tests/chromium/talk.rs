//! A conversation that goes on while something happens: page and host say fifty messages a second each, and what each
//! heard is compared with what the other said.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use negotiator::Session;
use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{LONG, browser::Tab, figures::Tally, hear};

pub(crate) struct Talk {
    said: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    saying: JoinHandle<()>,
    hearing: JoinHandle<Vec<String>>,
}

impl Talk {
    /// Begins, and waits until each has heard the other.
    pub(crate) async fn start(tab: &Tab, hosted: &Session) -> Self {
        tab.evaluate("void chat()").await;
        let (said, stop) = (Arc::<AtomicU32>::default(), Arc::<AtomicBool>::default());
        let saying = tokio::spawn(say(hosted.clone(), said.clone(), stop.clone()));
        let talk = Self { said, stop, saying, hearing: tokio::spawn(listen(hosted.clone())) };
        talk.heard_again(tab).await;
        talk
    }

    /// Waits until the host has said twenty more.
    pub(crate) async fn host_said_more(&self) {
        let wanted = self.said.load(Ordering::Relaxed) + MORE;
        let more = async {
            while self.said.load(Ordering::Relaxed) < wanted {
                sleep(BETWEEN).await;
            }
        };
        timeout(LONG, more).await.expect("the host is not held up");
    }

    /// Waits until the page has said twenty more.
    pub(crate) async fn page_said_more(&self, tab: &Tab) {
        tab.evaluate(&format!("globalThis.wanted = spoken + {MORE}")).await;
        tab.until("spoken >= wanted", "true").await;
    }

    /// Waits until the page has heard twenty more than the host had said before.
    pub(crate) async fn heard_again(&self, tab: &Tab) {
        let wanted = self.said.load(Ordering::Relaxed) + MORE;
        tab.until(&format!("messages.length - before >= {wanted}"), "true").await;
    }

    /// Ends it with a last word from both, and counts what went wrong until those came.
    pub(crate) async fn end(self, tab: &Tab, hosted: &Session) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        timeout(LONG, self.saying).await.unwrap().unwrap();
        hosted.send(LAST.into()).await.unwrap();
        let spoken = tab.evaluate(&format!("hush({})", json!(LAST))).await.as_u64().unwrap();
        let heard_here = timeout(LONG, self.hearing).await.unwrap().unwrap();
        let there = tab.evaluate(&format!("heardUntil({})", json!(LAST))).await;
        let heard_there: Vec<String> = serde_json::from_value(there).unwrap();
        let mut tally = Tally::of("record", self.said.load(Ordering::Relaxed), &heard_there);
        tally += Tally::of("key", u32::try_from(spoken).unwrap(), &heard_here);
        tally
    }
}

async fn say(session: Session, said: Arc<AtomicU32>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let number = said.load(Ordering::Relaxed);
        session.send(format!("record {number}").into()).await.unwrap();
        said.store(number + 1, Ordering::Relaxed);
        sleep(BETWEEN).await;
    }
}

/// Everything that is said until the last word.
async fn listen(session: Session) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let text = hear(&session).await;
        if text == LAST {
            return all;
        }
        all.push(text);
    }
}

const BETWEEN: Duration = Duration::from_millis(20);
const MORE: u32 = 20;
const LAST: &str = "hushed";
