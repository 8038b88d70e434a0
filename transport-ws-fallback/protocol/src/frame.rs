//! Binary frames of version 2: a 12-byte header and a payload the relay does not read.
//!
//! | offset | length | type | field |
//! |---|---|---|---|
//! | 0 | 1 | u8 | version, 2 |
//! | 1 | 1 | u8 | kind: 0 control, 1 data, 2 heartbeat, 3 close |
//! | 2 | 1 | u8 | lane: 0 datagram, 1 reliable |
//! | 3 | 1 | u8 | flags: bit 0 on a data frame marks a [window update](Window); the rest is sent as 0 and ignored |
//! | 4 | 4 | u32 be | peer: destination on the way in, source on the way out |
//! | 8 | 4 | u32 be | link: the session generation the two peers agreed on |
//! | 12 | … | bytes | payload |

pub use beach_terms::Lane;
use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// Length of a header in bytes.
pub const HEADER_BYTES: usize = 12;

/// Largest frame in bytes, header included. The default limit of a relay.
pub const MAX_FRAME_BYTES: usize = 65_536;

/// The version this header layout belongs to.
pub const VERSION: u8 = 2;

/// The first 12 bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// What the payload is.
    pub kind: Kind,
    /// The lane a data frame travels on. Other kinds say [`Lane::Reliable`].
    pub lane: Lane,
    /// Destination on the way to the relay, source on the way from it.
    pub peer: PeerAddr,
    /// Which of the links between the two peers.
    pub link: LinkNumber,
}

impl Header {
    /// Describes a data frame.
    pub const fn data(lane: Lane, peer: PeerAddr, link: LinkNumber) -> Self {
        Self { kind: Kind::Data, lane, peer, link }
    }

    /// Describes the end of a link; the payload is a [`CloseFrame`](crate::close::CloseFrame).
    pub const fn close(peer: PeerAddr, link: LinkNumber) -> Self {
        Self { kind: Kind::Close, lane: Lane::Reliable, peer, link }
    }

    /// Describes a message between an endpoint and the relay itself.
    pub const fn relay(kind: Kind) -> Self {
        Self { kind, lane: Lane::Reliable, peer: PeerAddr::RELAY, link: LinkNumber(0) }
    }

    /// Reads the header of `frame`, whose payload starts at [`HEADER_BYTES`].
    ///
    /// # Errors
    ///
    /// [`FrameError`] for anything but a whole version-2 header with a known lane. An unknown kind
    /// is no error: the caller ignores or forwards it.
    pub fn decode(frame: &[u8]) -> Result<Self, FrameError> {
        let Some((head, _)) = frame.split_first_chunk::<HEADER_BYTES>() else {
            return Err(FrameError::Truncated);
        };
        let [version, kind, lane, _flags, p0, p1, p2, p3, l0, l1, l2, l3] = *head;
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        Ok(Self {
            kind: Kind::from_wire(kind),
            lane: lane_from_wire(lane).ok_or(FrameError::Lane(lane))?,
            peer: PeerAddr::from_wire(u32::from_be_bytes([p0, p1, p2, p3])),
            link: LinkNumber(u32::from_be_bytes([l0, l1, l2, l3])),
        })
    }

    /// Reads the header and hands the payload back without copying it.
    ///
    /// # Errors
    ///
    /// As [`Header::decode`].
    pub fn split(frame: Bytes) -> Result<(Self, Bytes), FrameError> {
        let header = Self::decode(&frame)?;
        Ok((header, frame.slice(HEADER_BYTES..)))
    }

    /// Writes the 12 bytes.
    pub const fn encode(&self) -> [u8; HEADER_BYTES] {
        let [p0, p1, p2, p3] = self.peer.to_wire().to_be_bytes();
        let [l0, l1, l2, l3] = self.link.0.to_be_bytes();
        [VERSION, self.kind.to_wire(), lane_to_wire(self.lane), 0, p0, p1, p2, p3, l0, l1, l2, l3]
    }

