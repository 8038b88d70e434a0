//! The ways to and from a node, which can be cut.

use std::net::SocketAddr;

use conformance::netlab::{Cut, Proxy};

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// From the load balancer to the node.
    Public,
    /// From other nodes to it.
    Internal,
    /// From it to Redis.
    Store,
}

impl Way {
    /// All of them: a node that is cut off by each is a machine without a network.
    pub const ALL: [Self; 3] = [Self::Public, Self::Internal, Self::Store];
}

/// A proxy on each way of one node. What it sends to other nodes goes by their lines.
#[derive(Debug)]
pub struct Lines {
    public: Proxy,
    internal: Option<Proxy>,
    store: Option<Proxy>,
}

impl Lines {
    pub(crate) async fn open(
        public: SocketAddr,
        internal: Option<SocketAddr>,
        store: Option<SocketAddr>,
    ) -> Self {
        let open = async |target| Proxy::tcp(target).await.expect("a proxy");
        let maybe = async |target| match target {
            Some(target) => Some(open(target).await),
            None => None,
        };
        Self { public: open(public).await, internal: maybe(internal).await, store: maybe(store).await }
    }

    pub(crate) fn public(&self) -> SocketAddr {
        self.public.addr()
    }

    pub(crate) fn internal(&self) -> SocketAddr {
        self.internal.as_ref().expect("a relay has one").addr()
    }

    pub(crate) fn store(&self) -> Option<SocketAddr> {
        self.store.as_ref().map(Proxy::addr)
    }

    /// Cuts these ways; those that the node does not have are no matter.
    pub fn cut(&self, ways: &[Way], how: Cut) {
        ways.iter().filter_map(|way| self.on(*way)).for_each(|line| line.cut(how));
    }

    /// Everything passes again.
    pub fn heal(&self) {
        Way::ALL.iter().filter_map(|way| self.on(*way)).for_each(Proxy::heal);
    }

    fn on(&self, way: Way) -> Option<&Proxy> {
        match way {
            Way::Public => Some(&self.public),
            Way::Internal => self.internal.as_ref(),
            Way::Store => self.store.as_ref(),
        }
    }
}
