//! STUN Binding (RFC 8489), the server's half: a request is read, and answered with the address it came from.
//!
//! | offset | length | type | request | answer |
//! |---|---|---|---|---|
//! | 0 | 2 | u16 | type: 0x0001 | 0x0101 |
//! | 2 | 2 | u16 | bytes after the header, a multiple of four | 12, or 24 over IPv6 |
//! | 4 | 4 | u32 | magic cookie 0x2112A442 | the same |
//! | 8 | 12 | bytes | transaction id | the same |
//! | 20 | n | attributes | any whose type is 0x8000 or above | XOR-MAPPED-ADDRESS, nothing else |
//!
//! Nothing else of the protocol is here: no indication, no error answer, no credentials, no SOFTWARE. Whatever is not a
//! request as above is answered by silence, so that a forged sender is sent [`GAIN_V4`] or [`GAIN_V6`] bytes more than
//! somebody spent on it, and often less. FINGERPRINT is not checked: it tells STUN from other protocols on one port, and
//! this port has no other.

use std::net::{IpAddr, SocketAddr};

/// The port of STUN servers over UDP (RFC 8489 §18.6).
pub const PORT: u16 = 3478;

/// The longest request that is read, in bytes: it fits every path without being cut (RFC 8489 §6.1).
pub const MAX_REQUEST: usize = 548;

/// How much longer an answer to an IPv4 address may be than its request, in bytes.
pub const GAIN_V4: usize = 12;

/// How much longer an answer to an IPv6 address may be than its request, in bytes.
pub const GAIN_V6: usize = 24;

/// A Binding request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindingRequest {
    transaction: [u8; 12],
}

impl BindingRequest {
    /// Reads a datagram. `None` for whatever is not answered.
    pub fn decode(datagram: &[u8]) -> Option<Self> {
        if datagram.len() > MAX_REQUEST {
            return None;
        }
        let (header, attributes) = datagram.split_at_checked(HEADER)?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let is_request = header[..2] == REQUEST && header[4..8] == COOKIE && length == attributes.len();
        if !is_request || !are_optional(attributes) {
            return None;
        }
        header[8..].try_into().ok().map(|transaction| Self { transaction })
    }

    /// Makes the answer for whoever asked from `source`. An IPv4 address written as IPv6 is an IPv4 address.
    pub fn answer(&self, source: SocketAddr) -> Vec<u8> {
        let mut mask = [0; 16];
        mask[..4].copy_from_slice(&COOKIE);
        mask[4..].copy_from_slice(&self.transaction);
        let (family, mut address) = match source.ip().to_canonical() {
            IpAddr::V4(v4) => (1, v4.octets().to_vec()),
            IpAddr::V6(v6) => (2, v6.octets().to_vec()),
        };
        address.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        // At most 24: the casts keep every bit.
        let value = 4 + address.len();
        let mut answer = Vec::with_capacity(HEADER + 4 + value);
        answer.extend(SUCCESS);
        answer.extend((4 + value as u16).to_be_bytes());
        answer.extend(mask);
        answer.extend(XOR_MAPPED_ADDRESS);
        answer.extend((value as u16).to_be_bytes());
        answer.extend([0, family]);
        answer.extend((source.port() ^ u16::from_be_bytes([COOKIE[0], COOKIE[1]])).to_be_bytes());
        answer.extend(address);
        answer
    }
}

/// Whether these are whole attributes, and none that a server must understand before it may answer (RFC 8489 §14).
fn are_optional(mut attributes: &[u8]) -> bool {
    while let Some((head, rest)) = attributes.split_at_checked(4) {
        let length = usize::from(u16::from_be_bytes([head[2], head[3]])).next_multiple_of(4);
        let Some((_, rest)) = rest.split_at_checked(length) else { return false };
        if head[0] < 0x80 {
            return false;
        }
        attributes = rest;
    }
    attributes.is_empty()
}

