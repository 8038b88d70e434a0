//! What the control plane counts.

use std::time::Duration;

use super::{
    Metrics,
    family::{Id, VERBS},
};

impl Metrics {
    /// A token was asked for; `outcome` and `guardrail` are of the documented sets.
    pub fn token_requested(&self, outcome: &'static str, guardrail: &'static str) {
        self.add(Id::TokenRequests, &[outcome, guardrail], 1);
        self.add(Id::SoftBreaches, &[], u64::from(guardrail == "soft_breach"));
    }

    /// The share of activations among sessions, 0 to 1, of the cohort a token was just asked for.
    pub fn guardrail_ratio(&self, ratio: f64) {
        self.set(Id::Guardrail, &[], (ratio * 1e6) as u64);
    }

    /// A member of a room asked for a rescue grant; `outcome` is `given` or why not.
    pub fn rescue_asked(&self, outcome: &'static str) {
        self.add(Id::RescueGrants, &[outcome], 1);
    }

    /// A session's document was published, or not.
    pub fn session_published(&self, outcome: &'static str) {
        self.add(Id::SessionsRegistered, &[outcome], 1);
    }

    /// A proof of membership did not hold.
    pub fn proof_refused(&self, reason: &'static str) {
        self.add(Id::ProofsRefused, &[reason], 1);
    }

    /// Minting was paused by itself.
    pub fn auto_paused(&self, cause: &'static str) {
        self.add(Id::AutoPauses, &[cause], 1);
    }

    /// TURN credentials were asked for.
    pub fn turn_requested(&self, outcome: &'static str) {
        self.add(Id::Turn, &[outcome], 1);
    }

    /// A datagram came to the STUN server.
    pub fn stun_request(&self, outcome: &'static str) {
        self.add(Id::Stun, &[outcome], 1);
    }

    /// Rooms and peers inside them, as they are.
    pub fn signaling_population(&self, rooms: usize, peers: usize) {
        self.set(Id::SignalingRooms, &[], rooms as u64);
        self.set(Id::SignalingPeers, &[], peers as u64);
    }

    /// Control-plane nodes of the pool that live, this one too.
    pub fn pool_nodes(&self, nodes: usize) {
        self.set(Id::PoolNodes, &[], nodes as u64);
    }

    /// What became of an envelope.
    pub fn signaling_envelope(&self, outcome: &'static str) {
        self.add(Id::SignalingEnvelopes, &[outcome], 1);
    }

    /// A member was shown out because the host wanted so.
    pub fn signaling_shown_out(&self, reason: &'static str) {
        self.add(Id::SignalingShownOut, &[reason], 1);
    }

    /// An entry was refused.
    pub fn signaling_refused(&self, reason: &'static str) {
        self.add(Id::SignalingRefused, &[reason], 1);
    }

    /// An operation of the store failed.
    pub fn store_failed(&self, operation: &'static str) {
        self.add(Id::StoreErrors, &[operation], 1);
    }

    /// Counter updates that wait for the store.
    pub fn store_backlog(&self, waiting: usize) {
        self.set(Id::StoreBacklog, &[], waiting as u64);
    }

    /// The entitlement keys were fetched.
    pub fn jwks_refreshed(&self, outcome: &'static str) {
        self.add(Id::JwksRefreshes, &[outcome], 1);
    }

    /// The kill switch as it stands: the verbs that are on for everybody, and how many cohorts have one.
    pub fn kill_switch(&self, on: impl Fn(&'static str) -> bool, cohorts: usize) {
        for verb in VERBS {
            self.set(Id::Paused, &[verb], u64::from(on(verb)));
        }
        self.set(Id::PausedCohorts, &[], cohorts as u64);
    }

    /// Somebody used the kill switch on this node.
    pub fn kill_switch_set(&self, verb: &'static str) {
        self.add(Id::KillSwitchSet, &[verb], 1);
    }

    /// How old this node's view of the kill switch is.
    pub fn kill_switch_age(&self, age: Duration) {
        self.set(Id::KillSwitchAge, &[], age.as_secs());
    }
}
