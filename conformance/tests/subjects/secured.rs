//! Any subject, sealed end to end: a seal must change nothing but who can read.

use std::{sync::Arc, time::Instant};

use conformance::{Card, Dialled, Pair, SetupError, Subject};
use transport_core::{
    Generation, PeerId, SessionId, Transport,
    secure::{Access, Answer, Binding, Identity, Joiner, LinkSecret, Request, Secure, SecureConfig, Visitor},
};

#[derive(Debug)]
pub(crate) struct Secured(pub(crate) Arc<dyn Subject>);

#[async_trait::async_trait]
impl Subject for Secured {
    fn card(&self) -> Card {
        let mut card = self.0.card();
        card.name = format!("secure-{}", card.name);
        card.dialled = Dialled::No("a seal does not dial: its connector is the one beneath");
        card.exempt(
            "close::dropping_is_going_away",
            "an end that nobody sealed might be anybody's, so the seal tells it as the network's",
        )
    }

    async fn pair(&self) -> Result<Pair, SetupError> {
        let (joiner, host, path) = self.0.pair().await?.into_ends();
        let (identity, key, link) = (Identity::random()?, Identity::random()?, LinkSecret::random()?);
        let [viewer, sharer] = [&identity, &key].map(|identity| PeerId::of(&identity.public()));
        let transport = joiner.profile().transport.clone();
        let session = SessionId::of_host(&key.public());
        let config =
            SecureConfig::new(Binding::new(session, viewer, sharer, transport, Generation(1)), Instant::now);
        let accept = |_visitor: &Visitor| Answer::Accept { access: Access::Full, app: Default::default() };
        let named = Joiner { identity: &identity, link: &link, host: key.public() };
        let (joiner, host) = tokio::try_join!(
            Secure::initiate(joiner, config.clone(), &named, Request::new(Access::Full)),
            Secure::accept(host, config, &key, &link, accept)
        )?;
        Ok(Pair::new(joiner, host).with_faults(move |fault| path.inject(fault)))
    }
}
