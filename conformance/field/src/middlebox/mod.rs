//! What stands between people and the service: proxies, portals, name servers.

pub mod connect_proxy;
pub mod name_server;
pub mod web_server;

pub use connect_proxy::ConnectProxy;
pub use name_server::{NameServer, Zone};
pub use web_server::WebServer;
