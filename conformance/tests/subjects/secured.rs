//! Any subject, sealed end to end: a seal must change nothing but who can read.

use std::{sync::Arc, time::Instant};

use conformance::{Card, Pair, SetupError, Subject};
use transport_core::{
    Generation, PeerId, SessionId, Transport,
    secure::{Access, Answer, Binding, HostKey, Request, Secure, SecureConfig, SessionSecret},
};

#[derive(Debug)]
pub(crate) struct Secured(pub(crate) Arc<dyn Subject>);

#[async_trait::async_trait]
impl Subject for Secured {
    fn card(&self) -> Card {
        let mut card = self.0.card();
        card.name = format!("secure-{}", card.name);
        card.exempt(
            "close::dropping_is_going_away",
            "an end that nobody sealed might be anybody's, so the seal tells it as the network's",
        )
    }

    async fn pair(&self) -> Result<Pair, SetupError> {
        let (joiner, host, path) = self.0.pair().await?.into_ends();
        let (secret, key) = (SessionSecret::random()?, HostKey::random()?);
        let transport = joiner.profile().transport.clone();
        let binding =
            Binding::new(SessionId::random(), PeerId::random(), PeerId::random(), transport, Generation(1));
        let config = SecureConfig::new(binding, secret, Instant::now);
        let accept = |_request: &Request| Answer::Accept { access: Access::Full, app: Default::default() };
        let (joiner, host) = tokio::try_join!(
            Secure::initiate(joiner, config.clone(), key.public(), Request::new(Access::Full)),
            Secure::accept(host, config, &key, accept)
        )?;
        Ok(Pair::new(joiner, host).with_faults(move |fault| path.inject(fault)))
    }
}
