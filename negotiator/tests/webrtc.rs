//! A session over real WebRTC on loopback, with a fallback in memory: the UDP path is cut beneath ICE.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, dead_code)]

mod support;

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use negotiator::{Access, Host, Negotiator, NetworkConfig, Received, Rendezvous, Seat, Session, Side, Way};
use support::{FALLBACK, Net, RoadConnector, host_config};
use tokio::time::timeout;
use transport_core::signaling::{Exchange, Signaling, SignalingError};
use transport_webrtc::{ID, WebRtcConfig, WebRtcConnector, impair::ImpairedUdp};

#[derive(Debug, Clone)]
struct Lab {
    net: Net,
    udp: ImpairedUdp,
}

#[async_trait]
impl Rendezvous for Lab {
    async fn enter(&self, seat: &Seat) -> Result<Arc<dyn Signaling>, SignalingError> {
        self.net.enter(seat).await
    }

    fn ways(&self, seat: &Seat, exchange: &Arc<Exchange>) -> Result<Vec<Way>, String> {
        let mut config = WebRtcConfig::default();
        config.loopback = true;
        if seat.side == Side::Viewer {
            config.udp = Some(Arc::new(self.udp.clone()));
        }
        let webrtc = WebRtcConnector::new(config, exchange.clone()).map_err(|error| error.to_string())?;
        let fallback = RoadConnector(self.net.fallback.clone());
        Ok(vec![Way::direct(Arc::new(webrtc)), Way::fallback(Arc::new(fallback))])
    }
}

async fn on(session: &Session, path: &negotiator::TransportId) {
    loop {
        let changed = session.changed();
        if session.status().path.as_ref() == Some(path) {
            return;
        }
        changed.await;
    }
}

#[tokio::test]
async fn a_cut_beneath_ice_moves_the_session_and_healing_moves_it_back() {
    let lab = Lab { net: Net::new(), udp: ImpairedUdp::seeded(1) };
    let host = Host::meeting_at(host_config(), Access::Full, Arc::new(lab.clone())).await.unwrap();
    let mut config = NetworkConfig::default();
    config.tune_policy = Some(|policy| {
        policy.restore.cadence = Duration::from_secs(2);
        policy.restore.dwell = Duration::from_secs(1);
    });
    let started = Instant::now();
    let joining = Negotiator::meeting_at(host.link().clone(), config, Arc::new(lab.clone())).connect();
    let (viewer, hosted) = tokio::join!(joining, host.accept());
    let (viewer, hosted) = (viewer.unwrap(), hosted.unwrap());
    println!("connected after {:?}: {}", started.elapsed(), viewer.explain());
    assert_eq!(viewer.status().path, Some(ID));
    assert_eq!(lab.net.fallback.dials.load(Ordering::Relaxed), 0);

    let mut events = viewer.events();
    let sender = tokio::spawn({
        let hosted = hosted.clone();
        async move {
            for number in 0..20_000u32 {
                hosted.send(number.to_be_bytes().to_vec().into()).await.unwrap();
                if number % 20 == 0 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    });
    let reader = tokio::spawn({
        let viewer = viewer.clone();
        async move {
            for number in 0..20_000u32 {
                assert_eq!(viewer.recv().await, Ok(Received::Message(number.to_be_bytes().to_vec().into())));
            }
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    lab.udp.cut();
    let cut = Instant::now();
    let cut_at = std::time::SystemTime::now();
    timeout(Duration::from_secs(12), on(&viewer, &FALLBACK)).await.unwrap();
    println!("on the fallback {:?} after the cut", cut.elapsed());
    lab.udp.restore();
    let healed = Instant::now();
    timeout(Duration::from_secs(20), on(&viewer, &ID)).await.unwrap();
    println!("back on webrtc {:?} after healing", healed.elapsed());
    reader.await.unwrap();
    sender.await.unwrap();
    while let Some(event) = events.try_next() {
        println!("{:?} {event}", event.at.duration_since(cut_at));
    }
    viewer.close().await;
    host.close().await;
}
