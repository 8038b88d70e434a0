//! One case: what it proves, what it needs, and what it runs with.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use transport_core::{Carriage, Profile, Target, Transport};

pub use crate::subject::PathGuard;
use crate::subject::{Card, Connectors, Dialled, Fault, Subject, Support};

/// One thing a transport must do, with the clause that demands it.
#[derive(Clone, Copy)]
pub struct Case {
    /// The full name: `delivery::order`.
    pub name: &'static str,
    /// The clauses of `docs/contract.md` it proves, the main one first: `"3.1, 3.2"`.
    pub clause: &'static str,
    /// What the subject must be able to do for the case to make sense.
    pub needs: &'static [Need],
    /// The case itself.
    pub run: for<'a> fn(&'a Ctx) -> BoxFuture<'a, Result<()>>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).field("clause", &self.clause).finish_non_exhaustive()
    }
}

/// Something a case cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The card names connectors.
    Connectors,
    /// The path can be cut.
    Cut,
    /// The path can lose packets.
    Lose,
    /// The machine does nothing else: the case measures time.
    Quiet,
    /// The path can be stalled and healed.
    Stall,
}

impl Need {
    /// Why the subject cannot serve this need; `None` if it can.
    pub(crate) fn missing(self, card: &Card) -> Option<&'static str> {
        let support = match self {
            Self::Connectors => match card.dialled {
                Dialled::By(_) => Support::Yes,
                Dialled::No(reason) => Support::No(reason),
            },
            Self::Cut => card.faults.cut,
            Self::Lose => card.faults.lose,
            Self::Quiet => Support::Yes,
            Self::Stall => card.faults.stall,
        };
        match support {
            Support::No(reason) => Some(reason),
            Support::Yes => None,
        }
    }
}

/// Which end of a pair plays the part of `near`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The second end of the pair.
    Back,
    /// The first end of the pair.
    Forth,
}

impl Direction {
    /// Both, for loops that must not forget one.
    pub const ALL: [Direction; 2] = [Direction::Forth, Direction::Back];

    /// Returns the last part of a test's name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Back => "back",
            Self::Forth => "forth",
        }
    }
}

/// What a case runs with.
#[derive(Debug, Clone)]
pub struct Ctx {
    subject: Arc<dyn Subject>,
    direction: Direction,
    seed: u64,
}

impl Ctx {
    /// Makes the context of one run. The same seed makes the same choices.
    pub fn new(subject: Arc<dyn Subject>, direction: Direction, seed: u64) -> Self {
        Self { subject, direction, seed }
    }

    /// Opens a fresh link, turned so that `near` is the end under test.
    ///
    /// # Errors
    ///
    /// The subject's own, or 30 s without a pair.
    pub async fn link(&self) -> Result<Link> {
        let pair = within(SETUP_LIMIT, "opening a pair", self.subject.pair()).await?;
        let pair = pair.map_err(|error| Failure(format!("the pair did not open: {}", chain(&*error))))?;
        let (a, b, path) = pair.into_ends();
        let (near, far) = match self.direction {
            Direction::Forth => (a, b),
            Direction::Back => (b, a),
        };
        Ok(Link { near, far, path })
    }

    /// Returns the subject's connectors, turned so that `a` is the one under test.
    ///
    /// # Errors
    ///
    /// The card names none; a case that calls this `needs Connectors`.
    pub fn connectors(&self) -> Result<Connectors> {
        match (self.subject.card().dialled, self.direction) {
            (Dialled::No(reason), _) => Err(Failure(reason.to_owned())),
            (Dialled::By(connectors), Direction::Forth) => Ok(connectors),
            (Dialled::By(Connectors { a, b, limit }), Direction::Back) => {
                Ok(Connectors { a: b, b: a, limit })
            }
        }
    }

    /// Returns both ends of a fresh dial with a channel between them, first the one under test: it offers
    /// forth and answers back.
    pub fn targets(&self) -> (Target, Target) {
        let (offerer, answerer) = Target::pair();
        match self.direction {
            Direction::Forth => (offerer, answerer),
            Direction::Back => (answerer, offerer),
        }
    }

    /// Returns dice that fall the same way for the same seed.
    pub fn random(&self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.seed)
    }

    /// Returns the seed itself.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How soon both ends report a path that died.
    pub fn detect(&self) -> Duration {
        self.subject.card().detect
    }

    /// How long to listen for what must not come.
    pub fn settle(&self) -> Duration {
        self.subject.card().settle
    }
}

/// A live pair, seen from the end under test.
#[derive(Debug)]
pub struct Link {
    /// The end under test.
    pub near: Box<dyn Transport>,
    /// The other end.
    pub far: Box<dyn Transport>,
    path: PathGuard,
}

impl Link {
    /// Lets something happen to the path.
    pub fn inject(&self, fault: Fault) {
        self.path.inject(fault);
    }

    /// Takes the link apart.
    pub fn into_parts(self) -> (Box<dyn Transport>, Box<dyn Transport>, PathGuard) {
        (self.near, self.far, self.path)
    }
}

/// Says whether the datagram lane claims to be native.
pub fn claims_native_datagrams(profile: &Profile) -> bool {
    profile.datagram.carriage == Carriage::Native
}

/// How a case ends.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a case failed, or why it does not apply to this link, in words for a person.
///
/// Not an `Error` itself, so that `?` turns every error into one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(chain(&error))
    }
}

/// Joins an error and its causes: `a: b: c`.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

/// Waits for `future` at most `limit`.
///
/// # Errors
///
/// A failure that names `what` when the time is over.
pub async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(limit, future)
        .await
        .map_err(|_| Failure(format!("{what} took longer than {limit:?}")))
}

/// Fails the case with a message unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($holds:expr, $($message:tt)+) => {
        if !$holds {
            return Err($crate::Failure(format!($($message)+)));
        }
    };
}

/// How long a subject may take to open a pair: twice the longest dial of an in-tree transport.
const SETUP_LIMIT: Duration = Duration::from_secs(30);
