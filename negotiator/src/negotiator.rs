//! The joining side: meets the host and leads the session.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use transport_core::{
    PeerId, Role, TransportId,
    judge::{Event, Judge},
    policy::{ConfigError, Gates, PolicyConfig},
    secure::Access,
    signaling::{ByeReason, Exchange, ExchangeEvent, Message, SealError, Sealer, SignalingError},
};

use crate::{
    assembly::{Assembled, Assembly, assemble},
    config::NetworkConfig,
    endpoint::{Endpoint, Party, Ways},
    error::JoinError,
    link::{JoinLink, host_peer},
    pump::Attach,
    rendezvous::{Membership, Missing, Rendezvous, inside},
    runtime::{Duration, Instant, UNIX_EPOCH, interval, now, sleep_until, spawn, timeout, wall_clock},
    session::Session,
};

/// Joins a session.
#[derive(Debug)]
pub struct Negotiator {
    link: JoinLink,
    config: NetworkConfig,
    access: Access,
    rendezvous: Option<Arc<dyn Rendezvous>>,
}

impl Negotiator {
    /// Joins by `link`: through its control plane, by WebRTC first and its relay when it must be.
    #[cfg(feature = "control-plane")]
    pub fn new(link: JoinLink, config: NetworkConfig) -> Self {
        Self { link, config, access: Access::Full, rendezvous: None }
    }

    /// Joins by `link`, meeting and connecting as `rendezvous` says.
    pub fn meeting_at(link: JoinLink, config: NetworkConfig, rendezvous: Arc<dyn Rendezvous>) -> Self {
        Self { link, config, access: Access::Full, rendezvous: Some(rendezvous) }
    }

    /// Asks to look and not to type.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.access = Access::ReadOnly;
        self
    }

    /// Meets the host, finds a path, and returns the session once it is usable.
    ///
    /// # Errors
    ///
    /// [`JoinError`]; nothing is left running then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up and leaves nothing running.
    pub async fn connect(self) -> Result<Session, JoinError> {
        let Self { link, config, access, rendezvous } = self;
        let deadline = now() + config.connect_timeout;
        let unix_now = wall_clock().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        link.check_expiry(unix_now).map_err(crate::link::BadJoinLink::from)?;
        let rendezvous = match rendezvous {
            Some(rendezvous) => rendezvous,
            None => default_rendezvous(&link, &config)?,
        };
        let membership = Membership {
            session: link.session(),
            local: PeerId::random(),
            role: Role::Viewer,
            access,
            verifier: link.secret().membership_verifier(),
        };
        let host = host_peer(&link.host_key());
        let signaling = rendezvous.enter(&membership).await?;
        let sealer = Sealer::new(&link.secret().signaling_seal(), membership.session, membership.local);
        let exchange = Exchange::new(signaling, sealer, wall_clock);
        let (entered, mut missing) =
            tokio::join!(inside(&exchange, config.connect_timeout), rendezvous.prepare(&membership));
        entered?;
        let mut ways = rendezvous.ways(&membership).map_err(JoinError::Misconfigured)?;
        let ours = ways.iter().map(|way| way.rung.transport.clone()).collect();
        let theirs = timeout(MEET.min(config.connect_timeout), meet(&exchange, host, ours));
        let theirs = theirs.await.map_err(|_| JoinError::HostAbsent)??;
        ways.retain(|way| {
            let common = theirs.contains(&way.rung.transport);
            if !common {
                missing.push(Missing::new(way.rung.transport.clone(), "the host does not offer it"));
            }
            common
        });
        let ways = Ways(ways.into());
        let gates = config.gate.as_ref().map(|gate| gate.watch());
        let judge = lead(&config, &ways, gates.clone())
            .map_err(|error| JoinError::Misconfigured(error.to_string()))?;
        let endpoint = Endpoint {
            session: membership.session,
            local: membership.local,
            secret: link.secret().clone(),
            party: Party::Viewer { host: link.host_key(), access },
        };
        let Assembled { session, driver, inbox } = assemble(Assembly {
            judge,
            attach: Attach::ByDriver,
            gates,
            endpoint: Arc::new(endpoint),
            ways,
            missing: missing.into(),
            peer: host,
            exchange: exchange.clone(),
            config: &config,
        });
        // Ends with the driver, which ends with the session: when it is closed or its last handle is dropped.
        spawn(async move {
            tokio::select! {
                () = driver.run() => {}
                // Ends only when signaling will never work again; the session may live on without.
                () = async { listen(&exchange, host, &inbox).await; std::future::pending().await } => {}
            }
        });
        if let Err(error) = usable(&session, deadline).await {
            session.abort("no path");
            session.closed().await;
            return Err(error);
        }
        Ok(session)
    }
}

/// Sets the judge up for `ways`.
fn lead(
    config: &NetworkConfig,
    ways: &Ways,
    gates: Option<watch::Receiver<Gates>>,
) -> Result<Judge, ConfigError> {
    let mut settings = PolicyConfig::new(ways.rungs());
    settings.gates = gates.map_or(Gates::all_open(), |gates| *gates.borrow());
    settings.mode = config.mode.into();
    // Sessions must not move in step.
    settings.seed = rand::random();
    if let Some(tune) = config.tune_policy {
        tune(&mut settings);
    }
    Judge::lead(settings)
}

