//! A transport in the page, under the contract's own calls.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use beach_web_kit::wire::{Answer, Ask};
use bytes::Bytes;
use transport_core::{CloseCode, Closed, Inbound, Lane, Profile, Refused, Stats, Transport};

use crate::remote::{Polled, Remote, Reply};

/// The handle of a transport in the page. Dropping it drops that.
///
/// Each call that answers at once does so with what the page's transport answered; a future is polled there and dropped there.
#[derive(Debug)]
pub(crate) struct PageTransport {
    remote: Arc<Remote>,
    number: u64,
    profile: Profile,
    /// Taken in the page by receivers that were dropped before they heard of it.
    late: Mutex<VecDeque<Reply>>,
}

impl PageTransport {
    pub(crate) fn new(remote: Arc<Remote>, number: u64) -> Self {
        let profile = ask_profile(&remote, number);
        Self { remote, number, profile, late: Mutex::default() }
    }

    async fn wait(&self, ask: Ask, late: impl FnMut(Reply) + Send) -> Reply {
        match self.remote.poll(self.remote.number(), ask, late) {
            Polled::Ready(reply) => reply,
            Polled::Waits(wait) => wait.answer().await,
        }
    }
}

#[async_trait]
impl Transport for PageTransport {
    fn profile(&self) -> &Profile {
        let now = ask_profile(&self.remote, self.number);
        // One that changed is leaked for the case that looks for it: a run that goes wrong does not go far.
        if now == self.profile { &self.profile } else { Box::leak(Box::new(now)) }
    }

    fn try_send(&self, lane: Lane, payload: Bytes) -> Result<(), Refused> {
        match self.remote.call_with(Ask::TrySend(self.number, lane.into()), &payload) {
            (Answer::Done, _) => Ok(()),
            (Answer::Refused(why), payload) => Err(Refused::new(payload, why.into())),
            (answer, _) => unexpected(&answer),
        }
    }

    async fn writable(&self, lane: Lane) -> Result<(), Closed> {
        match self.wait(Ask::Writable(self.number, lane.into()), drop).await.0 {
            Answer::Done => Ok(()),
            Answer::Closed(end) => Err(end.into()),
            answer => unexpected(&answer),
        }
    }

    async fn recv(&self) -> Result<Inbound, Closed> {
        let late = self.late.lock().unwrap().pop_front();
        let reply = match late {
            Some(reply) => reply,
            None => {
                let keep = |reply| self.late.lock().unwrap().push_back(reply);
                self.wait(Ask::Recv(self.number), keep).await
            }
        };
        match reply {
            (Answer::Inbound(lane), payload) => Ok(Inbound { lane: lane.into(), payload }),
            (Answer::Closed(end), _) => Err(end.into()),
            (answer, _) => unexpected(&answer),
        }
    }

    fn close(&self, code: CloseCode, detail: &str) {
        self.remote.call(Ask::Close(self.number, code.get(), detail.to_owned()));
    }

    async fn closed(&self) -> Closed {
        match self.wait(Ask::Closed(self.number), drop).await.0 {
            Answer::Closed(end) => end.into(),
            answer => unexpected(&answer),
        }
    }

    fn stats(&self) -> Stats {
        match self.remote.call(Ask::Stats(self.number)) {
            Answer::Stats(stats) => (*stats).into(),
            answer => unexpected(&answer),
        }
    }

    fn set_ahead(&self, bytes: usize) {
        self.remote.call(Ask::SetAhead(self.number, bytes));
    }
}

impl Drop for PageTransport {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.remote.call(Ask::Drop(self.number));
        }
    }
}

fn ask_profile(remote: &Remote, number: u64) -> Profile {
    match remote.call(Ask::Profile(number)) {
        Answer::Profile(profile) => (*profile).into(),
        answer => unexpected(&answer),
    }
}

/// Ends a case in which the page answers another question.
pub(crate) fn unexpected(answer: &Answer) -> ! {
    panic!("the page answers {answer:?}")
}
