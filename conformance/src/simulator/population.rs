//! Who sits behind which network.

use rand::Rng;

/// The kinds of networks, and of habits, that sessions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Others fill the router's queue for minutes: up to 2.4 s more for each round trip.
    Bloated,
    /// A portal that lets nothing through until somebody has signed in.
    Captive,
    /// Wired or good wireless.
    Healthy,
    /// A quarter and more of all packets lost: connects, and cannot sustain a session.
    LossyHeavy,
    /// A few per cent lost: works.
    LossyMild,
    /// 64 kbit/s to 1 Mbit/s, and programs that print more.
    Narrow,
    /// The direct path comes and goes every few seconds, for minutes on end.
    Oscillating,
    /// Several viewers on one uplink of 256 kbit/s to 2 Mbit/s.
    Shared,
    /// A laptop that sleeps and wakes, sometimes elsewhere.
    Sleeping,
    /// Satellite, or a crowded cell: half a second and more, there and back.
    Slow,
    /// Direct paths never open; TURN does, and is configured.
    SymmetricNat,
    /// No UDP at all.
    UdpBlocked,
}

impl Kind {
    /// Every kind with its share of all sessions in per cent, and what WebRTC can do there.
    pub const SHARES: [(Kind, u32, Reach); 12] = [
        (Kind::Healthy, 54, Reach::Works),
        (Kind::Sleeping, 8, Reach::Works),
        (Kind::Slow, 6, Reach::Works),
        (Kind::LossyMild, 6, Reach::Works),
        (Kind::UdpBlocked, 6, Reach::Never),
        (Kind::SymmetricNat, 5, Reach::Works),
        (Kind::Narrow, 4, Reach::Works),
        (Kind::LossyHeavy, 3, Reach::Badly),
        (Kind::Captive, 2, Reach::Works),
        (Kind::Oscillating, 2, Reach::Badly),
        (Kind::Shared, 2, Reach::Works),
        (Kind::Bloated, 2, Reach::Works),
    ];

    pub(super) fn draw(rng: &mut impl Rng) -> Self {
        let mut ticket = rng.random_range(0..100);
        for (kind, share, _) in Self::SHARES {
            if ticket < share {
                return kind;
            }
            ticket -= share;
        }
        Self::Healthy
    }

    /// Says what WebRTC can do on this kind of network.
    pub fn reach(self) -> Reach {
        Self::SHARES.into_iter().find(|(kind, ..)| *kind == self).map_or(Reach::Works, |(_, _, reach)| reach)
    }

    /// Says whether the uplink carries less than programs print.
    pub fn is_narrow(self) -> bool {
        matches!(self, Self::Narrow | Self::Shared)
    }

    /// Names the kind for a person.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bloated => "bufferbloat, to 2.4 s",
            Self::Captive => "captive portal",
            Self::Healthy => "healthy",
            Self::LossyHeavy => "lossy, 25–45 %",
            Self::LossyMild => "lossy, 2–10 %",
            Self::Narrow => "narrow, 64 kbit/s–1 Mbit/s",
            Self::Oscillating => "oscillating",
            Self::Shared => "shared, 2–4 viewers",
            Self::Sleeping => "sleeping laptop",
            Self::Slow => "slow, 0.4–0.9 s",
            Self::SymmetricNat => "TURN only",
            Self::UdpBlocked => "UDP blocked",
        }
    }
}

/// What WebRTC can do somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It connects and breaks.
    Badly,
    /// It never connects.
    Never,
    /// It carries sessions.
    Works,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_complete_and_webrtc_works_for_the_majority() {
        assert_eq!(Kind::SHARES.iter().map(|(_, share, _)| share).sum::<u32>(), 100);
        let works = |(_, share, reach): &(Kind, u32, Reach)| (*reach == Reach::Works).then_some(*share);
        assert!(Kind::SHARES.iter().filter_map(works).sum::<u32>() > 80);
    }
}
