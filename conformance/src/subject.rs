//! What is certified: something that opens pairs of connected transports.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use transport_core::{Connector, Transport};

/// A transport under test. Implement it once and hand it to [`certify`](crate::certify).
#[async_trait]
pub trait Subject: fmt::Debug + Send + Sync + 'static {
    /// Describes the subject. The same on every call.
    fn card(&self) -> Card;

    /// Opens a fresh pair of connected transports, without any layer that retries or resumes.
    ///
    /// Called once or more by each case, from several tests at a time.
    ///
    /// # Errors
    ///
    /// Whatever kept the pair from opening; the case fails with it.
    async fn pair(&self) -> Result<Pair, SetupError>;
}

/// What kept a pair from opening.
pub type SetupError = Box<dyn std::error::Error + Send + Sync>;

/// What the suite needs to know of a subject before it runs.
#[derive(Debug, Clone)]
pub struct Card {
    /// The first part of each test's name, and the row of the certification table.
    pub name: String,
    /// Which faults [`Pair::with_faults`] can bring about.
    pub faults: Faults,
    /// The connectors that make such pairs, for the cases of clause 9.
    pub dialled: Dialled,
    /// Cases this subject does not have to pass. Each is shown with its reason.
    pub exemptions: Vec<Exemption>,
    /// How soon after a silent death of the path both ends report it (clause 8.2).
    pub detect: Duration,
    /// How late a message may still show up on an otherwise quiet path: how long a case listens for
    /// what must not come.
    pub settle: Duration,
}

impl Card {
    /// Describes a subject on which no fault can be injected and that is not dialled, with 10 s to notice a dead path and
    /// 100 ms to settle.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            faults: Faults::none("the subject injects no faults"),
            dialled: Dialled::No("the card names no connectors"),
            exemptions: Vec::new(),
            detect: Duration::from_secs(10),
            settle: Duration::from_millis(100),
        }
    }

    /// Declares which faults can be injected.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Names the connectors of both ends, and how long a dial may take whatever the other side does (clause 9.3).
    /// They meet in memory: each dial has a channel to the other, and nothing else is between them.
    #[must_use]
    pub fn dialled_by(mut self, a: Arc<dyn Connector>, b: Arc<dyn Connector>, limit: Duration) -> Self {
        self.dialled = Dialled::By(Connectors { a, b, limit });
        self
    }

    /// Exempts the subject from `case`, and says why.
    #[must_use]
    pub fn exempt(mut self, case: &'static str, reason: &'static str) -> Self {
        self.exemptions.push(Exemption { case, reason });
        self
    }

    /// Sets the time within which a dead path is noticed.
    #[must_use]
    pub fn detect(mut self, detect: Duration) -> Self {
        self.detect = detect;
        self
    }

    /// Sets the time after which a quiet path stays quiet.
    #[must_use]
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }
}

/// A case that a subject does not have to pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemption {
    /// The case's full name, as in `datagram::loss_really_loses`.
    pub case: &'static str,
    /// Why not; shown in every run and report.
    pub reason: &'static str,
}

/// By which connectors a subject is dialled: they are certified too.
#[derive(Debug, Clone)]
pub enum Dialled {
    /// By these.
    By(Connectors),
    /// By none that could be certified, for this reason.
    No(&'static str),
}

/// The connectors of both ends.
#[derive(Debug, Clone)]
pub struct Connectors {
    /// The connector under test; the first end's.
    pub a: Arc<dyn Connector>,
    /// The other end's. May be the same one.
    pub b: Arc<dyn Connector>,
    /// How long a dial may take, whatever the path or the other side does.
    pub limit: Duration,
}

/// For each kind of fault, whether the subject can bring it about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// [`Fault::Cut`].
    pub cut: Support,
    /// [`Fault::Lose`].
    pub lose: Support,
    /// [`Fault::Stall`] and [`Fault::Heal`].
    pub stall: Support,
}

impl Faults {
    /// All of them.
    pub const fn all() -> Self {
        Self { cut: Support::Yes, lose: Support::Yes, stall: Support::Yes }
    }

    /// None of them, and why.
    pub const fn none(reason: &'static str) -> Self {
        Self { cut: Support::No(reason), lose: Support::No(reason), stall: Support::No(reason) }
    }
}

/// Whether a fault can be brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It cannot, for this reason.
    No(&'static str),
    /// It can.
    Yes,
}

/// Something that happens to the path between the two ends of a pair, in both directions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// The path dies for good without a word to anybody.
    Cut,
    /// A stalled path goes on and delivers what it held.
    Heal,
    /// Loses this share (0 to 1) of the packets from here on, drawn from the seed.
    Lose {
        /// Probability of each packet's loss.
        share: f64,
        /// Where the dice start.
        seed: u64,
    },
    /// Nothing gets through; nothing is lost either.
    Stall,
}

/// Two connected ends and the path between them.
pub struct Pair {
    pub(crate) a: Box<dyn Transport>,
    pub(crate) b: Box<dyn Transport>,
    pub(crate) faults: Box<dyn Fn(Fault) + Send + Sync>,
    pub(crate) keep: Vec<Box<dyn Any + Send + Sync>>,
}

impl Pair {
    /// Puts two connected ends together.
    pub fn new(a: impl Transport, b: impl Transport) -> Self {
        Self::boxed(Box::new(a), Box::new(b))
    }

    /// Puts two connected ends together that a connector boxed already.
    pub fn boxed(a: Box<dyn Transport>, b: Box<dyn Transport>) -> Self {
        Self { a, b, faults: Box::new(|_| ()), keep: Vec::new() }
    }

    /// Says how faults are brought about. Called only with those the [`Card`] declares.
    #[must_use]
    pub fn with_faults(mut self, faults: impl Fn(Fault) + Send + Sync + 'static) -> Self {
        self.faults = Box::new(faults);
        self
    }

    /// Keeps something alive as long as the pair: a proxy, a relay, a runtime.
    #[must_use]
    pub fn keeping(mut self, guard: impl Any + Send + Sync) -> Self {
        self.keep.push(Box::new(guard));
        self
    }

    /// Takes the two ends out, with the rest that must outlive them.
    pub fn into_ends(self) -> (Box<dyn Transport>, Box<dyn Transport>, PathGuard) {
        (self.a, self.b, PathGuard { faults: self.faults, _keep: self.keep })
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("a", &self.a).field("b", &self.b).finish_non_exhaustive()
    }
}

/// The path of a pair whose ends were taken out. Dropping it may end the path.
pub struct PathGuard {
    faults: Box<dyn Fn(Fault) + Send + Sync>,
    _keep: Vec<Box<dyn Any + Send + Sync>>,
}

impl PathGuard {
    /// Brings `fault` about, if the subject can.
    pub fn inject(&self, fault: Fault) {
        (self.faults)(fault);
    }
}

impl fmt::Debug for PathGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathGuard").finish_non_exhaustive()
    }
}
