//! Certifies the example transport, as its author would: in one file.

#[path = "../examples/tcp_transport.rs"]
#[allow(dead_code, unreachable_pub, reason = "a module here, a program of its own there")]
mod tcp_transport;

use std::{net::Ipv4Addr, process::ExitCode, sync::Arc, time::Duration};

use conformance::{
    Card, Fault, Faults, Pair, SetupError, Subject,
    netlab::{self, Cut, Proxy, Way},
};
use tcp_transport::{TcpConnector, TcpTransport};
use tokio::net::{TcpListener, TcpStream};

fn main() -> ExitCode {
    conformance::certify([TcpExample])
}

#[derive(Debug)]
struct TcpExample;

#[async_trait::async_trait]
impl Subject for TcpExample {
    fn card(&self) -> Card {
        let connector = Arc::new(TcpConnector::new(Ipv4Addr::LOCALHOST.into()));
        Card::new("tcp-example").faults(Faults::all()).settle(Duration::from_millis(50)).dialled_by(
            connector.clone(),
            connector,
            Duration::from_secs(10),
        )
    }

    async fn pair(&self) -> Result<Pair, SetupError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Proxy::tcp(listener.local_addr()?).await?;
        let (a, b) = tokio::try_join!(TcpStream::connect(proxy.addr()), listener.accept())?;
        Ok(Pair::new(TcpTransport::over(a), TcpTransport::over(b.0)).with_faults(move |fault| match fault {
            Fault::Cut => proxy.cut(Cut::Blackhole),
            Fault::Heal => proxy.heal(),
            Fault::Lose { share, seed } => proxy.set(netlab::Fault::both(Way::lossy(share)).seeded(seed)),
            Fault::Stall => proxy.set(netlab::Fault::both(Way::STALLED)),
        }))
    }
}
