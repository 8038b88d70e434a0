//! Dials, and the channel of each to the connector on the other side.

use std::{
    cell::RefCell, collections::HashMap, error::Error, future::pending, rc::Rc, sync::Arc, time::Duration,
};

use beach_lifeguard_client::{
    membership::{Credentials, Identity, LinkSecret, PublicKey},
    token::Access,
};
use bytes::Bytes;
use negotiator::RelayTokens;
use tokio::sync::mpsc;
use transport_core::{Connector, DialRole, Generation, PeerId, SessionId, Target, signaling::LinkChannel};
use transport_webrtc::{WebRtcConfig, WebRtcConnector};
use transport_ws_fallback::{CarrierChoice, WsConfig, WsFallbackConnector};
use wasm_bindgen_futures::spawn_local;

use crate::{
    page::Desk,
    waits::poll,
    wire::{Answer, Dial, RelayMember, Told},
};

/// What the other sides of dials say goes this way, by the numbers of the dials.
#[derive(Debug, Default)]
pub(crate) struct Dials(RefCell<HashMap<u64, mpsc::Sender<String>>>);

/// Dials, and keeps what comes of it.
pub(crate) fn connect(desk: &Rc<Desk>, number: u64, dial: Dial) {
    let connector = connector(dial.relay).expect("a test configures its dials soundly");
    let role = if dial.offers { DialRole::Offerer } else { DialRole::Answerer };
    let (session, [local, peer]) =
        (SessionId::from_bytes(dial.session), [dial.local, dial.peer].map(PeerId::from_bytes));
    let mut target = Target::new(session, local, peer, role, Generation(dial.generation));
    if dial.has_channel {
        let (theirs, ours) = LinkChannel::pair();
        target = target.with_signaling(theirs);
        let (heard, hearing) = mpsc::channel(HEARD);
        desk.dials.0.borrow_mut().insert(number, heard);
        spawn_local(carry(desk.clone(), number, ours, hearing));
    }
    let telling = desk.clone();
    poll(desk, number, async move {
        let answered = async {
            target.progress.answered().await;
            telling.tell(&Told::PathAnswered(number));
            pending().await
        };
        let connected = tokio::select! {
            connected = connector.connect(&target) => connected,
            never = answered => never,
        };
        let answer = match connected {
            Ok(transport) => Answer::Connected(telling.keep(transport, connector)),
            Err(error) => Answer::NotConnected((&error).into()),
        };
        (answer, Bytes::new())
    });
}

/// Carries what is said in a dial, until nothing holds one of its ends any more.
async fn carry(desk: Rc<Desk>, number: u64, channel: LinkChannel, mut hearing: mpsc::Receiver<String>) {
    loop {
        tokio::select! {
            said = channel.recv() => match said {
                Ok(said) => desk.tell(&Told::Says(number, said)),
                Err(_gone) => {
                    desk.tell(&Told::SaysNoMore(number));
                    break;
                }
            },
            heard = hearing.recv() => match heard {
                // Gone meanwhile: the next turn finds out.
                Some(heard) => drop(channel.send(heard).await),
                None => break,
            },
        }
    }
    desk.dials.hear_no_more(number);
}

impl Dials {
    /// Says something to the connector of a dial. One that is over hears nothing.
    pub(crate) fn hear(&self, number: u64, said: String) {
        if let Some(dial) = self.0.borrow().get(&number) {
            dial.try_send(said).expect("a dial of two connectors has fewer words");
        }
    }

    /// Ends the channel of a dial.
    pub(crate) fn hear_no_more(&self, number: u64) {
        self.0.borrow_mut().remove(&number);
    }
}

/// The name of the connector that dials WebRTC.
pub(crate) fn name() -> String {
    connector(None).expect("a sound configuration").id().to_string()
}

fn connector(relay: Option<RelayMember>) -> Result<Rc<dyn Connector>, Box<dyn Error>> {
    Ok(match relay {
        None => Rc::new(WebRtcConnector::new(webrtc())?),
        Some(member) => {
            let config = relayed(member)?;
            Rc::new(WsFallbackConnector::new(config.clone(), Arc::new(RelayTokens::new(config)))?)
        }
    })
}

/// As the subject of the kit on a machine configures it.
fn webrtc() -> WebRtcConfig {
    let mut config = WebRtcConfig::default();
    config.loopback = true;
    // How fast a dial is belongs to the transport's own tests.
    (config.deadlines.dtls, config.deadlines.channel_open) = (Duration::from_secs(8), Duration::from_secs(8));
    config.deadlines.total = Duration::from_secs(20);
    config
}

fn relayed(member: RelayMember) -> Result<WsConfig, Box<dyn Error>> {
    let identity = Identity::from_seed(&member.seed);
    let credentials = match member.link {
        None => Credentials::host(identity),
        Some((host, link)) => {
            let (host, link) = (PublicKey::from_bytes(host)?, LinkSecret::from_bytes(link));
            Credentials::viewer(host, identity, link, Access::Full)
        }
    };
    let mut config = WsConfig::new(member.control_plane.parse()?, credentials);
    config.relay_url = Some(member.relay.parse()?);
    config.heartbeat = Some(Duration::from_millis(member.heartbeat_ms));
    config.reliable_bytes = member.reliable_bytes;
    config.carriers = if member.over_http { CarrierChoice::HttpOnly } else { CarrierChoice::WebSocketOnly };
    Ok(config)
}

/// Words of one dial that may be on their way to it.
const HEARD: usize = 256;
