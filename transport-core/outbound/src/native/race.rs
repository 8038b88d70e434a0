//! From a name to an answered TCP handshake: stages `resolve` and `connect`.
//!
//! A race of our own instead of `hyper-util`'s `HttpConnector`: that one has one deadline for name and
//! handshake together, and tells neither stage apart.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::{
    net::{TcpSocket, TcpStream, lookup_host},
    time::{Instant, sleep, timeout},
};

use crate::{
    error::Stage,
    native::{address::Address, cause::Cause, config::Deadlines, recall::Recall},
};

/// Reaches `address` directly; where its name does not resolve, at the address in `recall`.
pub(crate) async fn reach(
    address: &Address,
    deadlines: &Deadlines,
    recall: &Recall,
) -> Result<TcpStream, (Stage, Cause)> {
    let stream = reach_found(look_up(address), address, deadlines, recall).await?;
    if let Ok(worked) = stream.peer_addr() {
        recall.note(address, worked);
    }
    Ok(stream)
}

/// Notes for `recall` where `address` is, as far as a name server knows.
pub(crate) async fn learn(address: &Address, deadlines: &Deadlines, recall: &Recall) {
    if let Ok(found) = within(deadlines.resolve, look_up(address)).await
        && let Some(first) = found.first()
    {
        recall.note(address, *first);
    }
}

async fn look_up(address: &Address) -> io::Result<Vec<SocketAddr>> {
    Ok(lookup_host((address.host.as_str(), address.port)).await?.collect())
}

async fn reach_found(
    lookup: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    address: &Address,
    deadlines: &Deadlines,
    recall: &Recall,
) -> Result<TcpStream, (Stage, Cause)> {
    // With an address at hand a name server that says nothing is not waited for to the end.
    let last = recall.of(address);
    let limit = last.map_or(deadlines.resolve, |_| deadlines.resolve.min(recall.patience(Instant::now())));
    let answer = within(limit, lookup).await;
    if address.is_name() {
        recall.asked(Instant::now(), !matches!(answer, Err(Cause::TimedOut(_))));
    }
    let found = match (answer, last) {
        (Ok(found), _) if !found.is_empty() => found,
        (_, Some(last)) => vec![last],
        (Ok(_), None) => return Err((Stage::Resolve, Cause::NoAddress)),
        (Err(cause), None) => return Err((Stage::Resolve, cause)),
    };
    let connected = async {
        let stream = race(found).await?;
        // Keystrokes do not wait for company.
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    within(deadlines.connect, connected).await.map_err(|cause| (Stage::Connect, cause))
}

async fn within<T>(limit: Duration, step: impl Future<Output = io::Result<T>>) -> Result<T, Cause> {
    timeout(limit, step).await.map_err(|_| Cause::TimedOut(limit))?.map_err(Cause::Io)
}

/// Tries one address after another, the next as soon as one failed or a quarter of a second passed
/// (RFC 8305 §5): a black hole on one must not cost the whole deadline.
async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = in_turn(addresses).into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        attempts.extend(waiting.next().map(connect));
        tokio::select! {
            ended = attempts.next() => match ended {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => last = error,
                None => return Err(last),
            },
            () = sleep(STAGGER), if waiting.len() > 0 => {}
        }
    }
}

/// Connects, and has the other side told in the handshake that segments fit [`PACKET`], in both directions.
async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    #[cfg(unix)]
    if let Some(longest) = longest_segment(address) {
        // Where the system has no such option, segments are as long as it makes them.
        let _ = socket2::SockRef::from(&socket).set_tcp_mss(longest);
    }
    socket.connect(address).await
}

/// The longest TCP segment to `address`, in bytes; `None` on this machine, where packets are whole buffers.
#[cfg(any(unix, test))]
fn longest_segment(address: SocketAddr) -> Option<u32> {
    let headers = if address.is_ipv4() { 40 } else { 60 };
    (!address.ip().to_canonical().is_loopback()).then_some(PACKET - headers)
}

/// The resolver's order, with the families alternating (RFC 8305 §4).
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut turns = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair.iter().all(Option::is_none) {
            return turns;
        }
        turns.extend(pair.into_iter().flatten());
    }
}

/// The longest IP packet of a connection, in bytes. Tunnels and mobile networks take less than 1,500, and where the message
/// that says so (RFC 1191) is dropped a connection stands still at its first long answer. Every datagram of QUIC is of this
/// length (RFC 9000 §14). It costs 1 % of a line.
#[cfg(any(unix, test))]
const PACKET: u32 = 1_200;