    /// Joins header and payload into one new frame.
    pub fn frame(&self, payload: &[u8]) -> Bytes {
        let mut frame = BytesMut::with_capacity(HEADER_BYTES + payload.len());
        frame.put_slice(&self.encode());
        frame.put_slice(payload);
        frame.freeze()
    }
}

/// How much one peer of a link lets the other send: the payload of a data frame whose flag bit 0 is
/// set. For the peers alone; a relay forwards it like any data frame.
///
/// | offset | length | type | field |
/// |---|---|---|---|
/// | 0 | 8 | u64 be | total weight of reliable data frames that may have been sent since the link opened |
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window(pub u64);

impl Window {
    /// The least a receiver opens a link with, however many share its socket.
    pub const LEAST: Self = Self(32 * 1024);

    /// What a data frame counts against the window: its size, and about what a queue needs for it.
    pub const fn weight(payload_len: usize) -> u64 {
        (HEADER_BYTES + payload_len + 64) as u64
    }

    /// Writes the whole frame.
    pub fn frame(self, peer: PeerAddr, link: LinkNumber) -> Bytes {
        let mut frame = BytesMut::with_capacity(HEADER_BYTES + 8);
        frame.put_slice(&Header::data(Lane::Reliable, peer, link).encode());
        frame.put_u64(self.0);
        frame[FLAGS_AT] = FLAG_WINDOW;
        frame.freeze()
    }

    /// Reads `frame`, a whole data frame, as a window update; `None` when it is none.
    ///
    /// # Errors
    ///
    /// [`FrameError::Truncated`] when it is one without its eight bytes.
    pub fn read(frame: &[u8]) -> Result<Option<Self>, FrameError> {
        if frame.get(FLAGS_AT).is_none_or(|flags| flags & FLAG_WINDOW == 0) {
            return Ok(None);
        }
        let limit = frame.get(HEADER_BYTES..).and_then(<[u8]>::first_chunk).ok_or(FrameError::Truncated)?;
        Ok(Some(Self(u64::from_be_bytes(*limit))))
    }
}

const FLAGS_AT: usize = 3;
const FLAG_WINDOW: u8 = 1;

/// Overwrites the peer field of an encoded frame, as a relay does between reading and forwarding:
/// the frame keeps its size and its place in memory.
///
/// # Errors
///
/// [`FrameError::Truncated`] when there is no whole header.
pub fn set_peer(frame: &mut [u8], peer: PeerAddr) -> Result<(), FrameError> {
    let head = frame.first_chunk_mut::<HEADER_BYTES>().ok_or(FrameError::Truncated)?;
    head[4..8].copy_from_slice(&peer.to_wire().to_be_bytes());
    Ok(())
}

/// What a frame's payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// JSON from the relay: [`Control`](crate::control::Control).
    Control,
    /// Sealed bytes between two peers.
    Data,
    /// Empty; the other side of the socket echoes it.
    Heartbeat,
    /// The end of one link: [`CloseFrame`](crate::close::CloseFrame).
    Close,
    /// A kind of a later revision: ignored by a client, refused by a relay.
    Unknown(u8),
}

impl Kind {
    const fn from_wire(kind: u8) -> Self {
        match kind {
            0 => Self::Control,
            1 => Self::Data,
            2 => Self::Heartbeat,
            3 => Self::Close,
            other => Self::Unknown(other),
        }
    }

    const fn to_wire(self) -> u8 {
        match self {
            Self::Control => 0,
            Self::Data => 1,
            Self::Heartbeat => 2,
            Self::Close => 3,
            Self::Unknown(other) => other,
        }
    }
}

const fn lane_from_wire(lane: u8) -> Option<Lane> {
    match lane {
        0 => Some(Lane::Datagram),
        1 => Some(Lane::Reliable),
        _ => None,
    }
}

const fn lane_to_wire(lane: Lane) -> u8 {
    match lane {
        Lane::Datagram => 0,
        Lane::Reliable => 1,
    }
}

/// Where a peer sits in the relay: `generation:u16 << 16 | slot:u16`.
///
/// Slots are reused, generations tell their tenants apart, so a frame to a peer that left never
/// reaches the next one. Generations start at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PeerAddr(u32);

