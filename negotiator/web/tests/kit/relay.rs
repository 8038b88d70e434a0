//! A page and a machine, peers of a real relay and control plane on loopback, each through a proxy that can be cut.

use std::{
    num::NonZeroUsize,
    sync::{Arc, OnceLock},
    time::Duration,
};

use beach_lifeguard_client::Role;
use beach_web_kit::wire::RelayMember;
use conformance::{
    Card, Dialled, Fault, Faults, Pair, SetupError, Subject, Support,
    netlab::{self, Cut, Proxy, Way},
    relay::{RelayTarget, Session},
};
use lifeguard_relay::DevConfig;
use negotiator::RelayTokens;
use transport_core::{Connector, DialRole, Generation, PeerId, SessionId, Target};
use transport_ws_fallback::{CarrierChoice, WsConfig, WsFallbackConnector};

use crate::{connector::PageConnector, dev::Services, stage::Stage};

/// The page is the viewer, and comes first. Both go by the same carrier.
#[derive(Debug)]
pub(crate) struct PageWsFallback(pub(crate) CarrierChoice);

#[async_trait::async_trait]
impl Subject for PageWsFallback {
    fn card(&self) -> Card {
        let faults =
            Faults { lose: Support::No("TCP below re-sends: nothing is ever lost"), ..Faults::all() };
        let name = match self.0 {
            CarrierChoice::HttpOnly => "page-ws-fallback-http",
            _ => "page-ws-fallback",
        };
        let mut card = Card::new(name);
        card.dialled =
            Dialled::No("a dial of the relay belongs to a session of its: its own tests keep clause 9");
        card.faults(faults).settle(Duration::from_millis(100))
    }

    async fn pair(&self) -> Result<Pair, SetupError> {
        let control_plane = services();
        let at = control_plane.trim_start_matches("http://");
        let proxy = Proxy::tcp(at.parse()?).await?;
        let relay = format!("ws://{}/v2/ws", proxy.addr());
        let target = RelayTarget::new(format!("ws://{at}"), control_plane);
        let session = Session::register(&target).await.map_err(|failure| failure.to_string())?;
        let member = |role| session.member(role).map_err(|failure| failure.to_string());
        let (viewer, host) = (member(Role::Viewer)?, member(Role::Host)?);
        let ids = [&viewer, &host].map(|member| PeerId::from_bytes(member.peer_id().into_bytes()));
        let page = PageConnector::Relay(Box::new(RelayMember {
            control_plane: control_plane.to_owned(),
            relay: relay.clone(),
            heartbeat_ms: HEARTBEAT.as_millis() as u64,
            reliable_bytes: RELIABLE_BYTES,
            over_http: self.0 == CarrierChoice::HttpOnly,
            seed: *viewer.identity().expose_seed(),
            link: Some((*session.host().public().as_bytes(), *session.link().expose())),
        }));
        let mut config = WsConfig::new(control_plane.parse()?, host);
        config.relay_url = Some(relay.parse()?);
        config.heartbeat = Some(HEARTBEAT);
        config.reliable_bytes = RELIABLE_BYTES;
        config.carriers = self.0;
        let machine = WsFallbackConnector::new(config.clone(), Arc::new(RelayTokens::new(config)))?;
        let id = SessionId::from_bytes(*session.id.as_bytes());
        let to_host = Target::new(id, ids[0], ids[1], DialRole::Offerer, Generation(1));
        let to_viewer = Target::new(id, ids[1], ids[0], DialRole::Answerer, Generation(1));
        let (a, b) = tokio::try_join!(page.connect(&to_host), machine.connect(&to_viewer))?;
        let faults = move |fault| match fault {
            Fault::Cut => proxy.cut(Cut::Blackhole),
            Fault::Heal => proxy.heal(),
            Fault::Lose { .. } => {}
            Fault::Stall => proxy.set(netlab::Fault::both(Way::STALLED)),
        };
        Ok(Pair::boxed(a, b).with_faults(faults).keeping(machine))
    }
}

/// Where the services are, which let the page's origin in.
fn services() -> &'static str {
    static RUNNING: OnceLock<Services> = OnceLock::new();
    let services = RUNNING.get_or_init(|| {
        let mut config = DevConfig::default();
        config.relay.allowed_origins = vec![Stage::get().origin.clone()];
        config.control.allowed_origins = vec![Stage::get().origin.clone()];
        Services::with(config)
    });
    &services.public_url
}

/// How often a socket shows life.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// A stalled path is given up after 2.7 s, and to fill one costs a page a round trip for each message: a quarter of the
/// default is filled soon enough on a busy machine.
const RELIABLE_BYTES: NonZeroUsize = NonZeroUsize::new(128 << 10).unwrap();
