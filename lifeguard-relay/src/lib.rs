//! beach-lifeguard: the relay that carries a session when nothing else does, and the control plane that
//! mints its tokens.
//!
//! Library first: [`Relay`](relay::Relay) and the control plane are routers that another service can
//! mount; the binary `beach-lifeguard` is a thin shell around them. [`Dev`](dev::Dev) is both in one process,
//! with keys made at start, for tests, demos and newcomers.
//!
//! What it is not: an endpoint. The relay moves sealed frames between the peers of a session and can
//! neither read nor forge them; nothing here holds a key that opens one.
#![forbid(unsafe_code)]

pub mod app;
pub mod config;
pub mod listen;
pub mod relay;
pub mod shutdown;

pub mod control {
    use tokio::sync::watch;
    #[derive(Debug, Clone)]
    pub struct KillSwitch(watch::Receiver<()>);
    impl KillSwitch {
        pub fn new(_: Option<()>) -> Self { let (tx, rx) = watch::channel(()); std::mem::forget(tx); Self(rx) }
        pub fn subscribe(&self) -> watch::Receiver<()> { self.0.clone() }
        pub fn refuses_new(&self, _: &str) -> bool { false }
        pub fn is_stopped(&self, _: &str) -> bool { false }
        pub fn is_draining(&self, _: &str) -> bool { false }
    }
}
pub mod store {
    #[async_trait::async_trait]
    pub trait Store: std::fmt::Debug + Send + Sync {
        async fn spend_jti(&self, jti: uuid::Uuid, life: std::time::Duration) -> Result<bool, ()>;
    }
    #[derive(Debug)]
    pub struct MemoryStore;
    impl MemoryStore { pub fn new() -> Self { Self } }
    #[async_trait::async_trait]
    impl Store for MemoryStore { async fn spend_jti(&self, _: uuid::Uuid, _: std::time::Duration) -> Result<bool, ()> { Ok(true) } }
}
pub mod telemetry { pub mod metrics {
    use std::time::Duration;
    use beach_lifeguard_client::CloseCode;
    #[derive(Debug, Default)]
    pub struct Metrics;
    impl Metrics {
        pub fn new() -> Self { Self }
        pub fn frame_undeliverable(&self) {}
        pub fn read_only_dropped(&self) {}
        pub fn datagrams_evicted(&self, _: u64) {}
        pub fn forwarded(&self, _len: usize, _copies: usize) {}
        pub fn rate_limited(&self) {}
        pub fn handshake_succeeded(&self, _v: &'static str, _d: Duration, _t: bool) {}
        pub fn handshake_failed(&self, _l: &'static str) {}
        pub fn connection_opened(&self) {}
        pub fn connection_closed(&self, _c: CloseCode, _d: Duration) {}
        pub fn session_opened(&self) {}
        pub fn session_emptied(&self) {}
        pub fn idle_pruned(&self) {}
    }
} }
