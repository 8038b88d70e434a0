//! The two lanes.

/// One of the two lanes every transport carries.
///
/// Complete on purpose: each transport must answer for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// At most once, in no order, never waits. The oldest unsent message is evicted and counted.
    Datagram,
    /// Ordered, complete, never truncated or duplicated while the link lives.
    Reliable,
}

impl Lane {
    /// Both lanes, for loops that must not forget one.
    pub const ALL: [Lane; 2] = [Lane::Datagram, Lane::Reliable];
}
