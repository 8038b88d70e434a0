//! Makes WebRTC links between two peers of a session that can signal to each other.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use transport_core::{ConnectError, Connector, Target, Transport, TransportId, signaling::Exchange};

use crate::{config::WebRtcConfig, dial::dial, error::ConfigError, tls};

/// Dials WebRTC: offer and answer through the session's signaling, then ICE, DTLS and two data channels.
///
/// Both sides dial the same [`Target`]; each step has its deadline, and an error names the step. The
/// negotiator must keep calling [`Exchange::next`], which is what brings the peer's words.
pub struct WebRtcConnector {
    config: WebRtcConfig,
    exchange: Arc<Exchange>,
}

impl WebRtcConnector {
    /// Checks `config` and takes the session's signaling. Where the binary installed no default
    /// rustls provider, aws-lc-rs becomes it: DTLS needs one.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the field that cannot be used.
    pub fn new(config: WebRtcConfig, exchange: Arc<Exchange>) -> Result<Self, ConfigError> {
        config.validate()?;
        tls::ensure_default_provider();
        Ok(Self { config, exchange })
    }
}

#[async_trait]
impl Connector for WebRtcConnector {
    fn id(&self) -> TransportId {
        self.config.id()
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Transport>, ConnectError> {
        let id = self.id();
        let link = Arc::new(self.exchange.open_link(target, id.clone()));
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
