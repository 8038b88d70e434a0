//! Rescue grants: tokens for members of a room, for the case that nobody can be asked when one is needed.

use beach_lifeguard_client::{
    FeatureBits,
    reason::Reason,
    signaling::{RescueGrant, RescueRequest},
    token::{Capability, TokenKind},
};

use super::{
    plane::ControlPlane,
    token::{Denied, Holder},
};

impl ControlPlane {
    /// Gives a member of the room a grant, as far as a token would be minted for it but for a pause, which counts when the
    /// grant is used. Nothing is counted as an activation before.
    pub(super) async fn rescue(&self, member: Holder, request: &RescueRequest) -> Option<RescueGrant> {
        let given = self.give(member, request).await.map_err(Denied::reason);
        self.0.metrics.rescue_asked(given.as_ref().map_or_else(|reason| reason.label(), |_| "given"));
        given.ok()
    }

    async fn give(&self, member: Holder, request: &RescueRequest) -> Result<RescueGrant, Denied> {
        let inner = &self.0;
        let account = request.entitlement_proof.as_deref();
        let cohort = self.cohort_of(&request.cohort_id, account).await?;
        if !inner.config.is_rolled_out(cohort, member.session) {
            return Err(Reason::FallbackDisabled.into());
        }
        self.entitled(account, false).await?;
        let bits = FeatureBits { telemetry_enabled: request.telemetry_opt_in, fallback_authorized: true };
        let kind = TokenKind::Rescue;
        let (token, _) = self.sign((kind, Capability::V2), member, cohort, bits)?;
        let relay_url = inner.relays.likely(member.session);
        let relay_url = relay_url.or_else(|| inner.config.relay_url.clone());
        Ok(RescueGrant { token, life_secs: kind.max_life_secs(), relay_url })
    }
}