/// Between two attempts of a race (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::native::recall::LOOKUP;

    /// Reaches a host of which nothing is known.
    async fn reach_stranger(
        lookup: impl Future<Output = io::Result<Vec<SocketAddr>>>,
        deadlines: &Deadlines,
    ) -> Result<TcpStream, (Stage, Cause)> {
        reach_found(lookup, &Address::new("host.test", 443), deadlines, &Recall::default()).await
    }

    /// A host that was last found there.
    fn known(last: SocketAddr) -> (Address, Recall) {
        let (address, recall) = (Address::new("host.test", last.port()), Recall::default());
        recall.note(&address, last);
        (address, recall)
    }

    #[test]
    fn families_take_turns_in_the_resolvers_order() {
        let addresses = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"].map(|text| text.parse().unwrap());
        let turns: Vec<String> = in_turn(addresses.to_vec()).iter().map(ToString::to_string).collect();
        assert_eq!(turns, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]);
    }

    /// A port whose queue is full: the kernel drops every further SYN.
    async fn black_hole() -> (SocketAddr, impl Sized) {
        let socket = TcpSocket::new_v6().unwrap();
        socket.bind("[::1]:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
            queued.push(stream.unwrap());
        }
        (address, (listener, queued))
    }

    fn deadlines(resolve: u64, connect: u64) -> Deadlines {
        let [resolve, connect] = [resolve, connect].map(Duration::from_millis);
        Deadlines { resolve, connect, ..Deadlines::default() }
    }

    #[tokio::test]
    async fn a_host_is_learnt_before_anybody_reaches_it() {
        let (recall, known, unknown) =
            (Recall::default(), Address::new("localhost", 9), Address::new("nobody.invalid", 9));
        for address in [&known, &unknown] {
            learn(address, &deadlines(5_000, 1), &recall).await;
        }
        assert!(recall.of(&known).is_some_and(|at| at.ip().is_loopback() && at.port() == 9));
        assert_eq!(recall.of(&unknown), None);
    }

    #[tokio::test]
    async fn a_black_holed_family_costs_a_quarter_of_a_second() {
        let (dark, _kept) = black_hole().await;
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let started = Instant::now();
        let stream = race(vec![dark, dark, good.local_addr().unwrap()]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good.local_addr().unwrap());
        let took = started.elapsed();
        assert!(took >= STAGGER && took < Duration::from_secs(1), "{took:?}");
    }

    #[test]
    fn segments_fit_a_packet_of_1200_bytes_but_for_this_machine() {
        let longest = |address: &str| longest_segment(address.parse().unwrap());
        assert_eq!([longest("192.0.2.1:443"), longest("[2001:db8::1]:443")], [Some(1_160), Some(1_140)]);
        assert_eq!(
            [longest("127.0.0.1:443"), longest("[::1]:443"), longest("[::ffff:127.0.0.1]:1")],
            [None; 3]
        );
    }

    #[tokio::test]
    async fn a_refusal_starts_the_next_attempt_at_once() {
        let refusing = TcpListener::bind("[::1]:0").await.unwrap().local_addr().unwrap();
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let started = Instant::now();
        race(vec![refusing, refusing, refusing, good.local_addr().unwrap()]).await.unwrap();
        assert!(started.elapsed() < STAGGER);
    }

    #[tokio::test]
    async fn a_slow_resolver_takes_no_time_from_the_handshake() {
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = good.local_addr().unwrap();
        let slow = async {
            sleep(Duration::from_millis(400)).await;
            Ok(vec![address])
        };
        let stream = reach_stranger(slow, &deadlines(4_000, 300)).await.unwrap();
        assert!(stream.nodelay().unwrap());
    }

    #[tokio::test]
    async fn where_a_name_does_not_resolve_the_last_good_address_is_used() {
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, recall) = known(good.local_addr().unwrap());
        let limits = deadlines(10_000, 5_000);
        let refused = async { Err(io::Error::other("no such name")) };
        reach_found(refused, &address, &limits, &recall).await.unwrap();
        reach_found(async { Ok(Vec::new()) }, &address, &limits, &recall).await.unwrap();
        // A name server that says nothing is waited for once.
        for (least, most) in [(LOOKUP, LOOKUP * 2), (Duration::ZERO, LOOKUP / 2)] {
            let started = Instant::now();
            reach_found(std::future::pending(), &address, &limits, &recall).await.unwrap();
            let took = started.elapsed();
            assert!(took >= least && took < most, "{took:?}");
        }
    }

    #[tokio::test]
    async fn where_a_name_resolves_the_last_good_address_is_not_asked() {
        let (old, new) = (
            TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let address = new.local_addr().unwrap();
        let found = async { Ok(vec![address]) };
        let (host, recall) = known(old);
        let stream = reach_found(found, &host, &deadlines(5_000, 5_000), &recall).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
    }

    #[tokio::test]
    async fn each_stage_has_its_deadline_and_says_so() {
        let silent = std::future::pending();
        let (stage, cause) = reach_stranger(silent, &deadlines(50, 5_000)).await.unwrap_err();
        assert_eq!((stage, cause.to_string()), (Stage::Resolve, "no answer within 50ms".to_owned()));
        let (dark, _kept) = black_hole().await;
        let found = async { Ok(vec![dark]) };
        let (stage, cause) = reach_stranger(found, &deadlines(5_000, 300)).await.unwrap_err();
        assert_eq!((stage, cause.to_string()), (Stage::Connect, "no answer within 300ms".to_owned()));
        let nothing = async { Ok(Vec::new()) };
        let (stage, cause) = reach_stranger(nothing, &deadlines(5_000, 5_000)).await.unwrap_err();
        assert_eq!((stage, cause.to_string()), (Stage::Resolve, "the name has no address".to_owned()));
    }
}
