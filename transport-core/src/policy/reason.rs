//! The closed set of reasons. Everything the policy does carries exactly one.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)+) => {
        /// Why the policy did something: a closed set, fit for a metric label.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Reason { $($(#[$doc])* $name,)+ }

        impl Reason {
            /// Every reason, for tables and for tests that must not forget one.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)+];

            /// Returns the stable code: snake case, for events, logs and metric labels.
            pub const fn code(self) -> &'static str {
                match self { $(Reason::$name => $code,)+ }
            }

            /// Returns the reason in words for a person.
            pub const fn text(self) -> &'static str {
                match self { $(Reason::$name => $text,)+ }
            }
        }
    };
}

reasons! {
    /// The application ended the session.
    Closed = "closed", "the session was closed";
    /// No path for as long as the application was willing to wait.
    DeadlinePassed = "deadline_passed", "no path was found in the time allowed";
    /// The fallback was dialled and refused: token service, relay or peer said no.
    FallbackRefused = "fallback_refused", "the relay refused; the direct path is retried";
    /// The fallback was dialled and not reached.
    FallbackUnreachable = "fallback_unreachable", "the relay cannot be reached; both are retried";
    /// The first dial of a session.
    FirstConnect = "first_connect", "connecting";
    /// The direct path comes and goes; the session rests on the relay.
    FlapBudget = "flap_budget", "the direct path keeps breaking, so the session stays on the relay for now";
    /// A session on TURN found a path that needs no third machine.
    DirectFound = "direct_found", "a direct path works, so the TURN server is not needed";
    /// A dial beside or after a link that died.
    FreshDial = "fresh_dial", "dialling again after the link died";
    /// The cohort's activation budget is spent.
    GateBudget = "gate_budget", "the relay's budget is spent; the direct path is retried";
    /// The fallback is not rolled out to this cohort.
    GateCohort = "gate_cohort", "the relay is not enabled for this cohort; the direct path is retried";
    /// The user is not entitled to the fallback.
    GateEntitlement = "gate_entitlement", "this account may not use the relay; the direct path is retried";
    /// The feature flag is off.
    GateFeatureFlag = "gate_feature_flag", "the relay is switched off; the direct path is retried";
    /// The operator paused the fallback.
    GateKillSwitch = "gate_kill_switch", "the operator paused the relay; the direct path is retried";
    /// Four billion dials.
    GenerationsExhausted = "generations_exhausted", "this session has no numbers left for another link";
    /// A quorum of samples showed loss above the ceiling.
    HeavyLoss = "heavy_loss", "too many packets are lost on the direct path";
    /// A quorum of samples showed a round trip above the ceiling.
    HighRtt = "high_rtt", "the direct path answers too slowly";
    /// The transport restarted ICE and it did not help.
    /// A direct path won although the fallback had been considered.
    LatePrimary = "late_primary", "connected late, without the relay";
    /// The link ended: its path failed, or somebody closed it.
    LinkClosed = "link_closed", "the link ended";
    /// A link given up for dead answers again.
    LinkRecovered = "link_recovered", "the link answers again";
    /// A quorum of samples showed a trickle although much was offered.
    LowGoodput = "low_goodput", "the direct path carries too little";
    /// Every rung is misconfigured: trying again cannot help.
    Misconfigured = "misconfigured", "no transport is configured correctly";
    /// The device changed its network.
    NetworkChanged = "network_changed", "the network changed";
    /// There is no fallback to go to.
    NoFallback = "no_fallback", "no relay is configured; the direct path is retried";
    /// There is nothing but the fallback to dial.
    NoPrimary = "no_primary", "there is no direct path to try";
    /// A person or an operator overrode the policy.
    Override = "override", "the path was chosen by hand";
    /// Data was pending and no acknowledgement came.
    PathDead = "path_dead", "data was sent and nothing came back";
    /// Nothing comes back over a link; whether it is dead is not decided.
    PathSilent = "path_silent", "nothing comes back, so a fresh link is dialled";
    /// The other side says that the link is dead.
    PeerReportedLoss = "peer_reported_loss", "the other side lost the link";
    /// The application allows the direct path only.
    PolicyDirectOnly = "policy_direct_only", "only a direct path is allowed; it is retried";
    /// The application allows no relay.
    PolicyNoRelay = "policy_no_relay", "no relay is allowed; the direct path is retried";
    /// Every primary had its quorum of failed attempts.
    PrimariesFailed = "primaries_failed", "every direct attempt failed";
    /// Every primary is proven impossible on this network.
    PrimariesImpossible = "primaries_impossible", "this network rules the direct path out";
    /// No attempt on any primary drew an answer.
    PrimariesSilent = "primaries_silent", "nothing answers on the direct path";
    /// A primary connected.
    PrimaryConnected = "primary_connected", "connected without the relay";
    /// A primary was healthy for the dwell time.
    PrimaryHealed = "primary_healed", "the way without the relay is healthy again";
    /// The primary refused, which is no evidence about the network.
    PrimaryRefused = "primary_refused", "the other side refused the direct path; it is retried";
    /// A viewer that may only look sent something, which was refused.
    ReadOnly = "read_only", "this viewer may only look";
    /// A link died and the fresh dial raced against it failed too.
    RedialFailed = "redial_failed", "the link died and dialling again failed";
    /// A fresh dial replaced the link that died.
    RedialSucceeded = "redial_succeeded", "dialling again worked";
    /// The relay drains or restarts.
    RelayDrained = "relay_drained", "the relay asked to come back";
    /// The relay link ended; the verdict that led there still stands.
    RelayLost = "relay_lost", "the relay link ended";
    /// A look whether the direct path has healed.
    ReturnProbe = "return_probe", "looking whether the direct path works again";
    /// One more attempt after a failed or silent one.
    Retry = "retry", "trying again";
    /// The device slept.
    Woke = "woke", "the device woke up";
}

impl Reason {
    /// Says whether it condemns the path rather than the one link: dialling again cannot help.
    pub(super) const fn is_poor_path(self) -> bool {
        matches!(self, Self::HeavyLoss | Self::HighRtt | Self::LowGoodput)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_snake_case_and_every_reason_has_words() {
        let codes: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert!(reason.code().bytes().all(|b| matches!(b, b'a'..=b'z' | b'_')), "{reason:?}");
            assert_eq!(reason.to_string(), reason.text());
            assert!(!reason.text().is_empty() && !reason.text().ends_with('.'), "{reason:?}");
        }
    }
}
