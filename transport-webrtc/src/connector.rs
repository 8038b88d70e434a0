//! Makes WebRTC links between two peers that can signal to each other.

use std::fmt;

use async_trait::async_trait;
use transport_core::{ConnectError, Connector, Target, Transport, TransportId};

use crate::{config::WebRtcConfig, dial::dial, error::ConfigError};

/// Dials WebRTC: offer and answer through [`Target::signaling`], then ICE, DTLS and two data channels.
///
/// Both sides dial the same [`Target`]; each step has its deadline, and an error names the step. One connector
/// serves any number of sessions. A link keeps its channel, for restarts of ICE.
pub struct WebRtcConnector {
    config: WebRtcConfig,
}

impl WebRtcConnector {
    /// Checks `config`. Where the binary installed no default
    /// rustls provider, aws-lc-rs becomes it: DTLS needs one.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the field that cannot be used.
    pub fn new(config: WebRtcConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
        crate::tls::ensure_default_provider();
        Ok(Self { config })
    }
}

#[async_trait]
impl Connector for WebRtcConnector {
    fn id(&self) -> TransportId {
        self.config.id()
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Transport>, ConnectError> {
        let id = self.id();
        let link = target.channel(id.clone())?;
        match dial(&self.config, target, link).await {
            Ok(transport) => Ok(Box::new(transport)),
            Err(failure) => Err(failure.into_error(id)),
        }
    }
}

impl fmt::Debug for WebRtcConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebRtcConnector").field("config", &self.config).finish_non_exhaustive()
    }
}
