//! STUN and ChannelData messages on a stream (RFC 8656 §3.2, §12.5): a stream has no datagram
//! boundaries, so each message says its length, and ChannelData is padded to four bytes there.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Largest message in bytes: a UDP datagram cannot carry more.
pub(crate) const MAX_MESSAGE: usize = 65_507;

const HEADER: usize = 4;

/// Lengths that the first four bytes of a message announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    /// Without padding, header included.
    message: usize,
    /// As it travels on a stream.
    padded: usize,
}

/// Reads the first four bytes: `u16` type or channel number, `u16` length, both big-endian.
///
/// | first byte | message | length counts |
/// |---|---|---|
/// | `00xxxxxx` | STUN | what follows its 20-byte header, a multiple of four |
/// | `01xxxxxx` | ChannelData | what follows its 4-byte header |
fn extent(header: [u8; HEADER]) -> Option<Extent> {
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let extent = match header[0] >> 6 {
        0b00 if length % 4 == 0 => Extent { message: 20 + length, padded: 20 + length },
        0b01 => Extent { message: HEADER + length, padded: HEADER + length.next_multiple_of(4) },
        _ => return None,
    };
    (extent.padded <= MAX_MESSAGE).then_some(extent)
}

/// Reads one message from `stream` into `buffer` and returns it without padding.
///
/// # Errors
///
/// Those of the stream, and [`io::ErrorKind::InvalidData`] for what is neither STUN nor ChannelData.
pub(super) async fn read<'a>(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &'a mut Vec<u8>,
) -> io::Result<&'a [u8]> {
    let mut header = [0; HEADER];
    stream.read_exact(&mut header).await?;
    let extent = extent(header).ok_or(io::ErrorKind::InvalidData)?;
    buffer.clear();
    buffer.extend_from_slice(&header);
    buffer.resize(extent.padded, 0);
    stream.read_exact(&mut buffer[HEADER..]).await?;
    Ok(&buffer[..extent.message])
}

/// Writes one datagram to `stream`, padded as it must be; what is not a whole STUN or ChannelData
/// message is dropped, as a TURN server would do.
///
/// # Errors
///
/// Those of the stream.
pub(super) async fn write(stream: &mut (impl AsyncWrite + Unpin), datagram: &[u8]) -> io::Result<()> {
    let Some(extent) = datagram.first_chunk().and_then(|header| extent(*header)) else { return Ok(()) };
    // On UDP padding is optional (RFC 8656 §12.5), so either form may arrive here.
    let Some(message) = datagram.get(..extent.message) else { return Ok(()) };
    stream.write_all(message).await?;
    stream.write_all(&[0; 3][..extent.padded - extent.message]).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn channel_data(length: u16) -> Vec<u8> {
        let mut message = vec![0x40, 0x01];
        message.extend_from_slice(&length.to_be_bytes());
        message.resize(HEADER + usize::from(length), 9);
        message
    }

    #[tokio::test]
    async fn channel_data_is_padded_on_the_stream_and_bare_on_udp() {
        for length in 0..9 {
            let mut stream = Vec::new();
            write(&mut stream, &channel_data(length)).await.unwrap();
            assert_eq!(stream.len() % 4, 0);
            let mut buffer = Vec::new();
            let read = read(&mut stream.as_slice(), &mut buffer).await.unwrap();
            assert_eq!(read, channel_data(length));
        }
    }

    #[tokio::test]
    async fn messages_follow_one_another_and_half_of_one_is_an_error() {
        let stun = [&[0, 1, 0, 4][..], &[7; 20]].concat();
        let mut stream = Vec::new();
        write(&mut stream, &stun).await.unwrap();
        write(&mut stream, &channel_data(5)).await.unwrap();
        let (mut rest, mut buffer) = (stream.as_slice(), Vec::new());
        assert_eq!(read(&mut rest, &mut buffer).await.unwrap(), stun);
        assert_eq!(read(&mut rest, &mut buffer).await.unwrap(), channel_data(5));
        let error = read(&mut &stun[..10], &mut buffer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn what_is_neither_is_refused_on_the_stream_and_dropped_from_udp() {
        for bad in [[0x80, 0, 0, 0], [0xFF; 4], [0, 1, 0, 3]] {
            let error = read(&mut &bad[..], &mut Vec::new()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bad:?}");
            let mut stream = Vec::new();
            write(&mut stream, &bad).await.unwrap();
            assert!(stream.is_empty());
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            futures::executor::block_on(async {
                let mut stream = Vec::new();
                write(&mut stream, &bytes).await.unwrap();
                let _ = read(&mut bytes.as_slice(), &mut Vec::new()).await;
            });
        }
    }
}
