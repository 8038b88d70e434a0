//! Two peers of a real relay and control plane on loopback, each with a WebSocket, or HTTP in its place, through a proxy
//! that can be cut.

use std::{sync::Arc, time::Duration};

use beach_lifeguard_client::Role;
use conformance::{
    Card, Dialled, Fault, Faults, Pair, SetupError, Subject, Support,
    netlab::{self, Cut, Proxy, Way},
    relay::{RelayTarget, Session},
};
use negotiator::RelayTokens;
use transport_core::{Connector, DialRole, Generation, PeerId, SessionId, Target};
use transport_ws_fallback::{CarrierChoice, WsConfig, WsFallbackConnector};

use crate::dev::Services;

#[derive(Debug, Clone, Copy)]
pub(crate) struct WsFallback(pub(crate) CarrierChoice);

#[async_trait::async_trait]
impl Subject for WsFallback {
    fn card(&self) -> Card {
        let faults =
            Faults { lose: Support::No("TCP below re-sends: nothing is ever lost"), ..Faults::all() };
        let name = match self.0 {
            CarrierChoice::HttpOnly => "ws-fallback-http",
            _ => "ws-fallback",
        };
        let mut card = Card::new(name);
        card.dialled =
            Dialled::No("a dial of the relay belongs to a session of its: its own tests keep clause 9");
        card.faults(faults).settle(Duration::from_millis(100))
    }

    async fn pair(&self) -> Result<Pair, SetupError> {
        let control_plane = &Services::start().public_url;
        let at = control_plane.trim_start_matches("http://");
        let proxy = Proxy::tcp(at.parse()?).await?;
        let target = RelayTarget::new(format!("ws://{at}"), control_plane);
        let session = Session::register(&target).await.map_err(|failure| failure.to_string())?;
        let connector = |role| {
            let member = session.member(role).map_err(|failure| failure.to_string())?;
            let id = PeerId::from_bytes(member.peer_id().into_bytes());
            let mut config = WsConfig::new(control_plane.parse()?, member);
            config.relay_url = Some(format!("ws://{}/v2/ws", proxy.addr()).parse()?);
            config.heartbeat = Some(Duration::from_secs(1));
            config.carriers = self.0;
            let tokens = Arc::new(RelayTokens::new(config.clone()));
            Ok::<_, SetupError>((WsFallbackConnector::new(config, tokens)?, id))
        };
        let ((host, host_id), (viewer, viewer_id)) = (connector(Role::Host)?, connector(Role::Viewer)?);
        let id = SessionId::from_bytes(*session.id.as_bytes());
        let ids = [host_id, viewer_id];
        let to_viewer = Target::new(id, ids[0], ids[1], DialRole::Answerer, Generation(1));
        let to_host = Target::new(id, ids[1], ids[0], DialRole::Offerer, Generation(1));
        let (a, b) = tokio::try_join!(host.connect(&to_viewer), viewer.connect(&to_host))?;
        let faults = move |fault| match fault {
            Fault::Cut => proxy.cut(Cut::Blackhole),
            Fault::Heal => proxy.heal(),
            Fault::Lose { .. } => {}
            Fault::Stall => proxy.set(netlab::Fault::both(Way::STALLED)),
        };
        Ok(Pair::boxed(a, b).with_faults(faults).keeping((host, viewer)))
    }
}
