//! What a dial does when something happens.

use std::sync::Arc;

use transport_core::{ConnectErrorKind, Lane, signaling::SignalingError};

use super::{
    Dial,
    fault::{declined, incompatible, unreachable},
};
use crate::{
    channel::{Channel, Raw},
    config::IcePolicy,
    error::{Failure, Stage},
    message::{DeclineReason, LinkMessage},
    peer::exhausted,
    peer_event::{IceState, PeerEvent},
    runtime::timeout_at,
    transport::{index, read_channel},
};

impl Dial<'_> {
    pub(super) async fn on_event(&mut self, event: PeerEvent) -> Result<(), Failure> {
        match event {
            PeerEvent::Candidate(candidate) => {
                self.local_candidates += 1;
                self.say(LinkMessage::Candidate { candidate }).await?;
            }
            PeerEvent::Gathered if self.local_candidates == 0 => return Err(self.no_candidate().await),
            PeerEvent::Ice(IceState::Connected) => {
                self.progress.mark_answered();
                self.ice = true;
            }
            PeerEvent::Ice(IceState::Failed) => {
                return Err(self.failure(ConnectErrorKind::Unreachable, "no candidate pair answered"));
            }
            PeerEvent::Secured => (self.ice, self.secured) = (true, true),
            PeerEvent::Insecure => {
                return Err(self.failure(ConnectErrorKind::Unreachable, "the DTLS handshake failed"));
            }
            PeerEvent::Opened { label, raw } => self.on_opened(&label, raw)?,
            PeerEvent::Gathered | PeerEvent::Ice(_) => {}
        }
        Ok(())
    }

    async fn no_candidate(&self) -> Failure {
        if let Some(exhausted) = exhausted(self.config).await {
            return exhausted;
        }
        let kind = match self.config.policy {
            IcePolicy::All => ConnectErrorKind::Incompatible,
            // The servers may answer later, or to other credentials.
            IcePolicy::RelayOnly => ConnectErrorKind::Unreachable,
        };
        Failure::new(Stage::Gathering, kind, "no candidate: no UDP socket or no TURN server can be used")
    }

    fn on_opened(&mut self, label: &str, raw: Arc<Raw>) -> Result<(), Failure> {
        let lane = if label == self.config.labels.ctrl {
            Lane::Reliable
        } else if label == self.config.labels.term {
            if !self.wants_datagram {
                // Offered before this side could say that it does not want one.
                return Ok(());
            }
            Lane::Datagram
        } else {
            return Err(incompatible(Stage::ChannelOpen, "a channel that was not agreed on"));
        };
        let limit = match lane {
            Lane::Datagram => self.config.datagram_queue,
            Lane::Reliable => self.config.send_buffer,
        };
        let channel = Arc::new(Channel::new(raw, limit.get()));
        if self.channels[index(lane)].is_some() || !channel.fits(lane) {
            return Err(incompatible(Stage::ChannelOpen, "a channel of the wrong kind"));
        }
        self.readers[index(lane)].spawn(read_channel(self.shared.clone(), channel.clone(), lane));
        if lane == Lane::Reliable {
            self.shared.set_bulk(channel.clone());
        }
        self.channels[index(lane)] = Some(channel);
        self.knock.reset_immediately();
        Ok(())
    }

    pub(super) async fn on_said(&mut self, said: Result<String, SignalingError>) -> Result<(), Failure> {
        let body = match said {
            Ok(body) => body,
            Err(error) if !self.described => return Err(unreachable(error)),
            Err(_) => {
                self.signaling_works = false;
                return Ok(());
            }
        };
        let message = LinkMessage::decode(&body).map_err(|error| incompatible(Stage::Signaling, error))?;
        match message {
            Some(LinkMessage::Answer { sdp, term }) if !self.described => {
                if term.as_ref().is_some_and(|term| *term != self.config.labels.term) {
                    return Err(incompatible(Stage::Signaling, DeclineReason::Incompatible));
                }
                self.wants_datagram &= term.is_some();
                self.peer.accept(sdp).await.map_err(|error| incompatible(Stage::Signaling, error))?;
                self.describe().await;
            }
            Some(LinkMessage::Candidate { candidate }) if self.described => self.add(candidate).await,
            Some(LinkMessage::Candidate { candidate }) if self.early.len() < EARLY => {
                self.early.push(candidate)
            }
            Some(LinkMessage::Decline { reason }) => return Err(declined(self.stage.0, reason)),
            _ => {}
        }
        Ok(())
    }

    pub(super) async fn describe(&mut self) {
        self.described = true;
        for candidate in std::mem::take(&mut self.early) {
            self.add(candidate).await;
        }
    }

    async fn add(&self, candidate: String) {
        // One candidate that cannot be used leaves the others.
        if let Err(error) = self.peer.add_candidate(candidate).await {
            tracing::debug!(target: "transport_webrtc", %error, "a remote candidate was not used");
        }
    }

    /// Asks for a sign of life on every channel that has given none.
    pub(super) async fn knock(&self) {
        for lane in Lane::ALL {
            if let Some(channel) = &self.channels[index(lane)]
                && !self.shared.has_heard(lane)
            {
                channel.send_now_or_never(&self.shared.ping()).await;
            }
        }
    }

    pub(super) async fn say(&mut self, message: LinkMessage) -> Result<(), Failure> {
        let deadline = self.deadline();
        match timeout_at(deadline, self.link.send(message.encode())).await {
            Ok(Ok(())) => Ok(()),
            // A candidate more or less does not decide once both sides know each other.
            _ if self.described => Ok(()),
            Ok(Err(error)) => Err(unreachable(error)),
            Err(_) => Err(Failure::timed_out(Stage::Signaling)),
        }
    }

    pub(super) fn failure(
        &self,
        kind: ConnectErrorKind,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Failure {
        Failure::new(self.stage.0, kind, cause)
    }
}

/// Remote candidates kept until the remote description is there.
pub(super) const EARLY: usize = 64;
