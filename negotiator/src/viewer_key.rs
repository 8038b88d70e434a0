//! What a viewer keeps to come back as itself.

use std::{fmt, str::FromStr};

use transport_core::secure::{Identity, LinkId, NoEntropy};

use crate::{
    link::JoinLink,
    runtime::{UNIX_EPOCH, wall_clock},
};

/// The key of a viewer of one link, and in which of its *lives* it is.
///
/// A program that ends and comes back, as a reloaded tab does, has lost what its session knew; with its key it is the same
/// viewer in its next life. The host gives that life the place of the one before: nobody is asked about it again.
/// Messages that were not acknowledged before are lost, and it is the program's business to begin from a state that stands
/// alone.
///
/// Its text form is a secret: whoever has it and the link can take this viewer's place.
///
/// # Examples
///
/// ```no_run
/// use negotiator::{JoinLink, NetworkConfig, Negotiator, ViewerKey};
///
/// async fn join(link: JoinLink, kept: Option<ViewerKey>) -> Result<(), Box<dyn std::error::Error>> {
///     let key = match kept {
///         Some(kept) if kept.link() == link.id() => kept.next_life(),
///         _ => ViewerKey::draw(&link)?,
///     };
///     std::fs::write("viewer", key.reveal())?;
///     let session = Negotiator::new(link, NetworkConfig::default()).with_key(key).connect().await?;
///     session.close().await;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct ViewerKey {
    identity: Identity,
    link: LinkId,
    life: u64,
    returns: bool,
}

impl ViewerKey {
    /// Draws the key of a new viewer by `link`.
    ///
    /// # Errors
    ///
    /// [`NoEntropy`] when the system has no randomness.
    pub fn draw(link: &JoinLink) -> Result<Self, NoEntropy> {
        Ok(Self { identity: Identity::random()?, link: link.id(), life: now(), returns: false })
    }

    /// Returns the same viewer in its next life.
    #[must_use]
    pub fn next_life(mut self) -> Self {
        // Two that were copied from one are not the same life, and a clock that was set back makes none an earlier one.
        self.life = now().max(self.life + 1);
        self.returns = true;
        self
    }

    /// Returns the link it is for.
    pub fn link(&self) -> LinkId {
        self.link
    }

    /// Whether it lived before.
    pub fn returns(&self) -> bool {
        self.returns
    }

    /// Shows it, to be kept. Treat it as a password.
    pub fn reveal(&self) -> String {
        let bytes = [
            self.identity.expose_seed().as_slice(),
            &self.link.0,
            &self.life.to_be_bytes(),
            &[u8::from(self.returns)],
        ];
        bytes.concat().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn life(&self) -> u64 {
        self.life
    }
}

impl FromStr for ViewerKey {
    type Err = BadViewerKey;

    fn from_str(text: &str) -> Result<Self, BadViewerKey> {
        let mut bytes = [0; BYTES];
        if text.len() != 2 * BYTES || !text.is_ascii() {
            return Err(BadViewerKey);
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| BadViewerKey)?;
        }
        let (seed, rest) = bytes.split_first_chunk::<32>().ok_or(BadViewerKey)?;
        let (link, rest) = rest.split_first_chunk::<8>().ok_or(BadViewerKey)?;
        let (life, returns) = rest.split_first_chunk::<8>().ok_or(BadViewerKey)?;
        let (life, link) = (u64::from_be_bytes(*life), LinkId(*link));
        if !(1..=MOST).contains(&life) {
            return Err(BadViewerKey);
        }
        Ok(Self { identity: Identity::from_seed(seed), link, life, returns: returns != [0] })
    }
}

/// Shows nothing secret.
impl fmt::Debug for ViewerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewerKey").field("life", &self.life).finish_non_exhaustive()
    }
}

/// Not the text form of a [`ViewerKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no viewer's key")]
pub struct BadViewerKey;

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = wall_clock().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(MOST).clamp(1, MOST)
}

/// Seed, link, life, and whether it returns.
const BYTES: usize = 32 + 8 + 8 + 1;

/// The last life that a number in JSON names exactly, less room for some more.
const MOST: u64 = (1 << 53) - (1 << 16);

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: LinkId = LinkId([7; 8]);

    fn key(life: u64) -> ViewerKey {
        ViewerKey { identity: Identity::from_seed(&[9; 32]), link: LINK, life, returns: false }
    }

    #[test]
    fn what_is_kept_is_the_same_viewer_in_a_later_life() {
        let first = key(5);
        let kept: ViewerKey = first.reveal().parse().unwrap();
        assert_eq!((kept.link(), kept.life(), kept.returns()), (LINK, 5, false));
        let next = kept.next_life();
        assert_eq!(next.identity().public(), first.identity().public());
        assert!(next.life() > 1_700_000_000_000 && next.returns());
        let again: ViewerKey = next.reveal().parse().unwrap();
        assert_eq!((again.life(), again.returns()), (next.life(), true));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_earlier_life() {
        let ahead = MOST - 10;
        assert_eq!(key(ahead).next_life().life(), ahead + 1);
    }

    #[test]
    fn what_is_no_key_is_refused_and_none_is_shown() {
        let good = key(5).reveal();
        for bad in
            [String::new(), good[2..].to_owned(), good.replace('9', "g"), "ä".repeat(BYTES), key(0).reveal()]
        {
            assert_eq!(bad.parse::<ViewerKey>().err(), Some(BadViewerKey), "{bad}");
        }
        assert!(!format!("{:?}", key(5)).contains("0909"));
    }
}
