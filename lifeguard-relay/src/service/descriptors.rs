//! The limit on file descriptors: each connection is one, and many systems still begin at 1,024.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one, and warns when even that is less than `connections` want.
pub(crate) fn raise(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(RESERVE);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = if limit == raised {
        limit.current
    } else {
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit.maximum,
            Err(error) => {
                tracing::warn!(%error, "the limit of file descriptors could not be raised");
                limit.current
            }
        }
    };
    if let Some(limit) = current.filter(|limit| *limit < wanted) {
        tracing::warn!(
            limit,
            wanted,
            "fewer file descriptors than `listen.max_connections` wants: raise the hard limit (LimitNOFILE)"
        );
    }
}

/// Listeners, store, log, what is read from disk, and requests of the operator.
const RESERVE: u64 = 256;
