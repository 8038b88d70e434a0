//! End-to-end encryption, the same on every path.
//!
//! After a transport connects, both peers run a Noise handshake over its reliable lane, keyed by both
//! static keys and the secret of the join link ([`handshake`]): the joiner is sure of the host, and the host of who joins
//! and by which link. Then every message on both lanes is sealed ([`Secure`] is a
//! [`Transport`](crate::Transport) around another). Each transport gets fresh ephemeral keys, so nothing repeats across a
//! switch, and who learns a link or a key later cannot read a recording.
//!
//! What it is not: it does not hide how much is sent and when, and it does not protect an endpoint
//! from itself.

mod cipher;
mod establish;
pub mod handshake;
mod join_fragment;
pub(crate) mod keys;
mod links;
mod receiving;
mod seal;
mod terms;
mod transport;
mod window;

#[cfg(test)]
mod tests;

use crate::time::Instant;

pub use beach_identity::{BadPublicKey, Identity, Key, LinkId, LinkSecret, NoEntropy, PublicKey};

pub use self::{
    establish::{SecureConfig, SecureError},
    handshake::{Access, Agreed, Answer, Binding, HandshakeError, Joiner, Request, Visitor},
    join_fragment::{BadJoinFragment, CertificatePin, JoinFragment},
    keys::{SessionKeys, ShortAuth},
    links::LinkSecrets,
    seal::{Rekey, SEAL_OVERHEAD},
    transport::Secure,
};

/// Where the time comes from: this crate reads no clock. `Instant::now`, or under a paused Tokio
/// clock `|| tokio::time::Instant::now().into_std()`.
pub type Clock = fn() -> Instant;

#[cfg(test)]
pub(crate) mod testing {
    /// Writes bytes as lower-case hex.
    pub(crate) fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Named values of a file in `tests/vectors`: a name and hex digits on each line.
    pub(crate) struct Vectors(pub(crate) &'static str);

    impl Vectors {
        pub(crate) fn line(&self, name: &str) -> &'static str {
            let mut lines = self.0.lines().filter_map(|line| line.split_once(' '));
            lines.find(|(of, _)| *of == name).unwrap_or_else(|| panic!("no {name}")).1.trim()
        }

        pub(crate) fn read(&self, name: &str) -> Vec<u8> {
            let digits = self.line(name);
            (0..digits.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
                .collect()
        }

        pub(crate) fn bytes<const N: usize>(&self, name: &str) -> [u8; N] {
            self.read(name).try_into().unwrap()
        }
    }
}
