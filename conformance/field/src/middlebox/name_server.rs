//! A name server whose answers come when the laboratory wants: A and AAAA from a table, after a delay.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{topology::Space, trouble::Trouble};

/// What a name server knows: names in lower case and their addresses. Other names do not exist.
pub type Zone = BTreeMap<String, Vec<IpAddr>>;

/// A running name server; dropping it ends it.
#[derive(Debug)]
pub struct NameServer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Listens on port 53 of `address` in `space`, and answers after `delay`.
    ///
    /// # Errors
    ///
    /// [`Trouble::Io`] when the address is not to be had.
    pub fn start(space: &Space, address: IpAddr, zone: Zone, delay: Duration) -> Result<Self, Trouble> {
        let at = SocketAddr::new(address, 53);
        let socket = space.enter("a name server", || {
            let socket = UdpSocket::bind(at)?;
            socket.set_read_timeout(Some(TICK))?;
            Ok(socket)
        })?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || serve(&Arc::new(socket), &zone, delay, &stopped));
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(socket: &Arc<UdpSocket>, zone: &Zone, delay: Duration, stop: &AtomicBool) {
    let waiting = Arc::new(AtomicUsize::new(0));
    let mut packet = [0; 512];
    while !stop.load(Ordering::Relaxed) {
        let (length, from) = match socket.recv_from(&mut packet) {
            Ok(received) => received,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                continue;
            }
            Err(_) => return,
        };
        let Some(reply) = answer(&packet[..length], zone) else { continue };
        if waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            waiting.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (socket, waiting) = (socket.clone(), waiting.clone());
        thread::spawn(move || {
            thread::sleep(delay);
            let _ = socket.send_to(&reply, from);
            waiting.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Answers one query for one name (RFC 1035 §4): id, flags, four counts; name, type, class.
fn answer(query: &[u8], zone: &Zone) -> Option<Vec<u8>> {
    let (head, rest) = query.split_at_checked(12)?;
    if head[4..6] != [0, 1] {
        return None;
    }
    let (mut labels, mut end) = (Vec::new(), 0);
    loop {
        let length = usize::from(*rest.get(end)?);
        end += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(rest.get(end..end + length)?).to_lowercase());
        end += length;
    }
    let kind = u16::from_be_bytes([*rest.get(end)?, *rest.get(end + 1)?]);
    let question = rest.get(..end + 4)?;
    let known = zone.get(&labels.join("."));
    let records: Vec<Vec<u8>> =
        known.into_iter().flatten().filter_map(|address| record(*address, kind)).collect();
    let code = if known.is_some() { 0 } else { NO_SUCH_NAME };
    let count = u16::try_from(records.len()).ok()?.to_be_bytes();
    let mut reply = vec![head[0], head[1], 0x85, 0x80 | code, 0, 1, count[0], count[1], 0, 0, 0, 0];
    reply.extend_from_slice(question);
    records.iter().for_each(|record| reply.extend_from_slice(record));
    Some(reply)
}

/// One resource record, its name a pointer to the question; none for an address of another kind.
fn record(address: IpAddr, kind: u16) -> Option<Vec<u8>> {
    let (own, bytes) = match address {
        IpAddr::V4(address) => (A, address.octets().to_vec()),
        IpAddr::V6(address) => (AAAA, address.octets().to_vec()),
    };
    let length = u8::try_from(bytes.len()).ok()?;
    let head = [0xC0, 12, 0, u8::try_from(own).ok()?, 0, 1, 0, 0, 0, 5, 0, length];
    (own == kind).then(|| [&head[..], &bytes].concat())
}

const A: u16 = 1;
const AAAA: u16 = 28;
const NO_SUCH_NAME: u8 = 3;

/// How often the end is looked for.
const TICK: Duration = Duration::from_millis(100);

/// Answers that wait at one time.
const MOST_WAITING: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: u8) -> Vec<u8> {
        let mut query = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            query.push(label.len() as u8);
            query.extend_from_slice(label.as_bytes());
        }
        query.extend_from_slice(&[0, 0, kind, 0, 1]);
        query
    }

    #[test]
    fn a_name_is_answered_by_kind_and_others_do_not_exist() {
        let zone = Zone::from([("a.test".to_owned(), vec!["10.0.0.7".parse().unwrap()])]);
        let reply = answer(&query("A.test", 1), &zone).unwrap();
        assert_eq!((reply[3] & 15, reply[7]), (0, 1));
        assert!(reply.ends_with(&[0, 4, 10, 0, 0, 7]));
        let other = answer(&query("a.test", 28), &zone).unwrap();
        assert_eq!((other[3] & 15, other[7]), (0, 0));
        assert_eq!(answer(&query("b.test", 1), &zone).unwrap()[3] & 15, NO_SUCH_NAME);
    }

    #[test]
    fn what_is_no_query_is_not_answered() {
        for packet in
            [&[][..], &[0; 12], &query("a.test", 1)[..20], &[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 63, 1]]
        {
            assert_eq!(answer(packet, &Zone::new()), None);
        }
    }
}
