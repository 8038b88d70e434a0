//! What befalls a pool, for the table of silences.

use std::{fmt, time::Duration};

use conformance::netlab::Cut;
use tokio::time::sleep;

use crate::service::{Service, Way};

/// What befalls it. A relay that is named is the one that most peers are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing: what the machine itself does to the sessions.
    Calm,
    /// Each control plane and each relay is told to end, and another one starts in its place.
    RollingRestart,
    /// A relay is killed, and another one starts in its place five seconds later.
    OwnerKilled,
    /// A relay is drained by an operator's command, and then serves again.
    OwnerDrained,
    /// A relay's process stands still: what is sent to it is taken by the kernel, and nothing comes back.
    OwnerFrozen,
    /// No byte reaches or leaves a relay, in whatever direction.
    OwnerCutOff,
    /// The master of Redis is killed; a Sentinel makes its replica the master.
    StoreMasterKilled,
}

impl Fault {
    /// Those of one Redis.
    pub const OF_NODES: [Self; 6] = [
        Self::Calm,
        Self::RollingRestart,
        Self::OwnerKilled,
        Self::OwnerDrained,
        Self::OwnerFrozen,
        Self::OwnerCutOff,
    ];

    /// Strikes, and takes the cause away again. Returns when all processes are there.
    pub async fn strike(self, service: &mut Service) {
        let owner = service.busiest().await;
        let relay = &mut service.relays[owner];
        match self {
            Self::Calm => sleep(LASTING).await,
            Self::RollingRestart => {
                for node in service.planes.iter_mut().chain(&mut service.relays) {
                    node.terminate().await;
                    node.restart().await;
                    // Who rolls waits until it is ready and known.
                    sleep(BETWEEN).await;
                }
            }
            Self::OwnerKilled => {
                relay.kill();
                sleep(BETWEEN).await;
                relay.restart().await;
            }
            Self::OwnerDrained => {
                relay.command("drain-node").await;
                while relay.stats().await.is_none_or(|stats| stats.peers > 0) {
                    sleep(Duration::from_millis(100)).await;
                }
                relay.command("resume-node").await;
            }
            Self::OwnerFrozen => {
                relay.freeze();
                sleep(LASTING).await;
                relay.thaw();
            }
            Self::OwnerCutOff => {
                relay.lines.cut(&Way::ALL, Cut::Blackhole);
                sleep(LASTING).await;
                relay.lines.heal();
            }
            Self::StoreMasterKilled => {
                let dead = service.store.kill_master();
                sleep(LASTING).await;
                service.store.restart(dead);
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Calm => "nothing, for 20 s",
            Self::RollingRestart => "rolling restart of every node",
            Self::OwnerKilled => "owner killed (`kill -9`)",
            Self::OwnerDrained => "owner drained",
            Self::OwnerFrozen => "owner stopped (`SIGSTOP`) for 20 s",
            Self::OwnerCutOff => "owner cut off from everybody for 20 s",
            Self::StoreMasterKilled => "Redis master killed, Sentinel",
        })
    }
}

/// How long a fault lasts that does not end by itself.
const LASTING: Duration = Duration::from_secs(20);
/// Between two steps of an operator, or of whoever restarts what died.
const BETWEEN: Duration = Duration::from_secs(5);
