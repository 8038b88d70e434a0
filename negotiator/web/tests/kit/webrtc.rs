//! A page and a machine, data channels over loopback UDP.

use std::{sync::Arc, time::Duration};

use conformance::{Card, Fault, Faults, Pair, SetupError, Subject};
use transport_core::{Connector, DialRole, Target};
use transport_webrtc::{WebRtcConfig, WebRtcConnector, impair::ImpairedUdp};

use crate::connector::PageConnector;

/// The page's end comes first, and has this role in the dial.
#[derive(Debug)]
pub(crate) struct PageWebRtc(pub(crate) DialRole);

#[async_trait::async_trait]
impl Subject for PageWebRtc {
    fn card(&self) -> Card {
        let machine = WebRtcConnector::new(plain()).expect("a sound configuration");
        Card::new("page-webrtc").faults(Faults::all()).settle(Duration::from_millis(150)).dialled_by(
            Arc::new(PageConnector::WebRtc),
            Arc::new(machine),
            Duration::from_secs(25),
        )
    }

    async fn pair(&self) -> Result<Pair, SetupError> {
        // The faults happen at the machine's socket, beneath ICE, in both directions.
        let udp = ImpairedUdp::seeded(1);
        let mut impaired = plain();
        impaired.udp = Some(Arc::new(udp.clone()));
        let machine = WebRtcConnector::new(impaired)?;
        let (offerer, answerer) = Target::pair();
        let (page, other) = match self.0 {
            DialRole::Offerer => (offerer, answerer),
            DialRole::Answerer => (answerer, offerer),
        };
        let (a, b) = tokio::try_join!(PageConnector::WebRtc.connect(&page), machine.connect(&other))?;
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
    // How fast a dial is belongs to the transport's own tests.
    (plain.deadlines.dtls, plain.deadlines.channel_open) = (Duration::from_secs(8), Duration::from_secs(8));
    plain.deadlines.total = Duration::from_secs(20);
    plain
}
