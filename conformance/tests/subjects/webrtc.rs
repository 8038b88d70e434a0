//! Two peers in one process, signaling in memory, data channels over loopback UDP.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use conformance::{Card, Fault, Faults, Pair, SetupError, Subject};
use tokio::task::JoinSet;
use transport_core::{
    Connector, DialRole, Generation, PeerId, SessionId, Target,
    secure::SessionSecret,
    signaling::{Exchange, MemoryRoom, Sealer},
};
use transport_webrtc::{WebRtcConfig, WebRtcConnector, impair::ImpairedUdp};

#[derive(Debug)]
pub(crate) struct WebRtc;

#[async_trait::async_trait]
impl Subject for WebRtc {
    fn card(&self) -> Card {
        Card::new("webrtc").faults(Faults::all()).settle(Duration::from_millis(150))
    }

    async fn pair(&self) -> Result<Pair, SetupError> {
        let (room, session, secret) = (MemoryRoom::default(), SessionId::random(), SessionSecret::random()?);
        let ids = [PeerId::random(), PeerId::random()];
        let mut pumps = JoinSet::new();
        let [offerer, answerer] = ids.map(|id| {
            let sealer = Sealer::new(&secret.signaling_seal(), session, id);
            let exchange = Exchange::new(Arc::new(room.join(id)), sealer, SystemTime::now);
            let pumped = exchange.clone();
            pumps.spawn(async move { while pumped.next().await.is_ok() {} });
            exchange
        });
        // The faults happen at one end's socket, beneath ICE, in both directions.
        let udp = ImpairedUdp::seeded(1);
        let mut plain = WebRtcConfig::default();
        plain.loopback = true;
        // Beside a compiler two flights of DTLS may come late, and there is no retry here: how fast a dial is belongs
        // to the transport's own tests.
        (plain.deadlines.dtls, plain.deadlines.total) = (Duration::from_secs(8), Duration::from_secs(20));
        let mut impaired = plain.clone();
        impaired.udp = Some(Arc::new(udp.clone()));
        let (a, b) = (WebRtcConnector::new(impaired, offerer)?, WebRtcConnector::new(plain, answerer)?);
        let to_b = Target::new(session, ids[0], ids[1], DialRole::Offerer, Generation(1));
        let to_a = Target::new(session, ids[1], ids[0], DialRole::Answerer, Generation(1));
        let (a, b) = tokio::try_join!(a.connect(&to_b), b.connect(&to_a))?;
        let faults = move |fault| match fault {
            // A path that swallows packets for less than a second is a stall to everything that
            // re-sends, and SCTP does.
            Fault::Cut | Fault::Stall => udp.cut(),
            Fault::Heal => udp.restore(),
            Fault::Lose { share, .. } => udp.set_loss(share),
        };
        Ok(Pair::boxed(a, b).with_faults(faults).keeping(pumps))
    }
}