/// Knocks until the host welcomes. Says which transports the host can dial.
async fn meet(
    exchange: &Exchange,
    host: PeerId,
    transports: Vec<TransportId>,
) -> Result<Vec<TransportId>, JoinError> {
    let mut knock = interval(KNOCK);
    loop {
        tokio::select! {
            _ = knock.tick() => {
                let message = Message::Knock { version: Message::VERSION, transports: transports.clone() };
                match exchange.send(host, &message).await {
                    // Not reachable yet: the next knock tries again, the caller's deadline ends it.
                    Ok(()) | Err(SignalingError::Unreachable { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            event = exchange.next() => match event? {
                ExchangeEvent::Message { from, message: Message::Welcome { version, transports } } if from == host => {
                    if version != Message::VERSION {
                        return Err(JoinError::Version { ours: Message::VERSION, theirs: version });
                    }
                    return Ok(transports);
                }
                ExchangeEvent::Message { from, message: Message::Bye { reason } } if from == host => {
                    return Err(turned_away(reason));
                }
                ExchangeEvent::Refused { from, why: SealError::Forged } if from == host => {
                    return Err(JoinError::SecretMismatch);
                }
                ExchangeEvent::Joined { peer } if peer == host => knock.reset_immediately(),
                _ => {}
            },
        }
    }
}

/// What it means that the host is there and does not let this side in.
fn turned_away(reason: ByeReason) -> JoinError {
    match reason {
        ByeReason::Full => JoinError::Full,
        ByeReason::LinkExpired => JoinError::LinkExpired,
        why => JoinError::HostRefused { why },
    }
}

/// Brings what concerns the host to the driver until signaling ends for good.
async fn listen(exchange: &Exchange, host: PeerId, inbox: &mpsc::Sender<Event>) {
    loop {
        let event = match exchange.next().await {
            Ok(ExchangeEvent::Message { from, message }) if from == host => Event::Heard(message),
            Ok(ExchangeEvent::Joined { peer }) if peer == host => Event::PeerPresent,
            Ok(ExchangeEvent::Refused { why, .. }) => {
                tracing::debug!(%why, "an envelope was refused");
                continue;
            }
            Ok(_) => continue,
            Err(error) => {
                tracing::warn!(%error, "signaling ended; the session lives on while its path does");
                return;
            }
        };
        // Full: the driver is far behind; what it misses is repeated or times out.
        let _ = inbox.try_send(event);
    }
}

/// Waits for the first path.
async fn usable(session: &Session, deadline: Instant) -> Result<(), JoinError> {
    loop {
        let changed = session.changed();
        if session.status().path.is_some() {
            return Ok(());
        }
        tokio::select! {
            () = changed => continue,
            _ = session.ended() => {}
            () = sleep_until(deadline) => {}
        }
        return Err(JoinError::NoPath { explanation: Box::new(session.explain()) });
    }
}

#[cfg(feature = "control-plane")]
fn default_rendezvous(link: &JoinLink, config: &NetworkConfig) -> Result<Arc<dyn Rendezvous>, JoinError> {
    let address = link.control_plane().clone();
    let rendezvous = crate::control_plane::ControlPlaneRendezvous::new(address, config.clone())
        .map_err(|error| JoinError::Misconfigured(error.to_string()))?;
    Ok(Arc::new(rendezvous))
}

#[cfg(not(feature = "control-plane"))]
fn default_rendezvous(_: &JoinLink, _: &NetworkConfig) -> Result<Arc<dyn Rendezvous>, JoinError> {
    Err(JoinError::Misconfigured("this build has no transports: name a rendezvous".to_owned()))
}

/// How long the host may take to answer the knock.
const MEET: Duration = Duration::from_secs(10);
/// Between two knocks: signaling may lose one.
const KNOCK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use transport_core::{secure::SessionSecret, signaling::MemoryRoom};

    use super::*;

    #[tokio::test]
    async fn a_host_of_another_version_is_told_apart_from_one_that_is_away() {
        let (room, session) = (MemoryRoom::default(), transport_core::SessionId::random());
        let ids = [PeerId::random(), PeerId::random()];
        let secret = SessionSecret::random().unwrap();
        let [ours, theirs] = ids.map(|id| {
            let sealer = Sealer::new(&secret.signaling_seal(), session, id);
            Exchange::new(Arc::new(room.join(id)), sealer, wall_clock)
        });
        let newer = async {
            loop {
                if let Ok(ExchangeEvent::Message { from, message: Message::Knock { version, .. } }) =
                    theirs.next().await
                {
                    let answer = Message::Welcome { version: version + 1, transports: Vec::new() };
                    theirs.send(from, &answer).await.unwrap();
                }
            }
        };
        let error = tokio::select! {
            met = meet(&ours, ids[1], Vec::new()) => met.unwrap_err(),
            () = newer => unreachable!(),
        };
        assert!(matches!(error, JoinError::Version { ours: 1, theirs: 2 }), "{error}");
    }
}
