//! The pool as an operator sees it.

use serde::Serialize;
use tokio::time::timeout;

use super::core::Core;
use crate::store::{DEADLINE, relays::RelayNode};

/// A relay of the pool that lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PoolNode {
    /// What it says of itself.
    #[serde(flatten)]
    pub node: RelayNode,
    /// Whether it is the one that was asked.
    pub this: bool,
}

/// The relays that live, this one first; none for a relay that is in no pool, or while the store is away.
pub(super) async fn nodes(relay: &Core) -> Vec<PoolNode> {
    let Some(ownership) = &relay.ownership else { return Vec::new() };
    let living = timeout(DEADLINE, relay.admission.store().relays()).await;
    let living = living.ok().and_then(Result::ok).unwrap_or_default();
    let mut nodes: Vec<_> =
        living.into_iter().map(|node| PoolNode { this: node.id == ownership.node(), node }).collect();
    nodes.sort_by_cached_key(|node| {
        (!node.this, node.node.region.clone(), node.node.url.clone(), node.node.internal.clone())
    });
    nodes
}
