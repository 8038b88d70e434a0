//! The connectors of the page, which dial from there.

use std::sync::Arc;

use async_trait::async_trait;
use beach_web_kit::wire::{Answer, Ask, Dial, RelayMember};
use tokio::sync::mpsc;
use transport_core::{
    ConnectError, Connector, DialRole, Target, Transport, TransportId, signaling::LinkChannel,
};

use crate::{
    remote::{Ears, Polled, Remote, Reply},
    stage::Stage,
    transport::{PageTransport, unexpected},
};

/// Dials from the page.
#[derive(Debug)]
pub(crate) enum PageConnector {
    /// Through the relay, as this member of a session.
    Relay(Box<RelayMember>),
    /// By WebRTC.
    WebRtc,
}

#[async_trait]
impl Connector for PageConnector {
    fn id(&self) -> TransportId {
        match self {
            Self::Relay(_) => transport_ws_fallback::ID,
            Self::WebRtc => match Stage::get().remote.call(Ask::Id) {
                Answer::Named(name) => TransportId::parse(name).unwrap(),
                answer => unexpected(&answer),
            },
        }
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Transport>, ConnectError> {
        let remote = &Stage::get().remote;
        let number = remote.number();
        if let Some(channel) = target.signaling.clone() {
            let (words, said) = mpsc::channel(WORDS);
            remote.listen(number, Ears { progress: target.progress.clone(), words });
            tokio::spawn(carry(remote.clone(), number, channel, said));
        }
        let dial = Dial {
            relay: match self {
                Self::Relay(member) => Some((**member).clone()),
                Self::WebRtc => None,
            },
            session: *target.session.as_bytes(),
            local: *target.local.as_bytes(),
            peer: *target.peer.as_bytes(),
            generation: target.generation.0,
            offers: target.role == DialRole::Offerer,
            has_channel: target.signaling.is_some(),
        };
        // Connected for nobody.
        let late = |(answer, _): Reply| {
            if let Answer::Connected(end) = answer {
                remote.call(Ask::Drop(end));
            }
        };
        let (answer, _) = match remote.poll(number, Ask::Connect(Box::new(dial)), late) {
            Polled::Ready(reply) => reply,
            Polled::Waits(wait) => wait.answer().await,
        };
        match answer {
            Answer::Connected(end) => Ok(Box::new(PageTransport::new(remote.clone(), end))),
            Answer::NotConnected(failed) => Err(failed.into()),
            answer => unexpected(&answer),
        }
    }
}

/// Carries what is said in a dial. It holds the channel for the page, as long as something there holds the page's end.
async fn carry(remote: Arc<Remote>, dial: u64, channel: Arc<LinkChannel>, mut said: mpsc::Receiver<String>) {
    loop {
        tokio::select! {
            said = said.recv() => match said {
                // Gone meanwhile: the next turn finds out.
                Some(said) => drop(channel.send(said).await),
                None => return,
            },
            heard = channel.recv() => match heard {
                Ok(heard) => remote.tell(Ask::Hear(dial, heard)),
                Err(_gone) => return remote.tell(Ask::HearNoMore(dial)),
            },
        }
    }
}

/// What a dial's connector may say before anybody listens.
const WORDS: usize = 256;
