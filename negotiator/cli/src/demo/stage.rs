//! Everything but the viewer, in this process: relay and control plane, the host, a real shell, and a UDP path that
//! can be cut beneath ICE.

use std::{sync::Arc, time::Duration};

use lifeguard_relay::{Dev, DevConfig};
use negotiator::{Host, HostConfig, NetworkConfig, Session, TunePolicy};
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use transport_core::policy::PolicyConfig;
use transport_webrtc::impair::ImpairedUdp;

use super::bulk::{PACE, Source};
use crate::{
    exit::Failure,
    host::{
        hub::Hub,
        pty::{Program, Pty},
        serve::{Shared, serve},
    },
    viewer::enter::ACK_DELAY,
    wire::{Message, Size},
};

/// The running parts. Dropping it ends them.
#[derive(Debug)]
pub struct Stage {
    relay: Dev,
    host: Arc<Host>,
    shared: Arc<Shared>,
    /// The socket beneath the host's side of WebRTC.
    pub udp: ImpairedUdp,
    started: CancellationToken,
    stopped: CancellationToken,
    tasks: JoinSet<()>,
}

impl Stage {
    /// Starts everything. The bulk stream waits for [`start_bulk`](Self::start_bulk).
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub async fn set(seed: u64) -> Result<Self, Failure> {
        let relay =
            Dev::start(DevConfig::default()).await.map_err(|error| Failure::Demo(error.to_string()))?;
        let udp = ImpairedUdp::seeded(seed);
        let mut config = HostConfig::new(relay.public_url());
        config.network = network();
        config.network.webrtc.udp = Some(Arc::new(udp.clone()));
        let host = Arc::new(Host::share(config).await?);
        let (pty, output) = Pty::start(Program::find(&["/bin/sh".into()])?, SIZE)?;
        let shared = Arc::new(Shared { hub: Hub::new(SIZE), pty });
        let (started, stopped) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        let printing = shared.clone();
        tasks.spawn(async move {
            printing.print_all(output).await;
        });
        tasks.spawn(receive(host.clone(), shared.clone(), seed, (started.clone(), stopped.clone())));
        Ok(Self { relay, host, shared, udp, started, stopped, tasks })
    }

    /// Returns the link to join with.
    pub fn link(&self) -> String {
        self.host.link().reveal()
    }

    /// Returns how many relay sockets are open.
    pub fn relay_sockets(&self) -> usize {
        self.relay.live_relay_sockets()
    }

    /// Starts the bulk stream.
    pub fn start_bulk(&self) {
        self.started.cancel();
    }

    /// Ends the bulk stream: its sum follows the last record.
    pub fn stop_bulk(&self) {
        self.stopped.cancel();
    }

    /// Ends everything and waits until it has ended.
    pub async fn strike(mut self) {
        self.host.close().await;
        self.shared.pty.stop().await;
        self.tasks.shutdown().await;
        self.relay.shutdown().await;
    }
}

/// What both sides use: loopback candidates, because a machine without a network must do, and a short way back.
pub fn network() -> NetworkConfig {
    let mut network = NetworkConfig::default();
    network.webrtc.loopback = true;
    network.ack_delay = ACK_DELAY;
    network.tune_policy = Some(TunePolicy::new(hurry));
    network
}

/// Nobody wants to watch a demo for two minutes: the way back is looked for more often, and trusted sooner. What
/// leads to the fallback is left as it is.
fn hurry(policy: &mut PolicyConfig) {
    policy.restore.cadence = CADENCE;
    policy.restore.dwell = DWELL;
}

async fn receive(
    host: Arc<Host>,
    shared: Arc<Shared>,
    seed: u64,
    (started, stopped): (CancellationToken, CancellationToken),
) {
    let mut tasks = JoinSet::new();
    while let Some(session) = host.accept().await {
        let shared = shared.clone();
        let bulk = bulk(session.clone(), seed, started.clone(), stopped.clone());
        tasks.spawn(async move {
            tokio::select! {
                left = serve(&session, &shared) => tracing::info!(%left, "the demo's viewer is gone"),
                () = async { bulk.await; std::future::pending().await } => {}
            }
        });
    }
    tasks.shutdown().await;
}

/// Sends records at their pace until told to stop, then their sum.
async fn bulk(session: Session, seed: u64, started: CancellationToken, stopped: CancellationToken) {
    started.cancelled().await;
    let mut source = Source::new(seed);
    let mut pace = tokio::time::interval(PACE);
    // What an outage held up is not made up for: the stream goes on at its pace.
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stopped.cancelled() => break,
            _ = pace.tick() => {}
        }
        if session.send(source.record().encode()).await.is_err() {
            return;
        }
    }
    let _ = session.send(Message::End(source.end()).encode()).await;
}

/// How often the way back is looked for; 60 s outside the demo.
pub const CADENCE: Duration = Duration::from_secs(2);

/// How long the way back must be healthy; 5 s outside the demo.
pub const DWELL: Duration = Duration::from_secs(2);

/// The shared terminal.
pub const SIZE: Size = Size { columns: 80, rows: 24 };
