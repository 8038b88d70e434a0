//! The relay's tokens, from a control plane.

use async_trait::async_trait;
use beach_control_client::{ControlError, ControlPlane, Rescue};
use beach_lifeguard_client::{
    api::{TokenRequest, TokenResponse},
    membership::Purpose,
};
use transport_ws_fallback::{Grant, TokenFailure, TokenFor, TokenProvider, TokenRefused, WsConfig};
use url::Url;

use crate::runtime::{Duration, UNIX_EPOCH, now, wall_clock};

/// Asks the control plane for tokens: `POST /v1/fallback/token` with a proof of membership.
#[derive(Debug)]
pub struct RelayTokens {
    control: ControlPlane,
    config: WsConfig,
    rescue: Option<Rescue>,
}

impl RelayTokens {
    /// Asks as `config` says; opens nothing.
    pub fn new(config: WsConfig) -> Self {
        Self {
            control: ControlPlane::new(config.control_plane.clone(), config.outbound.clone()),
            config,
            rescue: None,
        }
    }

    /// Asks through `control`, which has learnt the time from other answers.
    #[must_use]
    pub fn through(mut self, control: ControlPlane) -> Self {
        self.control = control;
        self
    }

    /// Has these grants at hand for when the control plane cannot be asked.
    #[must_use]
    pub fn with_rescue(mut self, rescue: Option<Rescue>) -> Self {
        self.rescue = rescue;
        self
    }

    fn request(&self) -> TokenRequest {
        let WsConfig { credentials, cohort, .. } = &self.config;
        let mut request =
            TokenRequest::new(credentials.session_id(), self.control.prove(credentials, Purpose::Token));
        request.cohort_id.clone_from(cohort);
        request.client_version = Some(self.config.client_version.clone());
        request.entitlement_proof =
            self.config.entitlement_proof.as_ref().map(|proof| proof.expose().to_owned());
        request.telemetry_opt_in = self.config.telemetry_opt_in;
        request
    }
}

#[async_trait]
impl TokenProvider for RelayTokens {
    async fn token(&self, _: TokenFor) -> Result<Grant, TokenFailure> {
        let answer = self.control.token_by(|| self.request()).await.map_err(failure)?;
        let TokenResponse { token, expires_at, relay_url, .. } = answer;
        let relay_url = relay_url.as_deref().map(Url::parse).transpose();
        let relay_url = relay_url.map_err(|error| TokenFailure::Malformed(Box::new(error)))?;
        // By this machine's clock, which may be off.
        let expires_at =
            UNIX_EPOCH + Duration::from_secs(expires_at.unix_timestamp().try_into().unwrap_or_default());
        let life = expires_at.duration_since(self.control.now()).unwrap_or_default();
        Ok(Grant { token, expires_at: wall_clock() + life, relay_url })
    }

    fn rescue(&self, _: TokenFor) -> Option<Grant> {
        let kept = self.rescue.as_ref()?.newest()?;
        let life = kept.until.saturating_duration_since(now());
        Some(Grant { token: kept.token, expires_at: wall_clock() + life, relay_url: kept.relay_url })
    }
}

fn failure(error: ControlError) -> TokenFailure {
    match error {
        ControlError::Refused { refusal, .. } => {
            let mut refused = TokenRefused::from(refusal.reason);
            refused.detail = refusal.skew.map(|_| refusal.to_string());
            refused.into()
        }
        // A gateway in between.
        error if error.is_passing() => TokenFailure::Unreachable(Box::new(error)),
        // Something that is no control plane at all.
        error => TokenFailure::Malformed(Box::new(error)),
    }
}
