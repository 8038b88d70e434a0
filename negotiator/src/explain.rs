//! Which path, since when, why, what was tried, what happens next: as data and as text.

mod absence;

use std::fmt;

use serde::Serialize;
use transport_core::{
    Generation, TransportId,
    policy::{Class, Gate, NextStep, Reason, RungSnapshot},
    secure::Access,
};

use crate::{
    core::{RefusedInput, SessionCore},
    rendezvous::Missing,
    runtime::{Duration, Instant, now},
};

pub use self::absence::Absence;
pub(crate) use self::absence::LastError;

/// Where a session stands, as its driver last saw it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outlook {
    pub(crate) leading: bool,
    pub(crate) path: Option<Path>,
    pub(crate) standby: Option<TransportId>,
    pub(crate) reason: Reason,
    pub(crate) held: bool,
    pub(crate) degraded: Option<Reason>,
    pub(crate) absent: Option<Absence>,
    pub(crate) tried: Vec<Tried>,
    pub(crate) closed_gates: Vec<Gate>,
    pub(crate) next: Option<Next>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) transport: TransportId,
    pub(crate) carried: String,
    pub(crate) generation: Generation,
    pub(crate) since: Instant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) at: Instant,
    pub(crate) step: NextStep,
}

/// One transport's record within the failure window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Tried {
    /// Which transport.
    pub transport: TransportId,
    /// Whether it is the last resort.
    pub fallback: bool,
    /// Failures that count at the moment.
    pub failures: u32,
    /// Failures that make a quorum.
    pub quorum: u32,
    /// The quorum stands.
    pub given_up: bool,
    /// Dials under way.
    pub open_dials: u32,
    /// The last error, in words.
    pub last_error: Option<String>,
    /// What the control plane or the relay called its refusal, if that was the last error:
    /// `fallback_paused`, `entitlement_denied`, …
    pub refusal: Option<&'static str>,
}

impl Tried {
    /// The record of a rung, with the last error of its transport.
    pub(crate) fn of(rung: &RungSnapshot, error: Option<&LastError>) -> Self {
        Self {
            transport: rung.transport.clone(),
            fallback: rung.class == Class::Fallback,
            failures: rung.failures,
            quorum: rung.quorum,
            given_up: rung.given_up,
            open_dials: rung.open_dials,
            last_error: error.map(|error| error.text.clone()),
            refusal: error.and_then(|error| error.refusal),
        }
    }

    /// The last error of a transport: the following side knows errors, no counts.
    pub(crate) fn without_counts(transport: &TransportId, error: &LastError) -> Self {
        Self {
            transport: transport.clone(),
            fallback: false,
            failures: 0,
            quorum: 0,
            given_up: false,
            open_dials: 0,
            last_error: Some(error.text.clone()),
            refusal: error.refusal,
        }
    }
}

impl Outlook {
    pub(crate) fn starting(leading: bool) -> Self {
        Self {
            leading,
            path: None,
            standby: None,
            reason: Reason::FirstConnect,
            held: false,
            degraded: None,
            absent: None,
            tried: Vec::new(),
            closed_gates: Vec::new(),
            next: None,
        }
    }
}

/// What a status line shows.
///
/// # Examples
///
/// ```
/// use negotiator::testing::MemoryNetwork;
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pair = MemoryNetwork::new().pair().await?;
/// let status = pair.viewer.status();
/// println!("on {:?} since {:?}: {}", status.path, status.since, status.reason);
/// assert!(status.path.is_some() && !status.held);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// The transport that carries the session; `None` while there is none.
    pub path: Option<TransportId>,
    /// How long it has.
    pub since: Option<Duration>,
    /// Why this path, or why none.
    pub reason: Reason,
    /// Smoothed round trip between the two ends of the session.
    pub rtt: Option<Duration>,
    /// How long ago anything was heard from the peer.
    pub last_heard: Option<Duration>,
    /// Bytes sent and not acknowledged.
    pub pending_bytes: usize,
    /// The fallback is wanted and not to be had.
    pub held: bool,
    /// Who is missing, where there is no path and the fallback was dialled.
    pub absent: Option<Absence>,
}

impl Status {
    pub(crate) fn new(outlook: &Outlook, core: &SessionCore) -> Self {
        let (now, traffic) = (now(), core.traffic());
        let ago = |at: Instant| now.saturating_duration_since(at);
        Self {
            path: outlook.path.as_ref().map(|path| path.transport.clone()),
            since: outlook.path.as_ref().map(|path| ago(path.since)),
            reason: outlook.reason,
            rtt: traffic.rtt,
            last_heard: traffic.heard.map(ago),
            pending_bytes: traffic.pending_bytes,
            held: outlook.held,
            absent: outlook.absent,
        }
    }
}

