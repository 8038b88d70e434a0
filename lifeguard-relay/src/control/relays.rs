//! Which relay a session's peers are sent to.

use std::{cmp::Reverse, sync::Arc};

use beach_lifeguard_client::reason::Reason;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::store::{
    PATIENCE, Store, StoreError,
    relays::{BEAT, LEASE, OtherOwner, RelayNode},
};

/// The relay nodes that live, as of a moment ago.
#[derive(Debug, Clone, Default)]
pub(super) struct Relays(Arc<RwLock<Arc<[RelayNode]>>>);

impl Relays {
    /// Looks who lives, until `stop`. While the store is away, those who were known are known.
    pub(super) async fn follow(self, store: Arc<dyn Store>, stop: CancellationToken) {
        let mut empty = 0;
        loop {
            if let Ok(living) = store.relays().await {
                // After the store was away nobody has said yet that it lives; all at once they are rarely gone.
                empty = if living.is_empty() { empty + 1 } else { 0 };
                if empty == 0 || empty > EMPTY {
                    *self.0.write() = living.into();
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(BEAT) => {}
            }
        }
    }

    /// Where this session's peers meet: on the node that owns it, or one that does from here on. None where no relay
    /// node has said that it is there.
    pub(super) async fn url_for(
        &self,
        store: &dyn Store,
        session: Uuid,
        region: &str,
    ) -> Result<Option<String>, Reason> {
        if self.0.read().is_empty() {
            return Ok(None);
        }
        let found = timeout(PATIENCE, self.find(store, session, region)).await;
        found.unwrap_or(Err(StoreError::Unavailable)).map_err(|_| Reason::StoreUnavailable)
    }

    /// Where this session's peers would meet if nobody could be asked: the same node for all of them, as long as the same
    /// nodes live. No lease is taken for it, and no region looked at: each of them may have asked in another. None where no
    /// relay node has said that it is there.
    pub(super) fn likely(&self, session: Uuid) -> Option<String> {
        let living = self.0.read().clone();
        let rank = |node: &&RelayNode| {
            Sha256::new().chain_update(node.url.as_bytes()).chain_update(session).finalize()
        };
        living.iter().filter(|node| node.ready).max_by_key(rank).map(|node| node.url.clone())
    }

    async fn find(
        &self,
        store: &dyn Store,
        session: Uuid,
        region: &str,
    ) -> Result<Option<String>, StoreError> {
        for other in [OtherOwner::Stays, OtherOwner::IsReplaced] {
            let living = self.0.read().clone();
            let nodes = by_preference(&living, region);
            if nodes.is_empty() {
                break;
            }
            let ids: Vec<_> = nodes.iter().map(|node| node.id).collect();
            let owner = store.own_session(session, &ids, LEASE, other).await?;
            if let Some(node) = nodes.iter().find(|node| Some(node.id) == owner) {
                return Ok(Some(node.url.clone()));
            }
            // An owner that this node has not heard of: it is new, or gone.
            let living = store.relays().await?;
            *self.0.write() = living.into();
        }
        Ok(None)
    }
}

/// Those that take sessions: of this region first, the least busy of them before all. Nodes with about as many sockets
/// share what comes while the figures are old.
fn by_preference<'a>(nodes: &'a [RelayNode], region: &str) -> Vec<&'a RelayNode> {
    let mut nodes: Vec<_> = nodes.iter().filter(|node| node.ready).collect();
    nodes.sort_by_cached_key(|node| {
        (Reverse(node.region == region), node.sockets / ABOUT_AS_MANY, rand::random::<u32>())
    });
    nodes
}

/// Looks in a row that must find no relay at all before that is believed: as long as a node lives.
const EMPTY: u32 = 3;
/// Sockets that make no difference.
const ABOUT_AS_MANY: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::pool::NodeId;

    fn node(id: u64, region: &str, sockets: usize, ready: bool) -> RelayNode {
        RelayNode {
            id: NodeId(id),
            url: format!("wss://{id}"),
            region: region.to_owned(),
            sockets,
            sessions: 0,
            ready,
            internal: None,
        }
    }

    #[test]
    fn of_this_region_the_least_busy_that_is_ready_comes_first() {
        let nodes = [
            node(1, "us", 0, true),
            node(2, "eu", 5_000, true),
            node(3, "eu", 100, true),
            node(4, "eu", 0, false),
        ];
        let order: Vec<_> = by_preference(&nodes, "eu").iter().map(|node| node.id.0).collect();
        assert_eq!(order, [3, 2, 1]);
        assert_eq!(by_preference(&nodes, "us")[0].id, NodeId(1));
    }

    #[test]
    fn without_anybody_to_ask_all_peers_of_a_session_meet_at_one_node_wherever_they_asked() {
        let [a, b, c] = [node(1, "eu", 0, true), node(2, "eu", 9_000, true), node(3, "us", 0, true)];
        let relays = Relays::default();
        assert_eq!(relays.likely(Uuid::nil()), None);
        let mut seen = std::collections::HashSet::new();
        for session in (0..50).map(Uuid::from_u128) {
            *relays.0.write() = [a.clone(), b.clone(), c.clone()].into();
            let one = relays.likely(session).unwrap();
            *relays.0.write() = [c.clone(), b.clone(), a.clone()].into();
            assert_eq!(relays.likely(session), Some(one.clone()));
            seen.insert(one);
        }
        assert_eq!(seen, [a.url, b.url, c.url].into());
    }

    #[test]
    fn nodes_that_are_about_as_busy_take_turns() {
        let nodes = [node(1, "", 10, true), node(2, "", 12, true)];
        let first = |_| by_preference(&nodes, "")[0].id.0;
        let chosen: std::collections::HashSet<_> = (0..100).map(first).collect();
        assert_eq!(chosen.len(), 2);
    }
}
