//! A shared session with two honest members, and a link for the attacker.

use std::time::{Duration, Instant};

use conformance::{Result, attacker::Attacker, ensure, history::Stream};
use lifeguard_relay::DevConfig;
use negotiator::{
    Access, FallbackMode, Host, HostConfig, JoinLink, LinkOptions, Negotiator, NetworkConfig, Session,
};
use tokio::{sync::watch, time::timeout};
use uuid::Uuid;

use crate::{
    conversation::{read, write},
    dev::Services,
};

pub(crate) struct Stage {
    /// Ends when it is dropped.
    _services: Services,
    host: Host,
    /// What the honest came by.
    link: JoinLink,
    /// What the attacker came by.
    lent: JoinLink,
    honest: Vec<(Session, Session)>,
}

impl Stage {
    /// Starts a service, a host and two honest members on the relay; lends the attacker a link with `access`.
    pub(crate) async fn set(access: Access) -> Self {
        let services = Services::with(DevConfig::default());
        let mut config = HostConfig::new(services.public_url.as_str());
        let lent = if access == Access::Full { LinkOptions::full() } else { LinkOptions::read_only() };
        config.links = vec![LinkOptions::full(), lent];
        let host = Host::share(config).await.expect("a control plane on loopback");
        let links = host.links().list();
        let (link, lent) = (links[0].link.clone(), links[1].link.clone());
        let mut stage = Self { _services: services, host, link, lent, honest: Vec::new() };
        for _ in 0..2 {
            let (viewer, hosted) = tokio::join!(stage.join(), stage.host.accept());
            stage.honest.push((viewer.expect("a path"), hosted.expect("a viewer")));
        }
        stage
    }

    pub(crate) fn attacker(&self) -> Attacker {
        Attacker::with_link(&self.lent.reveal()).expect("a link")
    }

    /// Takes the attacker's link back.
    pub(crate) fn revoke(&self) {
        assert!(self.host.links().revoke(self.lent.id()));
    }

    /// Returns the name of an honest member, which everybody in the room can learn.
    pub(crate) fn honest_peer(&self) -> Uuid {
        Uuid::from_bytes(*self.host.members()[0].peer.as_bytes())
    }

    /// One more honest person comes, while the attack lasts.
    pub(crate) async fn somebody_else_joins(&self) -> Result<()> {
        let come = async { tokio::join!(self.join(), self.host.accept()) };
        let (viewer, hosted) = timeout(Duration::from_secs(15), come).await?;
        let viewer = viewer?;
        ensure!(hosted.is_some(), "the host is gone");
        viewer.close().await;
        Ok(())
    }

    /// Since when each honest member has been on its path.
    fn paths_since(&self) -> Vec<Instant> {
        let since = |session: &Session| Instant::now() - session.status().since.expect("a path");
        self.honest.iter().map(|(viewer, _)| since(viewer)).collect()
    }

    async fn join(&self) -> std::result::Result<Session, negotiator::JoinError> {
        let mut config = NetworkConfig::default();
        config.mode = FallbackMode::RelayOnly;
        Negotiator::new(self.link.clone(), config).connect().await
    }

    /// Lets the honest members talk while the attack goes on; afterwards nothing is missing and nobody had to move.
    pub(crate) async fn survives<F: AsyncFnOnce(&Self) -> Result<()>>(self, attack: F) {
        let (stop, stopped) = watch::channel(false);
        let talks: Vec<_> = (0u64..)
            .zip(&self.honest)
            .map(|(session, (viewer, hosted))| {
                let stream = |stream| Stream { key: 1, session, stream };
                let talk = |from: &Session, to: &Session, stream| {
                    let written = tokio::spawn(write(from.clone(), stream, SIZES, stopped.clone()));
                    (written, tokio::spawn(read(to.clone(), stream)))
                };
                [talk(viewer, hosted, stream(0)), talk(hosted, viewer, stream(1))]
            })
            .collect();
        let before = self.paths_since();
        if let Err(failure) = attack(&self).await {
            panic!("{failure}");
        }
        for (before, after) in before.into_iter().zip(self.paths_since()) {
            let moved = after.saturating_duration_since(before);
            assert!(moved < Duration::from_millis(200), "an honest member had to move");
        }
        stop.send_replace(true);
        for (written, judged) in talks.into_iter().flatten() {
            let written = timeout(ARRIVE, written).await.expect("a writer").expect("no panic");
            let judge = timeout(ARRIVE, judged).await.expect("what was written arrives").expect("no panic");
            let verdict = judge.verdict(written);
            assert!(verdict.is_whole(), "{verdict}");
        }
    }
}

/// How long what is under way may take at the end.
const ARRIVE: Duration = Duration::from_secs(30);
/// A key, a line, part of a screen.
const SIZES: [usize; 3] = [40, 900, 3_000];
