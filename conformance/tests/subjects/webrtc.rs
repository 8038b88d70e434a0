//! Two ends of one dial in one process, data channels over loopback UDP.

use std::{sync::Arc, time::Duration};

use conformance::{Card, Fault, Faults, Pair, SetupError, Subject};
use transport_core::{Connector, Target};
use transport_webrtc::{WebRtcConfig, WebRtcConnector, impair::ImpairedUdp};

#[derive(Debug)]
pub(crate) struct WebRtc;

#[async_trait::async_trait]
impl Subject for WebRtc {
    fn card(&self) -> Card {
        let connector = Arc::new(WebRtcConnector::new(plain()).expect("a sound configuration"));
        Card::new("webrtc").faults(Faults::all()).settle(Duration::from_millis(150)).dialled_by(
            connector.clone(),
            connector,
            Duration::from_secs(25),
        )
    }

    async fn pair(&self) -> Result<Pair, SetupError> {
        // The faults happen at one end's socket, beneath ICE, in both directions.
        let udp = ImpairedUdp::seeded(1);
        let plain = plain();
        let mut impaired = plain.clone();
        impaired.udp = Some(Arc::new(udp.clone()));
        let (a, b) = (WebRtcConnector::new(impaired)?, WebRtcConnector::new(plain)?);
        let (to_b, to_a) = Target::pair();
        let (a, b) = tokio::try_join!(a.connect(&to_b), b.connect(&to_a))?;
        let faults = move |fault| match fault {
            // A path that swallows packets for less than a second is a stall to everything that
            // re-sends, and SCTP does.
            Fault::Cut | Fault::Stall => udp.cut(),
            Fault::Heal => udp.restore(),
            Fault::Lose { share, .. } => udp.set_loss(share),
        };
        Ok(Pair::boxed(a, b).with_faults(faults))
    }
}

fn plain() -> WebRtcConfig {
    let mut plain = WebRtcConfig::default();
    plain.loopback = true;
    // Beside a compiler two flights of DTLS or a first ping may come late, and there is no retry here: how fast a dial
    // is belongs to the transport's own tests.
    (plain.deadlines.dtls, plain.deadlines.channel_open) = (Duration::from_secs(8), Duration::from_secs(8));
    plain.deadlines.total = Duration::from_secs(20);
    plain
}
