//! The network in memory, as tests use it.
#![allow(unused_imports, reason = "each test takes what it needs")]

pub use negotiator::testing::{FALLBACK, MemoryNetwork as Net, PRIMARY};
use negotiator::{
    Access, Host, HostConfig, LinkOptions, NetworkConfig, Session,
    testing::{MemoryNetwork, Pair},
};

/// What goes on in a network whose errors end the test.
pub trait Scenes {
    /// Shares by one link of that access.
    async fn host(&self, config: HostConfig, access: Access) -> Host;
    /// A host, and one session from both sides.
    async fn session(&self, config: NetworkConfig) -> (Host, Session, Session);
}

impl Scenes for MemoryNetwork {
    async fn host(&self, mut config: HostConfig, access: Access) -> Host {
        if access == Access::ReadOnly {
            config.links = vec![LinkOptions::read_only()];
        }
        self.share(config).await.unwrap()
    }

    async fn session(&self, config: NetworkConfig) -> (Host, Session, Session) {
        let Pair { host, viewer, hosted, .. } = self.pair_with(config).await.unwrap();
        (host, viewer, hosted)
    }
}

pub fn host_config() -> HostConfig {
    MemoryNetwork::host_config()
}
