//! How a viewer gets in: it knocks until the host welcomes it or turns it away.

use transport_core::{
    PeerId, TransportId,
    signaling::{Exchange, ExchangeEvent, Message, SealError, SignalingError},
};

use crate::{
    error::JoinError,
    runtime::{Duration, Instant, interval, now, sleep_until},
    viewer_key::ViewerKey,
};

/// The way to the host's door.
pub(crate) struct Meeting<'a> {
    pub(crate) exchange: &'a Exchange,
    pub(crate) host: PeerId,
    pub(crate) knock: Message,
    /// As whom, where that was kept.
    pub(crate) key: Option<&'a ViewerKey>,
    pub(crate) on_pending: Option<Box<dyn Fn() + Send + Sync>>,
}

/// The host let this side in.
pub(crate) struct Met {
    /// The transports it can dial.
    pub(crate) transports: Vec<TransportId>,
    /// How long somebody took to decide.
    pub(crate) waited: Duration,
}

impl Meeting<'_> {
    /// Knocks until the host welcomes or turns away. It has `patience` for each sign that the knock was heard.
    pub(crate) async fn meet(&self, patience: Duration) -> Result<Met, JoinError> {
        let mut knock = interval(KNOCK);
        let (mut heard, mut pending) = (now(), None::<Instant>);
        loop {
            tokio::select! {
                () = sleep_until(heard + patience) => return Err(JoinError::HostAbsent),
                _ = knock.tick() => match self.exchange.send(self.host, &self.knock).await {
                    // Not reachable yet: the next knock tries again, the deadline ends it.
                    Ok(()) | Err(SignalingError::Unreachable { .. }) => {}
                    Err(error) => return Err(JoinError::shown_out(error)),
                },
                event = self.exchange.next() => match event.map_err(JoinError::shown_out)? {
                    ExchangeEvent::Message { from, message, .. } if from == self.host => match message {
                        Message::Welcome { version, transports, life } => {
                            if version != Message::VERSION {
                                return Err(JoinError::Version { ours: Message::VERSION, theirs: version });
                            }
                            match (self.key, life) {
                                // It would keep to the session that this side has lost.
                                (Some(key), None) if key.returns() => return Err(JoinError::NotTakenBack),
                                // Said to an earlier life.
                                (Some(key), Some(life)) if life != key.life() => continue,
                                _ => {}
                            }
                            let waited = pending.map(|since| now().saturating_duration_since(since));
                            return Ok(Met { transports, waited: waited.unwrap_or_default() });
                        }
                        Message::Bye { reason } => return Err(JoinError::turned_away(reason)),
                        Message::Pending => {
                            heard = now();
                            if pending.is_none() {
                                pending = Some(heard);
                                self.on_pending.iter().for_each(|told| told());
                            }
                        }
                        _ => {}
                    },
                    ExchangeEvent::Refused { from, why: SealError::Forged } if from == self.host => {
                        return Err(JoinError::SecretMismatch);
                    }
                    ExchangeEvent::Joined { peer } if peer == self.host => knock.reset_immediately(),
                    _ => {}
                },
            }
        }
    }
}

/// Between two knocks: signaling may lose one.
const KNOCK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use transport_core::{
        secure::{Access, Identity, JoinFragment, LinkSecret},
        signaling::{MemoryRoom, Sealer},
    };

    use super::*;
    use crate::{
        config::NetworkConfig,
        link::{JoinLink, parse_control_plane},
        runtime::{timeout, wall_clock},
    };

    fn link() -> JoinLink {
        let fragment = JoinFragment {
            host: Identity::from_seed(&[1; 32]).public(),
            secret: LinkSecret::from_bytes([3; 16]),
            access: Access::Full,
            expires_at: None,
            certificate: None,
        };
        JoinLink::new(parse_control_plane("https://beach.example").unwrap(), fragment)
    }

    /// What comes of a knock under `key` where the host answers with `answers`, one after the other.
    async fn answered(key: Option<&ViewerKey>, answers: &[(u16, Option<u64>)]) -> Result<Met, JoinError> {
        let (room, link) = (MemoryRoom::default(), link());
        let [host, viewer] = [1, 2].map(|seed| Identity::from_seed(&[seed; 32]));
        let enter = |sealer: Sealer| Exchange::new(Arc::new(room.join(sealer.local())), sealer, wall_clock);
        let theirs = enter(Sealer::host(host, Arc::new(link.secret().clone())));
        let viewer = key.map_or(viewer, |key| key.identity().clone());
        let ours = enter(Sealer::joiner(viewer, link.host_key(), link.secret().clone()));
        let answering = async {
            loop {
                if let Ok(ExchangeEvent::Message { from, message: Message::Knock { .. }, .. }) =
                    theirs.next().await
                {
                    for (version, life) in answers.iter().copied() {
                        let answer = Message::Welcome { version, transports: Vec::new(), life };
                        theirs.send(from, &answer).await.unwrap();
                    }
                }
            }
        };
        let (version, life) = (Message::VERSION, key.map(ViewerKey::life));
        let knock = Message::Knock { version, transports: Vec::new(), name: None, life };
        let host = PeerId::of(&link.host_key());
        let meeting = Meeting { exchange: &ours, host, knock, key, on_pending: None };
        tokio::select! {
            met = meeting.meet(NetworkConfig::default().answer_timeout) => met,
            () = answering => unreachable!(),
        }
    }

    #[tokio::test]
    async fn a_host_of_another_version_is_told_apart_from_one_that_is_away() {
        let expected = Message::VERSION;
        let error = answered(None, &[(expected + 1, None)]).await.err().expect("no common version");
        assert!(
            matches!(error, JoinError::Version { ours, theirs } if (ours, theirs) == (expected, expected + 1)),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_welcome_is_for_one_life_and_a_host_that_knows_none_takes_nobody_back() {
        let (version, first) = (Message::VERSION, ViewerKey::draw(&link()).unwrap());
        let next = first.clone().next_life();
        assert!(
            answered(Some(&first), &[(version, None)]).await.is_ok(),
            "it has nothing of an earlier life"
        );
        let forgetful = answered(Some(&next), &[(version, None)]).await;
        assert!(matches!(forgetful, Err(JoinError::NotTakenBack)));
        let [before, now] = [first.life(), next.life()].map(|life| (version, Some(life)));
        assert!(answered(Some(&next), &[before, now]).await.is_ok());
        let only_before = timeout(Duration::from_secs(3), answered(Some(&next), &[before])).await;
        assert!(only_before.is_err(), "said to an earlier life");
    }
}
