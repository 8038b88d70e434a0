//! The links of a session, by name.

use std::{collections::BTreeMap, fmt};

use beach_identity::{LinkId, LinkSecret};

/// The links a host lets people in by. It may grow and shrink while the session runs: each handshake and each signaling
/// envelope looks again. A link that is not here any more opens nothing.
///
/// Asked under the locks of whoever asks: answer from memory, and call nothing of this crate.
pub trait LinkSecrets: fmt::Debug + Send + Sync {
    /// Returns the secret of a link; `None` for one that never was or was revoked.
    fn secret(&self, link: LinkId) -> Option<LinkSecret>;
}

/// A session with this one link.
impl LinkSecrets for LinkSecret {
    fn secret(&self, link: LinkId) -> Option<LinkSecret> {
        (link == self.id()).then(|| self.clone())
    }
}

/// A session whose links do not change.
impl LinkSecrets for BTreeMap<LinkId, LinkSecret> {
    fn secret(&self, link: LinkId) -> Option<LinkSecret> {
        self.get(&link).cloned()
    }
}

const _: fn(&dyn LinkSecrets) = |_| {};