impl PeerAddr {
    /// Everyone else in the session. No peer may be given this address.
    pub const EVERYONE: Self = Self(u32::MAX);

    /// The relay itself, in control and heartbeat frames. No peer may be given this address.
    pub const RELAY: Self = Self(0);

    /// Names the `generation`-th tenant of `slot`.
    pub const fn new(generation: u16, slot: u16) -> Self {
        Self((generation as u32) << 16 | slot as u32)
    }

    /// Takes an address from the wire.
    pub const fn from_wire(address: u32) -> Self {
        Self(address)
    }

    /// Returns the number on the wire.
    pub const fn to_wire(self) -> u32 {
        self.0
    }

    /// Returns which tenant of the slot.
    pub const fn generation(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Returns the index in the session's slab.
    pub const fn slot(self) -> u16 {
        self.0 as u16
    }
}

/// The number of a link between two peers: the session's generation. Opaque to the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkNumber(pub u32);

/// A frame that cannot be read. Its sender is closed with 4501.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// No such lane.
    #[error("unknown lane {0}")]
    Lane(u8),
    /// Shorter than its fixed part.
    #[error("shorter than its fixed part")]
    Truncated,
    /// The reason of a close is not UTF-8, or too long.
    #[error("unreadable close reason")]
    Reason,
    /// Another protocol version.
    #[error("frame of version {0}")]
    Version(u8),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_rewrites_the_peer_in_place_and_nothing_else() {
        let header = Header::data(Lane::Datagram, PeerAddr::new(2, 9), LinkNumber(0xDEAD_BEEF));
        let mut frame = header.frame(b"payload").to_vec();
        set_peer(&mut frame, PeerAddr::new(7, 1)).unwrap();
        let (rewritten, payload) = Header::split(frame.into()).unwrap();
        assert_eq!(rewritten, Header { peer: PeerAddr::new(7, 1), ..header });
        assert_eq!(&payload[..], b"payload");
        assert_eq!(set_peer(&mut [0; 11], PeerAddr::RELAY), Err(FrameError::Truncated));
    }

    #[test]
    fn a_window_update_is_a_data_frame_with_a_flag() {
        let frame = Window(0x0102_0304_0506_0708).frame(PeerAddr::new(1, 2), LinkNumber(3));
        assert_eq!(&frame[..], b"\x02\x01\x01\x01\0\x01\0\x02\0\0\0\x03\x01\x02\x03\x04\x05\x06\x07\x08");
        assert_eq!(Window::read(&frame), Ok(Some(Window(0x0102_0304_0506_0708))));
        assert_eq!(Window::read(&frame[..19]), Err(FrameError::Truncated));
        let data = Header::data(Lane::Reliable, PeerAddr::new(1, 2), LinkNumber(3)).frame(&[1; 8]);
        assert_eq!(Window::read(&data), Ok(None));
        assert_eq!(Header::decode(&frame), Header::decode(&data));
    }

    #[test]
    fn a_window_opens_at_thirty_two_kibibytes_and_each_frame_weighs_more_than_its_payload() {
        assert_eq!(Window::LEAST, Window(32_768));
        assert_eq!([0, 1, 1_000].map(Window::weight), [76, 77, 1_076]);
    }

    #[test]
    fn an_address_has_two_halves() {
        let peer = PeerAddr::new(0x1234, 0xABCD);
        assert_eq!((peer.to_wire(), peer.generation(), peer.slot()), (0x1234_ABCD, 0x1234, 0xABCD));
        assert_eq!(PeerAddr::EVERYONE, PeerAddr::new(u16::MAX, u16::MAX));
    }

    #[test]
    fn eleven_bytes_another_version_and_a_third_lane_are_refused() {
        let good = Header::relay(Kind::Heartbeat).encode();
        assert_eq!(Header::decode(&good[..11]), Err(FrameError::Truncated));
        let mut version = good;
        version[0] = 1;
        assert_eq!(Header::decode(&version), Err(FrameError::Version(1)));
        let mut lane = good;
        lane[2] = 2;
        assert_eq!(Header::decode(&lane), Err(FrameError::Lane(2)));
    }
}