const HEADER: usize = 20;
const REQUEST: [u8; 2] = [0, 1];
const SUCCESS: [u8; 2] = [1, 1];
const XOR_MAPPED_ADDRESS: [u8; 2] = [0, 0x20];
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Header and transaction id of RFC 5769.
    const TRANSACTION: [u8; 12] = [0xB7, 0xE7, 0xA7, 0x01, 0xBC, 0x34, 0xD6, 0x86, 0xFA, 0x87, 0xDF, 0xAE];

    fn request(attributes: &[u8]) -> Vec<u8> {
        let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
        [&REQUEST[..], &length, &COOKIE, &TRANSACTION, attributes].concat()
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = [kind.to_be_bytes(), u16::try_from(value.len()).unwrap().to_be_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), b' ');
        bytes
    }

    #[test]
    fn the_address_is_written_as_rfc_5769_writes_it() {
        let asked = BindingRequest::decode(&request(&[])).unwrap();
        let v4 = asked.answer("192.0.2.1:32853".parse().unwrap());
        let value = [0x00, 0x01, 0xA1, 0x47, 0xE1, 0x12, 0xA6, 0x43];
        let head = [&SUCCESS[..], &[0, 12], &COOKIE, &TRANSACTION, &XOR_MAPPED_ADDRESS, &[0, 8]].concat();
        assert_eq!(v4, [&head[..], &value].concat(), "§2.2");
        assert_eq!(asked.answer("[::ffff:192.0.2.1]:32853".parse().unwrap()), v4);
        let v6 = asked.answer("[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap());
        let value = [
            0x00, 0x02, 0xA1, 0x47, 0x01, 0x13, 0xA9, 0xFA, 0xA5, 0xD3, 0xF1, 0x79, 0xBC, 0x25, 0xF4, 0xB5,
            0xBE, 0xD2, 0xB9, 0xD9,
        ];
        let head = [&SUCCESS[..], &[0, 24], &COOKIE, &TRANSACTION, &XOR_MAPPED_ADDRESS, &[0, 20]].concat();
        assert_eq!(v6, [&head[..], &value].concat(), "§2.3");
    }

    #[test]
    fn an_answer_is_hardly_longer_than_the_shortest_request() {
        let shortest = request(&[]);
        let asked = BindingRequest::decode(&shortest).unwrap();
        let grown = |source: &str| asked.answer(source.parse().unwrap()).len() - shortest.len();
        assert_eq!((grown("192.0.2.1:1"), grown("[2001:db8::1]:1")), (GAIN_V4, GAIN_V6));
    }

    #[test]
    fn only_a_plain_request_is_answered() {
        let software = attribute(0x8022, b"STUN test client");
        let fingerprint = attribute(0x8028, &[0xE5, 0x7A, 0x3B, 0xCF]);
        for attributes in [vec![], software.clone(), [&software[..], &fingerprint].concat()] {
            assert!(BindingRequest::decode(&request(&attributes)).is_some(), "{attributes:?}");
        }
        let priority = attribute(0x0024, &[0x6E, 0, 1, 0xFF]);
        let change_request = attribute(0x0003, &[0, 0, 0, 6]);
        let cut = &software[..software.len() - 4];
        for attributes in [&priority[..], &change_request, cut, &[0x80, 0x22], &[0x80, 0x22, 0xFF, 0xFF]] {
            assert_eq!(BindingRequest::decode(&request(attributes)), None, "{attributes:?}");
        }
        let with = |at: usize, byte: u8| {
            let mut bytes = request(&[]);
            bytes[at] = byte;
            bytes
        };
        for (bytes, what) in [
            (with(0, 1), "a success answer, which would make two servers talk for ever"),
            (with(1, 0x11), "an indication"),
            (with(1, 0x03), "an allocation"),
            (with(3, 4), "a length of more than there is"),
            (with(4, 0), "no cookie, as in RFC 3489"),
            (with(0, 0x40), "ChannelData"),
            (request(&[])[..19].to_vec(), "less than a header"),
            ([request(&[]), vec![0; 4]].concat(), "more than its length"),
            (request(&attribute(0x8022, &[0; MAX_REQUEST])), "too long"),
        ] {
            assert_eq!(BindingRequest::decode(&bytes), None, "{what}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_answered_is_answered_within_its_bound(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..600),
            framed in any::<bool>(),
            v6 in any::<bool>(),
        ) {
            if framed && bytes.len() >= HEADER {
                let length = u16::try_from(bytes.len() - HEADER).unwrap();
                bytes[..2].copy_from_slice(&REQUEST);
                bytes[2..4].copy_from_slice(&length.to_be_bytes());
                bytes[4..8].copy_from_slice(&COOKIE);
            }
            if let Some(request) = BindingRequest::decode(&bytes) {
                let (source, gain) = if v6 { ("[2001:db8::1]:9", GAIN_V6) } else { ("192.0.2.1:9", GAIN_V4) };
                let answer = request.answer(source.parse().unwrap());
                prop_assert!(answer.len() <= bytes.len() + gain);
                prop_assert_eq!(&answer[4..20], &bytes[4..20]);
                prop_assert_eq!(BindingRequest::decode(&answer), None);
            }
        }
    }
}
