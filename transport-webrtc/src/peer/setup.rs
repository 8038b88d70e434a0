//! Our configuration in the library's terms.

use std::time::Duration;

use tokio::net::lookup_host;
use transport_core::ConnectErrorKind;
use webrtc::{
    api::setting_engine::SettingEngine,
    ice::{
        mdns::MulticastDnsMode,
        udp_network::{EphemeralUDP, UDPNetwork},
    },
    ice_transport::{ice_candidate_type::RTCIceCandidateType, ice_server::RTCIceServer},
};

use super::addresses::offered_addresses;
use crate::{
    config::{IcePolicy, Scheme, Upstream, WebRtcConfig},
    error::{Failure, Stage},
    turn_shim::TurnShim,
};

pub(super) async fn engine(config: &WebRtcConfig) -> Result<SettingEngine, Failure> {
    let mut engine = SettingEngine::default();
    engine.detach_data_channels();
    engine.set_ice_multicast_dns_mode(MulticastDnsMode::Disabled);
    engine.set_include_loopback_candidate(config.loopback);
    let offered = offered_addresses(config).await;
    engine.set_ip_filter(Box::new(move |address| offered.contains(&address)));
    let ice = config.ice_timeouts;
    engine.set_ice_timeouts(Some(ice.disconnected), Some(ice.failed), Some(ice.keepalive));
    // The library waits this long for something better than each kind; its defaults (0.5, 1 and 2 s)
    // are longer than a whole dial takes here.
    let relay = if config.policy == IcePolicy::RelayOnly { Duration::ZERO } else { ACCEPT_RELAY_AFTER };
    engine.set_srflx_acceptance_min_wait(Some(ACCEPT_NAT_AFTER));
    engine.set_prflx_acceptance_min_wait(Some(ACCEPT_NAT_AFTER));
    engine.set_relay_acceptance_min_wait(Some(relay));
    if let Some(ports) = &config.ports {
        let range = EphemeralUDP::new(*ports.start(), *ports.end()).map_err(misuse)?;
        engine.set_udp_network(UDPNetwork::Ephemeral(range));
    }
    if let (Some(host), IcePolicy::All) = (&config.public_host, config.policy) {
        let address = lookup_host((host.as_str(), 0)).await.ok().and_then(|mut found| found.next());
        let Some(address) = address else {
            return Err(Failure::new(
                Stage::Gathering,
                ConnectErrorKind::Misuse,
                "the public address cannot be resolved",
            ));
        };
        engine.set_nat_1to1_ips(vec![address.ip().to_string()], RTCIceCandidateType::Host);
    }
    Ok(engine)
}

/// Translates the servers for the library, with a shim before each that it cannot reach itself.
pub(super) async fn ice_servers(
    config: &WebRtcConfig,
) -> Result<(Vec<RTCIceServer>, Vec<TurnShim>), Failure> {
    let (mut servers, mut shims) = (Vec::new(), Vec::new());
    for server in &config.ice_servers {
        let mut urls = Vec::new();
        for url in &server.urls {
            match (url.scheme, url.upstream) {
                (Scheme::Stun, Upstream::Udp) if config.stun => urls.push(url.to_string()),
                // A reflexive address seen over TCP says nothing about UDP.
                (Scheme::Stun | Scheme::Stuns, _) => {}
                (Scheme::Turn, Upstream::Udp) if config.udp.is_none() => urls.push(url.to_string()),
                (Scheme::Turn | Scheme::Turns, _) => {
                    let shim = TurnShim::open(url.clone(), config.outbound.clone(), config.udp.clone());
                    let shim = shim.await.map_err(Failure::no_socket)?;
                    urls.push(shim.url());
                    shims.push(shim);
                }
            }
        }
        if !urls.is_empty() {
            let credential = server.credential.reveal().to_owned();
            servers.push(RTCIceServer { urls, username: server.username.clone(), credential });
        }
    }
    Ok((servers, shims))
}

pub(super) fn misuse(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::new(Stage::Gathering, ConnectErrorKind::Misuse, error)
}

const ACCEPT_NAT_AFTER: Duration = Duration::from_millis(100);

const ACCEPT_RELAY_AFTER: Duration = Duration::from_millis(500);
