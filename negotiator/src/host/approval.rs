//! A person's or program's say over who comes in.

use std::fmt;

use async_trait::async_trait;
use transport_core::{
    PeerId, Text,
    secure::{Access, LinkId},
};

/// Decides about each viewer before its session is handed out. The viewer hears meanwhile that it is being decided.
///
/// # Examples
///
/// ```
/// use async_trait::async_trait;
/// use negotiator::{Access, Applicant, Approval, Decision};
///
/// #[derive(Debug)]
/// struct FriendsType;
///
/// #[async_trait]
/// impl Approval for FriendsType {
///     async fn decide(&self, applicant: Applicant) -> Decision {
///         // A name proves nothing: it is shown to a person here, who knows whom they sent the link.
///         match applicant.name.as_ref().map(|name| name.as_str()) {
///             Some("ada" | "bob") => Decision::Admit(Access::Full),
///             Some(_) => Decision::Admit(Access::ReadOnly),
///             None => Decision::Refuse,
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Approval: fmt::Debug + Send + Sync + 'static {
    /// Lets somebody in, or does not. May take as long as a person takes; dropped when the viewer goes away.
    async fn decide(&self, applicant: Applicant) -> Decision;
}

/// Who asks to come in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applicant {
    /// Derived from its key: nobody else can claim it.
    pub peer: PeerId,
    /// The name it gave, which proves nothing. Safe to show.
    pub name: Option<Text>,
    /// The link it holds.
    pub link: LinkId,
    /// What the link allows.
    pub access: Access,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Come in, and do at most this, whatever the link allows.
    Admit(Access),
    /// Stay out.
    Refuse,
    /// Nobody has decided in time: stay out for now. Who asks again is decided about again.
    Unanswered,
}
