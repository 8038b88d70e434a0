//! A STUN server: it tells whoever asks by UDP which address the question came from, so that endpoints behind NAT find
//! a direct path without a third party (RFC 8489, Binding only; the bytes are in [`beach_lifeguard_client::stun`]).
//!
//! The sender of a datagram can be forged. So an answer is 12 or 24 bytes longer than the shortest request and never more,
//! what is not a plain request is not answered at all, and answers are limited for each network and in all. It keeps
//! nothing about anybody but these rates.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use beach_lifeguard_client::stun::{BindingRequest, MAX_REQUEST};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use crate::{
    control::StunConfig,
    limit::{ByAddress, Loopback, Rate},
    relay::Meter,
    telemetry::metrics::Metrics,
};

/// Binds the socket. Needs a Tokio runtime.
///
/// On a machine with several addresses name one: from a socket for all of them the system answers from the address
/// of the way out, which the NAT in front of whoever asked may never have heard of.
///
/// # Errors
///
/// The address is taken, or not this machine's.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// Answers until `stop`.
///
/// # Cancel safety
///
/// Cancel safe: at most one request is left unanswered.
pub async fn serve(socket: UdpSocket, config: StunConfig, metrics: Arc<Metrics>, stop: CancellationToken) {
    let responder = Responder::new(&config);
    // One byte more than is read of the longest, so that what is longer shows.
    let mut buffer = [0; MAX_REQUEST + 1];
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        let (length, source) = match received {
            Ok(received) => received,
            Err(error) => {
                tracing::warn!(%error, "the STUN socket");
                tokio::time::sleep(AFTER_ERROR).await;
                continue;
            }
        };
        metrics.stun_request(match responder.judge(&buffer[..length], source) {
            // Nobody waits for a socket that is full: whoever asked asks again.
            Ok(answer) if socket.try_send_to(&answer, source).is_ok() => "answered",
            Ok(_) => "unsent",
            Err(Silence::Limited) => "limited",
            Err(Silence::Malformed) => "malformed",
        });
    }
}

/// Decides what is answered.
#[derive(Debug)]
struct Responder {
    by_address: ByAddress,
    total: Meter,
}

/// Why something is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    Limited,
    Malformed,
}

impl Responder {
    fn new(config: &StunConfig) -> Self {
        let rate = |per_second: u32, burst| Rate { per_second, burst: per_second.saturating_mul(burst) };
        Self {
            by_address: ByAddress::new(rate(config.per_second, BURST), Loopback::Counted),
            total: Meter::new(rate(config.total_per_second, 1)),
        }
    }

    /// The answer to one datagram. A network is held to its own rate first, so that one alone does not use up the other.
    fn judge(&self, datagram: &[u8], source: SocketAddr) -> Result<Vec<u8>, Silence> {
        let request = BindingRequest::decode(datagram).ok_or(Silence::Malformed)?;
        let within = self.by_address.admits(source.ip()) && self.total.pay(&mut 1).is_none();
        if within { Ok(request.answer(source)) } else { Err(Silence::Limited) }
    }
}

/// Requests that may come at once from one network, as seconds' worth of its rate: a dial asks for each of its sockets.
const BURST: u32 = 5;

/// A socket that fails is not asked again at once.
const AFTER_ERROR: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: [u8; 20] = [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

    fn responder(per_second: u32, total_per_second: u32) -> Responder {
        let mut config = StunConfig::default();
        (config.per_second, config.total_per_second) = (per_second, total_per_second);
        Responder::new(&config)
    }

    fn answered(responder: &Responder, sources: impl IntoIterator<Item = String>) -> usize {
        let sources = sources.into_iter().map(|source| source.parse().unwrap());
        sources.filter(|source| responder.judge(&REQUEST, *source).is_ok()).count()
    }

    #[test]
    fn a_network_is_answered_its_burst_from_whatever_port_and_others_are_not_held_for_it() {
        let responder = responder(1, 0);
        assert_eq!(answered(&responder, (1..100).map(|port| format!("192.0.2.1:{port}"))), 5);
        assert_eq!(answered(&responder, ["192.0.2.2:1".to_owned()]), 1);
        assert_eq!(answered(&responder, (1..100).map(|host| format!("[2001:db8::{host}]:9"))), 5, "one /64");
    }

    #[test]
    fn forged_senders_without_number_are_answered_no_more_than_the_total() {
        let responder = responder(20, 50);
        let forged = |n: u32| format!("198.51.{}.{}:53", n / 256, n % 256);
        let answered = answered(&responder, (0..5_000).map(forged));
        assert!((50..250).contains(&answered), "{answered}: 50 at once, 50 a second from then on");
    }

    #[test]
    fn what_is_no_request_costs_nobody_a_place() {
        let (responder, source) = (responder(1, 1), "192.0.2.1:1".parse().unwrap());
        for _ in 0..100 {
            assert_eq!(responder.judge(b"who am I?", source), Err(Silence::Malformed));
        }
        assert_eq!(responder.judge(&REQUEST, source).unwrap().len(), 32);
    }

    #[tokio::test]
    async fn whoever_asks_by_udp_is_told_its_address_and_what_became_of_the_rest_is_counted() {
        let (metrics, stop) = (Arc::new(Metrics::new()), CancellationToken::new());
        let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let server = socket.local_addr().unwrap();
        let serving = tokio::spawn(serve(socket, StunConfig::default(), metrics.clone(), stop.clone()));
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for said in [&b"who am I?"[..], &[0; MAX_REQUEST + 100], &REQUEST] {
            client.send_to(said, server).await.unwrap();
        }
        let mut buffer = [0; 100];
        let (length, from) = client.recv_from(&mut buffer).await.unwrap();
        let own = BindingRequest::decode(&REQUEST).unwrap().answer(client.local_addr().unwrap());
        assert_eq!((&buffer[..length], from), (&own[..], server));
        let seen = |outcome| metrics.read("beach_stun_requests", &[outcome]);
        assert_eq!((seen("malformed"), seen("limited")), (2, 0));
        stop.cancel();
        serving.await.unwrap();
        assert_eq!(seen("answered"), 1);
    }
}