/// The whole story of a session's path. `Display` is for a person, `Serialize` for a program.
///
/// # Examples
///
/// ```
/// use negotiator::testing::MemoryNetwork;
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pair = MemoryNetwork::new().pair().await?;
/// // For a person, …
/// println!("{}", pair.viewer.explain());
/// // … and for a program.
/// let told = pair.viewer.explain();
/// assert!(told.refusal().is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The transport that carries the session.
    pub path: Option<TransportId>,
    /// The path in words: candidates, relay. Without secrets.
    pub carried: Option<String>,
    /// The number of the attachment.
    pub generation: Option<Generation>,
    /// Milliseconds since this path was opened.
    pub since_ms: Option<u64>,
    /// The reason code.
    pub reason: &'static str,
    /// The reason in words.
    pub why: &'static str,
    /// Why the path cannot really carry the session, if it cannot.
    pub degraded: Option<&'static str>,
    /// Who is missing, where there is no path and the fallback was dialled.
    pub absent: Option<Absence>,
    /// A direct path that must prove itself before the session moves there.
    pub standby: Option<TransportId>,
    /// Round trip in microseconds.
    pub rtt_us: Option<u64>,
    /// Milliseconds since anything was heard from the peer.
    pub last_heard_ms: Option<u64>,
    /// Bytes sent and not acknowledged.
    pub pending_bytes: usize,
    /// What the viewer may do, once there was a path.
    pub access: Option<Access>,
    /// What the viewer sent although it may only look: none of it reached the application.
    pub refused_input: RefusedInput,
    /// Whether this side decides; the other side's `explain` knows more then.
    pub leading: bool,
    /// Every transport's record.
    pub tried: Vec<Tried>,
    /// Transports that this session does without, with the reasons.
    pub missing: Vec<Missing>,
    /// The guardrails that keep the fallback asleep, in words.
    pub closed_gates: Vec<&'static str>,
    /// What happens next, in words.
    pub next: Option<&'static str>,
    /// Milliseconds until then.
    pub next_in_ms: Option<u64>,
}

impl Explanation {
    pub(crate) fn new(outlook: Outlook, status: Status, missing: &[Missing], core: &SessionCore) -> Self {
        let next = outlook.next.as_ref();
        Self {
            path: status.path,
            carried: outlook.path.as_ref().map(|path| path.carried.clone()),
            generation: outlook.path.as_ref().map(|path| path.generation),
            since_ms: status.since.map(millis),
            reason: outlook.reason.code(),
            why: outlook.reason.text(),
            degraded: outlook.degraded.map(Reason::text),
            absent: status.absent,
            standby: outlook.standby,
            rtt_us: status.rtt.map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
            last_heard_ms: status.last_heard.map(millis),
            pending_bytes: status.pending_bytes,
            access: core.access(),
            refused_input: core.refused_input(),
            leading: outlook.leading,
            tried: outlook.tried,
            missing: missing.to_vec(),
            closed_gates: outlook.closed_gates.iter().map(|gate| gate.reason().text()).collect(),
            next: next.map(|next| step_text(next.step)),
            next_in_ms: next.map(|next| millis(next.at.saturating_duration_since(now()))),
        }
    }
}

impl Explanation {
    /// Returns the label under which the fallback was refused, if that is how its last dial ended.
    pub fn refusal(&self) -> Option<&'static str> {
        self.tried.iter().filter(|tried| tried.fallback).find_map(|tried| tried.refusal)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.path, self.since_ms) {
            (Some(path), Some(since)) => write!(f, "on {path} for {}", seconds(since))?,
            _ => f.write_str("no path at the moment")?,
        }
        write!(f, ": {}", self.why)?;
        if let Some(carried) = self.carried.as_ref().filter(|carried| !carried.is_empty()) {
            write!(f, "\n  carried by  {carried}")?;
        }
        if let Some(rtt) = self.rtt_us {
            write!(f, "\n  round trip  {}.{} ms", rtt / 1000, rtt % 1000 / 100)?;
        }
        if let Some(heard) = self.last_heard_ms {
            write!(f, "\n  last heard  {} ago", seconds(heard))?;
        }
        if self.pending_bytes > 0 {
            write!(f, "\n  waiting     {} bytes are not acknowledged", self.pending_bytes)?;
        }
        if !self.refused_input.is_empty() {
            let RefusedInput { messages, datagrams, bytes } = self.refused_input;
            write!(
                f,
                "\n  read-only   {messages} messages and {datagrams} datagrams ({bytes} bytes) were refused"
            )?;
        }
        if let Some(degraded) = self.degraded {
            write!(f, "\n  degraded    {degraded}")?;
        }
        if let Some(absent) = self.absent {
            let ago = self.last_heard_ms.map(seconds);
            write!(f, "\n  missing     {}", absent.text("the other side", ago.as_deref()))?;
        }
        if let Some(standby) = &self.standby {
            write!(f, "\n  standing by {standby} must stay healthy before the session moves there")?;
        }
        for tried in &self.tried {
            write!(f, "\n  {:<11} ", tried.transport)?;
            match (tried.failures, tried.quorum) {
                (_, 0) => {}
                (0, _) => f.write_str("no recent failure")?,
                (failures, quorum) if failures < quorum => {
                    write!(f, "{failures} of {quorum} failures that count")?;
                }
                (failures, quorum) => write!(f, "{failures} failures that count, {quorum} are enough")?,
            }
            if tried.open_dials > 0 {
                write!(f, ", {} dial(s) under way", tried.open_dials)?;
            }
            if let Some(error) = &tried.last_error {
                write!(f, "; last: {error}")?;
            }
        }
        for missing in &self.missing {
            write!(f, "\n  {:<11} not tried: {}", missing.transport, missing.why)?;
        }
        for gate in &self.closed_gates {
            write!(f, "\n  held        {gate}")?;
        }
        if let (Some(next), Some(ms)) = (self.next, self.next_in_ms) {
            write!(f, "\n  next        {next} in {}", seconds(ms))?;
        }
        if !self.leading {
            f.write_str("\n  the other side decides; its explanation knows more")?;
        }
        Ok(())
    }
}

const fn step_text(step: NextStep) -> &'static str {
    match step {
        NextStep::DialDeadline => "a dial is given up",
        NextStep::FallbackRetry => "the relay is dialled again",
        NextStep::GiveUp => "the search is given up",
        NextStep::Look => "the direct path is tried",
        NextStep::Move => "the session moves back",
        NextStep::Redial => "the direct path is dialled",
        NextStep::SilenceJudged => "silence is judged",
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn seconds(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        10_000..120_000 => format!("{} s", ms / 1000),
        _ => format!("{} min", ms / 60_000),
    }
}
